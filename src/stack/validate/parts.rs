//! Names, references and syntax, whatever the stack runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{StackError, is_legal_name};
use crate::stack::confinement::CAPABILITIES;
use crate::stack::file::{parse_mode, parse_owner};
use crate::stack::site_key::SiteKey;
use crate::stack::template::UNTIL;
use crate::stack::{Condition, Confinement, EGRESS, File, JOB, Part, Service, Stack, Template};

/// A shell, a server and a health check at once.
const LEAST_PIDS: u32 = 16;

pub(super) fn check(stack: &Stack, images: &BTreeSet<String>, errors: &mut Vec<StackError>) {
    let checker = Checker { stack, images };
    names(stack, errors);
    for (group, env) in &stack.env {
        checker.env(&format!("env group `{group}`"), env, errors);
    }
    for service in &stack.services {
        checker.service(service, errors);
    }
    let job = &stack.migration;
    let at = "the migration";
    checker.image(at, &job.image, errors);
    command(&format!("command of {at}"), &job.command, errors);
    checker.groups(at, &job.env_groups, errors);
    confinement(at, job.confinement.as_ref(), errors);
    checker.env(at, &job.env, errors);
    for schema in &stack.schemas {
        let at = format!("schema of {}", schema.kind);
        checker.exists(&at, "service", &schema.service, errors);
        command(&format!("query of {at}"), &schema.query, errors);
        if schema.count == 0 || schema.last.is_empty() {
            errors.push(StackError::Topology {
                at,
                reason: "has no migrations",
            });
        }
    }
    mounts(stack, errors);
}

fn names(stack: &Stack, errors: &mut Vec<StackError>) {
    let services = stack.services.iter().map(|service| service.name.as_str());
    unique("service", services, errors);
    let volumes = stack.volumes.iter().map(|volume| volume.name.as_str());
    unique("volume", volumes, errors);
    unique("secret", stack.secrets.keys().map(String::as_str), errors);
    for reserved in [JOB, EGRESS] {
        if stack.service(reserved).is_some() {
            errors.push(StackError::ReservedName {
                kind: "service",
                name: reserved.to_owned(),
            });
        }
    }
}

fn unique<'a>(
    kind: &'static str,
    names: impl Iterator<Item = &'a str>,
    errors: &mut Vec<StackError>,
) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_legal_name(name) {
            let name = name.to_owned();
            errors.push(StackError::IllegalName { kind, name });
        } else if !seen.insert(name) {
            let name = name.to_owned();
            errors.push(StackError::Duplicate { kind, name });
        }
    }
}

struct Checker<'a> {
    stack: &'a Stack,
    images: &'a BTreeSet<String>,
}

impl Checker<'_> {
    fn service(&self, service: &Service, errors: &mut Vec<StackError>) {
        let at = format!("service `{}`", service.name);
        self.image(&at, &service.image, errors);
        self.groups(&at, &service.env_groups, errors);
        self.env(&at, &service.env, errors);
        self.env(&at, &service.first_start_env, errors);
        for (what, words) in [
            ("entrypoint", service.entrypoint.as_ref()),
            ("command", service.command.as_ref()),
            ("health command", Some(&service.health.command)),
        ] {
            if let Some(words) = words {
                command(&format!("{what} of {at}"), words, errors);
            }
        }
        if let Some(user) = &service.user
            && parse_owner(user).is_none()
        {
            syntax(&at, user, "user of the form uid:gid", errors);
        }
        self.files(&at, &service.files, errors);
        confinement(&at, service.confinement.as_ref(), errors);
        if let Some(confinement) = &service.confinement {
            if confinement.read_only && !service.files.is_empty() {
                topology(&at, "is read-only, so no file can be put into it", errors);
            }
            let limit = confinement.memory_limit_mib;
            if limit.is_some_and(|limit| limit < service.memory_mib) {
                topology(&at, "is expected to use more memory than it may", errors);
            }
        }
        let mut paths = BTreeSet::new();
        let mounted = service.mounts.iter().map(|mount| &mount.path);
        for path in mounted.chain(&service.tmpfs) {
            absolute(&at, path, errors);
            if !paths.insert(path) {
                errors.push(StackError::Duplicate {
                    kind: "mount",
                    name: path.clone(),
                });
            }
        }
        for mount in &service.mounts {
            self.exists(&at, "volume", &mount.volume, errors);
        }
    }

    fn files(&self, at: &str, files: &[File], errors: &mut Vec<StackError>) {
        for (index, file) in files.iter().enumerate() {
            let at = format!("file `{}` of {at}", file.path);
            absolute(&at, &file.path, errors);
            if parse_mode(&file.mode).is_none() {
                syntax(&at, &file.mode, "mode such as 0400", errors);
            }
            if parse_owner(&file.owner).is_none() {
                syntax(&at, &file.owner, "owner of the form uid:gid", errors);
            }
            self.template(&at, &file.content, errors);
            let secret = file.content.is_secret()
                || file.content.parts().contains(&Part::Site(SiteKey::TlsKey));
            if secret && parse_mode(&file.mode).is_some_and(|mode| mode & 0o077 != 0) {
                errors.push(StackError::Topology {
                    at: at.clone(),
                    reason: "holds a secret and is readable by others than its owner",
                });
            }
            // The same path twice is fine only under conditions that exclude
            // each other.
            let clash = files[..index]
                .iter()
                .any(|earlier| earlier.path == file.path && !exclude(earlier.when, file.when));
            if clash {
                errors.push(StackError::Duplicate {
                    kind: "file",
                    name: file.path.clone(),
                });
            }
        }
    }

    fn image(&self, at: &str, key: &str, errors: &mut Vec<StackError>) {
        if !self.images.contains(key) {
            unknown(at, "image", key, errors);
        }
    }

    fn groups(&self, at: &str, groups: &[String], errors: &mut Vec<StackError>) {
        for group in groups {
            self.exists(at, "env group", group, errors);
        }
    }

    fn env(&self, at: &str, env: &BTreeMap<String, Template>, errors: &mut Vec<StackError>) {
        for (name, value) in env {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if name.is_empty() || !name.bytes().all(legal) {
                syntax(at, name, "name of a variable", errors);
            }
            self.template(&format!("{name} of {at}"), value, errors);
        }
    }

    fn template(&self, at: &str, template: &Template, errors: &mut Vec<StackError>) {
        for part in template.parts() {
            match part {
                Part::Literal(_) | Part::Site(_) => {}
                Part::Secret(name) => self.exists(at, "secret", name, errors),
                Part::Service(name) => self.exists(at, "service", name, errors),
                Part::Next(name) => self.exists(at, "next service", name, errors),
                Part::Closed(name) => self.exists(at, "closed value", name, errors),
            }
        }
    }

    fn exists(&self, at: &str, kind: &'static str, name: &str, errors: &mut Vec<StackError>) {
        let found = match kind {
            "env group" => self.stack.env.contains_key(name),
            "secret" => self.stack.secrets.contains_key(name),
            "service" => self.stack.service(name).is_some(),
            "next service" => self.stack.langfuse.web == name,
            "closed value" => name == UNTIL,
            _ => self.stack.volumes.iter().any(|volume| volume.name == name),
        };
        if !found {
            unknown(at, kind, name, errors);
        }
    }
}

fn exclude(one: Option<Condition>, other: Option<Condition>) -> bool {
    use Condition::{Closed, Open, PlainHttp, Tls};
    matches!(
        (one, other),
        (Some(Tls), Some(PlainHttp))
            | (Some(PlainHttp), Some(Tls))
            | (Some(Open), Some(Closed))
            | (Some(Closed), Some(Open))
    )
}

fn mounts(stack: &Stack, errors: &mut Vec<StackError>) {
    for volume in &stack.volumes {
        let mounts = stack.services.iter().flat_map(|service| &service.mounts);
        match mounts.filter(|mount| mount.volume == volume.name).count() {
            0 => errors.push(StackError::Topology {
                at: format!("volume `{}`", volume.name),
                reason: "is mounted nowhere",
            }),
            1 => {}
            _ => errors.push(StackError::MountedTwice {
                name: volume.name.clone(),
            }),
        }
    }
}

fn command(at: &str, words: &[String], errors: &mut Vec<StackError>) {
    if words.first().is_none_or(String::is_empty) {
        errors.push(StackError::EmptyCommand { at: at.to_owned() });
    }
    for argument in words.iter().filter(|word| word.contains("${")) {
        errors.push(StackError::ReferenceInCommand {
            at: at.to_owned(),
            argument: argument.clone(),
        });
    }
}

fn confinement(at: &str, confinement: Option<&Confinement>, errors: &mut Vec<StackError>) {
    let Some(confinement) = confinement else {
        return;
    };
    for name in &confinement.capabilities {
        if !CAPABILITIES.contains(&name.as_str()) {
            unknown(at, "capability", name, errors);
        }
    }
    if confinement.pids < LEAST_PIDS {
        topology(at, "may have too few processes to start", errors);
    }
}

fn topology(at: &str, reason: &'static str, errors: &mut Vec<StackError>) {
    errors.push(StackError::Topology {
        at: at.to_owned(),
        reason,
    });
}

fn absolute(at: &str, path: &str, errors: &mut Vec<StackError>) {
    let plain = path.len() > 1
        && path.starts_with('/')
        && path[1..]
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
    if !plain {
        syntax(at, path, "absolute path", errors);
    }
}

fn syntax(at: &str, value: &str, expected: &'static str, errors: &mut Vec<StackError>) {
    errors.push(StackError::Syntax {
        at: at.to_owned(),
        value: value.to_owned(),
        expected,
    });
}

fn unknown(at: &str, kind: &'static str, name: &str, errors: &mut Vec<StackError>) {
    errors.push(StackError::UnknownReference {
        at: at.to_owned(),
        kind,
        name: name.to_owned(),
    });
}
