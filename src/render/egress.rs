//! The allow-list of a site: what it lets the appliance reach, and the
//! container that carries it there.
//!
//! One container, made from the gateway's image, is the only one with a route
//! out. Each service that may reach something shares a network of its own with
//! it, so that no other can use what is allowed to it, and knows it there by
//! the names of its targets. The container passes TCP on to fixed targets and
//! looks their names up when somebody connects: TLS goes through untouched,
//! and it starts while the site's DNS is down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::stack::site::{Egress, SiteConfig};
use crate::stack::{Confinement, EGRESS, File, Service, Stack, Stage, Template};

/// Where the configuration lies until the container knows its addresses.
const CONFIG: &str = "/etc/nginx/lfctl-egress.conf";
/// Memory in MiB it is expected to use.
const MEMORY_MIB: u64 = 32;
/// First port that is tried for its own health check.
const HEALTH_PORT: u16 = 18080;
/// Langfuse refuses private addresses for these, unless their host is named.
const WHITELISTS: [&str; 4] = [
    "LANGFUSE_BLOB_STORAGE_ENDPOINT_WHITELISTED_HOST",
    "LANGFUSE_LLM_CONNECTION_WHITELISTED_HOST",
    "LANGFUSE_SSO_DISCOVERY_WHITELISTED_HOST",
    "LANGFUSE_WEBHOOK_WHITELISTED_HOST",
];

/// Something outside that a service can reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// The service that reaches it.
    pub service: String,
    /// Host name that the service uses.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Where the connection ends: `host:port`.
    pub to: String,
    /// Name of the entry.
    pub name: String,
    /// What it is for.
    pub purpose: String,
}

/// All that the appliance can reach outside of itself, by service.
pub fn routes(site: &SiteConfig) -> Vec<Route> {
    let of_entry = |entry: &Egress| {
        let entry = entry.clone();
        entry
            .services
            .clone()
            .into_iter()
            .map(move |service| Route {
                service,
                host: entry.alias().to_owned(),
                port: entry.port,
                to: entry.target(),
                name: entry.name.clone(),
                purpose: entry.purpose.clone(),
            })
    };
    let mut routes: Vec<_> = site.egress.iter().flat_map(of_entry).collect();
    routes.sort();
    routes
}

/// The services that can reach anything, in order.
pub fn services(site: &SiteConfig) -> BTreeSet<String> {
    let services = site.egress.iter().flat_map(|entry| &entry.services);
    services.cloned().collect()
}

/// `stack` with the egress container that the site asks for, or without.
pub fn with_egress(stack: &Stack, site: &SiteConfig) -> Stack {
    let mut stack = stack.clone();
    stack.services.retain(|service| service.name != EGRESS);
    let Some(gateway) = stack.service(&stack.langfuse.gateway) else {
        return stack;
    };
    if site.egress.is_empty() {
        return stack;
    }
    let service = container(gateway, site);
    // Before those that use it; it ends after them.
    let is_before = |service: &&Service| service.stage != Stage::App;
    let first = stack.services.iter().take_while(is_before).count();
    stack.services.insert(first, service);
    stack
}

/// Variables that a service needs to use what it may reach.
pub(super) fn environment(service: &str, site: &SiteConfig) -> BTreeMap<String, String> {
    let hosts: BTreeSet<_> = site
        .egress
        .iter()
        .filter(|entry| entry.services.iter().any(|name| name == service))
        .map(Egress::alias)
        .collect();
    if hosts.is_empty() {
        return BTreeMap::new();
    }
    let hosts = hosts.into_iter().collect::<Vec<_>>().join(",");
    let set = |name: &str| (name.to_owned(), hosts.clone());
    WHITELISTS.map(set).into()
}

/// Names under which a service knows the egress container.
pub(super) fn hosts(service: &str, site: &SiteConfig) -> BTreeSet<String> {
    let routes = routes(site).into_iter();
    routes
        .filter(|route| route.service == service)
        .map(|route| route.host)
        .collect()
}

/// The egress container's own name on the network it shares with a service.
pub(super) fn own_name(service: &str) -> String {
    format!("{EGRESS}-{service}")
}

fn container(gateway: &Service, site: &SiteConfig) -> Service {
    let taken: BTreeSet<_> = site.egress.iter().map(|entry| entry.port).collect();
    let health_port = (HEALTH_PORT..u16::MAX)
        .find(|port| !taken.contains(port))
        .unwrap_or(HEALTH_PORT);
    let url = format!("http://127.0.0.1:{health_port}/");
    let mut service = Service {
        name: EGRESS.to_owned(),
        stage: Stage::App,
        entrypoint: Some(vec!["sh".to_owned(), "-c".to_owned()]),
        command: Some(vec![script(site)]),
        env_groups: Vec::new(),
        env: BTreeMap::new(),
        files: vec![File {
            path: CONFIG.to_owned(),
            content: Template::literal(config(site, health_port)),
            mode: "0444".to_owned(),
            owner: "0:0".to_owned(),
            when: None,
        }],
        mounts: Vec::new(),
        publish: None,
        fail_fast: false,
        memory_mib: MEMORY_MIB,
        user: None,
        confinement: gateway.confinement.as_ref().map(Confinement::of_root),
        ..gateway.clone()
    };
    // One image has curl, the other wget.
    let ask = format!("curl -fsS -o /dev/null {url} 2>/dev/null || wget -q -O /dev/null {url}");
    service.health.command = vec!["sh".to_owned(), "-c".to_owned(), ask];
    service
}

/// Fills in what only the running container knows, its resolver and its
/// address on each network, and starts nginx.
fn script(site: &SiteConfig) -> String {
    let services = services(site).into_iter().collect::<Vec<_>>().join(" ");
    format!(
        r#"sed -n -e 's/^nameserver \([0-9][0-9.]*\)$/resolver \1 valid=10s ipv6=off;/p' \
    /etc/resolv.conf | head -n 1 > /run/lfctl-resolver.conf
cp {CONFIG} /run/lfctl-egress.conf
for service in {services}; do
    address=$(getent hosts "{EGRESS}-$service" | head -n 1)
    address=${{address%%[!0-9.]*}}
    [ -n "$address" ] || {{ echo "no address on the network of $service" >&2; exit 1; }}
    sed -i "s/@$service@/$address/" /run/lfctl-egress.conf
done
exec nginx -c /run/lfctl-egress.conf -g 'daemon off;'
"#
    )
}

/// nginx's configuration. `@SERVICE@` stands for the address on the network
/// that is shared with the service.
fn config(site: &SiteConfig, health_port: u16) -> String {
    let mut servers = String::new();
    let mut by_port: BTreeMap<(String, u16), Vec<Route>> = BTreeMap::new();
    for route in routes(site) {
        let key = (route.service.clone(), route.port);
        by_port.entry(key).or_default().push(route);
    }
    for ((service, port), routes) in by_port {
        servers.push_str(&server(&service, port, &routes));
    }
    format!(
        r#"user nginx;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr warn;

events {{
    worker_connections 4096;
}}

http {{
    access_log off;
    server {{
        listen 127.0.0.1:{health_port};
        return 200 "ok\n";
    }}
}}

stream {{
    log_format line '$remote_addr [$time_iso8601] :$server_port to $upstream_addr $status sent $bytes_received received $bytes_sent in $session_time s';
    access_log /dev/stdout line;
    include /run/lfctl-resolver.conf;
    resolver_timeout 5s;
    proxy_connect_timeout 10s;
    # Longer than any server keeps an idle connection.
    proxy_timeout 2h;
{servers}}}
"#
    )
}

/// Targets are variables, so that their names are looked up when somebody
/// connects. Those that share a port are told apart by the name that TLS asks
/// for.
fn server(service: &str, port: u16, routes: &[Route]) -> String {
    let mut text = String::new();
    if let [route] = routes {
        let _ = write!(
            text,
            "
    server {{
        listen @{service}@:{port};
        set $to {to};
        proxy_pass $to;
    }}
",
            to = route.to
        );
        return text;
    }
    let mut targets = String::new();
    for Route { host, to, .. } in routes {
        let _ = writeln!(targets, "        {host} {to};");
    }
    let _ = write!(
        text,
        "
    map $ssl_preread_server_name $to_{service}_{port} {{
        default \"\";
{targets}    }}
    server {{
        listen @{service}@:{port};
        ssl_preread on;
        proxy_pass $to_{service}_{port};
    }}
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::bundle::Fake;

    fn site(entries: &[(&str, &str, &str)]) -> SiteConfig {
        let entry = |(name, to, services): &(&str, &str, &str)| {
            format!(
                "[[egress]]\nname = \"{name}\"\nto = \"{to}\"\nservices = [{services}]\n\
                 purpose = \"x\"\n"
            )
        };
        let entries = entries.iter().map(entry).collect::<Vec<_>>().concat();
        SiteConfig::parse(&format!(
            "schema = 1\nurl = \"http://langfuse.lan:3000\"\n[admin]\n\
             email = \"ops@example.com\"\n{entries}"
        ))
        .unwrap()
    }

    const LIST: &[(&str, &str, &str)] = &[
        ("llm", "llm.example.com:443", "\"web\", \"worker\""),
        ("idp", "idp.example.com:443", "\"web\""),
        ("mail", "10.1.2.3:25", "\"worker\""),
        ("health", "10.1.2.3:18080", "\"worker\""),
    ];

    /// What nginx is told, as service, host (`None`: any), port and target.
    fn rendered(config: &str) -> BTreeSet<(String, Option<String>, u16, String)> {
        let mut found = BTreeSet::new();
        let mut targets: Vec<(Option<String>, String)> = Vec::new();
        let mut listen = None;
        for line in config.lines() {
            let words: Vec<_> = line.trim().trim_end_matches(';').split(' ').collect();
            match words.as_slice() {
                ["map", ..] => targets.clear(),
                ["listen", address] if address.starts_with('@') => {
                    let (service, port) = address[1..].split_once("@:").unwrap();
                    listen = Some((service.to_owned(), port.parse().unwrap()));
                }
                ["set", "$to", target] => targets = vec![(None, (*target).to_owned())],
                ["default", nothing] => assert_eq!(*nothing, "\"\""),
                [host, target] if target.contains(':') && host.contains('.') => {
                    targets.push((Some((*host).to_owned()), (*target).to_owned()));
                }
                ["proxy_pass", _] => {
                    let (service, port) = listen.clone().unwrap();
                    found.extend(
                        targets
                            .drain(..)
                            .map(|(host, target)| (service.clone(), host, port, target)),
                    );
                }
                _ => {}
            }
        }
        found
    }

    #[test]
    fn the_table_is_what_nginx_is_told() {
        let site = site(LIST);
        let stack = with_egress(&Fake::small().unwrap().stack, &site);
        let egress = stack.service(EGRESS).unwrap();
        let config = &egress.files[0].content.parts()[0];
        let crate::stack::Part::Literal(config) = config else {
            panic!("{config:?}")
        };
        let of = |service: &str, host: Option<&str>, port, to: &str| {
            (
                service.to_owned(),
                host.map(str::to_owned),
                port,
                to.to_owned(),
            )
        };
        let told = rendered(config);
        assert_eq!(
            told,
            BTreeSet::from([
                of("web", Some("idp.example.com"), 443, "idp.example.com:443"),
                of("web", Some("llm.example.com"), 443, "llm.example.com:443"),
                of("worker", None, 443, "llm.example.com:443"),
                of("worker", None, 25, "10.1.2.3:25"),
                of("worker", None, 18080, "10.1.2.3:18080"),
            ])
        );
        let table: BTreeSet<_> = routes(&site)
            .into_iter()
            .map(|route| (route.service, route.port, route.to))
            .collect();
        let told: BTreeSet<_> = told
            .into_iter()
            .map(|(service, _, port, to)| (service, port, to))
            .collect();
        assert_eq!(table, told);
        // Its own health check keeps off the ports of the list.
        assert!(config.contains("listen 127.0.0.1:18081;"), "{config}");
    }

    #[test]
    fn the_container_comes_and_goes_with_the_list() {
        let plain = Fake::small().unwrap().stack;
        let with = with_egress(&plain, &site(LIST));
        let egress = with.service(EGRESS).unwrap();
        let gateway = plain.service(&plain.langfuse.gateway).unwrap();
        assert_eq!(egress.image, gateway.image);
        assert!(egress.publish.is_none() && egress.env.is_empty());
        let order: Vec<_> = with
            .start_order()
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let at = |name: &str| order.iter().position(|one| one == name).unwrap();
        assert!(
            at(EGRESS) < at("web") && at(EGRESS) < at("worker"),
            "{order:?}"
        );
        assert_eq!(with_egress(&with, &site(LIST)), with);
        assert_eq!(with_egress(&with, &site(&[])), plain);
    }

    #[test]
    fn a_service_is_told_only_of_what_it_may_reach() {
        let site = site(LIST);
        let set = |service: &str| environment(service, &site).remove(WHITELISTS[1]);
        assert_eq!(
            set("web").as_deref(),
            Some("idp.example.com,llm.example.com")
        );
        assert_eq!(
            set("worker").as_deref(),
            Some("health,llm.example.com,mail")
        );
        assert_eq!(set("postgres"), None);
        assert_eq!(hosts("store", &site), BTreeSet::new());
    }
}
