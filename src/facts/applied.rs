//! What `site.toml`, its certificate and `secrets.toml` would make now.

use std::collections::BTreeMap;
use std::path::Path;

use super::Fact;
use crate::appliance::state::State;
use crate::render::egress::with_egress;
use crate::render::{self, Inputs};
use crate::stack::secret::SecretStore;
use crate::stack::site::{CaBundle, SiteConfig, TlsFiles, TlsMaterial};

/// The configuration hash of each service as it would be made now.
pub(super) fn wanted(
    appliance: &str,
    state: &State,
    site: Option<&SiteConfig>,
    secrets: &SecretStore,
) -> Fact<BTreeMap<String, String>> {
    let Some(site) = site else {
        return Fact::Unknown("there is no site.toml".to_owned());
    };
    let tls = match site.tls.as_ref().map(material).transpose() {
        Ok(tls) => tls,
        Err(why) => return Fact::Unknown(why),
    };
    let ca = match site.ca.as_deref().map(certificates).transpose() {
        Ok(ca) => ca,
        Err(why) => return Fact::Unknown(why),
    };
    let stack = with_egress(&state.stack, site);
    let context = Inputs {
        appliance,
        site,
        tls: tls.as_ref(),
        ca: ca.as_ref(),
        secrets,
        images: &state.image_ids(),
        route: render::Route::default(),
    };
    let services = stack.services.iter();
    services
        .map(|service| {
            let rendered = render::render_service(&stack, service, &context)?;
            Ok((service.name.clone(), rendered.spec.config_hash))
        })
        .collect::<Result<_, render::RenderError>>()
        .into()
}

fn certificates(file: &Path) -> Result<CaBundle, String> {
    let text = fs_err::read_to_string(file).map_err(|error| error.to_string())?;
    CaBundle::parse(&text).map_err(|error| error.to_string())
}

fn material(files: &TlsFiles) -> Result<TlsMaterial, String> {
    let read = |path| fs_err::read_to_string(path).map_err(|error| error.to_string());
    let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
    TlsMaterial::parse(&certificate, &key).map_err(|error| error.to_string())
}
