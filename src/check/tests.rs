//! The list of checks as a whole, and how an examination is shown.

use super::fixture::{blind, healthy};
use super::*;
use crate::engine::{Container, HealthState};
use crate::langfuse::UpdateVerdict;
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

/// What there is to say beyond "passed".
pub(super) fn findings(facts: &Facts) -> Vec<(&'static str, Option<Severity>)> {
    examine(facts, &all())
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
            Outcome::CouldNotCheck { .. } => Some((check.id, None)),
            Outcome::Pass { .. } | Outcome::NotApplicable { .. } => None,
        })
        .collect()
}

#[test]
fn a_healthy_appliance_passes_every_check() {
    assert_eq!(findings(&healthy()), []);
    let counts = examine(&healthy(), &all()).counts;
    assert_eq!(counts.ok + counts.not_applicable, CHECKS.len());
}

#[test]
fn what_cannot_be_seen_is_neither_passed_nor_failed() {
    let counts = examine(&blind(), &all()).counts;
    // Clock and secrets need no answer; that the engine gives none is the finding.
    assert_eq!((counts.ok, counts.blocking, counts.warnings), (2, 1, 0));
    assert_eq!(counts.could_not_check, CHECKS.len() - 3);
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
    facts.installed.redactor = secrets.redactor();
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
    let ids: BTreeSet<_> = CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(ids.len(), CHECKS.len());
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
    }
    let explained = manual
        .lines()
        .filter(|line| line.starts_with("### `"))
        .count();
    assert_eq!(
        explained,
        CHECKS.len(),
        "docs/doctor.md explains a check that is gone"
    );
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
    assert_eq!(ids(&["engine", "host.clock"]).len(), 4);
    assert_eq!(
        select(&["egress.nothing".to_owned()]).unwrap_err(),
        "egress.nothing"
    );
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
fn the_update_check_is_shown_even_when_all_is_well() {
    insta::assert_snapshot!(examine(&healthy(), &all()).text(false));
}

#[test]
fn programs_read_the_same_as_people() {
    let json = serde_json::to_value(examine(&healthy(), &all())).unwrap();
    assert_eq!(json["counts"]["ok"], CHECKS.len());
    let update = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == "egress.update-check")
        .unwrap();
    assert_eq!(update["outcome"], "pass");
    assert!(update["evidence"].as_str().unwrap().contains("12 ms"));
}
