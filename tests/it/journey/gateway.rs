//! What strangers get through the gateway, and how many of them it bears.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use serde_json::{Value, json};

use crate::support::host::{Host, both, docker};

/// Sends requests byte for byte and tells who answered what.
const REQUESTS: &str = r#"
import json, socket, sys
port, requests = int(sys.argv[1]), json.loads(sys.argv[2])

def answer(method, path, header):
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\ncontent-length: 0\r\n"
        s.sendall((head + (header + "\r\n" if header else "") + "\r\n").encode())
        text = b""
        while more := s.recv(65536):
            text += more
    status = int(text.split()[1])
    by = "gateway" if b"<center>nginx</center>" in text else "store" if b"<Code>" in text else "web"
    if status in (403, 404, 400) and method == "HEAD":
        by = "?"
    return [by, status, b"x-content-type-options: nosniff" in text.lower()]

print(json.dumps([answer(*request) for request in requests]))
"#;

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn lets_little_through_to_the_blob_store(host: &Host) {
    let media = "/langfuse/media/p/x.png";
    let cases = [
        // Without a signature the store refuses what the gateway passes on.
        ("GET", media, "", "store", 403),
        ("PUT", media, "", "store", 403),
        ("GET", "/langfuse/exports/x.csv", "", "store", 403),
        ("GET", "/langfuse/media/x?key=..%2f", "", "store", 403),
        (
            "PUT",
            media,
            "x-amz-content-sha256: UNSIGNED-PAYLOAD",
            "store",
            403,
        ),
        (
            "PUT",
            media,
            "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "gateway",
            403,
        ),
        (
            "PUT",
            media,
            "x-amz-trailer: x-amz-checksum-crc32",
            "gateway",
            403,
        ),
        (
            "PUT",
            media,
            "x-amz-meta-snowball-auto-extract: true",
            "gateway",
            403,
        ),
        (
            "PUT",
            media,
            "x-amz-copy-source: /langfuse/otel/x.json",
            "gateway",
            403,
        ),
        ("POST", media, "", "gateway", 403),
        ("DELETE", media, "", "gateway", 403),
        ("PUT", "/langfuse/exports/x.csv", "", "gateway", 403),
        ("GET", "/langfuse/media/x/../y", "", "gateway", 403),
        ("GET", "/langfuse/media/%2e%2e/media/y", "", "gateway", 403),
        ("GET", "/langfuse/media/x%2fy", "", "gateway", 403),
        // Whatever leaves those two paths is web's.
        ("GET", "/langfuse/otel/x.json", "", "web", 404),
        ("POST", "/api/admin/ingestion-replay", "", "gateway", 404),
        ("POST", "//api//admin/ingestion-replay", "", "gateway", 404),
        ("POST", "/api/%61dmin/ingestion-replay", "", "gateway", 404),
        (
            "POST",
            "/x/%2e%2e/api/admin/ingestion-replay",
            "",
            "gateway",
            404,
        ),
        (
            "POST",
            "/x/..\\api\\admin\\ingestion-replay",
            "",
            "gateway",
            400,
        ),
    ];
    let requests = cases.map(|(method, path, header, ..)| json!([method, path, header]));
    let output = Command::new("python3")
        .args(["-c", REQUESTS, &host.port.to_string()])
        .arg(json!(requests).to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), cases.len());
    for ((method, path, header, by, status), answer) in cases.iter().zip(answers) {
        assert_eq!(
            answer,
            json!([by, status, true]),
            "{method} {path} {header}"
        );
    }
}

/// Opens connections that begin a request and never end it, then asks as
/// somebody else: while they are open and when they are gone.
const FLOOD: &str = r#"
import json, resource, socket, sys, urllib.request
port, gateway, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 200, hard), hard))

def asked():
    return [urllib.request.urlopen(f"http://127.0.0.1:{port}/lfctl/gateway-health", timeout=20).status for _ in range(20)]

half_open = []
for number in range(count):
    s = socket.create_connection((gateway, 8080), 20)
    if number % 2:
        s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ")
    half_open.append(s)
during = asked()
for s in half_open:
    s.close()
print(json.dumps({"opened": len(half_open), "during": during, "after": asked()}))
"#;

/// As clients on other hosts come: straight to the gateway's own address,
/// where the engine leads them.
pub(super) fn answers_others_in_a_flood(host: &Host) {
    const HALF_OPEN: usize = 5000;
    let format = format!(
        "{{{{(index .NetworkSettings.Networks \"{}-edge\").IPAddress}}}}",
        host.name
    );
    let address = docker(&["inspect", "--format", &format, &host.container("gateway")]);
    let output = Command::new("python3")
        .args(["-c", FLOOD, &host.port.to_string(), address.trim()])
        .arg(HALF_OPEN.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let answered = vec![200; 20];
    assert_eq!(
        result,
        json!({ "opened": HALF_OPEN, "during": answered, "after": answered })
    );
}

/// Docker's proxy for a port ends for good when it runs out of open files;
/// nothing else of the appliance takes notice.
pub(super) fn is_made_anew_when_its_port_refuses(host: &Host, bundle: &str) {
    let wanted = format!("-host-port\0{}\0", host.port);
    let proxies: Vec<i32> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&wanted)
        })
        .collect();
    assert_eq!(proxies.len(), 1, "{proxies:?}");
    let killed = Command::new("kill").arg(proxies[0].to_string()).status();
    assert!(killed.unwrap().success());
    while TcpStream::connect(("127.0.0.1", host.port)).is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
    host.fails(5, &["doctor", "--name", &host.name]);
    let said = both(&host.run(&host.install(bundle)));
    assert!(said.contains("start gateway"), "{said}");
    assert!(TcpStream::connect(("127.0.0.1", host.port)).is_ok());
}
