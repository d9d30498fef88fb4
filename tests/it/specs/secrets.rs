//! Who gets which secret, and where none may stand.

use lfctl::engine::ContainerSpec;
use lfctl::render::{Rendered, files_tar, render_first_start};

use super::{Bench, PLAIN, SPECS, bench, shown};

/// Which secrets a container gets, by where they stand.
fn secrets_in(bench: &Bench, rendered: &Rendered) -> Vec<String> {
    let text = shown(rendered).to_string();
    let held = bench.secrets.iter();
    held.filter(|(_, secret)| text.contains(secret.expose()))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn each_container_gets_only_the_secrets_it_needs() {
    let shared = [
        "blob-store-key",
        "clickhouse-password",
        "encryption-key",
        "postgres-password",
        "redis-password",
        "salt",
    ];
    let web = [
        "admin-api-key",
        "blob-store-key",
        "clickhouse-password",
        "encryption-key",
        "nextauth-secret",
        "postgres-password",
        "public-key",
        "redis-password",
        "salt",
        "secret-key",
    ];
    for name in SPECS {
        let bench = bench(name, PLAIN);
        let of = |service: &str| secrets_in(&bench, &bench.service(service));
        assert_eq!(of("postgres"), ["postgres-password"]);
        assert_eq!(of("redis"), ["redis-password"]);
        assert_eq!(of("clickhouse"), ["clickhouse-password"]);
        let blob_store = [
            "blob-store-admin-key",
            "blob-store-key",
            "blob-store-signing-key",
        ];
        assert_eq!(of("seaweedfs"), blob_store);
        assert_eq!(of("worker"), shared);
        assert_eq!(of("web"), web);
        // Until the first user exists.
        let service = bench.spec.stack.service("web").unwrap();
        let first = render_first_start(&bench.spec.stack, service, &bench.context()).unwrap();
        let mut with_password = web.to_vec();
        with_password.insert(1, "admin-password");
        assert_eq!(secrets_in(&bench, &first), with_password);
        assert!(of("gateway").is_empty());
        let job = secrets_in(&bench, &bench.job());
        assert_eq!(job, ["clickhouse-password", "postgres-password"]);
    }
}

/// What no process list and no inspection of a command may show.
fn arguments(spec: &ContainerSpec) -> String {
    let health = spec.health.as_ref().map(|health| &health.command);
    let words = [spec.entrypoint.as_ref(), spec.command.as_ref(), health];
    words.into_iter().flatten().flatten().cloned().collect()
}

#[test]
fn no_secret_is_in_an_argument_and_nothing_is_left_unrendered() {
    for name in SPECS {
        let bench = bench(name, PLAIN);
        let stack = &bench.spec.stack;
        let services = stack.services.iter().map(|s| bench.service(&s.name));
        for rendered in services.chain([bench.job()]) {
            assert!(!arguments(&rendered.spec).contains("fixed-secret"));
            let text = shown(&rendered).to_string();
            assert!(!text.contains("${"), "{}", rendered.spec.name);
            let archive = files_tar(&rendered.files).unwrap();
            assert_eq!(archive.len() % 512, 0);
        }
    }
}
