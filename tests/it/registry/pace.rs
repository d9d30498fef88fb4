//! Registries that are not silent, and never done either.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lfctl::oci::digest::Digest;
use lfctl::oci::registry::RequestLimits;

use super::app;
use super::server::{answer, faulty, hasty, is_large, ok, patient, pull, refused};

/// Sends a body by drops, and what is left of it in the end.
fn drip(body: &[u8], pause: Duration, drops: usize, stream: &mut TcpStream) {
    let whole = ok(body);
    let head = whole.len() - body.len();
    let _ = stream.write_all(&whole[..head]);
    for byte in &body[..drops] {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(pause);
    }
    let _ = stream.write_all(&body[drops..]);
}

#[test]
fn a_byte_for_each_try_is_no_progress() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let address = faulty(move |asked, body, stream| {
        if !is_large(asked) {
            return false;
        }
        let from = asked.from();
        let range = format!("Content-Range: bytes {from}-{0}/{0}\r\n", body.len());
        let rest = answer("206 Partial Content", &range, &body[from..]);
        let head = rest.len() - (body.len() - from);
        // It would go on like this for a long time; the test does not.
        let is_over = count.fetch_add(1, Ordering::SeqCst) > 30;
        let sent = if is_over { rest.len() } else { head + 1 };
        let _ = stream.write_all(&rest[..sent]);
        true
    });
    let text = refused(&address, patient(4));
    assert!(text.contains("cannot get blob"), "{text}");
    assert_eq!(tries.load(Ordering::SeqCst), 4);
}

#[test]
fn a_blob_that_comes_by_drops_is_given_up() {
    let address = faulty(|asked, body, stream| {
        if is_large(asked) {
            drip(body, Duration::from_millis(100), 40, stream);
        }
        is_large(asked)
    });
    let limits = || RequestLimits {
        trickle: Duration::from_secs(1),
        ..patient(2)
    };
    let text = refused(&address, limits());
    assert!(text.contains("less than 64 KiB within 1 s"), "{text}");

    // Nor is one that is only slow: 64 KiB come in time.
    let address = faulty(|asked, body, stream| {
        if is_large(asked) {
            let whole = ok(body);
            for piece in whole.chunks(128 << 10) {
                stream.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        is_large(asked)
    });
    pull(&address, limits()).unwrap();
}

#[test]
fn a_config_that_comes_by_drops_is_given_up() {
    let config = Digest::of(&app(2).config).to_string();
    let address = faulty(move |asked, body, stream| {
        let is_config = asked.path.contains(&config);
        if is_config {
            drip(body, Duration::from_millis(100), 40, stream);
        }
        is_config
    });
    let text = refused(&address, hasty());
    assert!(text.contains("a whole document within 3 s"), "{text}");
}
