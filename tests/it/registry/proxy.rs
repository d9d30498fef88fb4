//! Proxies of the environment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::network::{assert_made, assert_refused, with_tls};
use super::{Desk, pushed};

/// A proxy that passes everything on and keeps the targets it was asked for.
fn proxy() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let targets = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&targets);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, seen) = (client.unwrap(), Arc::clone(&seen));
            std::thread::spawn(move || pass_on(client, &seen));
        }
    });
    (address, targets)
}

fn pass_on(mut client: TcpStream, seen: &Mutex<BTreeSet<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut head = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut head) {
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let text = String::from_utf8(head).unwrap();
    let Some(target) = text.split(' ').nth(1) else {
        return;
    };
    let is_tunnel = text.starts_with("CONNECT ");
    let host = target
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap();
    seen.lock()
        .unwrap()
        .insert(format!("{} {host}", text.split(' ').next().unwrap()));
    let mut server = TcpStream::connect(host).unwrap();
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    } else {
        // One request for each connection: this proxy reads only the first.
        let text = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(text.as_bytes()).unwrap();
    }
    let mut up = server.try_clone().unwrap();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut reader, &mut up);
        let _ = up.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 16384];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
#[ignore = "needs a registry"]
fn a_proxy_of_the_environment_is_used_unless_it_says_not_to() {
    let open = pushed();
    let desk = Desk::new();
    let tls = with_tls(&open, desk.dir.path(), "");
    let (proxy, targets) = proxy();
    let plain = open.address();
    assert_made(&desk.pull(&plain, &[], &[("HTTP_PROXY", &proxy)]));
    assert_eq!(
        *targets.lock().unwrap(),
        BTreeSet::from([format!("GET {plain}")])
    );

    targets.lock().unwrap().clear();
    let (docker, quay) = (
        format!("docker.io={}", tls.address()),
        format!("quay.io={}", tls.address()),
    );
    let mut create = Desk::create(&docker, &quay);
    create.retain(|word| *word != "--plain-http");
    create.extend(["--ca", "tls.pem"]);
    let output = desk.command(&create).env("HTTPS_PROXY", &proxy).output();
    assert_made(&output.unwrap());
    let tunnel = format!("CONNECT {}", tls.address());
    assert_eq!(*targets.lock().unwrap(), BTreeSet::from([tunnel]));

    targets.lock().unwrap().clear();
    let environment = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "127.0.0.1")];
    assert_made(&desk.pull(&plain, &[], &environment));
    assert!(targets.lock().unwrap().is_empty());

    // Nobody is there: it does not go around the proxy.
    let environment = [("HTTP_PROXY", "http://127.0.0.1:9")];
    assert_refused(&desk.pull(&plain, &[], &environment), &["cannot get"]);
}
