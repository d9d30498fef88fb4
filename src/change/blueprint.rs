//! All that the containers of one generation are made from.

use std::collections::BTreeMap;

use super::error::ChangeError;
use crate::appliance::generation::InstalledImage;
use crate::render::{self, Context, Rendered};
use crate::stack::secret::SecretStore;
use crate::stack::site::{SiteConfig, TlsMaterial};
use crate::stack::{Service, Stack};

/// All that the containers of one generation are made from, beside the
/// secrets, which outlive generations.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Name of the appliance.
    pub appliance: String,
    /// The stack definition.
    pub stack: Stack,
    /// What the operator decided.
    pub site: SiteConfig,
    /// The same as it is written to disk.
    pub site_text: String,
    /// Content of the gateway's certificate and key, where the site has them.
    pub tls: Option<TlsMaterial>,
    /// Images by key, as they will be or are.
    pub images: BTreeMap<String, InstalledImage>,
}

impl Blueprint {
    /// The service of this name.
    ///
    /// # Errors
    ///
    /// The stack does not define it.
    pub fn service(&self, name: &str) -> Result<&Service, ChangeError> {
        self.stack.service(name).ok_or_else(|| ChangeError::Probe {
            what: format!("looking for service `{name}`"),
            why: "the stack does not define it".to_owned(),
        })
    }

    /// What the container of a service must be, files included.
    ///
    /// # Errors
    ///
    /// Something that the definition refers to has no value.
    pub fn render(
        &self,
        service: &Service,
        secrets: &SecretStore,
    ) -> Result<Rendered, ChangeError> {
        let ids = self.image_ids();
        Ok(render::render_service(
            &self.stack,
            service,
            &self.context(&ids, secrets),
        )?)
    }

    /// What the container of the migration job must be.
    ///
    /// # Errors
    ///
    /// Something that the definition refers to has no value.
    pub fn render_job(&self, secrets: &SecretStore) -> Result<Rendered, ChangeError> {
        let ids = self.image_ids();
        Ok(render::render_job(
            &self.stack,
            &self.context(&ids, secrets),
        )?)
    }

    fn image_ids(&self) -> BTreeMap<String, String> {
        self.images
            .iter()
            .map(|(key, image)| (key.clone(), image.id.clone()))
            .collect()
    }

    fn context<'c>(
        &'c self,
        ids: &'c BTreeMap<String, String>,
        secrets: &'c SecretStore,
    ) -> Context<'c> {
        Context {
            appliance: &self.appliance,
            site: &self.site,
            tls: self.tls.as_ref(),
            secrets,
            images: ids,
        }
    }
}
