//! The words of a definition: one pass over every text in it, and what paths,
//! modes, ports, lengths and hosts may be.
//!
//! A definition is signed, but by somebody else than who runs it: a word that
//! shows as another one, or a path into the kernel's own filesystems, is
//! refused although it is signed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::StackError;
use crate::stack::file::parse_mode;
use crate::stack::{CallHome, Stack};

/// Characters of a generated secret: less can be guessed, more is cut by some
/// servers.
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;
/// Filesystems that are the kernel's own.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Longest prefix of a secret.
const LONGEST_PREFIX: usize = 16;

pub(super) fn check(stack: &Stack, errors: &mut Vec<StackError>) {
    // What does not serialise has no text that could be wrong.
    if let Ok(value) = serde_json::to_value(stack) {
        texts("the definition", &value, errors);
    }
    for service in &stack.services {
        let at = format!("service `{}`", service.name);
        let mounts = service.mounts.iter().map(|mount| &mount.path);
        let files = service.files.iter().map(|file| &file.path);
        for path in mounts.chain(files).chain(&service.tmpfs) {
            if is_kernels(path) {
                bad(&at, path, "path of its own files", errors);
            }
        }
        for file in &service.files {
            if parse_mode(&file.mode).is_some_and(|mode| mode & 0o7000 != 0) {
                let expected = "mode without set-uid, set-gid and sticky";
                bad(&at, &file.mode, expected, errors);
            }
        }
        if let Some(publish) = &service.publish {
            port(&at, publish.http, errors);
            port(&at, publish.https, errors);
        }
    }
    port("langfuse", stack.langfuse.gateway_port, errors);
    for (name, rule) in &stack.secrets {
        let at = format!("secret `{name}`");
        if !SECRET_LENGTHS.contains(&rule.length) {
            let length = rule.length.to_string();
            bad(&at, &length, "length from 16 to 256", errors);
        }
        let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if rule.prefix.len() > LONGEST_PREFIX || !rule.prefix.bytes().all(is_word) {
            bad(
                &at,
                &rule.prefix,
                "prefix of letters, digits, `-` and `_`",
                errors,
            );
        }
    }
    call_home(&stack.call_home, errors);
}

fn call_home(calls: &[CallHome], errors: &mut Vec<StackError>) {
    if calls.is_empty() {
        errors.push(StackError::Topology {
            at: "call-home".to_owned(),
            reason: "is empty, so nothing would fail fast and no check would look for it",
        });
    }
    let mut seen = BTreeSet::new();
    for call in calls {
        if !is_host(&call.host) {
            bad("call-home", &call.host, "host name or address", errors);
        }
        port("call-home", call.port, errors);
        if !seen.insert((&call.host, call.port)) {
            errors.push(StackError::Duplicate {
                kind: "call-home",
                name: format!("{}:{}", call.host, call.port),
            });
        }
    }
}

/// Printable ASCII and line breaks only: no other letter looks like one of
/// these, and none of them moves a cursor.
fn texts(at: &str, value: &Value, errors: &mut Vec<StackError>) {
    match value {
        Value::String(text) => {
            let is_plain = |c: char| matches!(c, ' '..='~' | '\n' | '\t');
            if let Some(other) = text.chars().find(|c| !is_plain(*c)) {
                let code = format!("U+{:04X}", u32::from(other));
                bad(at, &code, "printable ASCII character", errors);
            }
        }
        Value::Array(values) => {
            for value in values {
                texts(at, value, errors);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                texts(at, &Value::String(name.clone()), errors);
                texts(name, value, errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_kernels(path: &str) -> bool {
    KERNEL.iter().any(|root| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// An address, or a name as DNS has them, in lower case.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    host.parse::<IpAddr>().is_ok() || (host.len() <= 253 && host.split('.').all(is_label))
}

fn port(at: &str, port: u16, errors: &mut Vec<StackError>) {
    if port == 0 {
        bad(at, "0", "port", errors);
    }
}

fn bad(at: &str, value: &str, expected: &'static str, errors: &mut Vec<StackError>) {
    errors.push(StackError::Syntax {
        at: at.to_owned(),
        value: value.to_owned(),
        expected,
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::{complains, errors_after, literal, service};
    use super::*;

    type Case = (fn(&mut Stack), &'static str);

    const FILES_AND_PORTS: &[Case] = &[
        (
            |s| service(s, "redis").mounts[0].path = "/proc/x".into(),
            "`/proc/x`, which is not a valid path of its own",
        ),
        (
            |s| service(s, "redis").files[0].path = "/sys/x".into(),
            "`/sys/x`, which is not a valid path of its own",
        ),
        (
            |s| service(s, "web").tmpfs = vec!["/dev".into()],
            "`/dev`, which is not a valid path of its own",
        ),
        (
            |s| service(s, "redis").files[0].mode = "4755".into(),
            "without set-uid",
        ),
        (
            |s| service(s, "redis").files[0].mode = "2400".into(),
            "without set-uid",
        ),
        (
            |s| service(s, "redis").files[0].mode = "1400".into(),
            "without set-uid",
        ),
        (
            |s| service(s, "gateway").publish.as_mut().unwrap().http = 0,
            "`0`, which is not a valid port",
        ),
        (
            |s| service(s, "gateway").publish.as_mut().unwrap().https = 0,
            "`0`, which is not a valid port",
        ),
        (
            |s| s.langfuse.gateway_port = 0,
            "`0`, which is not a valid port",
        ),
    ];

    const SECRETS_AND_HOSTS: &[Case] = &[
        (
            |s| s.secrets.get_mut("salt").unwrap().length = 15,
            "from 16 to 256",
        ),
        (
            |s| s.secrets.get_mut("salt").unwrap().length = 257,
            "from 16 to 256",
        ),
        (
            |s| s.secrets.get_mut("salt").unwrap().prefix = "a b".into(),
            "prefix of letters",
        ),
        (
            |s| s.secrets.get_mut("salt").unwrap().prefix = "a".repeat(17),
            "prefix of letters",
        ),
        (|s| s.call_home.clear(), "call-home is empty"),
        (
            |s| s.call_home.push(s.call_home[0].clone()),
            "call-home `langfuse.com:443` is defined twice",
        ),
        (
            |s| s.call_home[0].port = 0,
            "`0`, which is not a valid port",
        ),
        (
            |s| s.call_home[0].host = "a b".into(),
            "not a valid host name",
        ),
        (
            |s| s.call_home[0].host = "-a.example".into(),
            "not a valid host name",
        ),
        (
            |s| s.call_home[0].host = "Langfuse.com".into(),
            "not a valid host name",
        ),
        (
            |s| s.call_home[0].host = "a..b".into(),
            "not a valid host name",
        ),
        (
            |s| s.call_home[0].host = String::new(),
            "not a valid host name",
        ),
    ];

    fn set(stack: &mut Stack, name: &str, value: &str) {
        let env = &mut service(stack, "web").env;
        env.insert(name.to_owned(), literal(value));
    }

    /// A Cyrillic letter, a turn of the direction, a bell, an escape.
    const TEXTS: &[Case] = &[
        (
            |s| s.call_home[0].purpose = "\u{430}".into(),
            "purpose has `U+0430`",
        ),
        (
            |s| s.call_home[0].purpose = "\u{202e}".into(),
            "purpose has `U+202E`",
        ),
        (
            |s| service(s, "web").health.command.push("\u{7}".into()),
            "command has `U+0007`",
        ),
        (|s| set(s, "A", "\u{1b}[2J"), "A has `U+001B`"),
        (|s| set(s, "\u{410}", "x"), "env has `U+0410`"),
        (
            |s| service(s, "redis").files[0].content = literal("\r"),
            "content has `U+000D`",
        ),
    ];

    #[test]
    fn each_word_that_may_not_be_there_is_named() {
        for (change, expected) in [FILES_AND_PORTS, SECRETS_AND_HOSTS, TEXTS].concat() {
            complains(change, expected);
        }
    }

    #[test]
    fn a_path_that_only_begins_as_the_kernels_is_fine() {
        for right in ["/process", "/development/x"] {
            let with = |s: &mut Stack| service(s, "web").tmpfs = vec![right.into()];
            assert_eq!(errors_after(with), Vec::<String>::new(), "{right}");
        }
    }
}
