//! Turns a definition, the site and the secrets into containers and files.
//!
//! Pure: the same inputs give the same containers, and the same hash over
//! everything that defines them, so that a second run sees what has changed.

mod error;
mod files;
mod hash;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use error::RenderError;
pub use files::{RenderedFile, files_tar};
use hash::config_hash;

use crate::engine::{ContainerSpec, HealthSpec, NetworkSpec, Owner, PortSpec, Reach};
use crate::stack::environment::{Environment, is_proposal};
use crate::stack::file::{parse_mode, parse_owner};
use crate::stack::secret::{Secret, SecretStore};
use crate::stack::site::{SiteConfig, TlsMaterial};
use crate::stack::template::{Part, Values};
use crate::stack::{Condition, File, Health, JOB, Service, Stack, Template};

/// The engine's names for the parts of an appliance.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
}

impl Names<'_> {
    /// A service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.appliance)
    }

    /// The migration job's container.
    pub fn job(&self) -> String {
        self.container(JOB)
    }

    /// The network without a route out.
    pub fn internal(&self) -> String {
        format!("{}-internal", self.appliance)
    }

    /// The network of the gateway's published port.
    pub fn edge(&self) -> String {
        format!("{}-edge", self.appliance)
    }

    /// A volume.
    pub fn volume(&self, name: &str) -> String {
        format!("{}-{name}", self.appliance)
    }

    fn owner(&self, part: &str) -> Owner {
        Owner {
            appliance: self.appliance.to_owned(),
            part: part.to_owned(),
        }
    }
}

/// All that a definition is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
    /// What the operator decided.
    pub site: &'a SiteConfig,
    /// Content of the files that `site.tls` names; both or neither.
    pub tls: Option<&'a TlsMaterial>,
    /// The appliance's secrets.
    pub secrets: &'a SecretStore,
    /// Image ids by the bundle's key.
    pub images: &'a BTreeMap<String, String>,
}

/// A container and the files put into it before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The container.
    pub spec: ContainerSpec,
    /// Its files.
    pub files: Vec<RenderedFile>,
}

struct Lookup<'a> {
    stack: &'a Stack,
    secrets: &'a SecretStore,
    site: BTreeMap<&'static str, Secret>,
}

impl Values for Lookup<'_> {
    fn lookup(&self, part: &Part) -> Option<String> {
        match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Secret(name) => Some(self.secrets.get(name)?.expose().to_owned()),
            Part::Site(key) => Some(self.site.get(key.as_str())?.expose().to_owned()),
            // A service's name is its host name on the internal network.
            Part::Service(name) => Some(self.stack.service(name)?.name.clone()),
        }
    }
}

impl<'a> Lookup<'a> {
    fn new(stack: &'a Stack, context: &Context<'a>) -> Result<Self, RenderError> {
        if context.site.tls.is_some() && context.tls.is_none() {
            return Err(RenderError::NoTls);
        }
        Ok(Self {
            stack,
            secrets: context.secrets,
            site: context.site.values(context.tls),
        })
    }

    fn render(&self, at: &str, template: &Template) -> Result<String, RenderError> {
        template
            .render(self)
            .map_err(|reference| RenderError::NoValue {
                at: at.to_owned(),
                reference: reference.to_string(),
            })
    }

    fn env(
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

/// The container of one service.
///
/// # Errors
///
/// See [`RenderError`].
pub fn render_service(
    stack: &Stack,
    service: &Service,
    context: &Context<'_>,
) -> Result<Rendered, RenderError> {
    let lookup = Lookup::new(stack, context)?;
    let names = Names {
        appliance: context.appliance,
    };
    let at = format!("service `{}`", service.name);
    let mut env = lookup.env(&at, &stack.service_environment(service))?;
    // What the release sets wins; the site's check refuses such variables.
    for (name, value) in site_env(stack, service, context.site) {
        if is_proposal(name) || !env.contains_key(name) {
            env.insert(name.clone(), value.expose().to_owned());
        }
    }
    let wanted = if context.site.tls.is_some() {
        Condition::Tls
    } else {
        Condition::PlainHttp
    };
    let files = service
        .files
        .iter()
        .filter(|file| file.when.is_none_or(|when| when == wanted))
        .map(|file| lookup.file(&at, file))
        .collect::<Result<Vec<_>, _>>()?;
    let is_gateway = service.name == stack.langfuse.gateway;
    // Internal first: its resolver is the one that knows the siblings.
    let mut networks = vec![(names.internal(), vec![service.name.clone()])];
    if is_gateway {
        networks.push((names.edge(), Vec::new()));
    }
    let mut spec = ContainerSpec {
        name: names.container(&service.name),
        owner: names.owner(&service.name),
        image: image(context, &at, &service.image)?,
        user: service.user.clone(),
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        env: env.into(),
        networks,
        mounts: service
            .mounts
            .iter()
            .map(|mount| (names.volume(&mount.volume), mount.path.clone()))
            .collect(),
        tmpfs: service.tmpfs.clone(),
        extra_hosts: Vec::new(),
        dns_options: dns_options(),
        ports: Vec::new(),
        health: Some(health(&service.health)),
        stop_signal: service.stop.signal.clone(),
        stop_timeout: Some(service.stop.timeout_seconds),
        restart: true,
        nofile: service.nofile,
        config_hash: String::new(),
    };
    if service.fail_fast {
        fail_fast(&mut spec, stack);
    }
    if let Some(publish) = &service.publish {
        spec.ports.push(PortSpec {
            host_ip: context.site.listen.ip().to_string(),
            host_port: context.site.listen.port(),
            container_port: match wanted {
                Condition::Tls => publish.https,
                Condition::PlainHttp => publish.http,
            },
        });
    }
    spec.config_hash = config_hash(&spec, &files);
    Ok(Rendered { spec, files })
}

/// The container of the migration job: no health check, no restart, and calls
/// home fail as fast as they do in web, whose image it runs.
///
/// # Errors
///
/// See [`RenderError`].
pub fn render_job(stack: &Stack, context: &Context<'_>) -> Result<Rendered, RenderError> {
    let lookup = Lookup::new(stack, context)?;
    let names = Names {
        appliance: context.appliance,
    };
    let at = "the migration";
    let job = &stack.migration;
    let mut spec = ContainerSpec {
        name: names.job(),
        owner: names.owner(JOB),
        image: image(context, at, &job.image)?,
        user: None,
        entrypoint: None,
        command: Some(job.command.clone()),
        env: lookup
            .env(at, &stack.environment(&job.env_groups, &job.env))?
            .into(),
        networks: vec![(names.internal(), Vec::new())],
        mounts: Vec::new(),
        tmpfs: Vec::new(),
        extra_hosts: Vec::new(),
        dns_options: dns_options(),
        ports: Vec::new(),
        health: None,
        stop_signal: None,
        stop_timeout: None,
        restart: false,
        nofile: None,
        config_hash: String::new(),
    };
    fail_fast(&mut spec, stack);
    spec.config_hash = config_hash(&spec, &[]);
    Ok(Rendered {
        spec,
        files: Vec::new(),
    })
}

/// The networks of an appliance, the internal one first.
pub fn networks(appliance: &str) -> [NetworkSpec; 2] {
    let names = Names { appliance };
    [
        NetworkSpec {
            name: names.internal(),
            owner: names.owner("internal"),
            reach: Reach::Siblings,
        },
        NetworkSpec {
            name: names.edge(),
            owner: names.owner("edge"),
            reach: Reach::Published,
        },
    ]
}

/// The volumes of an appliance: engine name and owner.
pub fn volumes(stack: &Stack, appliance: &str) -> Vec<(String, Owner)> {
    let names = Names { appliance };
    stack
        .volumes
        .iter()
        .map(|volume| (names.volume(&volume.name), names.owner(&volume.name)))
        .collect()
}

fn site_env<'a>(
    stack: &Stack,
    service: &Service,
    site: &'a SiteConfig,
) -> impl Iterator<Item = (&'a String, &'a Secret)> {
    let env = if service.name == stack.langfuse.web {
        Some(&site.env_web)
    } else if service.name == stack.langfuse.worker {
        Some(&site.env_worker)
    } else {
        None
    };
    env.into_iter().flatten()
}

fn image(context: &Context<'_>, at: &str, key: &str) -> Result<String, RenderError> {
    context
        .images
        .get(key)
        .cloned()
        .ok_or_else(|| RenderError::NoImage {
            at: at.to_owned(),
            key: key.to_owned(),
        })
}

fn fail_fast(spec: &mut ContainerSpec, stack: &Stack) {
    // An address cannot be given another one; the internal network has no
    // route to it, which fails at once too.
    let entries: BTreeSet<_> = stack
        .call_home
        .iter()
        .filter(|call| call.host.parse::<std::net::IpAddr>().is_err())
        .map(|call| format!("{}:127.0.0.1", call.host))
        .collect();
    spec.extra_hosts = entries.into_iter().collect();
}

/// A name that is no sibling's fails after one second instead of ten: the
/// engine's resolver has nobody to ask and may say nothing at all.
fn dns_options() -> Vec<String> {
    vec!["timeout:1".to_owned(), "attempts:1".to_owned()]
}

fn health(health: &Health) -> HealthSpec {
    HealthSpec {
        command: health.command.clone(),
        interval: Duration::from_secs(health.interval_seconds),
        timeout: Duration::from_secs(health.timeout_seconds),
        retries: health.retries,
        start_period: Duration::from_secs(health.start_period_seconds),
    }
}
