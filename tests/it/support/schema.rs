//! What lfctl prints with `--json`, held against the published schemas.

use std::path::Path;

use fs_err as fs;
use serde_json::Value;

/// Commands that print one document, and the schema of it. One with an option
/// comes before the same without.
const DOCUMENTS: &[(&str, &str)] = &[
    ("audit show", "audit-show"),
    ("audit verify", "audit-verify"),
    ("backup list", "backup-list"),
    ("backup prune --dry-run", "backup-prune-plan"),
    ("backup prune", "backup-prune"),
    ("backup verify", "backup-verify"),
    ("bundle diff", "diff"),
    ("bundle inspect", "inspect"),
    ("bundle sign", "bundle-sign"),
    ("bundle split", "bundle-split"),
    ("bundle verify", "receipt"),
    ("doctor --egress-lab", "egress-lab"),
    ("doctor --list", "doctor-list"),
    ("doctor --prove-airgap", "airgap"),
    ("doctor", "doctor"),
    ("egress list", "egress"),
    ("history", "history"),
    ("inventory", "inventory"),
    ("key", "key"),
    ("logs", "logs"),
    ("plan", "plan"),
    ("status", "status"),
    ("support-bundle", "support-bundle"),
    ("systemd print", "systemd"),
    ("trust add", "trust-key"),
    ("trust apply", "trust-list"),
    ("trust list", "trust-list"),
    ("trust require", "trust-require"),
    ("trust revoke", "trust-key"),
    ("trust statement", "trust-statement"),
    ("uninstall --dry-run", "uninstall-plan"),
    ("verify --running", "verify-running"),
    ("verify", "receipt"),
];

/// Commands that print one event a line.
const STREAMS: &[&str] = &[
    "backup create",
    "backup drill",
    "bundle create",
    "bundle load",
    "install",
    "recover",
    "restart",
    "restore",
    "rollback",
    "start",
    "stop",
    "uninstall",
    "upgrade",
];

/// Whether `arguments` run `command`: its words in their order, its options
/// anywhere.
fn runs(arguments: &[&str], command: &str) -> bool {
    let mut rest = arguments.iter();
    command.split(' ').all(|word| {
        if word.starts_with("--") {
            arguments.contains(&word)
        } else {
            rest.any(|argument| *argument == word)
        }
    })
}

/// Holds what a run of lfctl printed against the schema of its command, if
/// `arguments` ask for JSON.
#[track_caller]
pub(crate) fn check(arguments: &[&str], stdout: &[u8]) {
    if !arguments.contains(&"--json") || stdout.is_empty() {
        return;
    }
    let text = std::str::from_utf8(stdout).unwrap();
    let document = DOCUMENTS.iter().find(|(one, _)| runs(arguments, one));
    // A list of packages has the official schema, and a test of its own.
    if runs(arguments, "bundle sbom") {
        return;
    }
    if let Some((_, schema)) = document {
        valid(schema, &serde_json::from_str(text).unwrap(), arguments);
        return;
    }
    let is_stream = STREAMS.iter().any(|one| runs(arguments, one));
    assert!(is_stream, "{arguments:?} prints JSON that has no schema");
    for line in text.lines() {
        valid("events", &serde_json::from_str(line).unwrap(), arguments);
    }
}

#[track_caller]
fn valid(schema: &str, value: &Value, arguments: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/schemas")
        .join(format!("{schema}-1.json"));
    let schema: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{arguments:?} does not fit {}: {}\n{value:#}",
        file.display(),
        errors.join("; ")
    );
}

#[test]
fn every_schema_belongs_to_a_command_and_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("docs/json.md")).unwrap();
    for entry in fs::read_dir(root.join("docs/schemas")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = DOCUMENTS.iter().map(|(_, schema)| *schema);
        let mut known = known.chain(["events"]);
        assert!(known.any(|one| format!("{one}-1.json") == name), "{name}");
        assert!(docs.contains(&format!("(schemas/{name})")), "{name}");
    }
}
