//! Logins and private certificates.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use lfctl::oci::digest::Digest;

use super::server::{answer, ok, serve};
use super::{Desk, app, gateway, pushed};
use crate::support::bundle::run;
use crate::support::registry::LocalRegistry;

const USER: &str = "release";
const PASSWORD: &str = "kept-in-a-safe";

/// Makes a registry want a login.
pub(super) fn htpasswd(dir: &Path) -> String {
    let file = dir.join("htpasswd");
    let line = run("htpasswd", &["-nbB", USER, PASSWORD]);
    fs_err::write(&file, line).unwrap();
    format!(
        "auth:\n  htpasswd:\n    realm: it\n    path: {}\n",
        file.display()
    )
}

/// The login as `docker login` leaves it.
pub(super) fn login(address: &str) -> serde_json::Value {
    let auth = base64(&format!("{USER}:{PASSWORD}"));
    serde_json::json!({"auths": {address: {"auth": auth}}})
}

/// A registry over the images of `open` that wants a login.
fn locked(open: &LocalRegistry, dir: &Path) -> LocalRegistry {
    open.with(&htpasswd(dir))
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

impl Desk {
    pub(super) fn config(&self, config: &serde_json::Value) {
        fs_err::write(self.path("config.json"), config.to_string()).unwrap();
    }

    /// A credential helper that is asked like Docker's.
    fn helper(&self, name: &str, script: &str) {
        let file = self.path(&format!("docker-credential-{name}"));
        fs_err::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `bundle create` with this directory in the path.
    pub(super) fn pull(
        &self,
        address: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Output {
        let (docker, quay) = (format!("docker.io={address}"), format!("quay.io={address}"));
        let mut create = Self::create(&docker, &quay);
        create.extend(more);
        let path = format!(
            "{}:{}",
            self.dir.path().display(),
            std::env::var("PATH").unwrap()
        );
        self.command(&create)
            .env("PATH", path)
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }
}

pub(super) fn assert_made(output: &Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

pub(super) fn assert_refused(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains(PASSWORD), "{text}");
}

#[test]
#[ignore = "needs a registry and htpasswd"]
fn a_registry_with_passwords_is_shown_the_one_of_docker_login() {
    let open = pushed();
    let desk = Desk::new();
    let registry = locked(&open, desk.dir.path());
    let address = registry.address();
    let login = format!("log in with `docker login {address}`");
    let refused = desk.pull(&address, &[], &[]);
    assert_refused(&refused, &["none is known", &login]);

    for (password, is_right) in [(PASSWORD, true), ("wrong", false)] {
        let auth = base64(&format!("{USER}:{password}"));
        desk.config(&serde_json::json!({"auths": {&address: {"auth": auth}}}));
        let output = desk.pull(&address, &[], &[]);
        if is_right {
            assert_made(&output);
        } else {
            assert_refused(&output, &["it refuses the login", &login]);
        }
    }
}

/// As Harbor keeps what it has of other registries: below a project.
#[test]
#[ignore = "needs a registry"]
fn a_mirror_may_keep_images_below_a_path() {
    let open = LocalRegistry::start();
    open.push("proxy/cache/rehearsal/app:1.0.0", &app(2));
    open.push("proxy/cache/rehearsal/gateway:1.0.0", &gateway());
    let desk = Desk::new();
    assert_made(&desk.pull(&format!("{}/proxy/cache", open.address()), &[], &[]));
    desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);

    // The login is that of the host.
    let registry = locked(&open, desk.dir.path());
    let address = registry.address();
    desk.config(&login(&address));
    assert_made(&desk.pull(&format!("{address}/proxy/cache/"), &[], &[]));
    let refused = desk.pull(&format!("{address}/other"), &[], &[]);
    // Both are asked for at once.
    assert_refused(&refused, &["/rehearsal/", &address, "404"]);
}

#[test]
fn a_scheme_before_a_mirror_is_a_mistake_of_the_command_line() {
    let desk = Desk::new();
    for scheme in ["http", "https"] {
        let refused = desk.pull(&format!("{scheme}://harbor.lan/proxy"), &[], &[]);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        for word in ["`docker.io=harbor.lan/proxy`", "--plain-http"] {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    }
}

#[test]
#[ignore = "needs a registry and htpasswd"]
fn a_credential_helper_is_asked_only_when_a_login_is_wanted() {
    let open = pushed();
    let desk = Desk::new();
    let registry = locked(&open, desk.dir.path());
    let address = registry.address();
    desk.helper(
        "it",
        &format!(
            "test \"$1\" = get && read -r server; echo \"$server\" >> asked\n\
             test \"$server\" = {address} || {{ echo credentials not found in native keychain; exit 1; }}\n\
             echo '{{\"ServerURL\": \"x\", \"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n"
        ),
    );
    for config in [
        serde_json::json!({"credsStore": "it", "auths": {&address: {}}}),
        serde_json::json!({"credHelpers": {&address: "it"}, "credsStore": "missing"}),
    ] {
        desk.config(&config);
        assert_made(&desk.pull(&open.address(), &[], &[]));
        assert!(!desk.path("asked").exists(), "nobody wanted a login");
        assert_made(&desk.pull(&address, &[], &[]));
        let asked = fs_err::read_to_string(desk.path("asked")).unwrap();
        let asked: BTreeSet<_> = asked.lines().collect();
        assert_eq!(asked, BTreeSet::from([address.as_str()]));
        fs_err::remove_file(desk.path("asked")).unwrap();
    }

    desk.config(&serde_json::json!({"credsStore": "missing"}));
    let output = desk.pull(&address, &[], &[]);
    assert_refused(
        &output,
        &[
            "`docker-credential-missing`",
            "`credsStore` in",
            "gives no login",
        ],
    );
    desk.config(&serde_json::json!({"credsStore": "none"}));
    desk.helper(
        "none",
        "echo credentials not found in native keychain; exit 1\n",
    );
    assert_refused(&desk.pull(&address, &[], &[]), &["none is known"]);
    desk.helper("none", "echo the safe is locked; exit 1\n");
    assert_refused(&desk.pull(&address, &[], &[]), &["the safe is locked"]);
    desk.helper("none", &format!("echo {PASSWORD}\n"));
    assert_refused(&desk.pull(&address, &[], &[]), &["its answer is not what"]);
}

/// A registry that wants a bearer token, and the token server, which gives
/// one for a login or an identity token; the path of each request for a token
/// is kept.
fn bearer() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let (keep, own) = (Arc::clone(&asked_for), Arc::new(Mutex::new(String::new())));
    let known = Arc::clone(&own);
    let address = serve(move |asked, stream| {
        let headers = asked.headers.to_ascii_lowercase();
        let reply = if asked.path.starts_with("/token") {
            keep.lock().unwrap().push(asked.path.clone());
            let basic = base64(&format!("{USER}:{PASSWORD}"));
            let is_form = asked.headers.contains("x-www-form-urlencoded");
            if asked.headers.contains(&format!("Basic {basic}"))
                || is_form && asked.body().contains("refresh_token=an%2Bidentity")
            {
                ok(br#"{"access_token": "let-me-in"}"#)
            } else {
                answer("401 Unauthorized", "", b"")
            }
        } else if headers.contains("authorization: bearer let-me-in") {
            let image = if asked.path.contains("/app/") {
                app(2)
            } else {
                gateway()
            };
            let found = image
                .layers
                .iter()
                .map(|layer| layer.bytes.clone())
                .chain([image.config.clone()])
                .find(|bytes| asked.path.contains(&Digest::of(bytes).to_string()));
            ok(&found.unwrap_or(image.manifest))
        } else {
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"it\"\r\n",
                known.lock().unwrap()
            );
            answer("401 Unauthorized", &challenge, b"")
        };
        let _ = stream.write_all(&reply);
    });
    own.lock().unwrap().clone_from(&address);
    (address, asked_for)
}

#[test]
fn a_bearer_token_is_fetched_once_for_each_repository() {
    let (address, asked) = bearer();
    let desk = Desk::new();
    assert_refused(&desk.pull(&address, &[], &[]), &["none is known"]);
    desk.config(&serde_json::json!({"auths": {&address: {"auth": base64("a:b")}}}));
    let refused = desk.pull(&address, &[], &[]);
    assert_refused(&refused, &["it refuses the login"]);

    let password = base64(&format!("{USER}:{PASSWORD}"));
    desk.helper(
        "it",
        "echo '{\"Username\": \"<token>\", \"Secret\": \"an+identity\"}'\n",
    );
    for (config, scopes) in [
        (
            serde_json::json!({"auths": {&address: {"auth": password}}}),
            true,
        ),
        (
            serde_json::json!({"auths": {&address: {"identitytoken": "an+identity"}}}),
            false,
        ),
        (serde_json::json!({"credsStore": "it"}), false),
    ] {
        asked.lock().unwrap().clear();
        desk.config(&config);
        assert_made(&desk.pull(&address, &[], &[]));
        let asked: BTreeSet<_> = asked.lock().unwrap().drain(..).collect();
        let expected = if scopes {
            BTreeSet::from(["app", "gateway"].map(|name| {
                format!("/token?scope=repository%3Arehearsal%2F{name}%3Apull&service=it")
            }))
        } else {
            BTreeSet::from(["/token".to_owned()])
        };
        assert_eq!(asked, expected);
    }
}

/// A registry over the images of `open` with a certificate of its own, and
/// with more in its configuration.
pub(super) fn with_tls(open: &LocalRegistry, dir: &Path, more: &str) -> LocalRegistry {
    let (key, pem) = (dir.join("tls.key"), dir.join("tls.pem"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=it",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &text(&key),
            "-out",
            &text(&pem),
        ],
    );
    open.with(&format!(
        "  tls:\n    certificate: {}\n    key: {}\n{more}",
        pem.display(),
        key.display()
    ))
}

#[test]
#[ignore = "needs a registry and openssl"]
fn a_private_certificate_is_trusted_only_when_it_is_named() {
    let open = pushed();
    let desk = Desk::new();
    let registry = with_tls(&open, desk.dir.path(), "");
    let address = registry.address();
    let (docker, quay) = (format!("docker.io={address}"), format!("quay.io={address}"));
    let create: Vec<_> = Desk::create(&docker, &quay)
        .into_iter()
        .filter(|word| *word != "--plain-http")
        .collect();
    let refused = desk.command(&create).output().unwrap();
    assert_refused(&refused, &["certificate", &address, "--ca FILE"]);
    let named = [&create[..], &["--ca", "tls.pem"]].concat();
    desk.lfctl(&named);

    fs_err::write(desk.path("empty.pem"), "no certificate\n").unwrap();
    let named = [&create[..], &["--ca", "empty.pem"]].concat();
    let refused = desk.command(&named).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
