//! The host: memory, CPUs, disks, clock, port.

use std::net::IpAddr;

use indicatif::HumanBytes;
use jiff::{SignedDuration, Timestamp};

use super::bundle::FIRST_DATE;
use super::change::change;
use super::outcome::{Outcome, Unknown, want};
use super::remedy::engine_command;
use crate::facts::{Change, DiskNeed, Facts};
use crate::report::finding::{Remedy, Severity};
use crate::sys::disk::Disk;
use crate::sys::host::PortState;

/// Names that `/etc/hosts` of every distribution gives to loopback.
const HERE: [&str; 4] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
];
const MIB: u64 = 1024 * 1024;
/// Below this Postgres and `ClickHouse` stop in the middle of a write.
const DISK_BLOCKING: u64 = 1024 * MIB;
/// Less than one byte in this many is a warning; `ClickHouse` merges need
/// room for a copy of the largest part.
const DISK_WARNING_SHARE: u64 = 10;
/// They lack `renameat2`.
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs"];
/// A clock that is set by hand or by a drifting source is not wrong yet.
pub(super) const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn memory(facts: &Facts) -> Result<Outcome, Unknown> {
    let host = want(&facts.host)?;
    let requires = &facts.subject.stack.requires;
    let (needed, recommended) = (
        requires.memory_mib.saturating_mul(MIB),
        requires.recommended_memory_mib.saturating_mul(MIB),
    );
    // An engine in a virtual machine has less than the host.
    let engine = facts.engine.known().map(|engine| engine.memory);
    let total = engine
        .filter(|memory| *memory > 0)
        .map_or(host.memory.total, |memory| memory.min(host.memory.total));
    let evidence = format!(
        "{} physical, {} available; the release needs {}, {} is recommended",
        HumanBytes(total),
        HumanBytes(host.memory.available),
        HumanBytes(needed),
        HumanBytes(recommended)
    );
    let add = Remedy::text("give the host more memory, or move other programs away from it");
    Ok(if total < needed {
        Outcome::blocking("the host has too little memory", evidence, add)
    } else if total < recommended {
        Outcome::warning(
            "the host has less memory than is recommended",
            evidence,
            add,
        )
    } else {
        Outcome::pass(evidence)
    })
}

pub(super) fn cpu(facts: &Facts) -> Result<Outcome, Unknown> {
    let host = want(&facts.host)?;
    let requires = &facts.subject.stack.requires;
    // Flags are named as x86 names them.
    let is_x86 = host.machine == "x86_64";
    let missing: Vec<_> = requires
        .cpu_flags
        .iter()
        .filter(|_| is_x86)
        .filter(|flag| !host.cpu.flags.contains(*flag))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Ok(Outcome::blocking(
            "the CPU lacks instructions without which a service dies at once",
            format!("/proc/cpuinfo does not name {}", missing.join(", ")),
            Remedy::text(
                "use another machine; on a virtual one pass the CPU model of its host through",
            ),
        ));
    }
    let count = host.cpu.count as u64;
    let engine = facts.engine.known().map(|engine| engine.cpus);
    let count = engine
        .filter(|cpus| *cpus > 0)
        .map_or(count, |cpus| cpus.min(count));
    let evidence = format!("{count} CPUs, {} recommended", requires.recommended_cpus);
    if count < requires.recommended_cpus {
        return Ok(Outcome::warning(
            "the host has fewer CPUs than are recommended",
            evidence,
            Remedy::text("give the host more CPUs"),
        ));
    }
    Ok(Outcome::pass(evidence))
}

/// The disks, each with what lies there.
fn disks(facts: &Facts) -> Result<Vec<(&str, &Disk)>, Unknown> {
    let mut disks = Vec::new();
    for (purpose, disk) in &facts.disks {
        disks.push((*purpose, want(disk)?));
    }
    if disks.is_empty() {
        return Err(Unknown::new("no filesystem could be looked at"));
    }
    Ok(disks)
}

pub(super) fn disk_space(facts: &Facts) -> Result<Outcome, Unknown> {
    match &facts.change {
        Some(change) => space_for(change),
        None => space_left(facts),
    }
}

/// Room for what is about to be written.
fn space_for(change: &Change) -> Result<Outcome, Unknown> {
    let describe = |need: &DiskNeed| {
        let free = need.free.unwrap_or_default();
        format!(
            "{}: {} are needed for {}, {} are free",
            need.path,
            HumanBytes(need.bytes),
            need.purpose,
            HumanBytes(free)
        )
    };
    let lacks = |need: &&DiskNeed| need.free.is_some_and(|free| free < need.bytes);
    let lacking: Vec<_> = change.needs.iter().filter(lacks).collect();
    if let Some(first) = lacking.first() {
        let evidence: Vec<_> = lacking.iter().map(|need| describe(need)).collect();
        let missing = first.bytes - first.free.unwrap_or_default();
        return Ok(Outcome::blocking(
            format!(
                "{} needs {} on the filesystem of {}",
                first.purpose,
                HumanBytes(first.bytes),
                first.path
            ),
            evidence.join("; "),
            Remedy::command(
                format!("free {} there", HumanBytes(missing)),
                format!("df -h {}", first.path),
            ),
        ));
    }
    if let Some(unseen) = change.needs.iter().find(|need| need.free.is_none()) {
        return Err(Unknown::new(format!(
            "the room on the filesystem of {} cannot be seen, and {} needs {} there: look \
             yourself with `df -h {}`",
            unseen.path,
            unseen.purpose,
            HumanBytes(unseen.bytes),
            unseen.path
        )));
    }
    let evidence: Vec<_> = change.needs.iter().map(describe).collect();
    Ok(Outcome::pass(evidence.join("; ")))
}

/// Room for what is yet to come.
fn space_left(facts: &Facts) -> Result<Outcome, Unknown> {
    let disks = disks(facts)?;
    let evidence = disks
        .iter()
        .map(|(purpose, disk)| {
            format!(
                "{purpose} on {}: {} of {} free",
                disk.mount_point.display(),
                HumanBytes(disk.free),
                HumanBytes(disk.total)
            )
        })
        .collect::<Vec<_>>()
        .join("; ");
    let Some(severity) = disks
        .iter()
        .filter_map(|(_, disk)| disk_severity(disk))
        .max()
    else {
        return Ok(Outcome::pass(evidence));
    };
    Ok(Outcome::found(
        severity,
        "a filesystem is almost full",
        evidence,
        Remedy::command(
            "make room: remove what the engine no longer uses, or grow the filesystem; volumes \
             of the appliance are never what to remove",
            engine_command(facts, "system df"),
        ),
    ))
}

pub(super) fn filesystem(facts: &Facts) -> Result<Outcome, Unknown> {
    let disks = disks(facts)?;
    let describe = |(purpose, disk): &(&str, &Disk)| {
        format!(
            "{purpose} on {} ({})",
            disk.mount_point.display(),
            disk.fs_type
        )
    };
    let remote: Vec<_> = disks
        .iter()
        .filter(|(_, disk)| REMOTE.contains(&disk.fs_type.as_str()))
        .map(describe)
        .collect();
    if remote.is_empty() {
        let all: Vec<_> = disks.iter().map(describe).collect();
        return Ok(Outcome::pass(all.join("; ")));
    }
    Ok(Outcome::blocking(
        "data is on a network filesystem, on which ClickHouse breaks",
        remote.join("; "),
        Remedy::text("put the engine's data root onto a local disk, or on a block device"),
    ))
}

fn disk_severity(disk: &Disk) -> Option<Severity> {
    if disk.free < DISK_BLOCKING {
        Some(Severity::Blocking)
    } else if disk.free < disk.total / DISK_WARNING_SHARE {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// What lies in the past for certain: when the appliance was last changed, by
/// this clock, and when the newest image of the bundle was made, by another.
fn past(facts: &Facts) -> Option<(Timestamp, &'static str)> {
    let changed = facts
        .subject
        .updated
        .map(|at| (at, "the appliance was last changed at"));
    let made = facts
        .change
        .as_ref()
        .map(|change| change.manifest.created)
        .filter(|created| created.as_second() >= FIRST_DATE)
        .map(|created| (created, "the newest image of the bundle was made at"));
    changed.into_iter().chain(made).max()
}

#[expect(clippy::unnecessary_wraps, reason = "every check has this shape")]
pub(super) fn site(facts: &Facts) -> Result<Outcome, Unknown> {
    Ok(match &facts.subject.site_problem {
        None => Outcome::pass("every value of site.toml is one that can work"),
        Some(problem) => Outcome::blocking(
            "site.toml is not valid; what runs was made from an earlier one",
            problem,
            Remedy::command(
                "correct the file; until then nothing can be installed or changed",
                "lfctl help site",
            ),
        ),
    })
}

pub(super) fn audit(facts: &Facts) -> Result<Outcome, Unknown> {
    let audit = want(&facts.subject.audit)?;
    if audit.problems.is_empty() {
        return Ok(Outcome::pass(format!(
            "{} lines, each with the hash of the one before",
            audit.lines
        )));
    }
    Ok(Outcome::warning(
        "an audit log was changed after it was written",
        audit.problems.join("; "),
        Remedy::command(
            "compare with a copy kept elsewhere, and find out who had root since; the log stays \
             broken at this line",
            "lfctl audit verify",
        ),
    ))
}

pub(super) fn clock(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some((past, what)) = past(facts) else {
        return Err(Unknown::new("there is nothing to compare the clock with"));
    };
    let evidence = format!("it is {:.0}, {what} {past:.0}", facts.now);
    if past.duration_since(facts.now) <= CLOCK_TOLERANCE {
        return Ok(Outcome::pass(evidence));
    }
    // An install is the remedy where the clock went ahead before.
    let severity = match facts.change {
        Some(_) => Severity::Warning,
        None => Severity::Blocking,
    };
    Ok(Outcome::found(
        severity,
        "the clock is behind a time that is in the past",
        evidence,
        Remedy::command(
            "set the clock from a source you trust: new events are stored under a time in which \
             nobody looks for them, and sessions end at once; if it is right, it went ahead when \
             the appliance was installed: run `lfctl install` again, which writes down the time",
            "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
        ),
    ))
}

pub(super) fn port(facts: &Facts) -> Result<Outcome, Unknown> {
    let Some((address, state)) = change(facts)?.port else {
        return Ok(Outcome::pass("this appliance's own gateway has it"));
    };
    let message = match state {
        PortState::Free => return Ok(Outcome::pass(format!("{address} is free"))),
        PortState::InUse => format!("port {address} is in use"),
        PortState::NotLocal => format!("{address} is not an address of this host"),
        PortState::Denied => format!("lfctl itself may not use port {address}"),
    };
    let rootless = want(&facts.engine)?.rootless;
    // The engine opens the port, and mostly may do more.
    let severity = match state {
        PortState::Denied if !rootless => Severity::Warning,
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
    Ok(Outcome::found(
        severity,
        message,
        "as the kernel says",
        remedy,
    ))
}

/// The public URL is what Langfuse writes into mails and redirects.
pub(super) fn url(facts: &Facts) -> Result<Outcome, Unknown> {
    let site = facts.subject.site.as_ref();
    let site = site.ok_or_else(|| Unknown::new("nothing is installed"))?;
    let host = site.authority().rsplit_once(':');
    let host = host.filter(|(_, port)| port.parse::<u16>().is_ok());
    let host = host.map_or_else(|| site.authority(), |(host, _)| host);
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = address.map_or_else(
        |_| HERE.contains(&host) || host.ends_with(".localhost"),
        |address| address.is_loopback() || address.is_unspecified(),
    );
    let (listen, url) = (site.listen, &site.url);
    let evidence = format!("`url` is {url}, `listen` is {listen}");
    if !is_here || listen.ip().is_loopback() {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::warning(
        "others can connect, and the address that Langfuse gives them leads to their own machine",
        evidence,
        Remedy::command(
            "write the name of this host, as others know it, into `url` in site.toml; or \
             127.0.0.1 into `listen` if it is for this host alone",
            "hostname --fqdn",
        ),
    ))
}
