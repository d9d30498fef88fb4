//! What Langfuse must be told on a single host without a route out.

use super::StackError;
use crate::stack::environment::{
    CLICKHOUSE_MIGRATION_SWITCH, DROP_SORTING_TABLES, Environment, HISTORIC_BACKFILL,
    OTEL_BEHAVIOUR, POSTGRES_MIGRATION_SWITCH, PREVIEW_OPT_IN, WRITE_MODE, illegal_v4_flags,
    is_shared,
};
use crate::stack::{Line, Service, Stack, Stage};

/// Web closes its connections 110 s after the first signal and the worker
/// drains; a kill before that loses requests or events.
const LEAST_STOP_SECONDS: u64 = 120;

pub(super) fn check(stack: &Stack, errors: &mut Vec<StackError>) {
    let langfuse = &stack.langfuse;
    for (kind, name) in [
        ("service", &langfuse.web),
        ("service", &langfuse.worker),
        ("service", &langfuse.gateway),
        ("secret", &langfuse.public_key),
        ("secret", &langfuse.secret_key),
    ] {
        let found = match kind {
            "service" => stack.service(name).is_some(),
            _ => stack.secrets.contains_key(name),
        };
        if !found {
            errors.push(StackError::UnknownReference {
                at: "langfuse".to_owned(),
                kind,
                name: name.clone(),
            });
        }
    }
    published(stack, errors);
    let web = stack.service(&langfuse.web);
    let worker = stack.service(&langfuse.worker);
    for service in [web, worker].into_iter().flatten() {
        application(stack, service, errors);
    }
    if let Some(web) = web {
        let env = stack.service_environment(web);
        for switch in [POSTGRES_MIGRATION_SWITCH, CLICKHOUSE_MIGRATION_SWITCH] {
            demand(&at(web), &env, switch, "true", errors);
        }
        demand(&at(web), &env, "CHECKPOINT_DISABLE", "1", errors);
        if stack.migration.image != web.image {
            errors.push(StackError::Topology {
                at: "the migration".to_owned(),
                reason: "must run web's image, whose entrypoint migrates",
            });
        }
        if let Some(worker) = worker {
            parity(&env, &stack.service_environment(worker), errors);
        }
    }
    job(stack, errors);
}

fn at(service: &Service) -> String {
    format!("service `{}`", service.name)
}

fn published(stack: &Stack, errors: &mut Vec<StackError>) {
    let gateway = &stack.langfuse.gateway;
    let publishing: Vec<_> = stack
        .services
        .iter()
        .filter(|service| service.publish.is_some())
        .collect();
    let only_gateway = matches!(publishing.as_slice(),
        [service] if service.name == *gateway && service.stage == Stage::Edge);
    if !only_gateway {
        errors.push(StackError::Published {
            services: publishing
                .iter()
                .map(|service| service.name.clone())
                .collect(),
        });
    }
}

fn application(stack: &Stack, service: &Service, errors: &mut Vec<StackError>) {
    let at = at(service);
    if service.stage != Stage::App {
        errors.push(StackError::Topology {
            at: at.clone(),
            reason: "must be of stage `app`: it may not start before the migration",
        });
    }
    if !service.fail_fast {
        errors.push(StackError::Topology {
            at: at.clone(),
            reason: "must fail fast: its calls home would take 10 s each",
        });
    }
    if service.stop.timeout_seconds < LEAST_STOP_SECONDS {
        errors.push(StackError::StopTooShort {
            service: service.name.clone(),
            seconds: service.stop.timeout_seconds,
            least: LEAST_STOP_SECONDS,
        });
    }
    let env = stack.service_environment(service);
    demand(&at, &env, "CLICKHOUSE_CLUSTER_ENABLED", "false", errors);
    demand(&at, &env, "TELEMETRY_ENABLED", "false", errors);
    for prefix in ["UPLOAD_PREFIX", "EXPORT_PREFIX"] {
        for (variable, value) in env.iter().filter(|(name, _)| name.ends_with(prefix)) {
            if !value.to_string().ends_with('/') {
                errors.push(StackError::Syntax {
                    at: format!("{variable} of {at}"),
                    value: value.to_string(),
                    expected: "prefix that ends in `/`",
                });
            }
        }
    }
    if stack.langfuse.line == Line::V4 {
        v4_flags(&at, &env, errors);
    }
}

fn v4_flags(at: &str, env: &Environment<'_>, errors: &mut Vec<StackError>) {
    const FLAGS: [(&str, &str); 5] = [
        (WRITE_MODE, "legacy, dual or events_only"),
        (OTEL_BEHAVIOUR, "dual_write or direct"),
        (PREVIEW_OPT_IN, "true or false"),
        (HISTORIC_BACKFILL, "true or false"),
        (DROP_SORTING_TABLES, "true or false"),
    ];
    let before = errors.len();
    for (variable, expected) in FLAGS {
        let found = env.get(variable).map(ToString::to_string);
        let known = found
            .as_deref()
            .is_some_and(|found| expected.split([',', ' ']).any(|word| word == found));
        if !known {
            errors.push(StackError::Variable {
                at: at.to_owned(),
                variable,
                expected,
                found: found.unwrap_or_else(|| "nothing".to_owned()),
            });
        }
    }
    if errors.len() == before {
        let value = |name| env.get(name).map(ToString::to_string).unwrap_or_default();
        if let Some(reason) = illegal_v4_flags(
            &value(WRITE_MODE),
            &value(OTEL_BEHAVIOUR),
            &value(PREVIEW_OPT_IN),
        ) {
            errors.push(StackError::IllegalFlags { reason });
        }
    }
}

fn parity(web: &Environment<'_>, worker: &Environment<'_>, errors: &mut Vec<StackError>) {
    let names: std::collections::BTreeSet<_> = web.keys().chain(worker.keys()).collect();
    for name in names {
        if is_shared(name) && web.get(*name) != worker.get(*name) {
            errors.push(StackError::NotShared {
                variable: (*name).to_owned(),
            });
        }
    }
}

fn job(stack: &Stack, errors: &mut Vec<StackError>) {
    let job = &stack.migration;
    let env = stack.environment(&job.env_groups, &job.env);
    let at = "the migration";
    for variable in [POSTGRES_MIGRATION_SWITCH, CLICKHOUSE_MIGRATION_SWITCH] {
        if env.contains_key(variable) {
            errors.push(StackError::ForbiddenVariable {
                at: at.to_owned(),
                variable,
            });
        }
    }
    demand(at, &env, "CLICKHOUSE_CLUSTER_ENABLED", "false", errors);
    demand(at, &env, "CHECKPOINT_DISABLE", "1", errors);
}

fn demand(
    at: &str,
    env: &Environment<'_>,
    variable: &'static str,
    expected: &'static str,
    errors: &mut Vec<StackError>,
) {
    let found = env.get(variable).map(ToString::to_string);
    if found.as_deref() != Some(expected) {
        errors.push(StackError::Variable {
            at: at.to_owned(),
            variable,
            expected,
            found: found.unwrap_or_else(|| "nothing".to_owned()),
        });
    }
}
