//! What the containers of a real appliance reach of the host and of an outside
//! that would answer, with the rules in the host's firewall and without them.

use std::net::{TcpListener, UdpSocket};
use std::process::{Command, Stdio};

use crate::support::host::{Host, docker, rehearsal, text};
use crate::support::outside::Outside;

/// Tries each address: TCP and UDP to the port, and a ping. Prints who answered.
const PROBE: &str = r"
import os, socket, struct, sys
port = int(sys.argv[1])
def answered(kind, family, address):
    where = (address, 80 if address == sys.argv[2] else port)
    if kind == 'tcp':
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(0.4); s.connect(where); return True
    if kind == 'udp':
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(0.4); s.sendto(b'mark', where); s.recv(64); return True
    number, protocol = (8, 'icmp') if family == socket.AF_INET else (128, 'ipv6-icmp')
    with socket.socket(family, socket.SOCK_RAW, socket.getprotobyname(protocol)) as s:
        # Of its own, or it belongs to an earlier one that was answered.
        own = os.getpid() & 0xffff
        body = struct.pack('!BBHHH', number, 0, 0, own, 1)
        total = sum(struct.unpack('!HHHH', body)); total = (total >> 16) + (total & 0xffff)
        body = struct.pack('!BBHHH', number, 0, ~total & 0xffff, own, 1)
        s.settimeout(0.4); s.sendto(body, (address, 0))
        while True:
            said, who = s.recvfrom(256)
            said = said[20:] if family == socket.AF_INET else said
            if said[0] == (0 if family == socket.AF_INET else 129): return True
for address in sys.argv[2:]:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for kind in ('tcp', 'udp', 'icmp'):
        try:
            if answered(kind, family, address): print(kind, address)
        except OSError: pass
";

/// Services on all addresses of the host that answer for as long as the test
/// runs.
fn answer_everybody() -> u16 {
    let tcp = TcpListener::bind("[::]:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let udp = UdpSocket::bind(("::", port)).unwrap();
    std::thread::spawn(move || tcp.incoming().for_each(drop));
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, from)) = udp.recv_from(&mut bytes) {
            let _ = udp.send_to(b"here", from);
        }
    });
    port
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Addresses of the host, IPv4 and IPv6, those of bridges included.
fn addresses_of_host() -> Vec<String> {
    let all = output("ip", &["-o", "addr", "show", "scope", "global"]);
    let fields = all
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    fields
        .filter_map(|address| Some(address.split_once('/')?.0.to_owned()))
        .collect()
}

/// What each container reaches, as `service protocol address`.
fn reached(host: &Host, port: u16, outside: &Outside) -> Vec<String> {
    let label = format!("label=io.lfctl.appliance={}", host.name);
    let names = docker(&["ps", "--filter", &label, "--format", "{{.Names}}"]);
    assert_eq!(names.lines().count(), 7, "{names}");
    let mut targets = vec![outside.address.clone()];
    targets.extend(addresses_of_host());
    targets.extend(["169.254.169.254", "2001:db8::1"].map(str::to_owned));
    let own = docker(&["inspect", "--format", ADDRESSES, &host.container("gateway")]);
    targets.retain(|target| !own.contains(target.as_str()));
    let probe = |name: &str| {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", name]);
        Command::new("nsenter")
            .args(["-t", pid.trim(), "-n", "python3", "-c", PROBE])
            .arg(port.to_string())
            .args(&targets)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let probes: Vec<_> = names.lines().map(|name| (name, probe(name))).collect();
    let mut reached = Vec::new();
    for (name, probe) in probes {
        let seen = probe.wait_with_output().unwrap();
        assert!(seen.status.success(), "{name}");
        let seen = String::from_utf8(seen.stdout).unwrap();
        let service = name.trim_start_matches(&format!("{}-", host.name));
        reached.extend(seen.lines().map(|line| format!("{service} {line}")));
    }
    reached
}

const ADDRESSES: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";

/// The rules of this appliance.
fn rules(host: &Host) -> Vec<String> {
    let mark = format!("lfctl:{}\"", host.name);
    let mark = [mark, format!("lfctl:{} ", host.name)];
    let all = ["iptables-save", "ip6tables-save"].map(|tool| output(tool, &[]));
    let lines = all.iter().flat_map(|all| all.lines());
    let own = lines.filter(|line| mark.iter().any(|mark| line.contains(mark)));
    own.map(str::to_owned).collect()
}

fn firewall(host: &Host, code: i32) {
    let only = ["doctor", "--only", "egress.firewall"];
    let fail = ["--fail-on", "warning", "--name", &host.name];
    let output = host.run(&[&only[..], &fail[..]].concat());
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

#[test]
#[ignore = "needs the rehearsal"]
fn no_container_reaches_the_host_or_the_outside() {
    let host = Host::ready();
    let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    host.ok(&host.install(&bundle));
    let outside = Outside::new(&host.name);
    let port = answer_everybody();
    let nothing = Vec::<String>::new();
    assert_eq!(rules(&host).len(), 4, "{:?}", rules(&host));
    assert_eq!(reached(&host, port, &outside), nothing);
    firewall(&host, 0);

    // As after a reboot. The means of looking see what is open then.
    let remove = |rule: &String| {
        let rule = rule.replacen("-A ", "-D ", 1).replace('"', "");
        let words: Vec<_> = rule.split_whitespace().collect();
        for tool in ["iptables", "ip6tables"] {
            output(tool, &words);
        }
    };
    rules(&host).iter().for_each(remove);
    assert_eq!(rules(&host), nothing);
    let open = reached(&host, port, &outside);
    assert!(
        open.iter().all(|one| one.starts_with("gateway ")),
        "{open:?}"
    );
    for kind in ["gateway tcp ", "gateway udp ", "gateway icmp "] {
        assert!(open.iter().any(|one| one.starts_with(kind)), "{open:?}");
    }
    firewall(&host, 6);

    // What doctor says to type closes it, and so do start and install.
    host.ok(&["recover", "--name", &host.name]);
    firewall(&host, 0);
    assert_eq!(reached(&host, port, &outside), nothing);
    rules(&host).iter().for_each(remove);
    host.ok(&["start", "-y", "--name", &host.name]);
    assert_eq!(rules(&host).len(), 4);
    rules(&host).iter().for_each(remove);
    host.ok(&host.install(&bundle));
    assert_eq!(rules(&host).len(), 4);

    // Others still reach the published port, and uninstall leaves nothing.
    let published = ("127.0.0.1", host.port);
    assert!(std::net::TcpStream::connect(published).is_ok());
    host.ok(&["uninstall", "-y", "--purge", "--name", &host.name]);
    assert_eq!(rules(&host), nothing);
}
