//! Registries that misbehave: each ends in an error that names image and
//! registry, and in no bundle.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lfctl::oci::digest::Digest;

use super::server::{
    Asked, answer, faulty, hasty, honest, is_large, is_manifest, ok, patient, pull, refused, serve,
};
use super::{APP, app};

#[test]
fn a_server_that_knows_no_ranges_sends_everything_again() {
    let tries = AtomicUsize::new(0);
    let address = faulty(move |asked, body, stream| {
        if !is_large(asked) || tries.fetch_add(1, Ordering::SeqCst) > 0 {
            return false;
        }
        stream.write_all(&ok(body)[..body.len() / 2]).unwrap();
        true
    });
    pull(&address, patient(2)).unwrap();
}

#[test]
fn a_server_that_knows_ranges_sends_only_the_rest() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let address = faulty(move |asked, body, stream| {
        if !is_large(asked) {
            return false;
        }
        let from = asked.from();
        let rest = &body[from..];
        let range = format!("Content-Range: bytes {from}-{0}/{0}\r\n", body.len());
        let whole = answer("206 Partial Content", &range, rest);
        // It breaks off after a third of the blob.
        let head = whole.len() - rest.len();
        let now = rest.len().min(body.len() / 3);
        count.fetch_add(now, Ordering::SeqCst);
        stream.write_all(&whole[..head + now]).unwrap();
        true
    });
    pull(&address, patient(2)).unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), app(2).layers[1].bytes.len());
}

#[test]
fn another_range_than_the_one_asked_for_is_refused() {
    let address = faulty(|asked, body, stream| {
        if !is_large(asked) {
            return false;
        }
        let bytes = if asked.from() == 0 {
            ok(body)[..body.len() / 2].to_vec()
        } else {
            answer(
                "206 Partial Content",
                "Content-Range: bytes 1-9/10\r\n",
                &body[1..],
            )
        };
        let _ = stream.write_all(&bytes);
        true
    });
    let text = refused(&address, patient(3));
    assert!(text.contains("it sends `bytes 1-9/10`"), "{text}");
}

#[test]
fn a_short_body_is_asked_for_again_and_then_refused() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let address = faulty(move |asked, body, stream| {
        if !is_large(asked) {
            return false;
        }
        count.fetch_add(1, Ordering::SeqCst);
        // Whole as HTTP goes, and ten bytes short; nothing more comes ever.
        stream.write_all(&ok(&body[..body.len() - 10])).unwrap();
        true
    });
    let text = refused(&address, patient(3));
    let size = app(2).layers[1].bytes.len();
    assert!(
        text.contains(&format!("it ends after {} of {size} bytes", size - 10)),
        "{text}"
    );
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

/// Sends bytes until the other side has enough.
fn endless(stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while stream.write_all(&[b' '; 16384]).is_ok() {}
    true
}

#[test]
fn an_endless_body_is_cut_off() {
    let blob = faulty(|asked, _, stream| is_large(asked) && endless(stream));
    let size = app(2).layers[1].bytes.len();
    let text = refused(&blob, patient(3));
    assert!(text.contains(&format!("more than {size} bytes")), "{text}");

    let manifest = faulty(|asked, _, stream| is_manifest(asked) && endless(stream));
    let text = refused(&manifest, patient(3));
    assert!(text.contains("more than 8388608 bytes"), "{text}");
}

#[test]
fn a_busy_registry_is_left_alone_as_long_as_it_asks() {
    let first = std::sync::OnceLock::new();
    let address = faulty(move |asked, _, stream| {
        let since = *first.get_or_init(Instant::now);
        let is_early = since.elapsed() < Duration::from_secs(1);
        if is_manifest(asked) && is_early {
            let busy = answer("429 Too Many Requests", "Retry-After: 1\r\n", b"");
            stream.write_all(&busy).unwrap();
        }
        is_manifest(asked) && is_early
    });
    // By its own pace the second try would come far too soon.
    pull(&address, patient(2)).unwrap();
}

#[test]
fn a_refusal_that_stays_is_tried_often_enough_and_shown() {
    for (status, tries) in [
        ("429 Too Many Requests", 3),
        ("500 Internal Server Error", 3),
        ("503 Service Unavailable", 3),
        // A mirror, once more without the name of whom it stands for.
        ("404 Not Found", 2),
        ("403 Forbidden", 2),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        let address = faulty(move |asked, _, stream| {
            if is_manifest(asked) {
                seen.fetch_add(1, Ordering::SeqCst);
                let body = br#"{"errors": [{"code": "X", "message": "out of\u001b tea"}]}"#;
                let _ = stream.write_all(&answer(status, "", body));
            }
            is_manifest(asked)
        });
        let text = refused(&address, patient(3));
        assert!(text.contains(APP), "{text}");
        assert!(text.contains(&format!("{status}: out of")), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(count.load(Ordering::SeqCst), tries, "{status}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let address = faulty(move |asked, _, stream| {
        if is_manifest(asked) {
            seen.fetch_add(1, Ordering::SeqCst);
            let headers = format!("Location: {}\r\n", asked.path);
            let _ = stream.write_all(&answer("307 Temporary Redirect", &headers, b""));
        }
        is_manifest(asked)
    });
    let text = refused(&address, patient(3));
    assert!(text.contains("redirects again and again"), "{text}");
    assert!(count.load(Ordering::SeqCst) < 10);
}

#[test]
fn silence_ends() {
    for wanted in [is_manifest as fn(&Asked) -> bool, is_large] {
        let address = faulty(move |asked, body, stream| {
            if wanted(asked) {
                let _ = stream.write_all(&ok(body)[..body.len() / 2]);
                std::thread::park();
            }
            wanted(asked)
        });
        let text = refused(&address, hasty());
        assert!(text.contains("time"), "{text}");
    }
    // It takes the connection and never says a word.
    let address = faulty(|asked, _, _| {
        if is_manifest(asked) {
            std::thread::park();
        }
        false
    });
    let text = refused(&address, hasty());
    assert!(text.contains("time"), "{text}");
}

#[test]
fn a_manifest_that_comes_by_drops_is_given_up() {
    let address = faulty(|asked, _, stream| {
        if is_manifest(asked) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        is_manifest(asked)
    });
    let text = refused(&address, hasty());
    assert!(text.contains("a whole document within 3 s"), "{text}");
}

#[test]
fn other_content_than_asked_for_is_refused() {
    let address = faulty(|asked, body, stream| {
        if is_manifest(asked) {
            let index = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [{
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": Digest::of(body),
                    "size": body.len(),
                    "platform": {"os": "linux", "architecture": "amd64"},
                }],
            });
            let _ = stream.write_all(&ok(index.to_string().as_bytes()));
        }
        is_manifest(asked)
    });
    // The index names the manifest by its digest; nobody serves that.
    let text = refused(&address, patient(1));
    assert!(text.contains("404"), "{text}");

    let config = Digest::of(&app(2).config).to_string();
    let address = faulty(move |asked, body, stream| {
        let is_config = asked.path.contains(&config);
        if is_config {
            let _ = stream.write_all(&ok(&body.to_ascii_uppercase()));
        }
        is_config
    });
    let text = refused(&address, patient(1));
    assert!(text.contains("answered with other content"), "{text}");
}

#[test]
fn a_manifest_other_than_the_one_its_index_names_is_refused() {
    let wrong = app(99).manifest;
    let named = Digest::of(&app(2).manifest);
    let size = app(2).manifest.len();
    let address = serve(move |asked, stream| {
        let body = if asked.path.contains(&named.to_string()) {
            wrong.clone()
        } else {
            serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [{
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": named,
                    "size": size,
                    "platform": {"os": "linux", "architecture": "amd64"},
                }],
            })
            .to_string()
            .into_bytes()
        };
        let _ = stream.write_all(&ok(&body));
    });
    let text = refused(&address, patient(1));
    assert!(text.contains("answered with other content"), "{text}");
}

#[test]
fn an_index_that_names_a_manifest_by_another_kind_of_digest_is_refused() {
    let digest = format!("sha512:{}", "0".repeat(128));
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": app(2).manifest.len(),
            "platform": {"os": "linux", "architecture": "amd64"},
        }],
    });
    let mut answers = honest();
    let base = "/v2/rehearsal/app/manifests";
    answers.insert(format!("{base}/1.0.0"), index.to_string().into_bytes());
    answers.insert(format!("{base}/{digest}"), app(2).manifest);
    let address = serve(move |asked, stream| {
        let path = asked.path.split('?').next().unwrap();
        let _ = stream.write_all(&ok(&answers[path]));
    });
    let text = refused(&address, patient(1));
    assert!(text.contains("cannot be checked"), "{text}");
    assert!(text.contains("not a digest of the form sha256"), "{text}");
}
