//! The values behind the references of a definition.

use std::collections::BTreeMap;

use super::error::RenderError;
use super::files::RenderedFile;
use super::route::Route;
use crate::stack::environment::Environment;
use crate::stack::file::{parse_mode, parse_owner};
use crate::stack::secret::{Secret, SecretStore};
use crate::stack::site::{SiteConfig, TlsMaterial};
use crate::stack::site_key::SiteKey;
use crate::stack::template::{Part, Values};
use crate::stack::{Condition, File, Service, Stack, Template};

/// What a definition refers to.
pub(super) struct Lookup<'a> {
    stack: &'a Stack,
    secrets: &'a SecretStore,
    site: BTreeMap<SiteKey, Secret>,
    /// Host name of web; `None` while web itself is rendered.
    web: Option<String>,
    route: Route<'a>,
}

impl Values for Lookup<'_> {
    fn lookup(&self, part: &Part) -> Option<String> {
        match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Secret(name) => Some(self.secrets.get(name)?.expose().to_owned()),
            Part::Site(key) => Some(self.site.get(key)?.expose().to_owned()),
            // A service's name is its host name on the internal network; web's
            // tells its releases apart.
            Part::Service(name) => match &self.web {
                Some(web) if *name == self.stack.langfuse.web => Some(web.clone()),
                _ => Some(self.stack.service(name)?.name.clone()),
            },
            Part::Next(_) => {
                let inner = self.route.inner.map(str::to_owned);
                inner.or_else(|| self.web.clone())
            }
            Part::Closed(_) => self.route.closed_until.map(str::to_owned),
        }
    }
}

impl<'a> Lookup<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        secrets: &'a SecretStore,
        site: &'a SiteConfig,
        tls: Option<&'a TlsMaterial>,
    ) -> Result<Self, RenderError> {
        if site.tls.is_some() && tls.is_none() {
            return Err(RenderError::NoTls);
        }
        Ok(Self {
            stack,
            secrets,
            site: site.values(tls),
            web: None,
            route: Route::default(),
        })
    }

    /// The same, with the host name of web and where the gateway leads.
    pub(super) fn leading(self, web: Option<String>, route: Route<'a>) -> Self {
        Self { web, route, ..self }
    }

    fn render(&self, at: &str, template: &Template) -> Result<String, RenderError> {
        template
            .render(self)
            .map_err(|reference| RenderError::NoValue {
                at: at.to_owned(),
                reference: reference.to_string(),
            })
    }

    pub(super) fn env(
        &self,
        at: &str,
        env: &Environment<'_>,
    ) -> Result<BTreeMap<String, String>, RenderError> {
        env.iter()
            .map(|(name, value)| {
                let at = format!("{name} of {at}");
                Ok(((*name).to_owned(), self.render(&at, value)?))
            })
            .collect()
    }

    /// The files of a service that are meant for this site and this route.
    pub(super) fn files(
        &self,
        at: &str,
        service: &Service,
        site: &SiteConfig,
    ) -> Result<Vec<RenderedFile>, RenderError> {
        let wanted = match site.tls {
            Some(_) => Condition::Tls,
            None => Condition::PlainHttp,
        };
        let door = match self.route.closed_until {
            None => Condition::Open,
            Some(_) => Condition::Closed,
        };
        let holds = |when: Condition| when == wanted || when == door;
        let files = service.files.iter();
        files
            .filter(|file| file.when.is_none_or(holds))
            .map(|file| self.file(at, file))
            .collect()
    }

    fn file(&self, at: &str, file: &File) -> Result<RenderedFile, RenderError> {
        let at = format!("file `{}` of {at}", file.path);
        let (Some(mode), Some((uid, gid))) = (parse_mode(&file.mode), parse_owner(&file.owner))
        else {
            return Err(RenderError::BadFile { at });
        };
        Ok(RenderedFile {
            path: file.path.clone(),
            content: Secret::new(self.render(&at, &file.content)?),
            mode,
            uid,
            gid,
        })
    }
}
