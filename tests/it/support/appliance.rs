//! A release that is up in seconds: one static busybox, and shell scripts that
//! answer as Langfuse does where lfctl asks.

use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::stack::Service;
use lfctl::transfer::load::private_tag;
use serde_json::json;

use super::engine::BUSYBOX;
use super::host::Host;

/// Serves one connection as Langfuse's web server does.
const WEB: &str = r#"#!/bin/sh
return=$(printf '\r')
read -r method path rest
length=0
while read -r line; do
    line=${line%"$return"}
    [ "$line" ] || break
    case $line in
    [Cc]ontent-[Ll]ength:*) length=${line#*: } ;;
    esac
done
body=$(head -c "$length")
answer() {
    printf 'HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
        "$1" "${#2}" "$2"
}
case $path in
/api/public/health*) answer '200 OK' '{"status":"OK","version":"3.225.4"}' ;;
/api/public/otel/v1/traces)
    trace=${body#*'"traceId":"'}
    : > "/tmp/${trace%%'"'*}"
    answer '200 OK' '{}'
    ;;
/api/public/traces/*)
    trace=${path##*/}
    if [ -e "/tmp/$trace" ]; then
        answer '200 OK' "{\"id\":\"$trace\"}"
    else
        answer '404 Not Found' '{}'
    fi
    ;;
/api/trpc/public.checkUpdate*)
    echo 'error [trpc.public.checkUpdate] failed to fetch latest-release api' > /proc/1/fd/1
    answer '200 OK' '{"result":{"data":{"json":null}}}'
    ;;
*) answer '404 Not Found' '{}' ;;
esac
"#;

/// Passes one connection on to web. The static busybox has no resolver but
/// that of `nslookup`.
const GATEWAY: &str = r"#!/bin/sh
exec nc $(nslookup web | awk '/^Name/ { seen = 1 } seen && /^Address/ { print $NF; exit }') 3000
";

/// What both databases say of their schemas.
const QUERY: &str = "#!/bin/sh\nprintf 'applied\\t1\\nlast\\tfirst\\n'\n";

/// Runs a command until it is told to end, as the first process of a
/// container: without the trap it would wait to be killed.
fn until_stopped(command: &str) -> Vec<String> {
    let script = format!("trap 'exit 0' TERM; {command} & wait");
    ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
}

fn image(mark: &str, name: &str) -> FakeImage {
    let busybox = std::fs::read(BUSYBOX)
        .unwrap_or_else(|error| panic!("{BUSYBOX}: {error}; install busybox-static"));
    let base = FakeLayer::files(&[
        ("bin/sh", &busybox),
        ("bin/true", b"#!/bin/sh\n"),
        ("bin/web", WEB.as_bytes()),
        ("bin/gateway", GATEWAY.as_bytes()),
        ("bin/query", QUERY.as_bytes()),
        ("tmp/mark", mark.as_bytes()),
    ]);
    let own = FakeLayer::files(&[("etc/name", name.as_bytes())]);
    FakeImage::with_config(vec![base, own], &json!({ "Env": ["PATH=/bin"] }))
}

/// A release for `host` whose images nobody else has.
pub(crate) fn quick(host: &Host) -> Fake {
    let mut fake = Fake::small().unwrap();
    for key in ["app", "gateway"] {
        let reference = format!("registry.test/{}-{key}:1", host.name);
        fake = fake.image(key, &reference, image(&host.name, key));
    }
    fake.stack.schemas[0].query = vec!["/bin/query".to_owned()];
    for service in &mut fake.stack.services {
        let Service { name, health, .. } = &*service;
        let command = match name.as_str() {
            "web" => "nc -ll -p 3000 -e /bin/web",
            "gateway" => "nc -ll -p 8080 -e /bin/gateway",
            _ => "sleep 100000",
        };
        let mut health = health.clone();
        health.interval_seconds = 1;
        service.command = Some(until_stopped(command));
        service.health = health;
    }
    fake
}

/// Every tag that an engine has of a release, as its bundle is loaded.
pub(crate) fn tags(fake: &Fake) -> Vec<String> {
    let images = fake.images.values();
    images
        .flat_map(|(reference, image)| {
            let own = private_tag(reference, &Digest::of(&image.config));
            [reference.clone(), own]
        })
        .collect()
}
