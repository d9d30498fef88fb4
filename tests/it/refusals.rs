//! Bad input at the command line: each ends with its own exit code and
//! message, and changes nothing on the host or in the engine.

use std::io::{Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use fs_err as fs;

use lfctl::appliance::state::{EnginePlace, Status};
use lfctl::engine::EngineKind;
use lfctl::fake::bundle::Fake;

use crate::support::bundle as bundle_support;
use crate::support::host::{Host, rehearsal, text};

fn bundle() -> PathBuf {
    rehearsal().join("bundles/rehearsal-1.tar")
}

/// A copy that shares its blocks with the original where the filesystem can.
fn copy(host: &Host, name: &str) -> PathBuf {
    let copy = host.dir.path().join(name);
    fs::copy(bundle(), &copy).unwrap();
    copy
}

fn flip(path: &Path, offset: u64) {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(&mut seek(&mut file, offset), &mut byte).unwrap();
    seek(&mut file, offset).write_all(&[byte[0] ^ 1]).unwrap();
}

fn seek(file: &mut fs::File, offset: u64) -> &mut fs::File {
    file.seek(SeekFrom::Start(offset)).unwrap();
    file
}

/// Name, header offset, data offset and size of every entry.
fn entries(path: &Path) -> Vec<(String, u64, u64, u64)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    archive
        .entries_with_seek()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.path().unwrap().to_string_lossy().into_owned(),
                entry.raw_header_position(),
                entry.raw_file_position(),
                entry.size(),
            )
        })
        .collect()
}

/// Everything below a directory, so that "changes nothing" can be compared.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(entries) = fs::read_dir(dir) {
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(tree(&path));
            } else {
                found.push(format!(
                    "{}: {:?}",
                    path.display(),
                    fs::read(&path).unwrap()
                ));
            }
        }
    }
    found.sort();
    found
}

fn refused(host: &Host, code: i32, arguments: &[&str], words: &[&str]) {
    let before = tree(&host.root());
    let stderr = host.fails(code, arguments);
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in:\n{stderr}");
    }
    assert_eq!(tree(&host.root()), before, "{arguments:?} left something");
    assert_eq!(host.in_engine(), Vec::<String>::new(), "{arguments:?}");
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_bundle_that_is_not_what_a_trusted_key_signed_is_refused() {
    let host = Host::ready();
    refused(&host, 74, &host.install("nowhere.tar"), &["nowhere.tar"]);

    let whole = fs::metadata(bundle()).unwrap().len();
    let entries = entries(&bundle());
    let find = |name: &str| entries.iter().find(|entry| entry.0 == name).unwrap();
    let layer = entries.iter().max_by_key(|entry| entry.3).unwrap();
    let blobs: Vec<_> = entries
        .iter()
        .filter(|e| e.0.starts_with("blobs/"))
        .collect();

    let cuts = [
        ("half.tar", whole / 2, "truncated"),
        ("end.tar", whole - 1, "truncated"),
        ("head.tar", 100, "not a bundle"),
        ("empty.tar", 0, "not a bundle"),
    ];
    for (name, keep, word) in cuts {
        let path = copy(&host, name);
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(keep)
            .unwrap();
        refused(&host, 4, &host.install(name), &[word]);
    }
    // Behind the signature: bundle manifest, stack, configs and manifests are
    // the small blobs at the front.
    let spots = [
        ("signature", find("index.json.minisig").2 + 104, "signature"),
        ("index", find("index.json").2 + 40, "signature"),
        ("docker index", find("manifest.json").2 + 5, "manifest.json"),
        ("first blob", blobs[0].2 + 10, "manifest"),
        ("second blob", blobs[1].2 + 10, "manifest"),
        ("third blob", blobs[2].2 + 10, "stack"),
        ("fourth blob", blobs[3].2 + 10, "sha256:"),
        ("layer header", layer.1 + 5, "header"),
        ("index header", find("index.json").1 + 150, "header"),
    ];
    for (what, offset, word) in spots {
        let path = copy(&host, "flipped.tar");
        flip(&path, offset);
        let stderr = host.fails(4, &host.install("flipped.tar"));
        assert!(
            stderr.contains(word),
            "{what}: `{word}` is not in:\n{stderr}"
        );
        assert_eq!(host.in_engine(), Vec::<String>::new(), "{what}");
    }
    // A layer is hashed on its way to the engine; verify finds it as well.
    let path = copy(&host, "layer.tar");
    flip(&path, layer.2 + layer.3 / 2);
    let digest = layer.0.rsplit('/').next().unwrap();
    let stderr = host.fails(4, &["bundle", "verify", "layer.tar"]);
    assert!(stderr.contains(digest), "{stderr}");
    let stderr = host.fails(4, &host.install("layer.tar"));
    assert!(stderr.contains(digest), "{stderr}");
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_bundle_without_a_signature_is_refused() {
    let host = Host::ready();
    let entries = entries(&bundle());
    let signature = entries
        .iter()
        .position(|e| e.0 == "index.json.minisig")
        .unwrap();
    let (from, to) = (entries[signature].1, entries[signature + 1].1);
    let whole = fs::read(bundle()).unwrap();
    let without = [
        &whole[..usize::try_from(from).unwrap()],
        &whole[usize::try_from(to).unwrap()..],
    ];
    fs::write(host.dir.path().join("unsigned.tar"), without.concat()).unwrap();
    refused(&host, 4, &host.install("unsigned.tar"), &["not signed"]);
}

/// Preflight needs no image to be real, so a made-up bundle asks for more
/// than any host has.
#[test]
#[ignore = "needs the rehearsal"]
fn a_stack_that_does_not_fit_is_refused() {
    let host = Host::ready();
    let fake = |spoil: fn(&mut Fake)| {
        let (key, mut bundle) = (bundle_support::key(), Fake::small().unwrap());
        spoil(&mut bundle);
        let file = host.dir.path().join("fake.tar");
        bundle.write(&file, &key).unwrap();
        let public = host.dir.path().join("fake.pub");
        fs::write(&public, key.public().to_text()).unwrap();
        host.ok(&["trust", "add", &text(&public)]);
    };
    fake(|bundle| bundle.stack.requires.data_mib = 1 << 40);
    refused(
        &host,
        5,
        &host.install("fake.tar"),
        &["needs", "are free", "df -h"],
    );
    fake(|bundle| {
        bundle.stack.requires.memory_mib = 1 << 40;
        bundle.stack.requires.recommended_memory_mib = 1 << 40;
    });
    refused(&host, 5, &host.install("fake.tar"), &["too little memory"]);
    fake(|bundle| bundle.lfctl = "99.0.0".parse().unwrap());
    refused(&host, 1, &host.install("fake.tar"), &["99.0.0"]);
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_key_that_is_not_trusted_opens_nothing() {
    let host = Host::bare();
    let bundle = text(&bundle());
    refused(&host, 4, &host.install(&bundle), &["trust"]);
    host.ok(&["key", "generate", "--no-password", "-o", "other"]);
    host.ok(&["trust", "add", "other.pub"]);
    refused(&host, 4, &host.install(&bundle), &["key"]);
    host.ok(&["trust", "add", &text(&rehearsal().join("keys/release.pub"))]);
    host.ok(&["bundle", "verify", &bundle]);
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_site_that_cannot_work_is_refused_before_anything_starts() {
    let host = Host::ready();
    let bundle = text(&bundle());
    let good = host.site_text();
    let cases = [
        (format!("colour = \"blue\"\n{good}"), "colour"),
        (good.replace("http://localhost", "ftp://localhost"), "url"),
        (good.replace("admin@example.com", "nobody"), "email"),
        (format!("{good}\n[secrets]\nsalt = \"mysalt\"\n"), "salt"),
        (
            format!(
                "{good}\n[secrets]\nencryption-key = \"{}\"\n",
                "0".repeat(64)
            ),
            "encryption-key",
        ),
        (
            format!("{good}\n[env.web]\nTELEMETRY_ENABLED = \"true\"\n"),
            "TELEMETRY_ENABLED",
        ),
        ("this is no toml".to_owned(), "site.toml"),
    ];
    for (site, word) in cases {
        fs::write(host.site(), site).unwrap();
        refused(&host, 3, &host.install(&bundle), &[word]);
    }
    fs::remove_file(host.site()).unwrap();
    refused(&host, 74, &host.install(&bundle), &["site.toml"]);
}

/// Makes a key of this kind and a certificate for it.
#[cfg(feature = "pull")]
fn pair(host: &Host, name: &str, kind: &[&str]) {
    let path = |end: &str| text(&host.dir.path().join(format!("{name}.{end}")));
    let mut arguments = vec![
        "req",
        "-x509",
        "-nodes",
        "-days",
        "90",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ];
    arguments.extend(kind);
    let (key, pem) = (path("key"), path("pem"));
    arguments.extend(["-keyout", &key, "-out", &pem]);
    bundle_support::run("openssl", &arguments);
}

#[cfg(feature = "pull")]
#[test]
#[ignore = "needs the rehearsal"]
fn a_key_of_another_certificate_is_refused_while_the_gateway_runs_on() {
    let host = Host::ready();
    let bundle = text(&bundle());
    pair(&host, "rsa", &["-newkey", "rsa:2048"]);
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    pair(&host, "ec", &curve);
    pair(&host, "other", &curve);
    let site = |certificate: &str, key: &str| {
        let site = host.site_text().replace("http://", "https://");
        let dir = host.dir.path().display();
        let tls = format!(
            "[tls]\ncertificate = \"{dir}/{certificate}.pem\"\nkey = \"{dir}/{key}.key\"\n"
        );
        fs::write(host.site(), format!("{site}\n{tls}")).unwrap();
    };
    let dry_run = [&host.install(&bundle)[..], &["--dry-run"]].concat();
    for name in ["rsa", "ec"] {
        site(name, name);
        host.ok(&dry_run);
    }
    for (certificate, key) in [("ec", "other"), ("ec", "rsa"), ("rsa", "ec")] {
        site(certificate, key);
        refused(
            &host,
            3,
            &dry_run,
            &["is not that of the first certificate"],
        );
    }
}

#[test]
#[ignore = "needs the rehearsal"]
fn an_appliance_that_another_engine_holds_is_not_taken_for_lost() {
    let host = Host::ready();
    let bundle = text(&bundle());
    host.record(|state| state.engine = EngineKind::Podman);
    let refusal = host.fails(5, &host.install(&bundle));
    assert!(refusal.contains("lives in podman"), "{refusal}");
    assert!(!refusal.contains("--purge"), "{refusal}");
    host.record(|state| {
        state.engine_at = Some(EnginePlace {
            socket: "/run/user/7/docker.sock".to_owned(),
            data_root: "/home/somebody/.local/share/docker".to_owned(),
        });
    });
    let words = [
        "lives in another docker",
        "--engine unix:///run/user/7/docker.sock",
    ];
    refused(&host, 5, &host.install(&bundle), &words);
    let uninstall = ["uninstall", "--purge", "--yes", "--name", &host.name];
    refused(&host, 7, &uninstall, &words);
    refused(&host, 7, &["doctor", "--name", &host.name], &words);
    let gone = [&uninstall[..], &["--without-record"]].concat();
    host.ok(&gone);
    assert!(!host.state_dir().exists());
}

#[test]
#[ignore = "needs the rehearsal"]
fn data_that_is_gone_is_not_made_anew_without_a_word() {
    let host = Host::ready();
    let bundle = text(&bundle());
    let cases = [
        (Status::Installed, true),
        (Status::Installing, true),
        (Status::Uninstalled, true),
        // As an older lfctl left it.
        (Status::Installed, false),
    ];
    for (status, holds_data) in cases {
        host.record(|state| (state.status, state.holds_data) = (status, holds_data));
        let words = ["held its data, are gone", "lfctl uninstall --root"];
        refused(&host, 5, &host.install(&bundle), &words);
    }
}

#[test]
#[ignore = "needs the rehearsal"]
fn a_host_that_cannot_carry_it_is_refused() {
    let host = Host::ready();
    let bundle = text(&bundle());
    let mut no_engine = host.install(&bundle);
    no_engine.extend(["--engine", "unix:///nowhere/docker.sock"]);
    refused(
        &host,
        7,
        &no_engine,
        &["no container engine", "/nowhere/docker.sock"],
    );

    let taken = TcpListener::bind(("127.0.0.1", host.port)).unwrap();
    refused(
        &host,
        5,
        &host.install(&bundle),
        &[&host.port.to_string(), "in use"],
    );
    drop(taken);

    refused(
        &host,
        2,
        &["install", "--offline", &bundle, "--no-such-flag"],
        &["no-such-flag"],
    );
    refused(
        &host,
        2,
        &["install", &bundle, "--name", "Not A Name"],
        &["name"],
    );
}
