//! The releases that are broken on purpose: written by a script, so that they
//! follow the second release.

use std::collections::BTreeSet;
use std::process::Command;

use fs_err as fs;
use lfctl::bundle::spec::BundleSpec;

use super::spec;

#[test]
fn broken_releases_differ_from_the_second_one_only_where_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("{}/scripts/rehearsal/broken", env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(script).arg(dir.path()).status().unwrap();
    assert!(status.success());

    let (second, third) = (spec("rehearsal-2"), spec("rehearsal-3"));
    let mut seen = BTreeSet::new();
    for fault in [
        "unhealthy",
        "crash-loop",
        "migration-fails",
        "migration-hangs",
    ] {
        let file = dir.path().join(format!("rehearsal-{fault}.toml"));
        let mut broken = BundleSpec::parse(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(broken.release.name, second.release.name);
        assert!(broken.release.counter > second.release.counter);
        assert!(broken.release.counter < third.release.counter);
        assert!(seen.insert(broken.release.counter));
        let rules = &broken.upgrade.from;
        assert!(
            rules
                .iter()
                .any(|rule| rule.matches(&second.release.version))
        );

        let version = broken.release.version.to_string();
        assert_eq!(broken.stack.langfuse.version, version);
        for (key, reference) in &broken.images {
            let is_double = key == "web" || key == "worker";
            assert_eq!(*reference != second.images[key], is_double, "{reference}");
            assert!(!is_double || reference.ends_with(&format!(":{version}")));
        }
        let levels: Vec<_> = broken
            .stack
            .schemas
            .iter()
            .map(|schema| schema.count)
            .collect();
        let expected = if fault.starts_with("migration") { 5 } else { 4 };
        assert_eq!(levels, [4, expected], "{fault}");

        broken
            .stack
            .langfuse
            .version
            .clone_from(&second.stack.langfuse.version);
        broken.stack.schemas.clone_from(&second.stack.schemas);
        // A test waits for one that never gets healthy.
        if fault == "unhealthy" {
            let mut services = broken.stack.services.iter_mut();
            let web = services.find(|one| one.name == "web").unwrap();
            assert_eq!(std::mem::replace(&mut web.health.wait_seconds, 180), 40);
        }
        assert!(broken.stack == second.stack, "{fault}");
    }
}
