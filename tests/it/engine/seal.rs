//! What containers of the stack's networks reach: their siblings, and nothing
//! of the host, of other networks or of the outside.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lfctl::engine::{Containers, ExecAndLogs, NetworksAndVolumes};

use crate::support::engine::{Rig, docker};
use crate::support::outside::Outside;

/// Prints each IP packet that has `mark` in it, on any interface of the host:
/// one line with the interface.
const SNIFFER: &str = r"
import socket, sys
mark = sys.argv[1].encode()
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
print('ready', flush=True)
while True:
    data, where = s.recvfrom(65536)
    if mark in data and where[1] in (0x0800, 0x86dd):
        print(where[0], flush=True)
";

/// Everything that crosses an interface of the host and carries a mark.
struct Sniffer {
    child: Child,
    seen: std::sync::mpsc::Receiver<String>,
}

impl Sniffer {
    fn new(mark: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SNIFFER, mark])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        assert_eq!(seen.recv_timeout(Duration::from_secs(20)).unwrap(), "ready");
        Self { child, seen }
    }

    fn seen(&self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(200));
        self.seen.try_iter().collect()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Services of the host that listen on all of its addresses.
struct Host {
    port: u16,
    udp: UdpSocket,
}

impl Host {
    fn new() -> Self {
        let tcp = TcpListener::bind("[::]:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let udp = UdpSocket::bind(("::", port)).unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        // Ends with the test.
        std::thread::spawn(move || tcp.incoming().for_each(drop));
        Self { port, udp }
    }

    fn got_datagram(&self) -> bool {
        self.udp.recv(&mut [0; 64]).is_ok()
    }
}

/// Addresses of the host, IPv4 and IPv6, those of bridges included.
fn addresses_of_host() -> Vec<String> {
    let output = Command::new("ip")
        .args(["-o", "addr", "show", "scope", "global"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter_map(|address| Some(address.split_once('/')?.0.to_owned()))
        .collect()
}

fn gateway_of(network: &str) -> String {
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    let found = docker(&["network", "inspect", "--format", format, network]);
    found.trim().to_owned()
}

/// A command that sends a datagram with a mark in it.
fn datagram(mark: &str, target: &str, port: u16) -> String {
    format!("busybox timeout 1 busybox tftp -g -l /dev/null -r {mark} {target} {port}")
}

async fn run(rig: &Rig, name: &str, script: &str) -> (i64, String, Duration) {
    let command = ["/bin/sh", "-c", script].map(str::to_owned);
    let begun = Instant::now();
    let limit = Duration::from_secs(60);
    let output = rig.engine.exec(name, &command, limit).await.unwrap();
    (output.code, output.stdout, begun.elapsed())
}

#[tokio::test]
#[ignore = "needs an engine"]
#[expect(clippy::too_many_lines, reason = "one rig for every question")]
async fn the_inner_network_reaches_siblings_and_nothing_else() {
    let rig = Rig::new().await;
    let image = rig.shell().await;
    let inside = rig.network("inside", true).await;
    let edge = rig.network("edge", false).await;
    assert!(rig.engine.network(&inside).await.unwrap().unwrap().internal);

    let options = vec!["timeout:1".to_owned(), "attempts:1".to_owned()];
    let mut spec = rig.spec("closed", &image, "sleep 300");
    spec.networks = vec![(inside.clone(), vec!["closed".to_owned()])];
    spec.dns_options = options.clone();
    let closed = rig.run(&spec).await;
    let mut spec = rig.spec("gateway", &image, "nc -ll -p 8080 -e cat /mark");
    spec.networks = vec![
        (inside.clone(), vec!["gateway".to_owned()]),
        (edge.clone(), Vec::new()),
    ];
    spec.dns_options = options;
    let gateway = rig.run(&spec).await;
    // What a container without the seal reaches, to see that there is something.
    let open = rig.named("open");
    rig.docker(
        &["run", "-d", "--name", &open, &image, "sleep", "300"],
        &["rm", "-f", &open],
    );
    let host = Host::new();
    let outside = Outside::new(&rig.name);

    // Siblings, by name.
    let (code, said, _) = run(&rig, &closed, "nc -w 5 gateway 8080 </dev/null").await;
    assert_eq!((code, said.as_str()), (0, rig.name.as_str()));

    // The host reaches what it publishes.
    let container = rig.engine.container(&gateway).await.unwrap().unwrap();
    let door = format!("{}:8080", container.addresses[&edge]);
    assert!(std::net::TcpStream::connect(door).is_ok());

    let mut targets = addresses_of_host();
    targets.extend([gateway_of(&inside), gateway_of(&edge)]);
    targets.extend(["169.254.169.254", "192.0.2.1", "2001:db8::1"].map(str::to_owned));
    assert!(targets.iter().any(|one| one.contains(':')), "{targets:?}");
    let mark = format!("{}-mark", rig.name);
    let sniffer = Sniffer::new(&mark);
    let port = host.port;
    for target in &targets {
        let tcp =
            format!("echo {mark} | busybox timeout 5 nc -w 2 {target} {port} && echo connected");
        let (_, said, took) = run(&rig, &closed, &tcp).await;
        assert_eq!(said, "", "TCP to {target}");
        assert!(took < Duration::from_secs(1), "{target} took {took:?}");
        run(&rig, &closed, &datagram(&mark, target, port)).await;
        assert!(!host.got_datagram(), "UDP to {target}");
        let ping = format!("busybox ping -c 1 -W 1 {target} >/dev/null && echo answered");
        assert_eq!(run(&rig, &closed, &ping).await.1, "", "ICMP to {target}");
    }
    let ask = format!("nc -w 3 {} 80 </dev/null", outside.address);
    assert_eq!(run(&rig, &closed, &ask).await.1, "");
    // The gateway may send, and nobody can answer its address.
    assert_eq!(run(&rig, &gateway, &ask).await.1, "");
    // The engine's own bridge has a way.
    let unsealed = |script: &str| docker(&["exec", &open, "sh", "-c", &format!("{script}; true")]);
    assert_eq!(unsealed(&ask), "outside\n");

    // No question about a name leaves, and the answer comes within a second.
    for name in [&closed, &gateway] {
        let lookup = format!("busybox ping -c 1 {mark}.example.org");
        let (code, _, took) = run(&rig, name, &lookup).await;
        assert_ne!(code, 0);
        assert!(took < Duration::from_millis(1900), "{name} took {took:?}");
    }
    assert_eq!(sniffer.seen(), Vec::<String>::new());

    // The means of looking work: the same from where there is a way.
    let here = docker(&["inspect", "--format", "{{.NetworkSettings.Gateway}}", &open]);
    let here = here.trim();
    let tcp = format!("echo {mark} | busybox timeout 5 nc -w 2 {here} {port} && echo connected");
    assert_eq!(unsealed(&tcp), "connected\n");
    unsealed(&datagram(&mark, here, port));
    assert!(host.got_datagram());
    assert!(!sniffer.seen().is_empty());
}
