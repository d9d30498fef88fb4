//! The host: memory, CPUs, disks, clock.

use indicatif::HumanBytes;

use super::{Outcome, Unknown, engine_command, want};
use crate::facts::Facts;
use crate::report::finding::{Remedy, Severity};
use crate::sys::disk::Disk;

const MIB: u64 = 1024 * 1024;
/// Below this Postgres and `ClickHouse` stop in the middle of a write.
const DISK_BLOCKING: u64 = 1024 * MIB;
/// Less than one byte in this many is a warning; `ClickHouse` merges need
/// room for a copy of the largest part.
const DISK_WARNING_SHARE: u64 = 10;
/// They lack `renameat2`.
const REMOTE: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs"];

pub(super) fn memory(facts: &Facts) -> Result<Outcome, Unknown> {
    let host = want(&facts.host)?;
    let requires = &facts.installed.stack.requires;
    let (needed, recommended) = (
        requires.memory_mib * MIB,
        requires.recommended_memory_mib * MIB,
    );
    let evidence = format!(
        "{} physical, {} available; the release needs {}, {} is recommended",
        HumanBytes(host.memory.total),
        HumanBytes(host.memory.available),
        HumanBytes(needed),
        HumanBytes(recommended)
    );
    let add = Remedy::text("give the host more memory, or move other programs away from it");
    Ok(if host.memory.total < needed {
        Outcome::blocking("the host has too little memory", evidence, add)
    } else if host.memory.total < recommended {
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
    let requires = &facts.installed.stack.requires;
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
    let evidence = format!(
        "{} CPUs, {} recommended",
        host.cpu.count, requires.recommended_cpus
    );
    if (host.cpu.count as u64) < requires.recommended_cpus {
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
        return Err(Unknown("no filesystem could be looked at".to_owned()));
    }
    Ok(disks)
}

pub(super) fn disk_space(facts: &Facts) -> Result<Outcome, Unknown> {
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
        "data lies on a network filesystem, on which ClickHouse breaks",
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

#[expect(
    clippy::unnecessary_wraps,
    reason = "one of a list of functions of the same type"
)]
pub(super) fn clock(facts: &Facts) -> Result<Outcome, Unknown> {
    let (now, installed) = (facts.now, facts.installed.updated);
    let evidence = format!("it is {now:.0}, the appliance was last changed at {installed:.0}");
    if now >= installed {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        "the clock stands before the time at which the appliance was last changed",
        evidence,
        Remedy::command(
            "set the clock from a source you trust: new events are stored under a time in which \
             nobody looks for them, and sessions end at once; if it is right, it went ahead when \
             the appliance was installed: run `lfctl install` again, which writes down the time",
            "timedatectl set-time 'YYYY-MM-DD HH:MM:SS'",
        ),
    ))
}
