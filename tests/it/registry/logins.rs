//! Logins as Docker's client and Podman leave them, and mirrors that are
//! particular about what they are asked.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::network::{assert_made, assert_refused};
use super::server::{Asked, answer, answers_of, ok, serve};
use super::{Desk, app, gateway};

/// A registry with both images that lets `fault` answer first; the requests
/// that it got.
fn registry(
    fault: impl Fn(&Asked) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let answers = answers_of(&[("app", app(2)), ("gateway", gateway())]);
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked_for);
    let address = serve(move |asked, stream| {
        keep.lock().unwrap().push(asked.path.clone());
        let path = asked.path.split('?').next().unwrap();
        let found = || match answers.get(path) {
            Some(bytes) => ok(bytes),
            None => answer("404 Not Found", "", b""),
        };
        let _ = stream.write_all(&fault(asked).unwrap_or_else(found));
    });
    (address, asked_for)
}

fn has(asked: &Asked, header: &str) -> bool {
    let wanted = format!("authorization: {header}").to_lowercase();
    asked.headers.to_lowercase().contains(&wanted)
}

/// Wants the user `robot` with the password `secret`.
fn guarded(challenge: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    registry(move |asked| {
        let header = format!("WWW-Authenticate: {challenge}\r\n");
        (!has(asked, "Basic cm9ib3Q6c2VjcmV0")).then(|| answer("401 Unauthorized", &header, b"{}"))
    })
}

#[test]
fn a_login_counts_however_it_is_written() {
    let desk = Desk::new();
    let (address, _) = guarded("Basic realm=/");
    let plain = serde_json::json!({"username": "robot", "password": "secret"});
    let auth = serde_json::json!({"auth": "cm9ib3Q6\nc2VjcmV0"});
    for config in [
        serde_json::json!({"auths": {&address: plain}}),
        serde_json::json!({"auths": {&address: auth}, "credHelpers": {&address: ""}}),
        serde_json::json!({"Auths": {format!("http://{address}/v2/"): auth}}),
        serde_json::json!({"auths": {&address: auth}, "credsStore": "lfctl-it-none"}),
    ] {
        desk.config(&config);
        assert_made(&desk.pull(&address, &[], &[]));
    }
    // As Podman keeps them, for a part of a registry.
    desk.config(&serde_json::json!({"auths": null}));
    let podman = serde_json::json!({"auths": {format!("{address}/rehearsal"): auth}});
    fs_err::write(desk.path("auth.json"), podman.to_string()).unwrap();
    assert_made(&desk.pull(&address, &[], &[("REGISTRY_AUTH_FILE", "auth.json")]));
}

#[test]
fn a_login_that_cannot_be_used_or_is_refused_is_named() {
    let desk = Desk::new();
    let (address, _) = guarded("Basic realm=\"r\"");
    let config = desk.path("config.json").display().to_string();
    for (entry, words) in [
        (
            serde_json::json!({"auth": "%%%"}),
            ["is not base64", &config, "docker login"],
        ),
        (
            serde_json::json!({"username": "robot"}),
            ["no password", &config, "docker login"],
        ),
        (
            serde_json::json!({"username": "robot", "password": "old"}),
            ["it was sent: user `robot`", &config, "docker login"],
        ),
        (
            serde_json::json!({"identitytoken": "abc"}),
            [
                "wants a user name and a password",
                "identity token",
                &config,
            ],
        ),
    ] {
        desk.config(&serde_json::json!({"auths": {&address: entry}}));
        assert_refused(&desk.pull(&address, &[], &[]), &words);
    }
    fs_err::write(desk.path("config.json"), "{\"auths\"").unwrap();
    let words = ["none is known", &config, "not JSON"];
    assert_refused(&desk.pull(&address, &[], &[]), &words);

    // Somebody may be known and still not be let in.
    let (address, _) = registry(|asked| {
        let challenge = "WWW-Authenticate: Basic realm=\"r\"\r\n";
        Some(if has(asked, "Basic cm9ib3Q6c2VjcmV0") {
            answer(
                "403 Forbidden",
                "",
                b"{\"errors\":[{\"message\":\"denied\"}]}",
            )
        } else {
            answer("401 Unauthorized", challenge, b"")
        })
    });
    let login = serde_json::json!({"username": "robot", "password": "secret"});
    desk.config(&serde_json::json!({"auths": {&address: login}}));
    let again = format!("`docker login {address}`");
    let words = [
        "403",
        "denied to the login of user `robot`",
        "as another user",
        &again,
    ];
    assert_refused(&desk.pull(&address, &[], &[]), &words);

    // And nobody may be asked for.
    for (status, hint) in [
        ("403 Forbidden", "if the image is not public"),
        ("404 Not Found", "check the name and the tag"),
    ] {
        let (address, _) = registry(move |_| Some(answer(status, "", b"")));
        assert_refused(&desk.pull(&address, &[], &[]), &[&status[..3], hint]);
    }
}

/// As Docker Hub lets anybody in who asks for a token.
#[test]
fn logins_that_cannot_be_read_do_not_matter_where_none_is_needed() {
    let desk = Desk::new();
    let own = Arc::new(Mutex::new(String::new()));
    let known = Arc::clone(&own);
    let (address, _) = registry(move |asked| {
        if asked.path.starts_with("/token") {
            return Some(ok(br#"{"token": "T"}"#));
        }
        let host = known.lock().unwrap().clone();
        let challenge = format!("WWW-Authenticate: Bearer realm=http://{host}/token,service=r\r\n");
        (!has(asked, "Bearer T")).then(|| answer("401 Unauthorized", &challenge, b"{}"))
    });
    own.lock().unwrap().clone_from(&address);
    for config in [
        "{\"auths\"".to_owned(),
        format!(r#"{{"auths": {{"{address}": {{}}}}, "credsStore": "lfctl-it-none"}}"#),
        format!(r#"{{"auths": {{"{address}": {{"auth": "%"}}}}}}"#),
    ] {
        fs_err::write(desk.path("config.json"), config).unwrap();
        assert_made(&desk.pull(&address, &[], &[]));
    }
}

#[test]
fn a_mirror_that_does_not_know_ns_is_asked_without_it() {
    let desk = Desk::new();
    for status in ["400 Bad Request", "404 Not Found", "405 Method Not Allowed"] {
        let (address, asked) = registry(move |asked| {
            asked
                .path
                .contains("ns=")
                .then(|| answer(status, "", b"bad request"))
        });
        assert_made(&desk.pull(&address, &[], &[]));
        let asked = asked.lock().unwrap();
        let with = asked.iter().filter(|path| path.contains("ns=")).count();
        assert!((1..=4).contains(&with), "{status}: {asked:?}");
    }
    // One that needs it is asked with it, and its own refusal is told.
    let (address, asked) = registry(|asked| {
        (!asked.path.contains("ns=")).then(|| answer("400 Bad Request", "", b"no namespace"))
    });
    assert_made(&desk.pull(&address, &[], &[]));
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|path| path.contains("?ns=")), "{asked:?}");
}

#[test]
fn a_host_that_needs_no_proxy_is_asked_directly() {
    let desk = Desk::new();
    let (address, _) = registry(|_| None);
    let nobody = ("HTTP_PROXY", "http://127.0.0.1:9");
    for list in ["*", "other.example, *", &address] {
        assert_made(&desk.pull(&address, &[], &[nobody, ("NO_PROXY", list)]));
    }
    let port = ("NO_PROXY", "127.0.0.1:9");
    assert_refused(&desk.pull(&address, &[], &[nobody, port]), &["cannot get"]);
}
