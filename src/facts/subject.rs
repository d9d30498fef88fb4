//! What facts are about: an appliance as its files describe it, or as a bundle
//! is about to make it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;

use super::certificate::{self, Certificate};
use super::{Fact, applied};
use crate::appliance::generation::Generation;
use crate::appliance::journal::Unfinished;
use crate::appliance::state::{State, Status};
use crate::appliance::{Appliance, ApplianceError};
use crate::bundle::manifest::{BundleManifest, Release};
use crate::engine::{Container, EngineFacts};
use crate::langfuse::Door;
use crate::langfuse::http::Basic;
use crate::render::Names;
use crate::stack::Stack;
use crate::stack::release::SchemaChange;
use crate::stack::secret::{Redactor, SecretStore};
use crate::stack::site::SiteConfig;

/// An appliance, installed or about to be.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Name of the appliance.
    pub name: String,
    /// The release that is installed, or is about to be.
    pub release: Release,
    /// Its definition.
    pub stack: Stack,
    /// Engine ids by the image keys that services use.
    pub images: BTreeMap<String, String>,
    /// Where it is reached; `None` when only images are loaded.
    pub site: Option<Site>,
    /// API key pair of the first project; `None` when it cannot be read.
    pub keys: Option<Basic>,
    /// The secrets against those on record.
    pub secrets: Secrets,
    /// Keeps its secrets out of what is shown.
    pub redactor: Redactor,
    /// Where lfctl keeps the appliance's state.
    pub state_dir: PathBuf,
    /// Where the engine kept its data when it was last asked.
    pub data_root: Option<PathBuf>,
    /// Its status on record, if it is on record.
    pub status: Option<Status>,
    /// The last change, if it has not reached its end.
    pub unfinished: Fact<Option<Unfinished>>,
    /// Another lfctl is changing it right now.
    pub busy: bool,
    /// When its state was written last.
    pub updated: Option<Timestamp>,
    /// The lfctl that wrote it.
    pub lfctl: Option<String>,
    /// The configuration hash of each service as it would be made now.
    pub wanted: Fact<BTreeMap<String, String>>,
    /// The gateway's certificate; `None` when the site names none.
    pub certificate: Option<Fact<Certificate>>,
    /// Last migrations, by service, of the releases on record that only add to
    /// the databases: what a rollback or an upgrade that went back leaves.
    pub additive: BTreeMap<String, BTreeSet<String>>,
}

/// Where an appliance is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Whether it speaks TLS there.
    pub tls: bool,
    /// The public URL: scheme, host and port.
    pub url: String,
    /// Something in front of the gateway speaks to clients.
    pub behind_proxy: bool,
}

impl Site {
    /// Host and port of the public URL, for the `Host` header.
    pub fn authority(&self) -> &str {
        self.url
            .split_once("://")
            .map_or(self.url.as_str(), |(_, authority)| authority)
    }

    /// Host of the public URL.
    pub fn host(&self) -> &str {
        let authority = self.authority();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The published port as this host reaches it without leaving itself.
    pub(super) fn published(&self) -> SocketAddr {
        here(self.listen)
    }
}

impl From<&SiteConfig> for Site {
    fn from(config: &SiteConfig) -> Self {
        Self {
            listen: config.listen,
            tls: config.tls.is_some(),
            url: config.url.to_string(),
            behind_proxy: config.behind_proxy,
        }
    }
}

/// The secrets whose change loses data, against those on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// So many, and all as they were.
    Same(usize),
    /// There is no file.
    Missing,
    /// The names of those that are others now.
    Changed(Vec<String>),
}

impl Secrets {
    /// Compares the secrets with their short hashes on record.
    pub fn compare(stored: Option<&SecretStore>, on_record: &BTreeMap<String, String>) -> Self {
        let Some(stored) = stored else {
            return Self::Missing;
        };
        let is_other =
            |(name, print): &(&String, &String)| stored.fingerprint(name) != Some((*print).clone());
        let changed: Vec<_> = on_record
            .iter()
            .filter(is_other)
            .map(|(name, _)| name.clone())
            .collect();
        if changed.is_empty() {
            return Self::Same(on_record.len());
        }
        Self::Changed(changed)
    }
}

fn additive(generations: &[Generation]) -> BTreeMap<String, BTreeSet<String>> {
    let mut levels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let additive = generations
        .iter()
        .filter(|one| one.schema_change == SchemaChange::Additive);
    for (service, last) in additive.flat_map(|one| &one.schemas) {
        levels
            .entry(service.clone())
            .or_default()
            .insert(last.clone());
    }
    levels
}

impl Subject {
    /// Reads `site.toml`, `secrets.toml` and the journal beside a state that was
    /// read already.
    ///
    /// # Errors
    ///
    /// One of the files cannot be read or is not valid.
    pub fn installed(appliance: &Appliance, state: State) -> Result<Self, ApplianceError> {
        let site = appliance.site()?;
        let stored = appliance.secrets()?;
        let comparison = Secrets::compare(stored.as_ref(), &state.fingerprints);
        let secrets = stored.unwrap_or_default();
        let wanted = applied::wanted(appliance.name(), &state, site.as_ref(), &secrets);
        let langfuse = &state.stack.langfuse;
        let secret = |name: &str| Some(secrets.get(name)?.expose().to_owned());
        let keys = secret(&langfuse.public_key)
            .zip(secret(&langfuse.secret_key))
            .map(|(user, password)| Basic {
                user,
                password: password.into(),
            });
        let redactor = match &site {
            Some(site) => site.redactor(&secrets),
            None => secrets.redactor(),
        };
        let url = match &site {
            Some(site) => site.url.to_string(),
            None => format!("http://{}", state.current.listen),
        };
        Ok(Self {
            name: appliance.name().to_owned(),
            images: state.image_ids(),
            release: state.record.current.release,
            stack: state.stack,
            site: Some(Site {
                listen: state.record.current.listen,
                tls: site.as_ref().is_some_and(|site| site.tls.is_some()),
                url,
                behind_proxy: site.as_ref().is_some_and(|site| site.behind_proxy),
            }),
            keys,
            secrets: comparison,
            redactor,
            state_dir: appliance.dir(),
            data_root: state.record.engine_at.map(|place| place.data_root.into()),
            status: Some(state.record.status),
            unfinished: appliance.journal().unfinished().into(),
            busy: appliance.is_locked()?,
            updated: Some(state.record.updated),
            lfctl: Some(state.record.lfctl),
            wanted,
            certificate: site.as_ref().and_then(certificate_of),
            additive: additive(&appliance.generations()?),
        })
    }

    /// What a bundle holds, without an appliance: images are loaded and nothing
    /// else.
    pub fn of_bundle(bundle: &BundleManifest, stack: &Stack, state_dir: PathBuf) -> Self {
        Self {
            name: bundle.release.name.clone(),
            release: bundle.release.clone(),
            stack: stack.clone(),
            images: BTreeMap::new(),
            site: None,
            keys: None,
            secrets: Secrets::Missing,
            redactor: SecretStore::default().redactor(),
            state_dir,
            data_root: None,
            status: None,
            unfinished: Fact::Known(None),
            busy: false,
            updated: None,
            lfctl: None,
            wanted: Fact::not_asked(),
            certificate: None,
            additive: BTreeMap::new(),
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            appliance: &self.name,
        }
    }

    /// Name of a service's container in the engine.
    pub fn container(&self, service: &str) -> String {
        self.names().container(service)
    }

    /// Name of a volume in the engine.
    pub fn volume(&self, name: &str) -> String {
        self.names().volume(name)
    }

    /// Name of the network without a route out.
    pub fn internal(&self) -> String {
        self.names().internal()
    }

    /// Name of the gateway's network.
    pub fn edge(&self) -> String {
        self.names().edge()
    }

    /// Where web answers over plain HTTP. The gateway's own address, where
    /// this host reaches it: that works whatever the site published.
    /// Otherwise the published port.
    pub(super) fn door(
        &self,
        engine: &Fact<EngineFacts>,
        containers: &Fact<BTreeMap<String, Container>>,
    ) -> Result<Door, String> {
        let rootless = engine.known().is_some_and(|engine| engine.rootless);
        let gateway = &self.stack.langfuse.gateway;
        let gateway = match containers.as_result() {
            Ok(containers) => containers.get(gateway),
            Err(_) if rootless => None,
            Err(why) => return Err(why.to_owned()),
        };
        let site = self.site.as_ref().ok_or("nothing is installed")?;
        Door::to_gateway(
            gateway,
            &self.edge(),
            self.stack.langfuse.gateway_port,
            rootless,
            (!site.tls).then(|| site.published()),
            site.authority(),
        )
    }
}

/// The certificate that the site names, if it names one.
pub fn certificate_of(site: &SiteConfig) -> Option<Fact<Certificate>> {
    site.tls.as_ref().map(certificate::read)
}

/// The address under which this host itself reaches what listens there.
pub fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_port_is_asked_on_this_host() {
        for (listen, asked) in [
            ("0.0.0.0:8443", "127.0.0.1:8443"),
            ("[::]:8443", "[::1]:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("10.0.0.5:443", "10.0.0.5:443"),
        ] {
            assert_eq!(here(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
