//! What shells offer at Tab.

use std::path::Path;
use std::process::Command;

use crate::support::host::Host;

/// What a bash offers for the last word of a line.
fn offered(host: &Host, line: &str) -> Vec<String> {
    let words: Vec<_> = line.split(' ').collect();
    let (last, before) = (words.len() - 1, words[words.len() - 2]);
    let current = words[last];
    let quoted = words
        .iter()
        .map(|word| shell_words::quote(word).into_owned());
    let script = format!(
        "source <(lfctl completions bash)\n\
         complete -p lfctl > /dev/null || exit 1\n\
         COMP_WORDS=({}) COMP_CWORD={last}\n\
         _clap_complete_lfctl lfctl '{current}' '{before}'\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.collect::<Vec<_>>().join(" ")
    );
    let lfctl = Path::new(env!("CARGO_BIN_EXE_lfctl")).parent().unwrap();
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env("PATH", format!("{}:/usr/bin:/bin", lfctl.display()))
        .current_dir(host.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

const TLS: [&str; 5] = [
    "tls",
    "tls.expiry",
    "tls.key-file",
    "tls.name",
    "tls.strength",
];

#[test]
fn a_shell_offers_what_is_on_this_host() {
    let host = Host::bare();
    host.record(|_| ());
    let name = host.name.as_str();
    for (line, wanted) in [
        ("lfctl status --root root --name ", &[name][..]),
        ("lfctl logs --root root w", &["web", "worker"]),
        ("lfctl restart --root root --name NAME ga", &["gateway"]),
        ("lfctl restart --root nowhere ga", &[]),
        ("lfctl doctor --only egress.up", &["egress.update-check"]),
        ("lfctl doctor --only tls.e", &["tls.expiry"]),
        ("lfctl doctor --only tl", &TLS),
        ("lfctl help si", &["site"]),
        ("lfctl help upg", &["upgrade"]),
        ("lfctl inst", &["install"]),
    ] {
        let mut offered = offered(&host, &line.replace("NAME", name));
        offered.retain(|word| !word.is_empty());
        offered.sort();
        assert_eq!(offered, wanted, "{line}");
    }
}

#[test]
fn every_shell_has_a_script() {
    let host = Host::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = host.ok(&["completions", shell]);
        assert!(script.contains("LFCTL_COMPLETE"), "{shell}: {script}");
    }
}
