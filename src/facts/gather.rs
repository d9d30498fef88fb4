//! Asks all questions at once, each with its own limit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::{OptionFuture, join_all};
use jiff::Timestamp;

use super::{CommandHealth, EventTrip, Fact, Facts, Installed, Probe, egress, settings};
use crate::engine::{Container, ContainerEngine, EngineFacts, LABEL_PART, Resource};
use crate::langfuse::http::{Client, HttpError};
use crate::langfuse::query::QueryError;
use crate::langfuse::schema;
use crate::langfuse::{self, Door, ProbeError, TraceId, UPDATE_LIMIT, millis};
use crate::stack::SchemaKind;
use crate::sys::disk::Disk;
use crate::sys::host::Host;
use crate::sys::text::one_line;

/// How long the engine may take to describe itself and what it runs.
const ENGINE_LIMIT: Duration = Duration::from_secs(10);
/// A dead network filesystem blocks for ever.
const DISK_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// See [`Gatherer::give_way`].
const HEAD_START: Duration = Duration::from_millis(200);
/// Langfuse 3 takes up to seven seconds on a slow day.
const EVENT_LIMIT: Duration = Duration::from_secs(20);

/// Finds out what is true of `installed`, as far as `probes` ask for it; the
/// engine and what it runs are always looked at.
pub async fn gather<E: ContainerEngine>(
    engine: &E,
    installed: Installed,
    probes: &BTreeSet<Probe>,
) -> Facts {
    let now = Timestamp::now();
    let name = installed.name.as_str();
    let (engine_facts, containers, networks, volumes) = tokio::join!(
        limited(ENGINE_LIMIT, engine.facts()),
        limited(ENGINE_LIMIT, engine.containers(name)),
        limited(ENGINE_LIMIT, engine.networks(name)),
        limited(ENGINE_LIMIT, engine.volumes(name)),
    );
    let containers = match containers {
        Fact::Known(containers) => Fact::Known(by_service(containers)),
        Fact::Unknown(why) => Fact::Unknown(why),
    };
    let gatherer = Gatherer {
        engine,
        installed: &installed,
        door: installed.door(&engine_facts, &containers),
        probes,
    };
    let answers = gatherer.ask(&engine_facts).await;
    answers.into_facts(
        now,
        installed.clone(),
        engine_facts,
        containers,
        networks,
        volumes,
    )
}

/// Runs one question with a limit.
async fn limited<T, E>(limit: Duration, question: impl Future<Output = Result<T, E>>) -> Fact<T>
where
    E: std::error::Error,
{
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => answer.into(),
        Err(_) => Err(QueryError::Timeout { limit }).into(),
    }
}

/// Runs blocking work beside the runtime, with a limit.
async fn blocking<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Fact<T> {
    let question = async {
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    limited(limit, question).await
}

fn by_service(containers: Vec<Container>) -> BTreeMap<String, Container> {
    containers
        .into_iter()
        .filter_map(|container| Some((container.labels.get(LABEL_PART)?.clone(), container)))
        .collect()
}

struct Gatherer<'a, E> {
    engine: &'a E,
    installed: &'a Installed,
    door: Result<Door, String>,
    probes: &'a BTreeSet<Probe>,
}

/// Everything but what the engine said at once. Filled with "not asked for"
/// where a probe was not wanted.
struct Answers {
    host: (Fact<Host>, Disks),
    health: Health,
    schemas: (
        Vec<Fact<schema::SchemaState>>,
        Fact<Vec<schema::FailedMigration>>,
    ),
    settings: Settings,
    egress: BTreeMap<String, Fact<Vec<egress::Attempt>>>,
    update: Fact<langfuse::UpdateCheck>,
    event: Fact<Result<EventTrip, ProbeError>>,
}

/// Filesystems by what lies there.
type Disks = BTreeMap<&'static str, Fact<Disk>>;

struct Health {
    web: Fact<Result<langfuse::Health, HttpError>>,
    worker: Fact<CommandHealth>,
    published: Fact<Result<(), HttpError>>,
}

#[derive(Default)]
struct Settings {
    servers: Vec<Fact<schema::ServerFacts>>,
    eviction: Option<Fact<String>>,
    crash_reports_off: BTreeMap<String, Fact<bool>>,
}

fn not_asked<T>() -> Fact<T> {
    Fact::Unknown("not asked for".to_owned())
}

impl<E: ContainerEngine> Gatherer<'_, E> {
    async fn ask(&self, engine: &Fact<EngineFacts>) -> Answers {
        let wants = |probe| self.probes.contains(&probe);
        let (egress, host, health, schemas, settings, update, event) = tokio::join!(
            OptionFuture::from(wants(Probe::Egress).then(|| self.egress())),
            OptionFuture::from(wants(Probe::Host).then(|| self.host(engine))),
            OptionFuture::from(wants(Probe::Health).then(|| self.health())),
            OptionFuture::from(wants(Probe::Schema).then(|| self.schemas())),
            OptionFuture::from(wants(Probe::Settings).then(|| self.settings())),
            OptionFuture::from(wants(Probe::Update).then(|| self.update())),
            OptionFuture::from(wants(Probe::Event).then(|| self.event())),
        );
        Answers {
            host: host.unwrap_or_else(|| (not_asked(), Disks::new())),
            health: health.unwrap_or_else(|| Health {
                web: not_asked(),
                worker: not_asked(),
                published: not_asked(),
            }),
            schemas: schemas.unwrap_or_else(|| (Vec::new(), not_asked())),
            settings: settings.unwrap_or_default(),
            egress: egress.unwrap_or_default(),
            update: update.unwrap_or_else(not_asked),
            event: event.unwrap_or_else(not_asked),
        }
    }

    /// Lets the connects from inside begin before other commands in
    /// containers: they wait for a second doing nothing, but a small host that
    /// starts ten processes at once starts theirs last.
    async fn give_way(&self) {
        if self.probes.contains(&Probe::Egress) {
            tokio::time::sleep(HEAD_START).await;
        }
    }

    async fn host(&self, engine: &Fact<EngineFacts>) -> (Fact<Host>, Disks) {
        let data = engine
            .known()
            .map(|engine| PathBuf::from(&engine.data_root));
        let paths = [
            ("images and data", data),
            ("lfctl's state", Some(self.installed.state_dir.clone())),
        ];
        let disks = paths
            .into_iter()
            .filter_map(|(purpose, path)| Some((purpose, path?)));
        let disks = join_all(disks.map(async |(purpose, path)| {
            (purpose, blocking(DISK_LIMIT, move || Disk::of(&path)).await)
        }));
        let (host, disks) = tokio::join!(blocking(DISK_LIMIT, Host::read), disks);
        (host, disks.into_iter().collect())
    }

    async fn health(&self) -> Health {
        let web = async {
            match &self.door {
                Ok(door) => Fact::Known(langfuse::health(door).await),
                Err(why) => Fact::Unknown(why.clone()),
            }
        };
        let address = self.installed.published();
        let client = Client::of_host(address.ip());
        let (web, worker, published) = tokio::join!(
            web,
            self.worker_health(),
            client.connect(address, CONNECT_LIMIT)
        );
        Health {
            web,
            worker,
            published: Fact::Known(published),
        }
    }

    /// Runs the worker's own health check now: the engine's last verdict may
    /// be half a minute old.
    async fn worker_health(&self) -> Fact<CommandHealth> {
        let stack = &self.installed.stack;
        let Some(worker) = stack.service(&stack.langfuse.worker) else {
            return Fact::Unknown("the stack has no worker".to_owned());
        };
        self.give_way().await;
        let container = self.installed.container(&worker.name);
        let limit = Duration::from_secs(worker.health.timeout_seconds.max(1));
        let question = self.engine.exec(&container, &worker.health.command, limit);
        match limited(limit + ENGINE_LIMIT, question).await {
            Fact::Known(output) => Fact::Known(CommandHealth {
                code: output.code,
                output: one_line(&format!("{} {}", output.stdout, output.stderr)),
            }),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    async fn schemas(
        &self,
    ) -> (
        Vec<Fact<schema::SchemaState>>,
        Fact<Vec<schema::FailedMigration>>,
    ) {
        self.give_way().await;
        let schemas = &self.installed.stack.schemas;
        let states = join_all(schemas.iter().map(async |wanted| {
            let container = self.installed.container(&wanted.service);
            Fact::from(schema::schema_state(self.engine, &container, wanted).await)
        }));
        let background = async {
            let postgres = schemas
                .iter()
                .find(|wanted| wanted.kind == SchemaKind::Prisma);
            let Some(postgres) = postgres else {
                return Fact::Unknown("the stack has no Prisma schema".to_owned());
            };
            let container = self.installed.container(&postgres.service);
            schema::failed_background_migrations(self.engine, &container, postgres)
                .await
                .into()
        };
        tokio::join!(states, background)
    }

    async fn settings(&self) -> Settings {
        self.give_way().await;
        let stack = &self.installed.stack;
        let servers = join_all(stack.schemas.iter().map(async |wanted| {
            let container = self.installed.container(&wanted.service);
            Fact::from(schema::server_facts(self.engine, &container, wanted).await)
        }));
        let eviction = OptionFuture::from(settings::redis(stack).map(async |redis| {
            let container = self.installed.container(&redis.name);
            Fact::from(settings::eviction_policy(self.engine, &container).await)
        }));
        let files = settings::crash_report_files(stack);
        let crash_reports = join_all(files.iter().map(async |(service, path)| {
            let container = self.installed.container(service);
            let off = settings::crash_reports_off(self.engine, &container, path).await;
            ((*service).to_owned(), Fact::from(off))
        }));
        let (servers, eviction, crash_reports) = tokio::join!(servers, eviction, crash_reports);
        Settings {
            servers,
            eviction,
            crash_reports_off: crash_reports.into_iter().collect(),
        }
    }

    async fn egress(&self) -> BTreeMap<String, Fact<Vec<egress::Attempt>>> {
        let langfuse = &self.installed.stack.langfuse;
        let targets = egress::targets(&self.installed.stack.call_home);
        let services = [&langfuse.web, &langfuse.worker];
        let attempts = join_all(services.map(async |service| {
            let container = self.installed.container(service);
            let attempts = egress::attempts(self.engine, &container, &targets).await;
            (service.clone(), Fact::from(attempts))
        }));
        attempts.await.into_iter().collect()
    }

    async fn update(&self) -> Fact<langfuse::UpdateCheck> {
        let door = match &self.door {
            Ok(door) => door,
            Err(why) => return Fact::Unknown(why.clone()),
        };
        let web = self.installed.container(&self.installed.stack.langfuse.web);
        langfuse::update_check(self.engine, door, &web, UPDATE_LIMIT)
            .await
            .into()
    }

    async fn event(&self) -> Fact<Result<EventTrip, ProbeError>> {
        let door = match &self.door {
            Ok(door) => door,
            Err(why) => return Fact::Unknown(why.clone()),
        };
        let Some(keys) = &self.installed.keys else {
            return Fact::Unknown("the project's api key cannot be read".to_owned());
        };
        let trip = async {
            let id = TraceId::random()?;
            let line = self.installed.stack.langfuse.line;
            let accepted = langfuse::ingest(door, keys, &id).await?;
            let readable = langfuse::read_back(door, line, keys, &id, EVENT_LIMIT).await?;
            Ok(EventTrip {
                accepted_ms: millis(accepted),
                readable_ms: millis(readable),
            })
        };
        match trip.await {
            // That web does not answer is another check's finding.
            Err(error @ (ProbeError::Http(_) | ProbeError::Random(_))) => {
                Err::<_, ProbeError>(error).into()
            }
            trip => Fact::Known(trip),
        }
    }
}

impl Answers {
    fn into_facts(
        self,
        now: Timestamp,
        installed: Installed,
        engine: Fact<EngineFacts>,
        containers: Fact<BTreeMap<String, Container>>,
        networks: Fact<Vec<Resource>>,
        volumes: Fact<Vec<Resource>>,
    ) -> Facts {
        Facts {
            installed,
            now,
            engine,
            containers,
            networks,
            volumes,
            host: self.host.0,
            disks: self.host.1,
            web: self.health.web,
            worker: self.health.worker,
            published: self.health.published,
            schemas: self.schemas.0,
            background: self.schemas.1,
            servers: self.settings.servers,
            eviction: self.settings.eviction,
            crash_reports_off: self.settings.crash_reports_off,
            egress: self.egress,
            update: self.update,
            event: self.event,
        }
    }
}
