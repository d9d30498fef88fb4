//! Turns a definition, the site and the secrets into containers and files.
//!
//! Pure: the same inputs give the same containers, and the same hash over
//! everything that defines them, so that a second run sees what has changed.

pub mod egress;
mod error;
mod files;
mod hash;
mod lookup;
mod names;
mod networks;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use error::RenderError;
pub use files::{RenderedFile, files_tar};
use hash::config_hash;
use lookup::Lookup;
pub use names::Names;
pub use networks::networks;
use networks::{links_of, networks_of, resolver_of};
pub use route::Route;

use crate::engine::{ConfinementSpec, ContainerSpec, HealthSpec, Owner, PortSpec, Resolver};
use crate::stack::environment::is_proposal;
use crate::stack::secret::{Secret, SecretStore};
use crate::stack::site::{CaBundle, SiteConfig, TlsMaterial};
use crate::stack::template::Part;
use crate::stack::{Confinement, Health, JOB, Service, Stack, Template};

/// What Node reads further certificates from.
const TRUSTED_CA: &str = "NODE_EXTRA_CA_CERTS";
/// Where web and worker find the site's own certificates.
const CA_FILE: &str = "/etc/lfctl-ca.pem";

/// Hex digits that tell webs apart.
pub const HOST_DIGITS: usize = 8;

/// All that a definition is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
    /// What the operator decided.
    pub site: &'a SiteConfig,
    /// Content of the files that `site.tls` names; both or neither.
    pub tls: Option<&'a TlsMaterial>,
    /// Content of the file that `site.ca` names.
    pub ca: Option<&'a CaBundle>,
    /// The appliance's secrets.
    pub secrets: &'a SecretStore,
    /// Image ids by the bundle's key.
    pub images: &'a BTreeMap<String, String>,
    /// Where the gateway leads.
    pub route: Route<'a>,
}

/// A container and the files put into it before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The container.
    pub spec: ContainerSpec,
    pub files: Vec<RenderedFile>,
}

/// The container of one service, once it has made what
/// [`Service::first_start_env`] is for.
///
/// # Errors
///
/// See [`RenderError`].
pub fn render_service(
    stack: &Stack,
    service: &Service,
    inputs: &Inputs<'_>,
) -> Result<Rendered, RenderError> {
    render_with(stack, service, &BTreeMap::new(), inputs)
}

/// The container of one service that starts on empty databases.
///
/// # Errors
///
/// See [`RenderError`].
pub fn render_first_start(
    stack: &Stack,
    service: &Service,
    inputs: &Inputs<'_>,
) -> Result<Rendered, RenderError> {
    render_with(stack, service, &service.first_start_env, inputs)
}

fn render_with(
    stack: &Stack,
    service: &Service,
    further: &BTreeMap<String, Template>,
    inputs: &Inputs<'_>,
) -> Result<Rendered, RenderError> {
    let web = if leads_to_web(stack, service) {
        web_host(stack, inputs)?
    } else {
        None
    };
    let lookup =
        Lookup::new(stack, inputs.secrets, inputs.site, inputs.tls)?.leading(web, inputs.route);
    let names = Names {
        appliance: inputs.appliance,
    };
    let mut env = environment(stack, service, further, inputs.site, &lookup)?;
    let mut files = lookup.files(&at(service), service, inputs.site)?;
    if let Some(ca) = trusted(stack, service, inputs)? {
        env.entry(TRUSTED_CA.to_owned())
            .or_insert_with(|| CA_FILE.to_owned());
        files.push(ca);
    }
    let mut spec = ContainerSpec {
        name: names.container(&service.name),
        owner: names.owner(&service.name),
        image: image(inputs, &at(service), &service.image)?,
        user: service.user.clone(),
        entrypoint: service.entrypoint.clone(),
        command: service.command.clone(),
        env: env.into(),
        networks: networks_of(stack, service, inputs.appliance, inputs.site),
        links: links_of(stack, service, inputs.appliance, inputs.site),
        resolver: resolver_of(&service.name),
        mounts: service
            .mounts
            .iter()
            .map(|mount| (names.volume(&mount.volume), mount.path.clone()))
            .collect(),
        tmpfs: service.tmpfs.clone(),
        extra_hosts: Vec::new(),
        dns_options: dns_options(),
        ports: published(service, inputs.site),
        health: Some(health(&service.health)),
        stop_signal: service.stop.signal.clone(),
        stop_timeout: Some(service.stop.timeout_seconds),
        restart: true,
        nofile: service.nofile,
        confinement: service.confinement.as_ref().map(confinement),
        config_hash: String::new(),
    };
    if service.fail_fast {
        fail_fast(&mut spec, stack);
    }
    identify(
        &mut spec,
        &files,
        service,
        further.is_empty(),
        (stack, inputs),
    )?;
    Ok(Rendered { spec, files })
}

/// What a service finds in its environment: from the release, from the site,
/// and `further`.
fn environment(
    stack: &Stack,
    service: &Service,
    further: &BTreeMap<String, Template>,
    site: &SiteConfig,
    lookup: &Lookup<'_>,
) -> Result<BTreeMap<String, String>, RenderError> {
    let mut env = stack.service_environment(service);
    env.extend(further.iter().map(|(name, value)| (name.as_str(), value)));
    let mut env = lookup.env(&at(service), &env)?;
    // What the release sets wins; the site's check refuses such variables.
    for (name, value) in site_env(stack, service, site) {
        if is_proposal(name) || !env.contains_key(name) {
            env.insert(name.clone(), value.expose().to_owned());
        }
    }
    for (name, value) in egress::environment(&service.name, site) {
        env.entry(name).or_insert(value);
    }
    Ok(env)
}

fn published(service: &Service, site: &SiteConfig) -> Vec<PortSpec> {
    let publish = service.publish.iter();
    publish
        .map(|publish| PortSpec {
            host_ip: site.listen.ip().to_string(),
            host_port: site.listen.port(),
            container_port: match site.tls {
                Some(_) => publish.https,
                None => publish.http,
            },
        })
        .collect()
}

/// How messages name a service.
fn at(service: &Service) -> String {
    format!("service `{}`", service.name)
}

/// Gives a container its hash, and web its host name: so that the gateway
/// reaches the web it means while there are two.
fn identify(
    spec: &mut ContainerSpec,
    files: &[RenderedFile],
    service: &Service,
    is_last_start: bool,
    (stack, inputs): (&Stack, &Inputs<'_>),
) -> Result<(), RenderError> {
    if service.reload.is_some() {
        // It takes over what is in them without being made anew.
        let blank: Vec<_> = files.iter().map(RenderedFile::blank).collect();
        spec.config_hash = config_hash(spec, &blank);
        return Ok(());
    }
    spec.config_hash = config_hash(spec, files);
    if service.name == stack.langfuse.web {
        // It stays the same behind the first start.
        let host = if is_last_start {
            format!("{}-{}", service.name, &spec.config_hash[..HOST_DIGITS])
        } else {
            web_host(stack, inputs)?.unwrap_or_default()
        };
        spec.networks[0].1 = vec![host];
        spec.config_hash = config_hash(spec, files);
    }
    Ok(())
}

/// Whether a service other than web refers to it.
fn leads_to_web(stack: &Stack, service: &Service) -> bool {
    let web = &stack.langfuse.web;
    let env = stack.service_environment(service);
    let files = service.files.iter().map(|file| &file.content);
    let parts = env.into_values().chain(files).flat_map(Template::parts);
    let mut names = parts.filter_map(|part| match part {
        Part::Service(name) | Part::Next(name) => Some(name),
        _ => None,
    });
    service.name != *web && names.any(|name| name == web)
}

/// Host name of web on the internal network, another one for each release and
/// each setting.
///
/// # Errors
///
/// See [`RenderError`].
pub fn web_host(stack: &Stack, inputs: &Inputs<'_>) -> Result<Option<String>, RenderError> {
    let Some(web) = stack.service(&stack.langfuse.web) else {
        return Ok(None);
    };
    let rendered = render_service(stack, web, inputs)?;
    let mut aliases = rendered.spec.networks.into_iter().flat_map(|(_, all)| all);
    Ok(aliases.next())
}

/// The container of the migration job: no health check, no restart, and calls
/// home fail as fast as they do in web, whose image it runs.
///
/// # Errors
///
/// See [`RenderError`].
pub fn render_job(stack: &Stack, inputs: &Inputs<'_>) -> Result<Rendered, RenderError> {
    let lookup = Lookup::new(stack, inputs.secrets, inputs.site, inputs.tls)?;
    let names = Names {
        appliance: inputs.appliance,
    };
    let at = "the migration";
    let job = &stack.migration;
    let mut spec = ContainerSpec {
        name: names.job(),
        owner: names.owner(JOB),
        image: image(inputs, at, &job.image)?,
        user: None,
        entrypoint: None,
        command: Some(job.command.clone()),
        env: lookup
            .env(at, &stack.environment(&job.env_groups, &job.env))?
            .into(),
        networks: vec![(names.internal(), Vec::new())],
        links: BTreeMap::new(),
        resolver: Resolver::Nobody,
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
        confinement: job.confinement.as_ref().map(confinement),
        config_hash: String::new(),
    };
    fail_fast(&mut spec, stack);
    spec.config_hash = config_hash(&spec, &[]);
    Ok(Rendered {
        spec,
        files: Vec::new(),
    })
}

/// The site's own certificates, for a service that trusts them.
fn trusted(
    stack: &Stack,
    service: &Service,
    inputs: &Inputs<'_>,
) -> Result<Option<RenderedFile>, RenderError> {
    let users = [&stack.langfuse.web, &stack.langfuse.worker];
    if inputs.site.ca.is_none() || !users.contains(&&service.name) {
        return Ok(None);
    }
    let ca = inputs.ca.ok_or(RenderError::NoCa)?;
    Ok(Some(RenderedFile {
        path: CA_FILE.to_owned(),
        content: Secret::new(ca.as_pem()),
        mode: 0o444,
        uid: 0,
        gid: 0,
    }))
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

fn image(inputs: &Inputs<'_>, at: &str, key: &str) -> Result<String, RenderError> {
    inputs
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
pub fn dns_options() -> Vec<String> {
    vec!["timeout:1".to_owned(), "attempts:1".to_owned()]
}

fn confinement(confinement: &Confinement) -> ConfinementSpec {
    ConfinementSpec {
        capabilities: confinement.capabilities.clone(),
        pids: confinement.pids,
        memory: confinement.memory_limit_mib.map(|mib| mib << 20),
        read_only: confinement.read_only,
    }
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
