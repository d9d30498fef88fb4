//! The program as a file: what it is built from, and what it needs to start.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use crate::support::host::both;

#[test]
fn without_the_registry_client_there_is_no_tls() {
    let tree = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "-e", "normal", "--prefix", "none"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", both(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let is_reaching_out = |name: &String| {
        [
            "rustls",
            "tls",
            "openssl",
            "aws-lc",
            "ring",
            "schannel",
            "security-framework",
        ]
        .iter()
        .any(|word| name.contains(word) && !name.contains("string"))
            || ["reqwest", "ureq", "isahc", "curl"].contains(&name.as_str())
    };
    let offline: Vec<_> = tree(&["--no-default-features"])
        .into_iter()
        .filter(is_reaching_out)
        .collect();
    assert_eq!(offline, Vec::<String>::new());
    assert!(
        tree(&[]).iter().any(is_reaching_out),
        "the words find nothing at all"
    );
}

#[test]
#[ignore = "needs root and the static binary"]
fn the_release_binary_starts_in_a_root_that_holds_nothing_else() {
    let binary = std::env::var_os("LFCTL_STATIC")
        .expect("no static binary: run the tests by `scripts/test`");
    let root = tempfile::tempdir().unwrap();
    fs::copy(Path::new(&binary), root.path().join("lfctl")).unwrap();
    for arguments in [&["--version"][..], &["bundle", "create", "--help"]] {
        let output = Command::new("chroot")
            .arg(root.path())
            .arg("/lfctl")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", both(&output));
    }
    // Without an engine it says so, and does not die of a missing library.
    let output = Command::new("chroot")
        .arg(root.path())
        .args(["/lfctl", "doctor"])
        .output()
        .unwrap();
    assert!(both(&output).contains("error:"), "{}", both(&output));
    assert!(
        output.status.code().is_some_and(|code| code < 70),
        "{}",
        both(&output)
    );
}
