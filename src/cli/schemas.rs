//! The JSON schemas of what `--json` prints, held against `docs/schemas`.
//!
//! A schema carries the version of its document. Who changes a type sees
//! the difference here; `LFCTL_UPDATE_SCHEMAS=1 cargo test schemas` writes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::Value;

use crate::bundle::delta::{self, Inventory};
use crate::bundle::diff::Difference;
use crate::bundle::receipt::{self, Receipt};
use crate::change::uninstall::Removal;
use crate::check::{Examination, airgap, lab};
use crate::oci::digest::Digest;
use crate::report::event::{self, Event};
use crate::repository::{Pruned, Retained};
use crate::sign::{IntroducedKey, KeyId, TrustStatement};
use crate::sys::versioned::Writer;

macro_rules! text_schema {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

text_schema!(Digest, "Digest", "^sha256:[0-9a-f]{64}$");
text_schema!(KeyId, "KeyId", "^[0-9A-F]{16}$");
text_schema!(IntroducedKey, "PublicKey", "^[0-9A-Za-z+/]+=*$");
text_schema!(Writer, "Writer", "^[0-9]+\\.[0-9]+\\.[0-9]+");

/// One line of a command that streams.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
#[expect(
    clippy::large_enum_variant,
    reason = "its schema is all that is made of it"
)]
enum Line {
    /// What every command may say.
    Any(Event),
    /// What only some commands say.
    Own(OwnEvent),
}

#[derive(JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
#[expect(
    clippy::large_enum_variant,
    reason = "its schema is all that is made of it"
)]
enum OwnEvent {
    /// `bundle create` made this bundle.
    Created(Receipt),
    /// `bundle load` loaded these images.
    Loaded {
        /// Fields that may grow without a new version.
        #[serde(flatten)]
        fields: BTreeMap<String, Value>,
    },
    /// What `--dry-run` of `install` or `bundle load` would do.
    Plan {
        /// Fields that may grow without a new version.
        #[serde(flatten)]
        fields: BTreeMap<String, Value>,
    },
}

fn published() -> Vec<(String, Schema)> {
    let name = |what: &str, version: u32| format!("{what}-{version}.json");
    vec![
        (name("events", event::SCHEMA), schema_for!(Line)),
        (name("receipt", receipt::SCHEMA), schema_for!(Receipt)),
        (name("inventory", delta::SCHEMA), schema_for!(Inventory)),
        (name("diff", 1), schema_for!(Difference)),
        (name("key", 1), schema_for!(super::key::Shown)),
        (name("trust-list", 1), schema_for!(Vec<super::trust::Entry>)),
        (name("trust-key", 1), schema_for!(super::trust::Entry)),
        (
            name("trust-require", 1),
            schema_for!(super::trust::Required),
        ),
        (name("trust-statement", 1), schema_for!(TrustStatement)),
        (
            name("bundle-sign", 1),
            schema_for!(super::bundle::Countersigned),
        ),
        (name("bundle-split", 1), schema_for!(super::bundle::Parted)),
        (name("backup-list", 1), schema_for!(Vec<super::backup::Row>)),
        (name("airgap", airgap::SCHEMA), schema_for!(airgap::Proof)),
        (name("egress-lab", lab::SCHEMA), schema_for!(lab::Lab)),
        (
            name("backup-verify", 1),
            schema_for!(super::backup::Verified),
        ),
        (name("backup-prune", 1), schema_for!(Pruned)),
        (name("backup-prune-plan", 1), schema_for!(Vec<Retained>)),
        (name("history", 1), schema_for!(Vec<super::history::Row>)),
        (
            name("verify-running", 1),
            schema_for!(super::verify::Report),
        ),
        (name("uninstall-plan", 1), schema_for!(Removal)),
        (name("egress", 1), schema_for!(super::egress::Listed)),
        (name("status", 1), schema_for!(Vec<super::status::Report>)),
        (name("doctor", 1), schema_for!(Examination)),
        (name("plan", 1), schema_for!(super::plan::Planned)),
        (
            name("support-bundle", 1),
            schema_for!(super::support::Written),
        ),
        (name("systemd", 1), schema_for!(super::systemd::Printed)),
        (
            name("doctor-list", 1),
            schema_for!(Vec<super::doctor::Listed>),
        ),
        (name("inspect", 1), schema_for!(super::bundle::Inspection)),
        (name("logs", 1), schema_for!(Vec<super::logs::Line>)),
        (
            name("audit-verify", 1),
            schema_for!(Vec<super::audit::Verified>),
        ),
        (name("audit-show", 1), schema_for!(Vec<super::audit::Shown>)),
    ]
}

#[test]
fn published_schemas_are_those_of_the_types() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let mut known = Vec::new();
    for (name, schema) in published() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let file = dir.join(&name);
        if std::env::var_os("LFCTL_UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(&dir).unwrap();
            fs::write(&file, &text).unwrap();
        }
        let there = fs::read_to_string(&file).unwrap_or_default();
        assert!(
            there == text,
            "docs/schemas/{name} is another one: `LFCTL_UPDATE_SCHEMAS=1 cargo test schemas` \
             writes it; a field that goes or changes its meaning needs a new version"
        );
        known.push(name);
    }
    for entry in fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "nothing makes docs/schemas/{name}");
    }
}
