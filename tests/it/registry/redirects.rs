//! Where a login goes, and where it does not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::network::{assert_made, assert_refused, htpasswd, login, with_tls};
use super::server::{answer, faulty, ok, patient, refused, serve};
use super::{Desk, app, gateway, pushed};

/// A server that has every blob, under whatever path. Keeps what it was asked
/// for.
fn storage() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked_for = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&asked_for);
    let address = serve(move |asked, stream| {
        keep.lock().unwrap().push(asked.headers.clone());
        let images = [app(2), gateway()];
        let layers = images.iter().flat_map(|image| &image.layers);
        let blobs = layers.map(|layer| &layer.bytes);
        let mut blobs = blobs.chain(images.iter().map(|image| &image.config));
        let is_it = |bytes: &&Vec<u8>| {
            let digest = lfctl::oci::digest::Digest::of(bytes);
            asked.path.contains(&digest.hex())
        };
        let reply = blobs
            .find(is_it)
            .map_or_else(|| answer("404 Not Found", "", b""), |bytes| ok(bytes));
        let _ = stream.write_all(&reply);
    });
    (address, asked_for)
}

/// Makes a registry send whoever asks for a blob to another server.
fn redirect(to: &str) -> String {
    format!(
        "middleware:\n  storage:\n    - name: redirect\n      options:\n        baseurl: http://{to}/\n"
    )
}

/// `bundle create` from a registry with TLS.
fn pull_over_tls(desk: &Desk, address: &str) -> std::process::Output {
    let (docker, quay) = (format!("docker.io={address}"), format!("quay.io={address}"));
    let mut create = Desk::create(&docker, &quay);
    create.retain(|word| *word != "--plain-http");
    create.extend(["--ca", "tls.pem"]);
    desk.command(&create).output().unwrap()
}

#[test]
#[ignore = "needs a registry"]
fn a_login_does_not_follow_a_redirect_to_another_host() {
    let open = pushed();
    let desk = Desk::new();
    let (other, asked) = storage();
    let other = other.replace("127.0.0.1", "localhost");
    let registry = open.with(&(htpasswd(desk.dir.path()) + &redirect(&other)));
    desk.config(&login(&registry.address()));
    assert_made(&desk.pull(&registry.address(), &[], &[]));
    let asked = asked.lock().unwrap();
    // Two configs and three layers.
    assert_eq!(asked.len(), 5);
    for headers in asked.iter() {
        let headers = headers.to_ascii_lowercase();
        assert!(!headers.contains("authorization"), "{headers}");
    }
}

#[test]
fn nothing_is_asked_of_the_link() {
    // The metadata of a cloud, which answers whoever can reach it.
    let metadata = "http://169.254.169.254/token";
    for (status, header, reason) in [
        (
            "307 Temporary Redirect",
            format!("Location: {metadata}\r\n"),
            "redirects to an address of this machine or of its own network",
        ),
        (
            "401 Unauthorized",
            format!("WWW-Authenticate: Bearer realm=\"{metadata}\",service=\"it\"\r\n"),
            "as its token server, an address of this machine or of its own network",
        ),
    ] {
        let registry = faulty(move |_, _, stream| {
            stream.write_all(&answer(status, &header, b"")).unwrap();
            true
        });
        let begun = std::time::Instant::now();
        let text = refused(&registry, patient(3));
        assert!(text.contains(reason), "{text}");
        // Nothing was dialled, and nothing was tried again.
        assert!(begun.elapsed().as_secs() < 3, "{text}");
    }
}

#[test]
#[ignore = "needs a registry"]
fn nothing_follows_a_redirect_out_of_tls() {
    let open = pushed();
    let desk = Desk::new();
    let (other, asked) = storage();
    let more = htpasswd(desk.dir.path()) + &redirect(&other);
    let registry = with_tls(&open, desk.dir.path(), &more);
    desk.config(&login(&registry.address()));
    let refused = pull_over_tls(&desk, &registry.address());
    assert_refused(&refused, &["redirects to an address without TLS"]);
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
#[ignore = "needs a registry"]
fn a_login_does_not_go_to_a_token_server_without_tls() {
    let open = pushed();
    let desk = Desk::new();
    let (other, asked) = storage();
    let token = format!(
        "auth:\n  token:\n    realm: http://{other}/token\n    service: it\n    issuer: it\n    \
         rootcertbundle: {}\n",
        desk.path("tls.pem").display()
    );
    let registry = with_tls(&open, desk.dir.path(), &token);
    desk.config(&login(&registry.address()));
    let refused = pull_over_tls(&desk, &registry.address());
    let realm = format!("sends the login to `http://{other}/token`, which has no TLS");
    assert_refused(&refused, &[&realm]);
    assert!(asked.lock().unwrap().is_empty());
}
