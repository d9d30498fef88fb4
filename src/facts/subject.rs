//! What facts are about: an appliance as its files describe it, or as a bundle
//! is about to make it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;

use super::backups::Backups;
use super::certificate::{self, Certificate};
use super::here::here;
use super::{Fact, applied};
use crate::appliance::generation::Generation;
use crate::appliance::journal::Unfinished;
use crate::appliance::state::{EnginePlace, State, Status};
use crate::appliance::{Appliance, ApplianceError};
use crate::bundle::manifest::{BundleManifest, Release};
use crate::engine::{Container, EngineFacts, EngineKind};
use crate::langfuse::Endpoint;
use crate::langfuse::http::Basic;
use crate::render::Names;
use crate::render::egress::{Route, routes};
use crate::stack::release::SchemaChange;
use crate::stack::secret::{Redactor, SecretStore};
use crate::stack::site::SiteConfig;
use crate::stack::{EGRESS, Stack};
use crate::sys::text::chain;

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
    /// The engine it was installed into.
    pub home: Option<Home>,
    /// Its status on record, if it is on record.
    pub status: Option<Status>,
    /// Services that were stopped on purpose.
    pub stopped: BTreeSet<String>,
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
    /// What the site lets it reach outside.
    pub routes: Vec<Route>,
    /// The gateway's certificate; `None` when the site names none.
    pub certificate: Option<Fact<Certificate>>,
    /// Last migrations, by service, of the releases on record that only add to
    /// the databases: what a rollback or an upgrade that went back leaves.
    pub additive: BTreeMap<String, BTreeSet<String>>,
    /// What is wrong with `site.toml`, if anything is.
    pub site_problem: Option<String>,
    /// Its audit log and that of the host.
    pub audit: Fact<Audit>,
    /// Its backups and drills.
    pub backups: Fact<Backups>,
}

/// The engine that an appliance was installed into, on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Docker or Podman.
    pub kind: EngineKind,
    /// Which one of that kind; `None` on the record of an older lfctl.
    pub place: Option<EnginePlace>,
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

/// What the audit logs of an appliance and of its host hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Lines in all.
    pub lines: usize,
    /// What is wrong, with the file it is in.
    pub problems: Vec<String>,
}

fn audit(appliance: &Appliance) -> Fact<Audit> {
    let logs = [appliance.audit_log(), appliance.host_audit_log()];
    let mut audit = Audit {
        lines: 0,
        problems: Vec::new(),
    };
    for log in logs {
        match log.read() {
            Ok(chain) => {
                audit.lines += chain.lines;
                let file = log.path().display();
                let problem = chain.problem.map(|problem| format!("{file}: {problem}"));
                audit.problems.extend(problem);
            }
            Err(error) => return Fact::Unknown(error.to_string()),
        }
    }
    Fact::Known(audit)
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

/// The keys of the first project, if they are known.
fn keys(stack: &Stack, secrets: &SecretStore) -> Option<Basic> {
    let secret = |name: &str| Some(secrets.get(name)?.expose().to_owned());
    let user = secret(&stack.langfuse.public_key)?;
    let password = secret(&stack.langfuse.secret_key)?.into();
    Some(Basic { user, password })
}

impl Subject {
    /// Reads `site.toml`, `secrets.toml` and the journal beside a state that was
    /// read already.
    ///
    /// # Errors
    ///
    /// One of the files cannot be read or is not valid.
    pub fn installed(appliance: &Appliance, state: State) -> Result<Self, ApplianceError> {
        let (site, site_problem) = match appliance.site() {
            Ok(site) => (site, None),
            // What runs was made from the one that was kept.
            Err(error @ ApplianceError::Site { .. }) => {
                let kept = appliance.site_of(&state.current)?;
                let kept = kept.and_then(|text| SiteConfig::parse(&text).ok());
                (kept, Some(chain(&error)))
            }
            Err(error) => return Err(error),
        };
        let stored = appliance.secrets()?;
        let comparison = Secrets::compare(stored.as_ref(), &state.fingerprints);
        let secrets = stored.unwrap_or_default();
        let wanted = match &site_problem {
            None => applied::wanted(appliance.name(), &state, site.as_ref(), &secrets),
            Some(_) => Fact::Unknown("site.toml is not valid".to_owned()),
        };
        let keys = keys(&state.stack, &secrets);
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
            home: Some(Home {
                kind: state.record.engine,
                place: state.record.engine_at,
            }),
            status: Some(state.record.status),
            stopped: state.record.stopped,
            unfinished: appliance.journal().unfinished().into(),
            busy: appliance.is_locked()?,
            updated: Some(state.record.updated),
            lfctl: Some(state.record.lfctl),
            wanted,
            routes: site.as_ref().map(routes).unwrap_or_default(),
            certificate: site.as_ref().and_then(certificate_of),
            additive: additive(&appliance.generations()?),
            audit: audit(appliance),
            backups: Backups::of(appliance, site.as_ref()),
            site_problem,
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
            home: None,
            status: None,
            stopped: BTreeSet::new(),
            unfinished: Fact::Known(None),
            busy: false,
            updated: None,
            lfctl: None,
            wanted: Fact::not_asked(),
            routes: Vec::new(),
            certificate: None,
            additive: BTreeMap::new(),
            audit: Fact::not_asked(),
            backups: Fact::not_asked(),
            site_problem: None,
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

    /// Names of the networks that a service may be on, in the engine.
    pub fn networks_of(&self, service: &str) -> BTreeSet<String> {
        let names = self.names();
        let users: BTreeSet<_> = self.routes.iter().map(|route| &route.service).collect();
        if service == EGRESS && !users.is_empty() {
            let shared = users.iter().map(|user| names.to_egress(user));
            return shared.chain([names.outside()]).collect();
        }
        let mut networks = BTreeSet::from([names.internal()]);
        if service == self.stack.langfuse.gateway {
            networks.insert(names.edge());
        }
        if users.iter().any(|user| *user == service) {
            networks.insert(names.to_egress(service));
        }
        networks
    }

    /// Where web answers over plain HTTP. The gateway's own address, where
    /// this host reaches it: that works whatever the site published.
    /// Otherwise the published port.
    pub(super) fn endpoint(
        &self,
        engine: &Fact<EngineFacts>,
        containers: &Fact<BTreeMap<String, Container>>,
    ) -> Result<Endpoint, String> {
        let rootless = engine.known().is_some_and(|engine| engine.rootless);
        let gateway = &self.stack.langfuse.gateway;
        let gateway = match containers.as_result() {
            Ok(containers) => containers.get(gateway),
            Err(_) if rootless => None,
            Err(why) => return Err(why.to_owned()),
        };
        let site = self.site.as_ref().ok_or("nothing is installed")?;
        Endpoint::to_gateway(
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
