//! Certificates: which are trusted, and what is said of the others.

use std::path::Path;

use super::network::{assert_made, assert_refused};
use super::{Desk, pushed};
use crate::support::registry::LocalRegistry;

/// A certificate and its key, made by openssl.
fn openssl(dir: &Path, words: &[&str]) {
    let output = std::process::Command::new("openssl")
        .args(words)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

/// The same images behind these files.
fn over_tls(open: &LocalRegistry, dir: &Path, name: &str) -> LocalRegistry {
    let file = |end: &str| dir.join(format!("{name}.{end}")).display().to_string();
    open.with(&format!(
        "  tls:\n    certificate: {}\n    key: {}\n",
        file("crt"),
        file("key")
    ))
}

#[test]
#[ignore = "needs a registry and openssl"]
#[expect(clippy::too_many_lines, reason = "one registry for every trouble")]
fn each_trouble_with_tls_has_a_hint_of_its_own() {
    let open = pushed();
    let desk = Desk::new();
    let dir = desk.dir.path();
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let own = |name: &str, more: &[&str]| {
        let files = (format!("{name}.key"), format!("{name}.crt"));
        let words = [
            "req", "-x509", "-subj", "/CN=it", "-keyout", &files.0, "-out", &files.1,
        ];
        openssl(dir, &[&words[..], &key, more].concat());
    };
    let here = ["-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
    // By its default this is the certificate of an authority.
    own("ca-too", &here);
    own(
        "other",
        &["-addext", "subjectAltName=DNS:other.example", "-days", "2"],
    );
    own("ca", &["-days", "2"]);
    let request = [
        "req", "-subj", "/CN=it", "-keyout", "leaf.key", "-out", "leaf.csr",
    ];
    openssl(dir, &[&request[..], &key].concat());
    fs_err::write(dir.join("ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let sign = [
        "x509", "-req", "-in", "leaf.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
    ];
    let to = [
        "-CAcreateserial",
        "-out",
        "leaf.crt",
        "-days",
        "2",
        "-extfile",
        "ext",
    ];
    openssl(dir, &[&sign[..], &to].concat());
    fs_err::copy(dir.join("leaf.key"), dir.join("old.key")).unwrap();
    let sign = ["x509", "-req", "-in", "leaf.csr", "-signkey", "old.key"];
    let to = ["-out", "old.crt", "-days", "-1", "-extfile", "ext"];
    openssl(dir, &[&sign[..], &to].concat());

    let pull = |address: &str, more: &[&str]| {
        let (docker, quay) = (format!("docker.io={address}"), format!("quay.io={address}"));
        let mut create = Desk::create(&docker, &quay);
        create.retain(|word| *word != "--plain-http");
        create.extend(more);
        desk.command(&create).output().unwrap()
    };
    for (name, ca, words) in [
        ("ca-too", None, ["signs itself", "--ca FILE"]),
        ("leaf", None, ["authority not known", "--ca FILE"]),
        (
            "leaf",
            Some("other.crt"),
            ["authority not known", "--ca FILE"],
        ),
        (
            "other",
            Some("other.crt"),
            ["other.example", "name the registry as"],
        ),
        ("old", Some("old.crt"), ["has expired", "`date`"]),
    ] {
        let registry = over_tls(&open, dir, name);
        let more: Vec<_> = ca.iter().flat_map(|file| ["--ca", file]).collect();
        let refused = pull(&registry.address(), &more);
        assert_refused(&refused, &words);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!text.contains("--plain-http"), "{text}");
    }
    let ca = fs_err::read(dir.join("ca.crt")).unwrap();
    let marked = [b"\xef\xbb\xbf".as_slice(), &ca].concat();
    fs_err::write(dir.join("marked.crt"), marked).unwrap();
    openssl(
        dir,
        &["x509", "-in", "ca.crt", "-outform", "DER", "-out", "ca.der"],
    );
    // The certificate itself, and the authority that signed it, as Windows
    // writes it too.
    for (name, ca) in [
        ("ca-too", "ca-too.crt"),
        ("leaf", "leaf.crt"),
        ("leaf", "ca.crt"),
        ("leaf", "marked.crt"),
        ("leaf", "ca.der"),
    ] {
        let registry = over_tls(&open, dir, name);
        assert_made(&pull(&registry.address(), &["--ca", ca]));
    }
    fs_err::write(
        dir.join("cut.der"),
        &fs_err::read(dir.join("ca.der")).unwrap()[..99],
    )
    .unwrap();
    for wrong in ["ca.key", "cut.der"] {
        let refused = pull(&open.address(), &["--ca", wrong]);
        assert_eq!(refused.status.code(), Some(2));
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(&format!("out of `{wrong}`")), "{text}");
    }
    let refused = pull(&open.address(), &[]);
    assert_refused(&refused, &["does not speak TLS", "--plain-http"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!text.contains("--ca"), "{text}");
    let registry = over_tls(&open, dir, "leaf");
    let refused = pull(&registry.address(), &["--plain-http"]);
    assert_refused(&refused, &["leave out `--plain-http`"]);
}
