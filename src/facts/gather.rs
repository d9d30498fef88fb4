//! Asks all questions at once, each with its own limit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{OptionFuture, join_all};
use jiff::{SignedDuration, Timestamp};

use super::host::{self, Ground};
use super::limit::limited;
use super::{CommandHealth, EventTrip, Fact, Facts, Probe, Subject, egress, settings};
use crate::engine::{Container, ContainerEngine, EngineFacts, LABEL_PART, Resource};
use crate::langfuse::http::{Client, HttpError};
use crate::langfuse::schema;
use crate::langfuse::sdk::{self, SdkCalls};
use crate::langfuse::{self, Endpoint, ProbeError, TraceId, UPDATE_LIMIT, millis};
use crate::stack::SchemaKind;
use crate::sys::text::one_line;

/// How long the engine may take to describe itself and what it runs.
const ENGINE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// See [`Gatherer::give_way`].
const HEAD_START: Duration = Duration::from_millis(200);
/// Langfuse 3 takes up to seven seconds on a slow day.
const EVENT_LIMIT: Duration = Duration::from_secs(20);

/// How far back, and how many of, the calls of SDKs are looked at.
const CLIENTS: SignedDuration = SignedDuration::from_hours(24);
const CLIENT_LINES: usize = 20_000;

/// Finds out what is true of `subject`, as far as `probes` ask for it; the
/// engine and what it runs are always looked at.
pub async fn gather<E: ContainerEngine>(
    engine: &E,
    subject: Subject,
    probes: &BTreeSet<Probe>,
) -> Facts {
    let now = Timestamp::now();
    let name = subject.name.as_str();
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
        subject: &subject,
        endpoint: subject.endpoint(&engine_facts, &containers),
        probes,
    };
    let answers = gatherer.ask(&engine_facts).await;
    answers.into_facts(
        now,
        subject.clone(),
        engine_facts,
        containers,
        networks,
        volumes,
    )
}

fn by_service(containers: Vec<Container>) -> BTreeMap<String, Container> {
    containers
        .into_iter()
        .filter_map(|container| Some((container.labels.get(LABEL_PART)?.clone(), container)))
        .collect()
}

struct Gatherer<'a, E> {
    engine: &'a E,
    subject: &'a Subject,
    endpoint: Result<Endpoint, String>,
    probes: &'a BTreeSet<Probe>,
}

/// Everything but what the engine said at once. Filled with "not asked for"
/// where a probe was not wanted.
struct Answers {
    host: Ground,
    health: Health,
    schemas: (
        Vec<Fact<schema::SchemaState>>,
        Fact<Vec<schema::FailedMigration>>,
    ),
    settings: Settings,
    egress: BTreeMap<String, Fact<Vec<egress::Attempt>>>,
    update: Fact<langfuse::UpdateCheck>,
    sdks: Fact<Vec<SdkCalls>>,
    event: Fact<Result<EventTrip, ProbeError>>,
}

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

impl<E: ContainerEngine> Gatherer<'_, E> {
    async fn ask(&self, engine: &Fact<EngineFacts>) -> Answers {
        let wants = |probe| self.probes.contains(&probe);
        let (egress, host, health, schemas, settings, update, sdks, event) = tokio::join!(
            OptionFuture::from(wants(Probe::Egress).then(|| self.egress())),
            OptionFuture::from(wants(Probe::Host).then(|| host::look(engine, self.subject))),
            OptionFuture::from(wants(Probe::Health).then(|| self.health())),
            OptionFuture::from(wants(Probe::Schema).then(|| self.schemas())),
            OptionFuture::from(wants(Probe::Settings).then(|| self.settings())),
            OptionFuture::from(wants(Probe::Update).then(|| self.update())),
            OptionFuture::from(wants(Probe::Clients).then(|| self.sdks())),
            OptionFuture::from(wants(Probe::Event).then(|| self.event())),
        );
        Answers {
            host: host.unwrap_or_else(Ground::not_asked),
            health: health.unwrap_or_else(|| Health {
                web: Fact::not_asked(),
                worker: Fact::not_asked(),
                published: Fact::not_asked(),
            }),
            schemas: schemas.unwrap_or_else(|| (Vec::new(), Fact::not_asked())),
            settings: settings.unwrap_or_default(),
            egress: egress.unwrap_or_default(),
            update: update.unwrap_or_else(Fact::not_asked),
            sdks: sdks.unwrap_or_else(Fact::not_asked),
            event: event.unwrap_or_else(Fact::not_asked),
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

    async fn health(&self) -> Health {
        let web = async {
            match &self.endpoint {
                Ok(endpoint) => Fact::Known(langfuse::health(endpoint).await),
                Err(why) => Fact::Unknown(why.clone()),
            }
        };
        let (web, worker, published) = tokio::join!(web, self.worker_health(), self.published());
        Health {
            web,
            worker,
            published,
        }
    }

    async fn published(&self) -> Fact<Result<(), HttpError>> {
        let Some(site) = &self.subject.site else {
            return Fact::not_asked();
        };
        let address = site.published();
        let client = Client::of_host(address.ip());
        Fact::Known(client.connect(address, CONNECT_LIMIT).await)
    }

    /// Runs the worker's own health check now: the engine's last verdict may
    /// be half a minute old.
    async fn worker_health(&self) -> Fact<CommandHealth> {
        let stack = &self.subject.stack;
        let Some(worker) = stack.service(&stack.langfuse.worker) else {
            return Fact::Unknown("the stack has no worker".to_owned());
        };
        self.give_way().await;
        let container = self.subject.container(&worker.name);
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
        let schemas = &self.subject.stack.schemas;
        let states = join_all(schemas.iter().map(async |wanted| {
            let container = self.subject.container(&wanted.service);
            Fact::from(schema::schema_state(self.engine, &container, wanted).await)
        }));
        let background = async {
            let postgres = schemas
                .iter()
                .find(|wanted| wanted.kind == SchemaKind::Prisma);
            let Some(postgres) = postgres else {
                return Fact::Unknown("the stack has no Prisma schema".to_owned());
            };
            let container = self.subject.container(&postgres.service);
            schema::failed_background_migrations(self.engine, &container, postgres)
                .await
                .into()
        };
        tokio::join!(states, background)
    }

    async fn settings(&self) -> Settings {
        self.give_way().await;
        let stack = &self.subject.stack;
        let servers = join_all(stack.schemas.iter().map(async |wanted| {
            let container = self.subject.container(&wanted.service);
            Fact::from(schema::server_facts(self.engine, &container, wanted).await)
        }));
        let eviction = OptionFuture::from(settings::redis(stack).map(async |redis| {
            let container = self.subject.container(&redis.name);
            Fact::from(settings::eviction_policy(self.engine, &container).await)
        }));
        let files = settings::crash_report_files(stack);
        let crash_reports = join_all(files.iter().map(async |(service, path)| {
            let container = self.subject.container(service);
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
        let langfuse = &self.subject.stack.langfuse;
        let targets = egress::targets(&self.subject.stack.call_home);
        let services = [&langfuse.web, &langfuse.worker];
        let attempts = join_all(services.map(async |service| {
            let container = self.subject.container(service);
            let attempts = egress::attempts(self.engine, &container, &targets).await;
            (service.clone(), Fact::from(attempts))
        }));
        attempts.await.into_iter().collect()
    }

    async fn update(&self) -> Fact<langfuse::UpdateCheck> {
        let endpoint = match &self.endpoint {
            Ok(endpoint) => endpoint,
            Err(why) => return Fact::Unknown(why.clone()),
        };
        let web = self.subject.container(&self.subject.stack.langfuse.web);
        langfuse::update_check(self.engine, endpoint, &web, UPDATE_LIMIT)
            .await
            .into()
    }

    async fn sdks(&self) -> Fact<Vec<SdkCalls>> {
        let gateway = self.subject.container(&self.subject.stack.langfuse.gateway);
        let since = (Timestamp::now() - CLIENTS).as_second();
        let log = self.engine.logs(&gateway, CLIENT_LINES, Some(since));
        match limited(ENGINE_LIMIT, log).await {
            Fact::Known(log) => Fact::Known(sdk::calls(&log)),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    async fn event(&self) -> Fact<Result<EventTrip, ProbeError>> {
        let endpoint = match &self.endpoint {
            Ok(endpoint) => endpoint,
            Err(why) => return Fact::Unknown(why.clone()),
        };
        let Some(keys) = &self.subject.keys else {
            return Fact::Unknown("the project's api key cannot be read".to_owned());
        };
        let trip = async {
            let id = TraceId::random()?;
            let line = self.subject.stack.langfuse.line;
            let accepted = langfuse::ingest(endpoint, keys, &id).await?;
            let readable = langfuse::read_back(endpoint, line, keys, &id, EVENT_LIMIT).await?;
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
        subject: Subject,
        engine: Fact<EngineFacts>,
        containers: Fact<BTreeMap<String, Container>>,
        networks: Fact<Vec<Resource>>,
        volumes: Fact<Vec<Resource>>,
    ) -> Facts {
        Facts {
            subject,
            change: None,
            now,
            engine,
            boot: self.host.boot,
            nofile: Fact::not_asked(),
            containers,
            networks,
            volumes,
            host: self.host.host,
            firewall: self.host.firewall,
            disks: self.host.disks,
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
            sdks: self.sdks,
            event: self.event,
        }
    }
}
