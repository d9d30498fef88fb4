//! Layers and images that are not what they were announced as.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lfctl::bundle::create::CreateError;
use lfctl::fake::bundle::{FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::oci::registry::RegistryError;

use super::{APP, app, gateway, make, names, options, pushed};
use crate::support::bundle::key;
use crate::support::registry::LocalRegistry;

#[test]
#[ignore = "needs a registry"]
fn a_layer_that_the_registry_changed_is_refused_and_nothing_is_left() {
    let registry = pushed();
    let layer = app(2).layers[1].digest();
    let file = registry.blob_file(&layer);
    let mut bytes = fs_err::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = make(
        &options(&registry.address(), &dir.path().join("a.tar")),
        &key(),
    )
    .unwrap_err();
    assert!(
        matches!(&error, CreateError::Layer { digest, .. } if *digest == layer),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
#[ignore = "needs a registry"]
fn a_layer_that_is_shorter_or_longer_than_announced_is_refused() {
    let registry = pushed();
    let layer = app(2).layers[1].digest();
    let file = registry.blob_file(&layer);
    let whole = fs_err::read(&file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = options(&registry.address(), &dir.path().join("a.tar"));

    let mut longer = whole.clone();
    longer.resize(longer.len() + 100_000, 0);
    fs_err::write(&file, longer).unwrap();
    let error = make(&options, &key()).unwrap_err();
    assert!(
        matches!(error, CreateError::Registry(RegistryError::TooLarge { .. })),
        "{error}"
    );

    fs_err::write(&file, &whole[..whole.len() - 10]).unwrap();
    let error = make(&options, &key()).unwrap_err();
    assert!(
        matches!(error, CreateError::Registry(RegistryError::Request { .. })),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
#[ignore = "needs a registry"]
fn a_config_that_lies_about_a_layer_is_found_out() {
    let registry = pushed();
    let mut image = app(2);
    let mut layers = image.layers.clone();
    layers[1].diff_id = Digest::of(b"something else");
    image = FakeImage::new(layers);
    registry.push("rehearsal/app:1.0.0", &image);
    let dir = tempfile::tempdir().unwrap();
    let error = make(
        &options(&registry.address(), &dir.path().join("a.tar")),
        &key(),
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("the image config says"),
        "{error}"
    );
    assert!(names(dir.path()).is_empty());
}

#[test]
#[ignore = "needs a registry"]
fn the_platform_is_picked_out_of_an_index() {
    let registry = pushed();
    let other = FakeImage::new(vec![FakeLayer::files(&[("arm", b"arm")])]);
    registry.push_index(
        "rehearsal/app:1.0.0",
        &[("linux", "arm64", &other), ("linux", "amd64", &app(2))],
    );
    let dir = tempfile::tempdir().unwrap();
    let options = options(&registry.address(), &dir.path().join("a.tar"));
    let created = make(&options, &key()).unwrap();
    assert_eq!(created.lock.images[APP], Digest::of(&app(2).manifest));

    registry.push_index("rehearsal/app:1.0.0", &[("linux", "arm64", &other)]);
    let error = make(&options, &key()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{APP}` is not there for linux/amd64; it is for linux/arm64")
    );
}

#[test]
#[ignore = "needs a registry"]
fn an_image_that_is_not_there_is_named() {
    let registry = LocalRegistry::start();
    registry.push("rehearsal/gateway:1.0.0", &gateway());
    let dir = tempfile::tempdir().unwrap();
    let error = make(
        &options(&registry.address(), &dir.path().join("a.tar")),
        &key(),
    )
    .unwrap_err();
    assert!(error.to_string().contains(APP), "{error}");
    assert!(error.to_string().contains(&registry.address()), "{error}");
}

/// What a proxy does to a connection that has carried enough.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    Break,
    Stall,
}

/// Passes connections on, and breaks or stalls each that has carried `limit`
/// bytes to the client. Counts those.
pub(super) fn flaky_proxy(target: u16, limit: usize, fault: Fault) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let broken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&broken);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, count) = (client.unwrap(), Arc::clone(&count));
            let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let mut buffer = [0; 8192];
                let mut carried = 0;
                while let Ok(read @ 1..) = server.read(&mut buffer) {
                    carried += read;
                    if carried > limit {
                        count.fetch_add(1, Ordering::SeqCst);
                        match fault {
                            Fault::Break => break,
                            Fault::Stall => std::thread::park(),
                        }
                    }
                    if client.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    (port, broken)
}

#[test]
#[ignore = "needs a registry"]
fn broken_connections_are_taken_up_where_they_broke() {
    let registry = pushed();
    // The largest layer has 2 MB: no single connection carries it.
    let (port, broken) = flaky_proxy(registry.port, 900_000, Fault::Break);
    let dir = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{port}");
    let created = make(&options(&address, &dir.path().join("a.tar")), &key()).unwrap();
    assert_eq!(created.receipt.layers, 3);
    assert!(broken.load(Ordering::SeqCst) >= 2);
}
