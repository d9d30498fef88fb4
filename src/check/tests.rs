//! The list of checks as a whole, and how an examination is shown.

use std::collections::BTreeSet;

use super::fixture::{blind, healthy};
use super::fixture_before::{first, kept};
use super::{
    CHECKS, Check, Examination, Outcome, SelectError, When, before, before_load, examine, probes,
    select,
};
use crate::appliance::state::Status;
use crate::engine::{Container, HealthState};
use crate::facts::{Fact, Facts, Probe};
use crate::langfuse::UpdateVerdict;
use crate::langfuse::schema::FailedMigration;
use crate::oci::digest::Digest;
use crate::report::finding::Severity;
use crate::stack::secret::SecretStore;

pub(super) fn known<T>(fact: &mut Fact<T>) -> &mut T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

pub(super) fn container<'a>(facts: &'a mut Facts, service: &str) -> &'a mut Container {
    known(&mut facts.containers).get_mut(service).unwrap()
}

/// Replaces a variable of a container.
pub(super) fn set(facts: &mut Facts, service: &str, name: &str, value: &str) {
    let env = &mut container(facts, service).env;
    env.retain(|line| !line.starts_with(&format!("{name}=")));
    env.push(format!("{name}={value}"));
}

pub(super) fn all() -> Vec<&'static Check> {
    select(&[]).unwrap()
}

fn examination(facts: &Facts) -> Examination {
    let checks = match &facts.change {
        Some(_) => before(),
        None => all(),
    };
    examine(facts, &checks)
}

/// What was found, and what could not be checked for no other reason.
pub(super) fn findings(facts: &Facts) -> Vec<(&'static str, Option<Severity>)> {
    examination(facts)
        .checks
        .into_iter()
        .filter_map(|check| match check.outcome {
            Outcome::Finding(finding) => {
                assert_eq!(finding.id, check.id);
                assert!(
                    !finding.evidence.is_empty(),
                    "{} names no evidence",
                    check.id
                );
                assert!(
                    !finding.remedy.text.is_empty(),
                    "{} has no remedy",
                    check.id
                );
                Some((check.id, Some(finding.severity)))
            }
            Outcome::CouldNotCheck {
                because_of: None, ..
            } => Some((check.id, None)),
            Outcome::CouldNotCheck { .. }
            | Outcome::Pass { .. }
            | Outcome::NotApplicable { .. } => None,
        })
        .collect()
}

#[test]
fn a_healthy_appliance_passes_every_check() {
    assert_eq!(findings(&healthy()), []);
    let counts = examine(&healthy(), &all()).counts;
    assert_eq!(counts.ok + counts.not_applicable, all().len());
}

#[test]
fn an_install_that_nothing_is_wrong_with_passes_every_check() {
    for facts in [first(), kept()] {
        assert_eq!(findings(&facts), []);
        let counts = examination(&facts).counts;
        assert_eq!(counts.ok + counts.not_applicable, before().len());
    }
}

#[test]
fn what_cannot_be_seen_is_neither_passed_nor_failed() {
    let counts = examine(&blind(), &all()).counts;
    // Journal, clock, url, site.toml, audit log, secrets, certificate and the
    // records of backups need no answer; that the engine gives none is the
    // finding.
    assert_eq!((counts.ok, counts.blocking, counts.warnings), (13, 1, 0));
    assert_eq!(counts.could_not_check, all().len() - 14);
}

#[test]
fn no_finding_shows_a_secret() {
    let mut facts = healthy();
    set(&mut facts, "web", "SALT", "mysalt");
    set(
        &mut facts,
        "web",
        "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY",
        "miniosecret",
    );
    // What programs print is quoted.
    let secrets = "schema = 1\n[secrets]\nclickhouse-password = \"0123456789quoted\"\n";
    let secrets: SecretStore =
        crate::sys::versioned::parse("secrets.toml".as_ref(), secrets.as_bytes()).unwrap();
    facts.subject.redactor = secrets.redactor();
    let quoting = container(&mut facts, "clickhouse");
    quoting.health = Some(HealthState::Unhealthy);
    quoting.health_output = Some("no login with 0123456789quoted".to_owned());
    facts.worker = Fact::Unknown("`check` said 0123456789quoted".to_owned());
    let text = examine(&facts, &all()).text(true);
    assert_eq!(text.matches("[clickhouse-password]").count(), 2, "{text}");
    assert!(!text.contains("quoted"), "{text}");
    for secret in ["mysalt", "miniosecret", "Xr3vW8", "Jq7"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn ids_are_unique_and_grouped() {
    let aliases = CHECKS.iter().flat_map(|check| check.aliases).copied();
    let names: Vec<_> = CHECKS.iter().map(|check| check.id).chain(aliases).collect();
    let ids: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(ids.len(), names.len());
    for id in ids {
        let (group, name) = id.split_once('.').unwrap();
        assert!(
            !group.is_empty() && !name.is_empty() && !name.contains('.'),
            "{id}"
        );
    }
}

#[test]
fn every_check_is_in_the_manual_with_its_title_and_remedy() {
    let manual = include_str!("../../docs/doctor.md");
    for check in CHECKS {
        let heading = format!("### `{}`\n", check.id);
        let (_, rest) = manual
            .split_once(&heading)
            .unwrap_or_else(|| panic!("docs/doctor.md does not explain {}", check.id));
        let section = rest.split("\n### ").next().unwrap();
        assert!(
            section.contains(check.title),
            "docs/doctor.md: {} has another title",
            check.id
        );
        assert!(
            section.contains("**Remedy:**"),
            "docs/doctor.md: {} has no remedy",
            check.id
        );
        let when = match check.when {
            When::Before => "*Before an install.*",
            When::After => "*Doctor.*",
            When::Both => "*Before an install, and doctor.*",
        };
        assert!(
            section.contains(when),
            "docs/doctor.md: {} is not made then",
            check.id
        );
        for alias in check.aliases {
            assert!(
                section.contains(&format!("`{alias}`")),
                "docs/doctor.md: {} does not name {alias}",
                check.id
            );
        }
    }
    let explained: BTreeSet<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(explained, ids);
}

#[test]
fn checks_are_chosen_by_name_and_by_group() {
    let ids = |only: &[&str]| -> Vec<_> {
        let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
        select(&only)
            .unwrap()
            .iter()
            .map(|check| check.id)
            .collect()
    };
    assert_eq!(ids(&["egress.update-check"]), ["egress.update-check"]);
    assert_eq!(ids(&["engine", "host.clock"]).len(), 5);
    // By the names that preflight once gave them, too.
    assert_eq!(ids(&["engine.proxy"]), ["engine.daemon-proxy"]);
    assert_eq!(ids(&["host.cpus", "host.cpu-flags"]), ["host.cpu"]);
    let error = |name: &str| select(&[name.to_owned()]).unwrap_err();
    assert_eq!(
        error("egress.nothing"),
        SelectError::Unknown("egress.nothing".to_owned())
    );
    assert_eq!(
        error("host.port"),
        SelectError::BeforeOnly("host.port".to_owned())
    );
    assert_eq!(before_load().len(), 5);
    // A check of the host leaves no event behind.
    assert_eq!(
        probes(&select(&["host".to_owned()]).unwrap()),
        [Probe::Host].into()
    );
}

#[test]
fn a_finding_is_shown_with_evidence_and_remedy() {
    let mut facts = healthy();
    known(&mut facts.update).verdict = UpdateVerdict::EgressOpen;
    facts.worker = Fact::Unknown("the engine gave no answer".to_owned());
    insta::assert_snapshot!(examine(&facts, &all()).text(false));
}

#[test]
fn a_proof_that_could_not_be_made_is_named() {
    let mut facts = healthy();
    facts.event = Fact::Unknown("langfuse web did not answer".to_owned());
    let examination = examine(&facts, &all());
    assert_eq!(examination.unproven, ["data.end-to-end"]);
    let text = examination.text(false);
    assert!(text.ends_with("\nnot proven: data.end-to-end"), "{text}");
    // Another check that could not be made proves nothing in the first place.
    facts = healthy();
    facts.worker = Fact::Unknown("no answer".to_owned());
    assert!(examine(&facts, &all()).unproven.is_empty());
    let blind = examine(&blind(), &all()).unproven;
    assert_eq!(blind.len(), 8, "{blind:?}");
}

#[test]
fn the_update_check_is_shown_even_when_all_is_well() {
    insta::assert_snapshot!(examine(&healthy(), &all()).text(false));
}

#[test]
fn programs_read_the_same_as_people() {
    let json = serde_json::to_value(examine(&healthy(), &all())).unwrap();
    assert_eq!(json["counts"]["ok"], all().len());
    let update = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == "egress.update-check")
        .unwrap();
    assert_eq!(update["outcome"], "pass");
    assert!(update["evidence"].as_str().unwrap().contains("12 ms"));
}

#[test]
fn a_schema_that_a_later_release_left_is_no_finding_where_it_only_adds() {
    let mut facts = healthy();
    known(&mut facts.schemas[1]).last = Some("47".to_owned());
    let ids = |facts: &Facts| -> Vec<_> { findings(facts).iter().map(|one| one.0).collect() };
    assert_eq!(ids(&facts).len(), 1);
    let service = facts.subject.stack.schemas[1].service.clone();
    facts
        .subject
        .additive
        .insert(service, ["47".to_owned()].into());
    assert_eq!(ids(&facts), Vec::<&str>::new());
    // A migration of it that failed and was closed by hand stops on the way.
    let service = &facts.subject.stack.schemas[1].service;
    let levels = facts.subject.additive.get_mut(service).unwrap();
    levels.insert("101".to_owned());
    known(&mut facts.schemas[1]).last = Some("100".to_owned());
    assert_eq!(ids(&facts), Vec::<&str>::new());
    known(&mut facts.schemas[1]).last = Some("102".to_owned());
    assert_eq!(ids(&facts).len(), 1);
}

#[test]
fn what_runs_after_a_rollback_is_repaired_from_its_own_bundle() {
    let mut facts = kept();
    let change = facts.change.as_mut().unwrap();
    let bundle = change.bundle;
    let counter = change.manifest.release.counter;
    let state = change.recorded.as_mut().unwrap();
    state.status = Status::Installed;
    for highest in state.highest_counters.values_mut() {
        *highest = counter + 1;
    }
    state.current.bundle = Digest::of(b"another");
    let is_downgrade = |facts: &Facts| {
        findings(facts)
            .iter()
            .any(|one| one.0 == "appliance.downgrade")
    };
    assert!(is_downgrade(&facts));
    let change = facts.change.as_mut().unwrap();
    change.recorded.as_mut().unwrap().current.bundle = bundle;
    assert!(!is_downgrade(&facts));
}

#[test]
fn a_name_out_of_a_database_is_only_a_word_of_the_command() {
    let mut facts = healthy();
    let name = "a'; \"$(touch /tmp/x)\" `id`; DROP TABLE b; --";
    known(&mut facts.background).push(FailedMigration {
        name: name.to_owned(),
        reason: "b".to_owned(),
    });
    let examination = examination(&facts);
    let command = examination.findings()[0].remedy.command.as_ref().unwrap();
    let words = shell_words::split(command).unwrap();
    assert_eq!(words[..3], ["docker", "exec", "lf-postgres"]);
    assert_eq!(
        words.last().unwrap(),
        &format!(
            "UPDATE background_migrations SET failed_at = NULL, failed_reason = NULL \
             WHERE name = '{}'",
            name.replacen('\'', "''", 1)
        )
    );
}
