//! Releases that are up in seconds: one static busybox, and shell scripts that
//! answer as Langfuse does where lfctl asks. What is accepted is in the volume
//! of `store` before the answer goes out, and so is the schema that the
//! migration leaves.

use lfctl::bundle::manifest::{UpgradePath, UpgradeRules, UpgradeWay};
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::oci::digest::Digest;
use lfctl::stack::release::SchemaChange;
use lfctl::stack::{Condition, File, Reload, Service, Stack};
use lfctl::transfer::load::private_tag;
use semver::Version;
use serde_json::json;

use super::engine::BUSYBOX;
use super::host::Host;
use super::stores::{CLIENTS, MAKE_TABLE, stores};

/// Passes standard input on to a port of a service. The static busybox has no
/// resolver but that of `nslookup`.
const TO: &str = r"#!/bin/sh
exec nc $(nslookup $1 | awk '/^Name/ { seen = 1 } seen && /^Address/ { print $NF; exit }') $2
";

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
store() { [ "$(echo "$1" | to "$STORE" 5432)" = ok ]; }
case $path in
/api/public/health*) answer '200 OK' "{\"status\":\"OK\",\"version\":\"$(cat /etc/release)\"}" ;;
/api/public/otel/v1/traces)
    trace=${body#*'"traceId":"'}
    if store "put ${trace%%'"'*}"; then
        answer '200 OK' '{}'
    else
        answer '500 Internal Server Error' '{}'
    fi
    ;;
/api/public/traces/*)
    trace=${path##*/}
    if store "get $trace"; then
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

/// Does what one connection asks of the data.
const STORE: &str = "#!/bin/sh
read -r verb what
case $verb in
put) : > /data/events/$what && echo ok ;;
get) [ -e /data/events/$what ] && echo ok ;;
migrate) make-table && echo $what > /data/schema.new && mv /data/schema.new /data/schema && echo ok ;;
esac
";

/// What both databases say of their schemas.
const QUERY: &str = r"#!/bin/sh
schema=$(cat /data/schema 2> /dev/null)
printf 'applied\t%s\nlast\t%s\n' ${schema:-0} $schema
";

const MIGRATE: &str = "#!/bin/sh
[ \"$(echo migrate $1 | to $STORE 5432)\" = ok ]
";

/// Passes one connection on to where its door leads.
const GATEWAY: &str = r"#!/bin/sh
. /tmp/route
. /tmp/door
if [ $DOOR = inner ]; then
    web=$next
elif [ $closed ]; then
    exec printf 'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
fi
exec to $web 3000
";

const ROUTE: &str = "web=${service:web}\nnext=${next:web}\n";

/// As the first process of a gateway, which reads its files again when it is
/// told to.
const GATEWAYS: &str = "#!/bin/sh
read_files() {
    for file in route door; do
        cp /etc/gateway/$file /tmp/$file.new
        mv /tmp/$file.new /tmp/$file
    done
}
read_files
trap 'exit 0' TERM
trap read_files HUP
DOOR=outer nc -ll -p 8080 -e /bin/gateway &
DOOR=inner nc -ll -p 8081 -e /bin/gateway &
while :; do wait; done
";

/// Runs a command until it is told to end, as the first process of a
/// container: without the trap it would wait to be killed.
fn until_stopped(command: &str) -> Vec<String> {
    let script = format!("trap 'exit 0' TERM; {command} & wait");
    ["/bin/sh", "-c", &script].map(str::to_owned).to_vec()
}

/// The releases of one host, whose images nobody else has. Each comes after the
/// one with the number before, in another image of web and worker.
pub(crate) struct Releases {
    name: String,
    /// How one goes to the next.
    way: UpgradeWay,
    base: FakeLayer,
}

impl Releases {
    pub(crate) fn of(host: &Host, way: UpgradeWay) -> Self {
        Self::named(&host.name, way)
    }

    /// Those whose images have this name.
    pub(crate) fn named(name: &str, way: UpgradeWay) -> Self {
        let busybox = std::fs::read(BUSYBOX)
            .unwrap_or_else(|error| panic!("{BUSYBOX}: {error}; install busybox-static"));
        let make_table = format!("#!/bin/sh\n{MAKE_TABLE}\n");
        let own: [(&str, &[u8]); 12] = [
            ("bin/sh", &busybox),
            ("bin/true", b"#!/bin/sh\n"),
            ("bin/cat", b"#!/bin/sh\ncat \"$@\"\n"),
            ("bin/to", TO.as_bytes()),
            ("bin/web", WEB.as_bytes()),
            ("bin/store", STORE.as_bytes()),
            ("bin/query", QUERY.as_bytes()),
            ("bin/migrate", MIGRATE.as_bytes()),
            ("bin/gateway", GATEWAY.as_bytes()),
            ("bin/gateways", GATEWAYS.as_bytes()),
            ("bin/make-table", make_table.as_bytes()),
            ("tmp/mark", name.as_bytes()),
        ];
        Self {
            name: name.to_owned(),
            way,
            base: FakeLayer::plain(&[&own[..], &CLIENTS[..]].concat()),
        }
    }

    pub(crate) fn release(&self, number: u32) -> Fake {
        let mut fake = Fake::small().unwrap();
        let version = format!("1.0.{number}");
        fake.release.version = Version::parse(&version).unwrap();
        fake.release.counter = number.into();
        fake.upgrade = UpgradeRules {
            from: vec!["<2".parse().unwrap()],
            paths: vec![UpgradePath {
                from: "<2".parse().unwrap(),
                way: self.way,
                schema: SchemaChange::Additive,
            }],
        };
        for (key, tag) in [("store", 1), ("app", number), ("gateway", 1)] {
            let reference = format!("registry.test/{}-{key}:{tag}", self.name);
            let own = match key {
                "app" => ("etc/release", version.as_bytes()),
                _ => ("etc/name", key.as_bytes()),
            };
            let layers = vec![self.base.clone(), FakeLayer::plain(&[own])];
            let image = FakeImage::with_config(layers, &json!({ "Env": ["PATH=/bin"] }));
            fake = fake.image(key, &reference, image);
        }
        fake.stack.langfuse.version = version;
        fake.stack.langfuse.inner_port = Some(8081);
        let schema = format!("{number:04}");
        fake.stack.migration.command = vec!["/bin/migrate".to_owned(), schema.clone()];
        fake.stack.schemas[0].query = vec!["/bin/query".to_owned()];
        fake.stack.schemas[0].count = number;
        fake.stack.schemas[0].last = schema;
        serve(&mut fake.stack);
        fake.stack.stores = stores("store");
        fake
    }
}

/// Gives the services of a stack something to do.
fn serve(stack: &mut Stack) {
    for service in &mut stack.services {
        // Each check costs the engine more than a request to web does.
        let is_replaced = ["web", "worker"].contains(&service.name.as_str());
        service.health.interval_seconds = if is_replaced { 1 } else { 2 };
        service.command = Some(match service.name.as_str() {
            "store" => until_stopped("mkdir -p /data/events; nc -ll -p 5432 -e /bin/store"),
            "web" => until_stopped("nc -ll -p 3000 -e /bin/web"),
            "gateway" => vec!["/bin/gateways".to_owned()],
            _ => until_stopped("sleep 100000"),
        });
        match service.name.as_str() {
            "store" => "store".clone_into(&mut service.image),
            "gateway" => lead(service),
            _ => {}
        }
    }
}

/// Makes a gateway read where it leads from its files.
fn lead(gateway: &mut Service) {
    let file = |name: &str, content: &str, when| File {
        path: format!("/etc/gateway/{name}"),
        content: content.parse().unwrap(),
        mode: "0444".to_owned(),
        owner: "0:0".to_owned(),
        when,
    };
    gateway.files = vec![
        file("route", ROUTE, None),
        file("door", "closed=\n", Some(Condition::Open)),
        file(
            "door",
            "closed=yes # ${closed:until}\n",
            Some(Condition::Closed),
        ),
    ];
    gateway.reload = Some(Reload {
        test: vec!["/bin/true".to_owned()],
        signal: "SIGHUP".to_owned(),
    });
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
