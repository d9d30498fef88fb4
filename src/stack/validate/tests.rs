//! The real definition, broken in every way that has a rule.

use super::*;
use crate::stack::testing::spec;
use crate::stack::{Confinement, Service, Stack, Stage, Template};

pub(super) fn errors_after(change: impl FnOnce(&mut Stack)) -> Vec<String> {
    let (mut stack, images) = spec();
    change(&mut stack);
    validate(&stack, &images)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

pub(super) fn service<'a>(stack: &'a mut Stack, name: &str) -> &'a mut Service {
    stack
        .services
        .iter_mut()
        .find(|service| service.name == name)
        .unwrap()
}

#[track_caller]
pub(super) fn complains(change: impl FnOnce(&mut Stack), expected: &str) {
    let errors = errors_after(change);
    assert!(
        errors.iter().any(|error| error.contains(expected)),
        "no `{expected}` in {errors:#?}"
    );
}

pub(super) fn literal(text: &str) -> Template {
    Template::literal(text)
}

#[test]
fn the_real_definition_is_right() {
    assert_eq!(errors_after(|_| {}), Vec::<String>::new());
}

#[test]
fn references_to_nothing() {
    complains(|s| s.services[0].image = "x".into(), "image `x`");
    complains(|s| s.migration.image = "x".into(), "image `x`");
    complains(
        |s| s.services[0].mounts[0].volume = "x".into(),
        "volume `x`",
    );
    complains(
        |s| s.services[0].env_groups.push("x".into()),
        "env group `x`",
    );
    complains(|s| s.migration.env_groups.push("x".into()), "env group `x`");
    complains(|s| drop(s.secrets.remove("salt")), "secret `salt`");
    complains(|s| s.schemas[0].service = "x".into(), "service `x`");
    complains(|s| s.langfuse.web = "x".into(), "service `x`");
    complains(|s| s.langfuse.gateway = "x".into(), "service `x`");
    complains(|s| s.langfuse.secret_key = "x".into(), "secret `x`");
    for (reference, kind) in [
        ("${service:x}", "service `x`"),
        ("${secret:x}", "secret `x`"),
    ] {
        let template: Template = reference.parse().unwrap();
        let in_env = template.clone();
        complains(
            |s| drop(service(s, "web").env.insert("A".into(), in_env)),
            kind,
        );
        complains(|s| service(s, "redis").files[0].content = template, kind);
    }
}

#[test]
fn names() {
    for bad in ["", "Web", "a_b", "-a", "a-", "a.b", &"a".repeat(31)] {
        complains(|s| s.services[0].name = bad.into(), "is not a legal name");
    }
    complains(
        |s| s.services[0].name = "migration".into(),
        "lfctl uses itself",
    );
    complains(
        |s| s.services[0].name = "redis".into(),
        "service `redis` is defined twice",
    );
    complains(
        |s| s.volumes[0].name = "redis-data".into(),
        "volume `redis-data` is defined twice",
    );
}

#[test]
fn paths_modes_and_owners() {
    for bad in ["data", "/", "/a/../b", "/a//b", ""] {
        complains(
            |s| s.services[0].mounts[0].path = bad.into(),
            "absolute path",
        );
        complains(
            |s| service(s, "redis").files[0].path = bad.into(),
            "absolute path",
        );
        complains(
            |s| service(s, "web").tmpfs.push(bad.into()),
            "absolute path",
        );
    }
    complains(
        |s| service(s, "redis").files[0].mode = "0800".into(),
        "mode such as",
    );
    complains(
        |s| service(s, "redis").files[0].owner = "redis".into(),
        "uid:gid",
    );
    complains(
        |s| service(s, "clickhouse").user = Some("clickhouse".into()),
        "uid:gid",
    );
    complains(
        |s| service(s, "redis").files[0].mode = "0444".into(),
        "holds a secret",
    );
    complains(
        |s| {
            let files = &mut service(s, "gateway").files;
            let key = files
                .iter_mut()
                .find(|file| file.path.ends_with("lfctl-tls.key"));
            key.unwrap().mode = "0444".into();
        },
        "holds a secret",
    );
    complains(
        |s| {
            let files = &mut service(s, "gateway").files;
            files.push(files[0].clone());
        },
        "file `/etc/nginx/nginx.conf` is defined twice",
    );
}

#[test]
fn confinement() {
    type Change = fn(&mut Confinement);
    let cases: &[(&str, Change, &str)] = &[
        (
            "web",
            |c| c.capabilities = vec!["SYS_ADMIN".into()],
            "capability `SYS_ADMIN`",
        ),
        (
            "web",
            |c| c.capabilities = vec!["CAP_CHOWN".into()],
            "capability `CAP_CHOWN`",
        ),
        ("web", |c| c.pids = 2, "too few processes"),
        (
            "web",
            |c| c.memory_limit_mib = Some(1),
            "more memory than it may",
        ),
        (
            "redis",
            |c| c.read_only = true,
            "no file can be put into it",
        ),
    ];
    for (name, change, expected) in cases {
        complains(
            |s| change(service(s, name).confinement.as_mut().unwrap()),
            expected,
        );
    }
    complains(
        |s| s.migration.confinement.as_mut().unwrap().pids = 0,
        "too few processes",
    );
}

#[test]
fn secrets_in_commands() {
    let argument = || "--requirepass=${secret:redis-password}".to_owned();
    let expected = "reference in `--requirepass=";
    complains(
        |s| service(s, "redis").command = Some(vec![argument()]),
        expected,
    );
    complains(
        |s| service(s, "redis").entrypoint = Some(vec![argument()]),
        expected,
    );
    complains(
        |s| service(s, "redis").health.command.push(argument()),
        expected,
    );
    complains(|s| s.schemas[0].query.push(argument()), expected);
    complains(|s| s.migration.command.push(argument()), expected);
    complains(
        |s| service(s, "web").health.command.clear(),
        "empty command",
    );
}

#[test]
fn topology() {
    complains(
        |s| service(s, "gateway").publish = None,
        "exactly the gateway",
    );
    complains(
        |s| {
            let publish = service(s, "gateway").publish.clone();
            service(s, "seaweedfs").publish = publish;
        },
        "published by: seaweedfs, gateway",
    );
    complains(
        |s| service(s, "gateway").stage = Stage::App,
        "exactly the gateway",
    );
    complains(|s| service(s, "worker").stage = Stage::Data, "stage `app`");
    complains(|s| service(s, "worker").fail_fast = false, "must fail fast");
    complains(
        |s| service(s, "web").stop.timeout_seconds = 119,
        "killed after 119 s",
    );
    complains(
        |s| service(s, "worker").stop.timeout_seconds = 10,
        "killed after 10 s",
    );
    complains(|s| s.migration.image = "worker".into(), "web's image");
    complains(|s| service(s, "redis").mounts.clear(), "mounted nowhere");
    complains(
        |s| {
            let mount = service(s, "redis").mounts[0].clone();
            service(s, "worker").mounts.push(mount);
        },
        "mounted more than once",
    );
}

#[test]
fn what_langfuse_must_be_told() {
    for (group, variable) in [
        ("database", "CLICKHOUSE_CLUSTER_ENABLED"),
        ("shared", "TELEMETRY_ENABLED"),
        ("shared", "LANGFUSE_MIGRATION_V4_WRITE_MODE"),
        ("shared", "LANGFUSE_MIGRATION_V4_NATIVE_OTEL_BEHAVIOUR"),
        ("shared", "LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN"),
        (
            "shared",
            "LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL",
        ),
        (
            "shared",
            "LANGFUSE_BACKGROUND_MIGRATION_V4_DROP_PID_TID_SORTING_TABLES",
        ),
    ] {
        let expected = format!("must set {variable} to");
        complains(
            |s| drop(s.env.get_mut(group).unwrap().remove(variable)),
            &expected,
        );
        let set = |s: &mut Stack, value| {
            let env = s.env.get_mut(group).unwrap();
            env.insert(variable.to_owned(), literal(value));
        };
        complains(|s| set(s, "TRUE"), &expected);
    }
    for variable in [
        "LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED",
        "LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED",
        "CHECKPOINT_DISABLE",
    ] {
        complains(
            |s| drop(service(s, "web").env.remove(variable)),
            &format!("service `web` must set {variable} to"),
        );
    }
    let switch = "LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED";
    complains(
        |s| drop(s.migration.env.insert(switch.into(), literal("true"))),
        "the migration must not set",
    );
    complains(
        |s| drop(s.migration.env.remove("CHECKPOINT_DISABLE")),
        "the migration must set CHECKPOINT_DISABLE",
    );
    complains(
        |s| {
            let env = &mut service(s, "worker").env;
            env.insert("SALT".into(), literal("other"));
        },
        "agree on SALT",
    );
    complains(
        |s| {
            let env = s.env.get_mut("shared").unwrap();
            env.insert("LANGFUSE_S3_MEDIA_UPLOAD_PREFIX".into(), literal("media"));
        },
        "ends in `/`",
    );
}

#[test]
fn flags_that_contradict_each_other() {
    for (variable, value, reason) in [
        ("LANGFUSE_MIGRATION_V4_WRITE_MODE", "legacy", "`direct`"),
        (
            "LANGFUSE_MIGRATION_V4_NATIVE_OTEL_BEHAVIOUR",
            "dual_write",
            "`dual_write`",
        ),
        (
            "LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN",
            "false",
            "opt-in",
        ),
    ] {
        complains(
            |s| {
                let env = s.env.get_mut("shared").unwrap();
                env.insert(variable.into(), literal(value));
            },
            reason,
        );
    }
}
