//! The facts before an install that nothing is wrong with, for tests to spoil.

use std::collections::BTreeMap;

use super::fixture::{healthy, installed};
use crate::appliance::generation::{Generation, stack_bytes};
use crate::appliance::state::{EnginePlace, Recorded, SCHEMA, State, Status};
use crate::bundle::manifest::{Base, BundleManifest, FORMAT, Platform, UpgradeRules};
use crate::engine::EngineKind;
use crate::facts::existing::Existing;
use crate::facts::subject::Secrets;
use crate::facts::{Change, DiskNeed, Fact, Facts, Subject};
use crate::oci::digest::Digest;
use crate::sign::TrustStatement;
use crate::sys::host::PortState;

fn manifest() -> BundleManifest {
    BundleManifest {
        format: FORMAT,
        release: installed().release,
        created: "2026-11-20T10:00:00Z".parse().unwrap(),
        platform: Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
        },
        lfctl: "0.1.0".parse().unwrap(),
        images: BTreeMap::new(),
        stack: Digest::of(b"stack"),
        upgrade: UpgradeRules::default(),
        trust: TrustStatement::default(),
        base: Some(Base {
            name: "langfuse 4.15.0".to_owned(),
            digest: Digest::of(b"base"),
            absent: Vec::new(),
        }),
        sbom: None,
        blobs: Vec::new(),
    }
}

/// A first install on a clean host, from a bundle that builds on another.
pub(super) fn first() -> Facts {
    let names = |name: &str| BTreeMap::from([(name.to_owned(), false)]);
    let change = Change {
        manifest: manifest(),
        bundle: Digest::of(b"bundle"),
        is_upgrade: false,
        cold: None,
        recorded: None,
        existing: Existing {
            networks: names("lf-internal"),
            volumes: names("lf-postgres-data"),
            ..Existing::default()
        },
        needs: vec![DiskNeed {
            path: "/var/lib/docker".to_owned(),
            purpose: "images and data".to_owned(),
            bytes: 1 << 30,
            free: Some(2 << 30),
        }],
        port: Some(("0.0.0.0:8080".parse().unwrap(), PortState::Free)),
        missing: Vec::new(),
    };
    let well = healthy();
    Facts {
        change: Some(change),
        engine: well.engine,
        host: well.host,
        disks: well.disks,
        boot: well.boot,
        firewall: well.firewall,
        nofile: Fact::Known(1_048_576),
        ..Facts::unasked(
            well.now,
            Subject {
                images: BTreeMap::new(),
                secrets: Secrets::Missing,
                status: None,
                updated: None,
                ..installed()
            },
        )
    }
}

/// An install over the data that an uninstall kept.
pub(super) fn kept() -> Facts {
    let mut facts = first();
    let Fact::Known(engine) = &facts.engine else {
        panic!("the engine is known")
    };
    let release = manifest().release;
    let stack = facts.subject.stack.clone();
    let updated = "2026-11-22T10:00:00Z".parse().unwrap();
    let current = Generation {
        number: 1,
        release: release.clone(),
        bundle: Digest::of(b"bundle"),
        key: None,
        images: BTreeMap::new(),
        stack: Digest::of(&stack_bytes(&stack).unwrap()),
        site: None,
        listen: "0.0.0.0:8080".parse().unwrap(),
        schemas: BTreeMap::new(),
        schema_change: crate::stack::release::SchemaChange::Additive,
        backup: None,
        made_by: "install".to_owned(),
        at: updated,
    };
    let record = Recorded {
        schema: SCHEMA,
        lfctl: "0.1.0".to_owned(),
        status: Status::Uninstalled,
        current,
        previous: None,
        run: String::new(),
        highest_counters: [(release.name, release.counter)].into(),
        engine: EngineKind::Docker,
        engine_at: Some(EnginePlace::of(engine)),
        holds_data: true,
        fingerprints: BTreeMap::new(),
        stopped: std::collections::BTreeSet::new(),
        updated,
    };
    let state = State { record, stack };
    facts.subject.status = Some(state.status);
    facts.subject.updated = Some(state.updated);
    facts.subject.secrets = Secrets::Same(3);
    let change = facts.change.as_mut().unwrap();
    change.recorded = Some(state);
    change.existing.volumes = [("lf-postgres-data".to_owned(), true)].into();
    facts
}
