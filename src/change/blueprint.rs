//! All that the containers of one generation are made from.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ChangeError;
use crate::appliance::generation::{Generation, InstalledImage};
use crate::appliance::{Appliance, ApplianceError, TEXT_LIMIT};
use crate::bundle::open::Bundle;
use crate::oci::digest::Digest;
use crate::render::egress::with_egress;
use crate::render::{self, Inputs, Rendered, Route};
use crate::stack::release::Release;
use crate::stack::secret::SecretStore;
use crate::stack::site::{CaBundle, SiteConfig, SiteError, TlsMaterial};
use crate::stack::{Service, Stack};
use crate::sys::fs::read_text;

/// What the operator decided, read with the files that it names.
#[derive(Debug, Clone)]
pub struct SiteInput {
    /// As it counts.
    pub config: SiteConfig,
    /// As it was written.
    pub text: String,
    /// Content of the gateway's certificate and key, where it names them.
    pub tls: Option<TlsMaterial>,
    /// Content of the site's own certificates, where it names them.
    pub ca: Option<CaBundle>,
}

impl SiteInput {
    /// Reads the text of a `site.toml` for `stack`, and the files that it
    /// names. Errors name `from`.
    ///
    /// # Errors
    ///
    /// A rule is broken, or a file that is named cannot be read.
    pub fn parse(from: &Path, text: String, stack: &Stack) -> Result<Self, ApplianceError> {
        let wrong = |source: SiteError| ApplianceError::Site {
            path: from.to_owned(),
            source,
        };
        let config = SiteConfig::parse_for(&text, stack).map_err(wrong)?;
        let tls = match &config.tls {
            Some(files) => {
                let certificate = read_text(&files.certificate, TEXT_LIMIT)?;
                let key = read_text(&files.key, TEXT_LIMIT)?;
                Some(TlsMaterial::parse(&certificate, &key).map_err(wrong)?)
            }
            None => None,
        };
        let ca = match &config.ca {
            Some(file) => Some(CaBundle::parse(&read_text(file, TEXT_LIMIT)?).map_err(wrong)?),
            None => None,
        };
        Ok(Self {
            config,
            text,
            tls,
            ca,
        })
    }
}

/// All that the containers of one generation are made from, beside the
/// secrets, which outlive generations.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Name of the appliance.
    pub appliance: String,
    pub release: Release,
    /// Digest of the `index.json` of the bundle it comes from.
    pub bundle: Digest,
    /// Key that signed the bundle; `None` when the signature was skipped.
    pub key: Option<String>,
    /// The stack definition.
    pub stack: Stack,
    /// What the operator decided.
    pub site: SiteConfig,
    /// The same as it is written to disk.
    pub site_text: String,
    /// Content of the gateway's certificate and key, where the site has them.
    pub tls: Option<TlsMaterial>,
    /// Content of the site's own certificates, where it has them.
    pub ca: Option<CaBundle>,
    /// Images by key, as they will be or are.
    pub images: BTreeMap<String, InstalledImage>,
}

impl Blueprint {
    /// What a bundle makes of an appliance.
    pub fn of_bundle(
        appliance: &str,
        bundle: &Bundle,
        site: SiteInput,
        images: BTreeMap<String, InstalledImage>,
    ) -> Self {
        Self {
            appliance: appliance.to_owned(),
            release: bundle.manifest().release.clone(),
            bundle: bundle.digest(),
            key: bundle.key_id().map(|key| key.to_string()),
            stack: with_egress(bundle.stack(), &site.config),
            site: site.config,
            site_text: site.text,
            tls: site.tls,
            ca: site.ca,
            images,
        }
    }

    /// What a generation was made from, as far as it is kept.
    ///
    /// # Errors
    ///
    /// A file of the generation, or the certificate that its `site.toml`
    /// names, is gone or not what it should be.
    pub fn of_generation(
        appliance: &Appliance,
        generation: &Generation,
    ) -> Result<Self, ChangeError> {
        let stack = appliance.stack_of(generation)?;
        let text = match appliance.site_of(generation)? {
            Some(text) => text,
            // An lfctl without generations left the one that is in force.
            None => read_text(&appliance.site_path(), TEXT_LIMIT)?,
        };
        let site = SiteInput::parse(&appliance.site_path(), text, &stack)?;
        Ok(Self {
            appliance: appliance.name().to_owned(),
            release: generation.release.clone(),
            bundle: generation.bundle,
            key: generation.key.clone(),
            stack: with_egress(&stack, &site.config),
            site: site.config,
            site_text: site.text,
            tls: site.tls,
            ca: site.ca,
            images: generation.images.clone(),
        })
    }

    /// What a recorded generation makes of an appliance, perhaps of another
    /// name, with another site.
    pub fn of_record(
        appliance: &str,
        generation: &Generation,
        stack: &Stack,
        site: SiteInput,
    ) -> Self {
        Self {
            appliance: appliance.to_owned(),
            release: generation.release.clone(),
            bundle: generation.bundle,
            key: generation.key.clone(),
            stack: stack.clone(),
            site: site.config,
            site_text: site.text,
            tls: site.tls,
            ca: site.ca,
            images: generation.images.clone(),
        }
    }

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
        self.render_to(service, Route::default(), secrets)
    }

    /// As [`Self::render`], with a gateway that leads elsewhere.
    ///
    /// # Errors
    ///
    /// Something that the definition refers to has no value.
    pub fn render_to(
        &self,
        service: &Service,
        route: Route<'_>,
        secrets: &SecretStore,
    ) -> Result<Rendered, ChangeError> {
        let ids = self.image_ids();
        let inputs = Inputs {
            route,
            ..self.context(&ids, secrets)
        };
        Ok(render::render_service(&self.stack, service, &inputs)?)
    }

    /// Host name of its web on the internal network.
    ///
    /// # Errors
    ///
    /// Something that the definition refers to has no value.
    pub fn web_host(&self, secrets: &SecretStore) -> Result<Option<String>, ChangeError> {
        let ids = self.image_ids();
        Ok(render::web_host(&self.stack, &self.context(&ids, secrets))?)
    }

    /// The same for a service that starts on empty databases.
    ///
    /// # Errors
    ///
    /// Something that the definition refers to has no value.
    pub fn render_first_start(
        &self,
        service: &Service,
        secrets: &SecretStore,
    ) -> Result<Rendered, ChangeError> {
        let ids = self.image_ids();
        Ok(render::render_first_start(
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
    ) -> Inputs<'c> {
        Inputs {
            appliance: &self.appliance,
            site: &self.site,
            tls: self.tls.as_ref(),
            ca: self.ca.as_ref(),
            secrets,
            images: ids,
            route: Route::default(),
        }
    }
}
