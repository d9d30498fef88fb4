//! What the allow-list of a site opens on a real appliance, and that it opens
//! nothing else.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::support::host::{Host, docker, rehearsal, text};
use crate::support::outside::Outside;

const LLM: &str = "llm.corp.example";
const MAIL: &str = "mail.corp.example";

/// Servers outside: an LLM with TLS on 443, SMTP on 2525. Both say who they are.
const DOUBLES: &str = r"
import http.server, socketserver, ssl, sys, threading
class Llm(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'the llm')
class Smtp(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(b'220 the mail server\r\n')
llm = http.server.ThreadingHTTPServer((sys.argv[1], 443), Llm)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
llm.socket = context.wrap_socket(llm.socket, server_side=True)
smtp = socketserver.ThreadingTCPServer((sys.argv[1], 2525), Smtp)
threading.Thread(target=llm.serve_forever).start()
smtp.serve_forever()
";

/// Reaches `address:port` and prints what the server there says of itself.
const PROBE: &str = r"
import socket, ssl, sys
host, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    s = socket.create_connection((address, port), 2)
    s.settimeout(4)
    if port == 443:
        context = ssl._create_unverified_context()
        s = context.wrap_socket(s, server_hostname=host)
        s.sendall(b'GET / HTTP/1.0\r\n\r\n')
    said = b''
    while part := s.recv(4096): said += part
    print(said.decode())
except OSError as error:
    if said := locals().get('said'): print(said.decode())
";

struct Doubles(Child);

impl Doubles {
    fn new(host: &Host, outside: &Outside) -> Self {
        let dir = host.dir.path();
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", &format!("/CN={LLM}")])
            .args(["-addext", &format!("subjectAltName=DNS:{LLM}")])
            .args(["-keyout", "llm.key", "-out", "llm.crt"])
            .current_dir(dir)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let child = Command::new("ip")
            .args(["netns", "exec", &host.name, "python3", "-c", DOUBLES])
            .args([&outside.address, "llm.crt", "llm.key"])
            .current_dir(dir)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let doubles = Self(child);
        for port in [443, 2525] {
            let deadline = Instant::now() + Duration::from_secs(20);
            while std::net::TcpStream::connect((outside.address.as_str(), port)).is_err() {
                assert!(Instant::now() < deadline, "no double on {port}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        doubles
    }
}

impl Drop for Doubles {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn containers(host: &Host) -> Vec<(String, String)> {
    let label = format!("label=io.lfctl.appliance={}", host.name);
    let format = "{{.Label \"io.lfctl.part\"}} {{.Names}}";
    let found = docker(&["ps", "--filter", &label, "--format", format]);
    let pair = |line: &str| {
        let (part, name) = line.split_once(' ').unwrap();
        (part.to_owned(), name.to_owned())
    };
    found.lines().map(pair).collect()
}

/// What is behind `address:port` for a container, by its own network.
fn said_to(container: &str, host: &str, address: &str, port: u16) -> String {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", container]);
    let output = Command::new("nsenter")
        .args(["-t", pid.trim(), "-n", "python3", "-c", PROBE])
        .args([host, address, &port.to_string()])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Who reaches which server outside, by name, by its own address, and through
/// the addresses under which others reach it.
fn measured(host: &Host, outside: &Outside) -> BTreeSet<(String, u16)> {
    let mut reached = BTreeSet::new();
    let all = containers(host);
    let mut addresses = BTreeSet::from([outside.address.clone()]);
    for (_, name) in all.iter().filter(|(part, _)| part == "egress") {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let found = docker(&["inspect", "--format", format, name]);
        addresses.extend(found.split_whitespace().map(str::to_owned));
    }
    for (part, name) in all.iter().filter(|(part, _)| part != "egress") {
        let mut targets = addresses.clone();
        for alias in [LLM, MAIL] {
            let looked_up = Command::new("docker")
                .args(["exec", name, "getent", "hosts", alias])
                .output()
                .unwrap();
            let answer = String::from_utf8(looked_up.stdout).unwrap();
            targets.extend(answer.split_whitespace().next().map(str::to_owned));
        }
        for address in targets {
            for port in [80, 443, 2525] {
                // Who answers counts, not by which name it was asked.
                let said = said_to(name, LLM, &address, port);
                let who = match said.as_str() {
                    "" => continue,
                    said if said.contains("the llm") => 443,
                    said if said.contains("the mail server") => 2525,
                    _ => port,
                };
                reached.insert((part.clone(), who));
            }
        }
    }
    reached
}

/// The table of lfctl in the same form.
fn listed(host: &Host) -> BTreeSet<(String, u16)> {
    let listed = host.ok(&["egress", "list", "--json", "--name", &host.name]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let route = |route: &Value| {
        let service = route["service"].as_str().unwrap().to_owned();
        let to = route["to"].as_str().unwrap();
        (service, to.rsplit_once(':').unwrap().1.parse().unwrap())
    };
    let routes = listed["routes"].as_array().unwrap();
    routes.iter().map(route).collect()
}

#[test]
#[ignore = "needs the rehearsal"]
fn what_is_listed_is_reached_and_nothing_else() {
    let host = Host::ready();
    let outside = Outside::new(&host.name);
    let _doubles = Doubles::new(&host, &outside);
    let bundle = text(&rehearsal().join("bundles/rehearsal-1.tar"));
    let sealed = host.site_text();
    let smtp = format!("[env.worker]\nSMTP_CONNECTION_URL = \"smtp://{MAIL}:2525\"\n");

    // A setting without its route is refused before anything is there.
    fs::write(host.site(), format!("{sealed}{smtp}")).unwrap();
    let refusal = host.fails(3, &host.install(&bundle));
    assert!(
        refusal.contains(&format!("`to = \"{MAIL}:2525\"`")),
        "{refusal}"
    );
    assert!(host.in_engine().is_empty());

    let address = &outside.address;
    let open = format!(
        "{sealed}{smtp}[ca]\nbundle = \"{}\"\n\
         [[egress]]\nname = \"llm\"\nto = \"{LLM}:443\"\naddress = \"{address}\"\n\
         services = [\"web\", \"worker\"]\npurpose = \"evaluators\"\n\
         [[egress]]\nname = \"mail\"\nto = \"{MAIL}:2525\"\naddress = \"{address}\"\n\
         services = [\"worker\"]\npurpose = \"mails\"\n",
        text(&host.dir.path().join("llm.crt"))
    );
    fs::write(host.site(), &open).unwrap();
    host.ok(&host.install(&bundle));
    let of = |service: &str, port| (service.to_owned(), port);
    let wanted = BTreeSet::from([of("web", 443), of("worker", 443), of("worker", 2525)]);
    assert_eq!(listed(&host), wanted);
    assert_eq!(measured(&host, &outside), wanted);

    // Langfuse's own way of asking, which trusts the private CA alone.
    for service in ["web", "worker"] {
        let ask = format!("fetch('https://{LLM}/').then(r => r.text()).then(console.log)");
        let said = docker(&["exec", &host.container(service), "node", "-e", &ask]);
        assert_eq!(said.trim(), "the llm", "{service}");
        let variable = "LANGFUSE_LLM_CONNECTION_WHITELISTED_HOST";
        let hosts = docker(&["exec", &host.container(service), "printenv", variable]);
        let expected = if service == "web" {
            LLM.to_owned()
        } else {
            format!("{LLM},{MAIL}")
        };
        assert_eq!(hosts.trim(), expected);
    }
    let name = ["--name", host.name.as_str()];
    host.ok(&[&["doctor", "--only", "egress,stack"], name.as_slice()].concat());
    let again = host.run(&host.install(&bundle));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing to do"));

    // With the list, its container and networks go.
    fs::write(host.site(), &sealed).unwrap();
    host.ok(&host.install(&bundle));
    assert!(containers(&host).iter().all(|(part, _)| part != "egress"));
    let label = format!("label=io.lfctl.appliance={}", host.name);
    let networks = docker(&["network", "ls", "-q", "--filter", &label]);
    assert_eq!(networks.lines().count(), 2, "{networks}");
    assert_eq!(listed(&host), BTreeSet::new());
    assert_eq!(measured(&host, &outside), BTreeSet::new());

    // An uninstall finds the container too.
    fs::write(host.site(), &open).unwrap();
    host.ok(&host.install(&bundle));
    host.ok(&[&["uninstall", "--purge", "--yes"], name.as_slice()].concat());
    assert_eq!(host.in_engine(), Vec::<String>::new());
}
