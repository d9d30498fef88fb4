//! What the containers were really given, as the engine tells it.

use super::outcome::{Outcome, Unknown, want};
use super::remedy::install_again;
use crate::engine::Container;
use crate::facts::Facts;
use crate::report::finding::Remedy;

/// Secrets that stand in the vendor's compose file for everybody to read.
const STOCK: &[(&str, &str)] = &[
    ("SALT", "mysalt"),
    ("NEXTAUTH_SECRET", "mysecret"),
    (
        "ENCRYPTION_KEY",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ),
    ("CLICKHOUSE_PASSWORD", "clickhouse"),
    ("REDIS_AUTH", "myredissecret"),
    ("REDISCLI_AUTH", "myredissecret"),
    ("MINIO_ROOT_PASSWORD", "miniosecret"),
    ("LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY", "miniosecret"),
    ("LANGFUSE_S3_MEDIA_UPLOAD_SECRET_ACCESS_KEY", "miniosecret"),
    ("LANGFUSE_S3_BATCH_EXPORT_SECRET_ACCESS_KEY", "miniosecret"),
    ("POSTGRES_PASSWORD", "postgres"),
];
const CLUSTER: &str = "CLICKHOUSE_CLUSTER_ENABLED";
const NO_MIGRATION: [&str; 2] = [
    "LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED",
    "LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED",
];

/// A variable of a container. Empty counts as unset, as Langfuse does it.
pub(super) fn variable<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container
        .env
        .iter()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// The container of a service, or the end of the check.
pub(super) fn container<'a>(facts: &'a Facts, service: &str) -> Result<&'a Container, Unknown> {
    want(&facts.containers)?
        .get(service)
        .ok_or_else(|| Unknown::new(format!("{service} has no container")))
}

/// Web and worker.
pub(super) fn langfuse(facts: &Facts) -> Result<[(&str, &Container); 2], Unknown> {
    let langfuse = &facts.subject.stack.langfuse;
    Ok([
        (&langfuse.web, container(facts, &langfuse.web)?),
        (&langfuse.worker, container(facts, &langfuse.worker)?),
    ])
}

pub(super) fn stock_secrets(facts: &Facts) -> Result<Outcome, Unknown> {
    let containers = want(&facts.containers)?;
    let stock: Vec<_> = containers
        .iter()
        .flat_map(|(service, container)| {
            STOCK
                .iter()
                .filter(|(name, value)| variable(container, name) == Some(value))
                .map(move |(name, _)| format!("{name} of {service}"))
        })
        .collect();
    if stock.is_empty() {
        return Ok(Outcome::pass(format!(
            "{} containers, none with a secret from the vendor's examples",
            containers.len()
        )));
    }
    Ok(Outcome::blocking(
        "a secret is a published default that anybody can read up",
        stock.join(", "),
        Remedy::text(
            "lfctl never makes such a secret, so it was put in by hand: install afresh, or change \
             it in the datastore and in secrets.toml together",
        ),
    ))
}

pub(super) fn parity(facts: &Facts) -> Result<Outcome, Unknown> {
    let [(web_name, web), (worker_name, worker)] = langfuse(facts)?;
    let shared = shared_variables(facts, web_name, worker_name);
    let different: Vec<_> = shared
        .iter()
        .filter(|name| variable(web, name) != variable(worker, name))
        .copied()
        .collect();
    if shared.is_empty() {
        return Ok(Outcome::not_applicable(
            "the stack shares no variables between them",
        ));
    }
    if different.is_empty() {
        return Ok(Outcome::pass(format!(
            "{} variables are equal",
            shared.len()
        )));
    }
    Ok(Outcome::blocking(
        "web and worker disagree, so one does not find what the other wrote",
        format!("{} differ", different.join(", ")),
        install_again(
            facts,
            "run install again with the bundle: it recreates both",
        ),
    ))
}

/// Variables of the groups that both services use, unless one of them has its
/// own value.
fn shared_variables<'a>(facts: &'a Facts, one: &str, other: &str) -> Vec<&'a str> {
    let stack = &facts.subject.stack;
    let (Some(one), Some(other)) = (stack.service(one), stack.service(other)) else {
        return Vec::new();
    };
    one.env_groups
        .iter()
        .filter(|group| other.env_groups.contains(group))
        .filter_map(|group| stack.env.get(group))
        .flat_map(|group| group.keys())
        .filter(|name| !one.env.contains_key(*name) && !other.env.contains_key(*name))
        .map(String::as_str)
        .collect()
}

pub(super) fn cluster_flag(facts: &Facts) -> Result<Outcome, Unknown> {
    let wrong: Vec<_> = langfuse(facts)?
        .into_iter()
        .filter(|(_, container)| variable(container, CLUSTER) != Some("false"))
        .map(|(service, container)| {
            format!(
                "{service} has {}",
                variable(container, CLUSTER).unwrap_or("none, which means true")
            )
        })
        .collect();
    if wrong.is_empty() {
        return Ok(Outcome::pass(format!("{CLUSTER}=false in web and worker")));
    }
    Ok(Outcome::blocking(
        "Langfuse takes the single ClickHouse for a cluster",
        wrong.join(", "),
        install_again(facts, "run install again with the bundle: it sets the flag"),
    ))
}

pub(super) fn auto_migration(facts: &Facts) -> Result<Outcome, Unknown> {
    let [(_, web), _] = langfuse(facts)?;
    let on: Vec<_> = NO_MIGRATION
        .into_iter()
        .filter(|name| variable(web, name) != Some("true"))
        .collect();
    if on.is_empty() {
        return Ok(Outcome::pass("both switches are set in web"));
    }
    Ok(Outcome::blocking(
        "a restart of web migrates the databases, and being killed meanwhile leaves them dirty",
        format!("{} not `true`", on.join(", ")),
        install_again(
            facts,
            "run install again with the bundle: it sets the switches",
        ),
    ))
}
