//! What a value of `site.toml` may be.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::model::SiteConfig;
use super::origin::Scheme;
use super::refusal::{Refusal, refuse};
use crate::stack::environment::{choices, is_proposal, is_shared};
use crate::stack::secret::Secret;
use crate::stack::{Part, SecretKind, SecretRule, Stack, Template};

/// Fewest characters of a secret that the operator sets; Langfuse and `MinIO`
/// refuse shorter ones.
const SHORTEST_SECRET: usize = 8;

/// Secrets that everyone knows from Langfuse's compose file.
const STOCK_SECRETS: &[&str] = &[
    "mysalt",
    "mysecret",
    "clickhouse",
    "myredissecret",
    "miniosecret",
    "postgres",
    "0000000000000000000000000000000000000000000000000000000000000000",
];

pub(super) fn listen(text: &str) -> Result<SocketAddr, Refusal> {
    const EXAMPLE: &str = "write address and port, such as `0.0.0.0:3000` or `[::]:443`";
    let address: SocketAddr = text
        .parse()
        .map_err(|_| refuse("is not an address with a port", EXAMPLE))?;
    if address.port() == 0 {
        return Err(refuse("has port 0", EXAMPLE));
    }
    Ok(address)
}

pub(super) fn absolute_path(text: &str) -> Result<PathBuf, Refusal> {
    let path = Path::new(text);
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err(refuse(
            "is not an absolute path",
            "write the path from `/` on",
        ))
    }
}

/// The e-mail addresses that Langfuse accepts, which are fewer than the
/// standard's: the domain needs a dot and ends in letters.
pub(super) fn email(text: &str) -> Result<String, Refusal> {
    let valid = text.split_once('@').is_some_and(|(local, domain)| {
        let labels: Vec<_> = domain.split('.').collect();
        let plain = |c: char| c.is_ascii_alphanumeric();
        !local.is_empty()
            && local.chars().all(|c| plain(c) || "_'+-.".contains(c))
            && !local.starts_with('.')
            && !local.ends_with(['.', '\''])
            && !local.contains("..")
            && labels.len() >= 2
            && labels.iter().all(|label| {
                label.starts_with(plain) && label.chars().all(|c| plain(c) || c == '-')
            })
            && labels
                .last()
                .is_some_and(|top| top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic()))
    });
    if valid {
        Ok(text.to_owned())
    } else {
        Err(refuse(
            "is not an e-mail address that Langfuse accepts",
            "write it like `admin@example.com`",
        ))
    }
}

pub(super) fn name(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() || text.len() > 120 || text.chars().any(char::is_control) {
        Err(refuse(
            "is empty, longer than 120 bytes or holds control characters",
            "write a short name to show",
        ))
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn id(text: &str) -> Result<String, Refusal> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
        Ok(text.to_owned())
    } else {
        Err(refuse(
            "is not an id",
            "write 1 to 64 letters, digits, `-` or `_`",
        ))
    }
}

/// What can be said without the stack definition: values that contradict each
/// other, and variables that no stack allows.
pub(super) fn within(site: &SiteConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |key: String, refusal: Refusal| problems.push(problem(site, key, refusal));
    match (site.url.scheme, &site.tls) {
        (Scheme::Https, None) if !site.behind_proxy => say(
            "url".to_owned(),
            refuse(
                "is https, but nothing terminates TLS",
                "add `[tls]` with certificate and key, or `behind-proxy = true`",
            ),
        ),
        (Scheme::Http, Some(_)) => say(
            "url".to_owned(),
            refuse(
                "is http, but the gateway has a certificate",
                "write https, or remove `[tls]`",
            ),
        ),
        _ => {}
    }
    if !site.behind_proxy && site.url.port != site.listen.port() {
        say(
            "url".to_owned(),
            refuse(
                format!(
                    "means port {}, but the gateway listens on {}",
                    site.url.port, site.listen
                ),
                "make the ports equal, or write `behind-proxy = true` if something maps them",
            ),
        );
    }
    for (table, env, other) in [
        ("env.web", &site.env_web, &site.env_worker),
        ("env.worker", &site.env_worker, &site.env_web),
    ] {
        for (variable, value) in env {
            let key = format!("{table}.{variable}");
            if let Some(refusal) = refused_variable(variable, value.expose()) {
                say(key, refusal);
            } else if is_shared(variable) && other.get(variable) != Some(value) {
                say(
                    key,
                    refuse(
                        "must be equal in web and worker",
                        "write the same value in `[env.web]` and `[env.worker]`",
                    ),
                );
            }
        }
    }
    problems
}

/// Why no site may set a variable to this value.
pub(super) fn refused_variable(name: &str, value: &str) -> Option<Refusal> {
    let remove = |reason: &str| Some(refuse(reason, "remove it"));
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if name.to_ascii_uppercase().ends_with("_PROXY") || name == "NODE_USE_ENV_PROXY" {
        return remove(
            "sets a proxy: the stack has no route to one, Langfuse uses it for some calls only, \
             and calls to its own services would go there",
        );
    }
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(legal)
    {
        return Some(refuse(
            "is not the name of a variable",
            "write capital letters, digits and `_`",
        ));
    }
    if value.is_empty() {
        return remove("is empty, which Langfuse takes for unset");
    }
    if value.chars().any(char::is_control) {
        return Some(refuse("holds control characters", "write it in one line"));
    }
    if let Some(refusal) = unsupported(name, value) {
        return Some(refusal);
    }
    if let Some(choices) = choices(name)
        && !choices.contains(&value)
    {
        return Some(refuse(
            format!(
                "is neither `{}`, and Langfuse knows no other spelling",
                choices.join("` nor `")
            ),
            format!("write one of \"{}\"", choices.join("\", \"")),
        ));
    }
    let number = value.parse::<u64>().ok();
    match name {
        "REDIS_SOCKET_TIMEOUT_MS" if number.is_none_or(|ms| (1..10_000).contains(&ms)) => {
            Some(refuse("is out of range", "write 0, or 10000 and more"))
        }
        "AUTH_SESSION_MAX_AGE" if number.is_none_or(|minutes| minutes <= 5) => {
            Some(refuse("is out of range", "write more than 5 (minutes)"))
        }
        _ => None,
    }
}

/// Variables that lead out of the stack or do nothing.
fn unsupported(name: &str, value: &str) -> Option<Refusal> {
    let reason = match name {
        _ if name.starts_with("DD_") => {
            "configures the Datadog tracer, which sends to another host"
        }
        _ if name.starts_with("OTEL_") => {
            "configures the OpenTelemetry exporter, which sends to another host"
        }
        _ if name.starts_with("NEXT_PUBLIC_") => {
            "is built into the image and has no effect at run time"
        }
        _ if name.starts_with("PRISMA_") => {
            "points the migration away from the engine in the image"
        }
        "TZ" => "moves Langfuse out of UTC, and results shift",
        "CI" => "changes how Langfuse behaves without saying so",
        "LANGFUSE_S3_MEDIA_UPLOAD_INTERNAL_ENDPOINT" => {
            "does not exist in this release, whatever the manual says"
        }
        "REDIS_TLS_CA" | "REDIS_TLS_CERT" | "REDIS_TLS_KEY" => {
            return Some(refuse(
                "is not read by Langfuse",
                format!("write `{name}_PATH`"),
            ));
        }
        "LANGFUSE_IN_APP_AGENT_ENABLED" if value == "true" => {
            "switches on an agent that calls langfuse.com"
        }
        "ENABLE_AWS_CLOUDWATCH_METRIC_PUBLISHING" if value == "true" => "sends metrics to AWS",
        _ => return None,
    };
    Some(refuse(reason, "remove it"))
}

/// What depends on the stack definition.
pub(super) fn against_stack(site: &SiteConfig, stack: &Stack) -> Vec<Problem> {
    let mut problems = Vec::new();
    let embedded = embedded_secrets(stack);
    for (name, value) in &site.secrets {
        let refusal = match stack.secrets.get(name) {
            None => {
                let known: Vec<_> = stack.secrets.keys().map(String::as_str).collect();
                Some(refuse(
                    "is not a secret of this release",
                    format!("remove it; known are {}", known.join(", ")),
                ))
            }
            Some(rule) => refused_secret(rule, value, embedded.contains(name.as_str())),
        };
        problems.extend(refusal.map(|refusal| problem(site, format!("secrets.{name}"), refusal)));
    }
    for (table, env, service) in [
        ("env.web", &site.env_web, &stack.langfuse.web),
        ("env.worker", &site.env_worker, &stack.langfuse.worker),
    ] {
        let Some(service) = stack.service(service) else {
            continue;
        };
        let computed = stack.service_environment(service);
        for variable in env.keys() {
            let is_set = computed.contains_key(variable.as_str())
                || service.first_start_env.contains_key(variable);
            if is_set && !is_proposal(variable) {
                problems.push(problem(
                    site,
                    format!("{table}.{variable}"),
                    refuse("is set by the release itself", "remove it"),
                ));
            }
        }
    }
    problems
}

fn refused_secret(rule: &SecretRule, secret: &Secret, embedded: bool) -> Option<Refusal> {
    let value = secret.expose();
    if STOCK_SECRETS.contains(&value) {
        return Some(refuse(
            "is a secret that everyone knows from Langfuse's compose file",
            "remove the line and lfctl makes one; to adopt such an installation, change it there first",
        ));
    }
    if rule.kind == SecretKind::Hex {
        let hex = value.len() == rule.length && value.bytes().all(|b| b.is_ascii_hexdigit());
        return (!hex).then(|| {
            refuse(
                format!("is not {} hex digits", rule.length),
                "write the value of the installation that is adopted, or remove the line",
            )
        });
    }
    if value.len() < SHORTEST_SECRET {
        return Some(refuse(
            format!("is shorter than {SHORTEST_SECRET} characters"),
            "write a longer one, or remove the line and lfctl makes one",
        ));
    }
    if !value.starts_with(&rule.prefix) {
        return Some(refuse(
            format!("does not start with `{}`", rule.prefix),
            "write the whole key",
        ));
    }
    // Where a secret is part of a URL, a file or a user name, nobody quotes it.
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    if (embedded || !rule.prefix.is_empty()) && !value.bytes().all(safe) {
        return Some(refuse(
            "holds characters that mean something in a URL",
            "use only letters, digits and `-._~`",
        ));
    }
    if !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(refuse(
            "holds spaces or characters beyond ASCII",
            "use only visible ASCII characters",
        ));
    }
    None
}

/// Secrets that stand inside a longer text somewhere in the stack.
fn embedded_secrets(stack: &Stack) -> BTreeSet<&str> {
    let services = stack.services.iter();
    services
        .flat_map(|service| {
            let files = service.files.iter().map(|file| &file.content);
            service.env.values().chain(files)
        })
        .chain(stack.env.values().flat_map(|group| group.values()))
        .chain(stack.migration.env.values())
        .filter(|template| template.parts().len() > 1)
        .flat_map(Template::parts)
        .filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

fn problem(site: &SiteConfig, key: String, refusal: Refusal) -> Problem {
    Problem {
        line: site.lines.get(&key).copied(),
        key,
        reason: refusal.reason,
        remedy: refusal.remedy,
    }
}
