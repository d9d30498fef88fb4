//! The bundle specs: what becomes of them, down to each variable.

mod broken;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};

use fs_err as fs;
use lfctl::bundle::manifest::{Release, UpgradeRules};
use lfctl::bundle::migrations::largest;
use lfctl::render::{Inputs, Rendered, Route, networks, render_job, render_service, volumes};
use lfctl::stack::secret::SecretStore;
use lfctl::stack::site::{SiteConfig, TlsMaterial};
use lfctl::stack::validate::validate;
use lfctl::stack::{Service, Stack};
use lfctl::sys::versioned;
use semver::Version;
use serde::Deserialize;
use serde_json::{Value, json};

const SPECS: [&str; 5] = [
    "langfuse-3",
    "langfuse-4",
    "rehearsal-1",
    "rehearsal-2",
    "rehearsal-3",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Spec {
    schema: u32,
    lfctl: Version,
    platforms: Vec<String>,
    release: Release,
    images: BTreeMap<String, String>,
    #[serde(default)]
    upgrade: UpgradeRules,
    stack: Stack,
}

fn spec(name: &str) -> Spec {
    let path = format!("{}/bundles/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Everything a definition is rendered with, the same in every run.
struct Bench {
    spec: Spec,
    site: SiteConfig,
    tls: Option<TlsMaterial>,
    secrets: SecretStore,
    images: BTreeMap<String, String>,
}

const PLAIN: &str = r#"
schema = 1
url = "http://langfuse.lan:3000"
[admin]
email = "ops@example.com"
[env.worker]
LANGFUSE_LOG_LEVEL = "debug"
"#;

const TLS: &str = r#"
schema = 1
url = "https://langfuse.lan"
listen = "192.0.2.7:443"
[tls]
certificate = "/etc/ssl/a.crt"
key = "/etc/ssl/a.key"
[admin]
email = "ops@example.com"
"#;

fn bench(name: &str, site: &str) -> Bench {
    let spec = spec(name);
    let site = SiteConfig::parse_for(site, &spec.stack).unwrap();
    let tls = site.tls.as_ref().map(|_| {
        TlsMaterial::parse("-----BEGIN CERTIFICATE-----", "-----BEGIN PRIVATE KEY-----").unwrap()
    });
    let secrets: BTreeMap<_, _> = (10..)
        .zip(spec.stack.secrets.keys())
        .map(|(number, name)| (name, format!("fixed-secret-of-this-test-{number}")))
        .collect();
    let text = toml::to_string(&json!({ "schema": 1, "secrets": secrets })).unwrap();
    let images = spec.images.iter();
    Bench {
        images: images
            .map(|(key, reference)| (key.clone(), format!("<id of {reference}>")))
            .collect(),
        secrets: read_secrets(&text),
        spec,
        site,
        tls,
    }
}

fn read_secrets(text: &str) -> SecretStore {
    versioned::parse("secrets.toml".as_ref(), text.as_bytes()).unwrap()
}

impl Bench {
    fn context(&self) -> Inputs<'_> {
        Inputs {
            appliance: "prod",
            site: &self.site,
            tls: self.tls.as_ref(),
            ca: None,
            secrets: &self.secrets,
            images: &self.images,
            route: Route::default(),
        }
    }

    fn service(&self, name: &str) -> Rendered {
        let service = self.spec.stack.service(name).unwrap();
        render_service(&self.spec.stack, service, &self.context()).unwrap()
    }

    fn job(&self) -> Rendered {
        render_job(&self.spec.stack, &self.context()).unwrap()
    }

    /// As JSON, with secrets masked.
    fn shown(&self, rendered: &Rendered) -> Value {
        let value = shown(rendered);
        serde_json::from_str(&self.secrets.redactor().redact(&value.to_string())).unwrap()
    }
}

fn shown(rendered: &Rendered) -> Value {
    let spec = &rendered.spec;
    let mut value = json!({
        "name": spec.name,
        "labels": spec.owner.labels(),
        "image": spec.image,
        "user": spec.user,
        "entrypoint": spec.entrypoint,
        "command": spec.command,
        "env": spec.env.0,
        "networks": spec.networks,
        "mounts": spec.mounts,
        "tmpfs": spec.tmpfs,
        "extra-hosts": spec.extra_hosts,
        "dns-options": spec.dns_options,
        "ports": spec.ports.iter().map(|port| {
            format!("{}:{}->{}", port.host_ip, port.host_port, port.container_port)
        }).collect::<Vec<_>>(),
        "health": spec.health.as_ref().map(|health| json!({
            "command": health.command,
            "interval-s": health.interval.as_secs(),
            "timeout-s": health.timeout.as_secs(),
            "retries": health.retries,
            "start-period-s": health.start_period.as_secs(),
        })),
        "stop-signal": spec.stop_signal,
        "stop-timeout-s": spec.stop_timeout,
        "restart": spec.restart,
        "nofile": spec.nofile,
        "confinement": spec.confinement.as_ref().map(|confinement| json!({
            "capabilities": confinement.capabilities,
            "pids": confinement.pids,
            "memory": confinement.memory,
            "read-only": confinement.read_only,
        })),
        "files": rendered.files.iter().map(|file| json!({
            "path": file.path,
            "mode": format!("{:04o}", file.mode),
            "owner": format!("{}:{}", file.uid, file.gid),
            "content": file.content.expose().lines().collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    if let Value::Object(fields) = &mut value {
        let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        fields.retain(|_, value| !empty(value));
    }
    value
}

#[test]
fn every_spec_is_valid() {
    for name in SPECS {
        let spec = spec(name);
        assert_eq!(spec.schema, 1);
        assert_eq!(spec.lfctl, Version::new(0, 1, 0));
        assert_eq!(spec.platforms, ["linux/amd64", "linux/arm64"]);
        let keys: BTreeSet<_> = spec.images.keys().cloned().collect();
        let stack = largest(&spec.stack);
        assert_eq!(validate(&stack, &keys), Ok(()), "{name}");
        assert_eq!(
            spec.stack.langfuse.version,
            spec.release.version.to_string()
        );
    }
}

/// Whatever the image's own user is, none of the processes is root's, and none
/// has a capability with which it could be.
#[test]
fn no_container_has_more_rights_than_it_needs() {
    for name in SPECS {
        let bench = bench(name, TLS);
        let stack = &bench.spec.stack;
        // The images of web and worker bring their own.
        let with_own_user = [&stack.langfuse.web, &stack.langfuse.worker];
        let services = stack.services.iter().map(|service| {
            let rendered = bench.service(&service.name);
            let user = rendered.spec.user.as_deref();
            let is_unprivileged = user.is_some_and(|user| !user.starts_with("0:"));
            assert!(
                is_unprivileged || with_own_user.contains(&&service.name),
                "{name}: {}",
                service.name
            );
            rendered
        });
        for rendered in services.chain([bench.job()]) {
            let confinement = rendered.spec.confinement.expect("a confinement");
            assert_eq!(confinement.capabilities, Vec::<String>::new());
            assert!(confinement.pids > 0);
        }
    }
}

#[test]
fn references_are_complete_and_exact() {
    for name in SPECS {
        for reference in spec(name).images.values() {
            let (registry, rest) = reference.split_once('/').unwrap();
            assert!(registry.contains('.'), "{reference} names no registry");
            let (_, tag) = rest.rsplit_once(':').expect("a tag");
            let exact = tag.contains('.') || tag.starts_with("RELEASE.");
            assert!(exact, "{reference} floats");
        }
    }
}

#[test]
fn counters_and_rules_lead_from_line_to_line() {
    let lines = [
        ("langfuse-3", "langfuse-4"),
        ("rehearsal-1", "rehearsal-2"),
        ("rehearsal-2", "rehearsal-3"),
    ];
    for (older, newer) in lines {
        let (older, newer) = (spec(older), spec(newer));
        assert_eq!(older.release.name, newer.release.name);
        assert!(older.release.counter < newer.release.counter);
        let allowed = |to: &Spec, from: &Version| to.upgrade.from.iter().any(|r| r.matches(from));
        assert!(allowed(&newer, &older.release.version));
        assert!(!allowed(&older, &newer.release.version));
        assert!(!allowed(&newer, &Version::new(0, 9, 0)));
    }
    let v4 = spec("langfuse-4");
    // Early releases of Langfuse 3 lose data on the way to 4.
    let early = Version::new(3, 100, 0);
    assert!(!v4.upgrade.from.iter().any(|rule| rule.matches(&early)));
}

/// The rehearsal must not drift from what it rehearses.
#[test]
fn the_rehearsal_is_the_real_definition_on_other_images() {
    let pairs = [
        ("langfuse-3", "rehearsal-1"),
        ("langfuse-4", "rehearsal-2"),
        ("langfuse-4", "rehearsal-3"),
    ];
    for (real, rehearsal) in pairs {
        let (real, mut rehearsal) = (spec(real).stack, spec(rehearsal).stack);
        rehearsal
            .langfuse
            .version
            .clone_from(&real.langfuse.version);
        rehearsal.requires = real.requires.clone();
        for (rehearsed, real) in rehearsal.services.iter_mut().zip(&real.services) {
            rehearsed.memory_mib = real.memory_mib;
            rehearsed.nofile = real.nofile;
            if rehearsed.name == "gateway" {
                rehearsed.health.command.clone_from(&real.health.command);
            }
        }
        for (rehearsed, real) in rehearsal.schemas.iter_mut().zip(&real.schemas) {
            rehearsed.count = real.count;
            rehearsed.last.clone_from(&real.last);
        }
        assert_eq!(rehearsal, real);
    }
}

#[test]
fn containers() {
    for name in SPECS {
        let bench = bench(name, PLAIN);
        let stack = &bench.spec.stack;
        let order = stack.start_order();
        let rendered: Vec<_> = order.iter().map(|s| bench.service(&s.name)).collect();
        insta::assert_json_snapshot!(
            name,
            json!({
                "networks": networks("prod", &bench.site).into_iter().map(|network| (network.name, format!("{:?}", network.reach))).collect::<Vec<_>>(),
                "volumes": volumes(stack, "prod").iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "order": order.iter().map(|s| (&s.name, s.stage)).collect::<Vec<_>>(),
                "services": rendered.iter().map(|r| bench.shown(r)).collect::<Vec<_>>(),
                "migration": bench.shown(&bench.job()),
                "schemas": stack.schemas,
            })
        );
    }
}

#[test]
fn the_gateway_with_a_certificate() {
    let bench = bench("langfuse-4", TLS);
    insta::assert_json_snapshot!(bench.shown(&bench.service("gateway")));
}

#[test]
fn the_hash_changes_with_everything_that_defines_a_container() {
    let hash = |bench: &Bench, name: &str| bench.service(name).spec.config_hash;
    let before = bench("langfuse-4", PLAIN);
    for service in before.spec.stack.services.iter().map(|s| s.name.as_str()) {
        assert_eq!(
            hash(&before, service),
            hash(&bench("langfuse-4", PLAIN), service)
        );
        assert_eq!(hash(&before, service).len(), 64);
    }
    let change = |service: &str, change: fn(&mut Service)| {
        let mut after = bench("langfuse-4", PLAIN);
        let services = &mut after.spec.stack.services;
        change(services.iter_mut().find(|s| s.name == service).unwrap());
        assert_ne!(hash(&before, service), hash(&after, service));
    };
    change("redis", |s| s.files[0].content = "other".parse().unwrap());
    change("redis", |s| s.files[0].mode = "0440".into());
    change("redis", |s| s.health.retries += 1);
    change("redis", |s| s.nofile = Some(1));
    change("redis", |s| s.confinement = None);
    change("redis", |s| s.confinement.as_mut().unwrap().pids += 1);
    change("postgres", |s| {
        s.confinement.as_mut().unwrap().read_only = false;
    });
    change("redis", |s| s.mounts[0].path = "/other".into());
    change("web", |s| s.stop.timeout_seconds += 1);
    change("web", |s| s.fail_fast = false);
    change("gateway", |s| s.publish.as_mut().unwrap().http += 1);
    let mut after = bench("langfuse-4", PLAIN);
    after
        .images
        .insert("web".to_owned(), "sha256:other".to_owned());
    assert_ne!(hash(&before, "web"), hash(&after, "web"));
    assert_eq!(hash(&before, "worker"), hash(&after, "worker"));
    let secret = "schema = 1\n[secrets]\nredis-password = \"another-password\"\n";
    let mut after = bench("langfuse-4", PLAIN);
    let other = read_secrets(secret);
    let overrides = BTreeMap::from([(
        "redis-password".to_owned(),
        other.get("redis-password").unwrap().clone(),
    )]);
    after
        .secrets
        .merge(&overrides, &after.spec.stack.secrets)
        .unwrap();
    assert_ne!(hash(&before, "redis"), hash(&after, "redis"));
    assert_eq!(hash(&before, "postgres"), hash(&after, "postgres"));
}

#[test]
fn a_missing_image_secret_or_certificate_is_named() {
    let mut without = bench("langfuse-4", TLS);
    without.images.remove("redis");
    without.tls = None;
    let stack = &without.spec.stack;
    let render = |name: &str, bench: &Bench| {
        let service = stack.service(name).unwrap();
        render_service(stack, service, &bench.context())
            .unwrap_err()
            .to_string()
    };
    assert!(render("redis", &without).contains("certificate and key were not read"));
    let mut plain = bench("langfuse-4", PLAIN);
    plain.images.remove("redis");
    assert_eq!(
        render("redis", &plain),
        "service `redis` needs image `redis`, which is not loaded"
    );
    plain.secrets = SecretStore::default();
    assert!(render("seaweedfs", &plain).contains("refers to `${secret:blob-store-admin-key}`"));
}
