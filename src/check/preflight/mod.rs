//! What must hold before anything changes.
//!
//! Pure: findings are made from values that were gathered before. Every
//! finding says what was seen and what to type next.

mod age;
mod data;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use indicatif::HumanBytes;

pub use self::age::age;

use crate::appliance::journal::Unfinished;
use crate::appliance::state::{State, Status};
use crate::bundle::manifest::{BundleManifest, Platform};
use crate::engine::EngineFacts;
use crate::facts::existing::Existing;
use crate::oci::digest::Digest;
use crate::report::finding::{Finding, Remedy, Severity};
use crate::stack::Stack;
use crate::sys::disk::Disk;
use crate::sys::host::PortState;
use crate::transfer::load::MissingLayer;

/// Everything preflight looks at.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
    /// The bundle.
    pub manifest: &'a BundleManifest,
    /// Digest of its `index.json`.
    pub bundle: Digest,
    /// The stack inside.
    pub stack: &'a Stack,
    /// The engine.
    pub engine: &'a EngineFacts,
    /// What is recorded as installed.
    pub state: Option<&'a State>,
    /// A change that broke off.
    pub unfinished: Option<&'a Unfinished>,
    /// CPU flags of the host.
    pub cpu_flags: &'a BTreeSet<String>,
    /// Bytes that the plan will write, by filesystem.
    pub needs: &'a [DiskNeed],
    /// Where the gateway will listen, and whether that is free. `None` when
    /// this appliance itself holds it.
    pub port: Option<(SocketAddr, PortState)>,
    /// The gateway carries a certificate.
    pub tls: bool,
    /// What exists under the names that the appliance wants.
    pub existing: &'a Existing,
    /// `secrets.toml` exists.
    pub secrets_exist: bool,
    /// Short hashes of the immutable secrets as they would be used now.
    pub fingerprints: &'a BTreeMap<String, String>,
}

/// What one filesystem must hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DiskNeed {
    /// A path on it.
    pub path: String,
    /// What is written there.
    pub purpose: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that are free, or `None` where lfctl cannot see the engine's disk.
    pub free: Option<u64>,
}

impl DiskNeed {
    /// A need on the disk that was looked at.
    pub fn on(disk: Option<&Disk>, path: &str, purpose: &str, bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            purpose: purpose.to_owned(),
            bytes,
            free: disk.map(|disk| disk.free),
        }
    }
}

/// All findings, blocking ones first.
pub fn examine(inputs: &Inputs<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    appliance(inputs, &mut findings);
    data::examine(inputs, &mut findings);
    engine(inputs, &mut findings);
    host(inputs, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What a delta bundle leaves out has to be there.
pub fn complete(manifest: &BundleManifest, missing: &[MissingLayer]) -> Option<Finding> {
    let base = manifest.base.as_ref().filter(|_| !missing.is_empty())?;
    // Images share layers.
    let layers: BTreeMap<_, _> = missing.iter().map(|one| (one.layer, one)).collect();
    let each: Vec<_> = layers
        .values()
        .map(|one| {
            let size = HumanBytes(one.size);
            format!("{} ({size}) of {}", one.layer, one.reference)
        })
        .collect();
    Some(finding(
        "bundle.incomplete",
        Severity::Blocking,
        format!(
            "the bundle builds on {} and leaves out {} layers that this host does not have",
            base.name,
            each.len()
        ),
        each.join("; "),
        Remedy::text(format!(
            "name a bundle that has them, such as that of {} ({}), with `--base BUNDLE`, or bring \
             a full bundle",
            base.name, base.digest
        )),
    ))
}

/// What must hold before images are loaded, whatever becomes of them.
pub fn examine_load(engine: &EngineFacts, platform: &Platform, need: &DiskNeed) -> Vec<Finding> {
    platform_fits(engine, platform)
        .into_iter()
        .chain(has_room(need))
        .collect()
}

fn finding(
    id: &str,
    severity: Severity,
    message: String,
    evidence: impl Into<String>,
    remedy: Remedy,
) -> Finding {
    Finding {
        id: id.to_owned(),
        severity,
        message,
        evidence: evidence.into(),
        remedy,
    }
}

fn appliance(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let name = inputs.appliance;
    let wanted = &inputs.manifest.release;
    if let Some(state) = inputs.state {
        if state.status == Status::Installed && state.bundle != inputs.bundle {
            findings.push(finding(
                "appliance.already-installed",
                Severity::Blocking,
                format!("appliance `{name}` is installed from another bundle"),
                format!("installed {}, this bundle holds {wanted}", state.release),
                Remedy::text(
                    "install it beside under another name with `--name`; this lfctl does not \
                     upgrade in place",
                ),
            ));
        }
        let holds_data = inputs.existing.volumes.values().any(|exists| *exists);
        if state.release.name != wanted.name && holds_data {
            findings.push(finding(
                "appliance.other-release-line",
                Severity::Blocking,
                format!(
                    "the data of `{name}` belongs to release line `{}`",
                    state.release.name
                ),
                format!("this bundle holds {wanted}"),
                Remedy::text("install under another name with `--name`"),
            ));
        }
        let highest = state.highest_counters.get(&wanted.name).copied();
        if let Some(highest) = highest.filter(|highest| *highest > wanted.counter) {
            findings.push(finding(
                "appliance.downgrade",
                Severity::Blocking,
                format!("the bundle is older than what `{name}` has run before"),
                format!(
                    "counter {} in the bundle, {highest} seen on this host",
                    wanted.counter
                ),
                Remedy::text(
                    "bring the bundle of the newer release; its databases cannot be read by an \
                     older one",
                ),
            ));
        }
    }
    if let Some(run) = inputs.unfinished
        && run.bundle.is_some_and(|bundle| bundle != inputs.bundle)
    {
        let what = run
            .release
            .as_ref()
            .map_or_else(|| "another bundle".to_owned(), ToString::to_string);
        findings.push(finding(
            "appliance.unfinished",
            Severity::Blocking,
            format!("an unfinished {} of {what} is in the way", run.command),
            format!("begun {}", run.at),
            Remedy::command(
                "finish it with the bundle it was begun with, or remove what it made",
                format!("lfctl uninstall --name {name}"),
            ),
        ));
    }
}

fn engine(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let facts = inputs.engine;
    findings.extend(platform_fits(facts, &inputs.manifest.platform));
    if facts.rootless && inputs.tls {
        findings.push(finding(
            "engine.rootless-tls",
            Severity::Blocking,
            "a rootless engine keeps lfctl from the gateway's inner port".to_owned(),
            "the published port speaks TLS, which lfctl's probes do not",
            Remedy::text(
                "let a proxy in front carry the certificate (`behind-proxy = true` instead of \
                 [tls]), or use the system's engine",
            ),
        ));
    }
    if !facts.proxies.is_empty() {
        findings.push(finding(
            "engine.proxy",
            Severity::Warning,
            "the engine has a proxy configured, which it hands to containers".to_owned(),
            facts.proxies.join(", "),
            Remedy::text("remove the proxy from the engine's configuration on an offline host"),
        ));
    }
}

fn platform_fits(engine: &EngineFacts, platform: &Platform) -> Option<Finding> {
    (engine.os != platform.os || engine.architecture != platform.architecture).then(|| {
        finding(
            "engine.platform",
            Severity::Blocking,
            format!("the bundle holds images for {platform}"),
            format!("the engine runs {}/{}", engine.os, engine.architecture),
            Remedy::text("bring the bundle made for this platform"),
        )
    })
}

fn host(inputs: &Inputs<'_>, findings: &mut Vec<Finding>) {
    let requires = &inputs.stack.requires;
    let memory_mib = inputs.engine.memory / (1024 * 1024);
    if memory_mib < requires.memory_mib {
        findings.push(finding(
            "host.memory",
            Severity::Blocking,
            format!("the stack needs {} MiB of memory", requires.memory_mib),
            format!("the engine has {memory_mib} MiB"),
            Remedy::text("give the host more memory"),
        ));
    } else if memory_mib < requires.recommended_memory_mib {
        findings.push(finding(
            "host.memory",
            Severity::Warning,
            format!(
                "{} MiB of memory are recommended",
                requires.recommended_memory_mib
            ),
            format!("the engine has {memory_mib} MiB"),
            Remedy::text("give the host more memory before it takes real load"),
        ));
    }
    if inputs.engine.cpus < requires.recommended_cpus {
        findings.push(finding(
            "host.cpus",
            Severity::Warning,
            format!("{} CPUs are recommended", requires.recommended_cpus),
            format!("the engine has {}", inputs.engine.cpus),
            Remedy::text("give the host more CPUs before it takes real load"),
        ));
    }
    // Flags are named as x86 names them.
    let is_x86 = inputs.engine.architecture == "amd64";
    for flag in requires.cpu_flags.iter().filter(|_| is_x86) {
        if !inputs.cpu_flags.is_empty() && !inputs.cpu_flags.contains(flag) {
            findings.push(finding(
                "host.cpu-flags",
                Severity::Blocking,
                format!("the CPU lacks `{flag}`, without which a service dies at its start"),
                "flags in /proc/cpuinfo",
                Remedy::text("on a virtual machine, pass the host's CPU model through"),
            ));
        }
    }
    findings.extend(inputs.needs.iter().filter_map(has_room));
    if let Some((address, state)) = &inputs.port {
        let message = match state {
            PortState::Free => return,
            PortState::InUse => format!("port {address} is in use"),
            PortState::NotLocal => format!("{address} is not an address of this host"),
            PortState::Denied => format!("lfctl itself may not use port {address}"),
        };
        // The engine opens the port, and mostly may do more.
        let severity = match state {
            PortState::Denied if !inputs.engine.rootless => Severity::Warning,
            _ => Severity::Blocking,
        };
        let remedy = match state {
            PortState::NotLocal => Remedy::command(
                "put an address of this host into `listen` in site.toml, or 0.0.0.0 for all",
                "ip -brief address",
            ),
            _ => Remedy::command(
                "free it, or choose another `listen` in site.toml",
                format!("ss -ltnp 'sport = :{}'", address.port()),
            ),
        };
        findings.push(finding(
            "host.port",
            severity,
            message,
            "as the kernel says",
            remedy,
        ));
    }
}

fn has_room(need: &DiskNeed) -> Option<Finding> {
    match need.free {
        Some(free) if free < need.bytes => Some(finding(
            "host.disk-space",
            Severity::Blocking,
            format!(
                "{} needs {} on the filesystem of {}",
                need.purpose,
                HumanBytes(need.bytes),
                need.path
            ),
            format!("{} are free", HumanBytes(free)),
            Remedy::command(
                format!("free {} there", HumanBytes(need.bytes - free)),
                format!("df -h {}", need.path),
            ),
        )),
        Some(_) => None,
        None => Some(finding(
            "host.disk-space",
            Severity::Warning,
            format!("could not see how much room {} has", need.path),
            format!("{} are needed for {}", HumanBytes(need.bytes), need.purpose),
            Remedy::command("check it yourself", format!("df -h {}", need.path)),
        )),
    }
}
