//! Packets, counted by the kernel's own firewall while an appliance lives, on
//! a host whose uplink leads to an internet that answers everybody.

use std::time::{Duration, Instant};

use fs_err as fs;

use crate::support::host::{Host, rehearsal, text};
use crate::support::island::{Counted, Island};

const NOTHING: Counted = Counted { left: 0, opened: 0 };
/// Addresses that nobody but the internet of an island has.
const OUTSIDE: [&str; 2] = ["192.0.2.80", "2001:db8:80::1"];

/// Tries the internet: TCP, UDP, DNS and ICMP. Prints who answered.
const PROBE: &str = r"
import os, socket, struct, sys
question = b'\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01'
def tcp(family, address):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(0.5)
    s.connect((address, 4444)); return s.recv(64)
def udp(family, address, port=5555):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(0.5)
    s.sendto(question, (address, port)); return s.recv(512)
def dns(family, address): return udp(family, address, 53)[-4:] == bytes([198, 51, 100, 80])
def icmp(family, address):
    number, protocol = (8, 'icmp') if family == socket.AF_INET else (128, 'ipv6-icmp')
    s = socket.socket(family, socket.SOCK_RAW, socket.getprotobyname(protocol)); s.settimeout(0.5)
    body = struct.pack('!BBHHH', number, 0, 0, os.getpid() & 0xffff, 1)
    total = sum(struct.unpack('!HHHH', body)); total = (total >> 16) + (total & 0xffff)
    s.sendto(struct.pack('!BBHHH', number, 0, ~total & 0xffff, os.getpid() & 0xffff, 1), (address, 0))
    # What says that there is no route is no answer.
    while True:
        said = s.recv(256)
        if (said[20] == 0) if family == socket.AF_INET else (said[0] == 129): return True
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for kind in (tcp, udp, dns, icmp):
        try:
            if kind(family, address): print(kind.__name__, address)
        except OSError: pass
";

fn island(host: &Host) -> &Island {
    host.island.as_ref().unwrap()
}

/// What answers a program on the host, or in a container of the appliance.
fn answers(host: &Host, service: Option<&str>) -> Vec<String> {
    let mut arguments = vec!["python3", "-c", PROBE];
    arguments.extend(OUTSIDE);
    let output = match service {
        None => island(host).ok("env", &arguments),
        Some(service) => {
            let name = host.container(service);
            let format = ["inspect", "--format", "{{.State.Pid}}", &name];
            let pid = island(host).ok("docker", &format);
            let within = ["-t", pid.trim(), "-n"];
            island(host).ok("nsenter", &[&within[..], &arguments].concat())
        }
    };
    output.lines().map(str::to_owned).collect()
}

/// What answers once `count` do, or after 20 s: a host under load may take
/// longer than a probe waits.
fn answers_of(host: &Host, service: Option<&str>, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let answers = answers(host, service);
        if answers.len() >= count || begun.elapsed() > Duration::from_secs(20) {
            return answers;
        }
    }
}

fn curl(host: &Host, path: &str, more: &[&str]) -> String {
    let secrets = fs::read_to_string(host.state_dir().join("secrets.toml")).unwrap();
    let secrets: toml::Table = secrets.parse().unwrap();
    let get = |name: &str| secrets["secrets"][name].as_str().unwrap().to_owned();
    let user = format!("{}:{}", get("public-key"), get("secret-key"));
    let url = format!("http://127.0.0.1:{}{path}", host.port);
    let always = ["-sS", "--max-time", "20", "-u", &user, &url];
    island(host).ok("curl", &[&always[..], more].concat())
}

/// Signs in with a project's key, sends an event and reads it back.
fn sign_in_send_and_read(host: &Host) {
    assert!(curl(host, "/", &[]).contains("<html"));
    let trace = "0af7651916cd43dd8448eb211c80319d";
    let span = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": trace, "spanId": &trace[..16], "name": "counted", "kind": 1,
        "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": "1760000001000000000",
    }]}]}]});
    let (body, json) = (span.to_string(), "content-type: application/json");
    curl(
        host,
        "/api/public/otel/v1/traces",
        &["--fail", "-H", json, "-d", &body],
    );
    let begun = Instant::now();
    let path = format!("/api/public/traces/{trace}");
    while !curl(host, &path, &[]).contains("counted") {
        assert!(begun.elapsed() < Duration::from_secs(60), "event lost");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs the rehearsal"]
fn not_a_packet_leaves_although_everything_would_answer() {
    let host = Host::on(Island::new());
    host.ok(&["trust", "add", &text(&rehearsal().join("keys/release.pub"))]);
    let counted = |phase: &str| {
        let counted = island(&host).counted();
        println!("{phase}: {} left, {} opened", counted.left, counted.opened);
        counted
    };
    // Everything answers, and is counted.
    let all = answers_of(&host, None, 8);
    assert_eq!(all.len(), 8, "{all:?}");
    assert!(counted("the host itself").left >= 8);

    let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    let name = ["--name", host.name.as_str()];
    host.ok(&host.install(&bundle));
    assert_eq!(counted("install"), NOTHING);
    sign_in_send_and_read(&host);
    assert_eq!(counted("use"), NOTHING);
    let null = curl(&host, "/api/trpc/public.checkUpdate", &[]);
    assert_eq!(null, r#"{"result":{"data":{"json":null}}}"#);
    assert_eq!(counted("update check"), NOTHING);
    host.ok(&[&["doctor"][..], &name].concat());
    assert_eq!(counted("doctor"), NOTHING);

    // The proof tries every way, and comes as far as the bridge of the gateway.
    let prove = ["doctor", "--prove-airgap", "--minutes", "0", "-o", "proof"];
    host.ok(&[&prove[..], &name].concat());
    let proof = counted("proof");
    assert!(proof.left == 0 && proof.opened > 0, "{proof:?}");

    // A caller in the gateway comes no further.
    assert_eq!(answers(&host, Some("gateway")), Vec::<String>::new());
    let planted = counted("caller in the gateway");
    assert!(planted.left == 0 && planted.opened > 0, "{planted:?}");
    // One in web comes out of a network that somebody opened.
    let web = host.container("web");
    assert_eq!(answers(&host, Some("web")), Vec::<String>::new());
    assert_eq!(counted("caller in web"), NOTHING);
    island(&host).ok("docker", &["network", "connect", "bridge", &web]);
    let reached = answers_of(&host, Some("web"), 4);
    assert_eq!(reached.len(), 4, "{reached:?}");
    let open = counted("caller in web, network opened");
    assert!(open.left >= 4 && open.opened >= 4, "{open:?}");
    host.fails(5, &[&prove[..], &name].concat());
    island(&host).ok("docker", &["network", "disconnect", "bridge", &web]);
    counted("proof of an open network");

    host.ok(&[&["uninstall", "--purge", "--yes"][..], &name].concat());
    assert_eq!(counted("uninstall"), NOTHING);
}
