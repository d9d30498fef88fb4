//! The containers of the lab: a responder and a throwaway web, alone on a
//! network without a route out and without an address of the host.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::error::LabError;
use crate::engine::{
    ConfinementSpec, Container, ContainerEngine, ContainerSpec, NetworkSpec, Owner, Reach, Resolver,
};
use crate::facts::Subject;
use crate::langfuse::query::exec;
use crate::render::{Names, RenderedFile, dns_options, files_tar};
use crate::stack::secret::Secret;
use crate::stack::{Schema, SchemaKind, Service};
use crate::sys::text::one_line;

const RESPONDER: &str = include_str!("responder.js");
const PLAY: &str = include_str!("play.js");
const KNOWN: (&str, &str) = (include_str!("known.crt"), include_str!("known.key"));
const UNKNOWN: (&str, &str) = (include_str!("unknown.crt"), include_str!("unknown.key"));
const CERTIFICATE: &str = "/lfctl-lab/known.crt";

const WEB: &str = "web";
const OUTSIDE: &str = "outside";
const POSTGRES: &str = "postgres";
const TELEMETRY_RUNS: &str = "SELECT count(*) FROM cron_jobs \
     WHERE name = 'telemetry' AND job_started_at IS NOT NULL";
/// Where Langfuse's web listens unless it is told otherwise.
const WEB_PORT: &str = "3000";
/// How long web may take to serve: the real one takes 7 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long the start of Node and the health calls around a check may take.
const AROUND: Duration = Duration::from_secs(60);
const PIDS: u32 = 4096;
/// Tries to remove a network whose containers are just going.
const REMOVALS: u32 = 10;

/// With which settings web calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settings {
    /// None that keep it in: it reaches the responder.
    None,
    /// The same with usage telemetry, on a Postgres of the lab.
    Telemetry,
    /// Those of the appliance.
    Appliance,
}

/// What the lab makes, and what it makes it from.
#[derive(Debug)]
pub(super) struct Room<'a, E> {
    engine: &'a E,
    appliance: &'a str,
    /// Web as the appliance runs it.
    model: Container,
    service: &'a Service,
    /// How to ask Postgres, and what it runs as.
    postgres: Option<(&'a Schema, &'a Service)>,
    /// The host name that web knows ClickHouse by.
    clickhouse: Option<&'a str>,
    outside: Option<IpAddr>,
}

impl<'a, E: ContainerEngine> Room<'a, E> {
    pub(super) async fn of(engine: &'a E, subject: &'a Subject) -> Result<Self, LabError> {
        let web = subject.stack.langfuse.web.as_str();
        let service = subject.stack.service(web).ok_or(LabError::NoWeb)?;
        let model = engine.container(&subject.container(web)).await?;
        let stack = &subject.stack;
        let schema_of = |kind| stack.schemas.iter().find(|one| one.kind == kind);
        let postgres = schema_of(SchemaKind::Prisma);
        Ok(Self {
            engine,
            appliance: &subject.name,
            model: model.ok_or(LabError::NoWeb)?,
            service,
            postgres: postgres.and_then(|one| Some((one, stack.service(&one.service)?))),
            clickhouse: schema_of(SchemaKind::GolangMigrate).map(|one| one.service.as_str()),
            outside: None,
        })
    }

    fn name(&self, part: &str) -> String {
        format!("{}-lab-{part}", self.appliance)
    }

    /// No appliance can have such a name, so what is the lab's is nobody's else.
    fn owner(&self, part: &str) -> Owner {
        Owner {
            appliance: format!("{}/lab", self.appliance),
            part: part.to_owned(),
        }
    }

    /// Makes the network and the responder.
    pub(super) async fn open(&mut self) -> Result<(), LabError> {
        self.clear().await?;
        let network = NetworkSpec {
            name: self.name("network"),
            owner: self.owner("network"),
            reach: Reach::Siblings,
            bridge: None,
        };
        self.engine.create_network(&network).await?;
        let names = [Some(OUTSIDE), self.clickhouse].into_iter().flatten();
        let spec = ContainerSpec {
            networks: vec![(network.name.clone(), names.map(str::to_owned).collect())],
            // It opens ports 53 and 443.
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec![
                "node".to_owned(),
                "/lfctl-lab/responder.js".to_owned(),
            ]),
            confinement: Some(ConfinementSpec {
                capabilities: vec!["NET_BIND_SERVICE".to_owned()],
                pids: PIDS,
                memory: None,
                read_only: false,
            }),
            ..self.container(OUTSIDE)
        };
        let files = [
            ("responder.js", RESPONDER),
            ("play.js", PLAY),
            ("known.crt", KNOWN.0),
            ("known.key", KNOWN.1),
            ("unknown.crt", UNKNOWN.0),
            ("unknown.key", UNKNOWN.1),
        ];
        self.start(&spec, &files).await?;
        let outside = self.engine.container(&spec.name).await?;
        let address = outside.and_then(|one| one.addresses.get(&network.name)?.parse().ok());
        self.outside = Some(address.ok_or(LabError::NoResponder)?);
        Ok(())
    }

    /// Starts web with these settings, and waits until it serves.
    pub(super) async fn start_web(&self, settings: Settings) -> Result<(), LabError> {
        let mut env: BTreeMap<_, _> = self
            .model
            .env
            .iter()
            .filter_map(|line| line.split_once('='))
            // It has no database in which to make a first user.
            .filter(|(name, _)| !name.starts_with("LANGFUSE_INIT_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for switch in ["POSTGRES", "CLICKHOUSE"] {
            let name = format!("LANGFUSE_AUTO_{switch}_MIGRATION_DISABLED");
            env.insert(name, "true".to_owned());
        }
        if settings == Settings::Telemetry {
            env.insert("TELEMETRY_ENABLED".to_owned(), "true".to_owned());
            // It makes the tables that it asks.
            env.remove("LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED");
        }
        env.insert("NODE_EXTRA_CA_CERTS".to_owned(), CERTIFICATE.to_owned());
        let mut spec = ContainerSpec {
            user: self.service.user.clone(),
            entrypoint: self.service.entrypoint.clone(),
            command: self.service.command.clone(),
            env: env.into(),
            confinement: Some(ConfinementSpec {
                capabilities: Vec::new(),
                pids: PIDS,
                memory: None,
                read_only: false,
            }),
            ..self.container(WEB)
        };
        match settings {
            Settings::None | Settings::Telemetry => {
                spec.resolver = self.outside.map_or(Resolver::Nobody, Resolver::At);
            }
            Settings::Appliance => {
                spec.extra_hosts.clone_from(&self.model.extra_hosts);
                spec.dns_options = dns_options();
            }
        }
        self.start(&spec, &[("known.crt", KNOWN.0)]).await?;
        Ok(())
    }

    /// Starts an empty Postgres as the appliance has it, and waits until it
    /// serves.
    pub(super) async fn start_postgres(&self) -> Result<(), LabError> {
        let (_, service) = self.postgres.ok_or(LabError::NoPostgres)?;
        let names = Names {
            appliance: self.appliance,
        };
        let model = self
            .engine
            .container(&names.container(&service.name))
            .await?;
        let model = model.ok_or(LabError::NoPostgres)?;
        let env = model.env.iter().filter_map(|line| line.split_once('='));
        let mut env: BTreeMap<_, _> = env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // In the container itself, which goes at the end.
        env.insert("PGDATA".to_owned(), "/tmp/lfctl-lab".to_owned());
        let spec = ContainerSpec {
            image: model.image,
            user: service.user.clone(),
            entrypoint: service.entrypoint.clone(),
            command: service.command.clone(),
            env: env.into(),
            networks: vec![(self.name("network"), vec![service.name.clone()])],
            confinement: Some(ConfinementSpec {
                capabilities: Vec::new(),
                pids: PIDS,
                memory: None,
                read_only: false,
            }),
            ..self.container(POSTGRES)
        };
        self.start(&spec, &[]).await?;
        let begun = Instant::now();
        loop {
            match exec(self.engine, &spec.name, &service.health.command, AROUND).await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > START_LIMIT => {
                    return Err(LabError::PostgresNotServing(error));
                }
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Makes the next health call one that sends telemetry. A call that still
    /// does is waited for.
    pub(super) async fn make_telemetry_due(&self) -> Result<(), LabError> {
        let begun = Instant::now();
        while self.sql(TELEMETRY_RUNS).await?.trim() != "0" && begun.elapsed() < AROUND {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.sql("DELETE FROM cron_jobs WHERE name = 'telemetry'")
            .await?;
        Ok(())
    }

    async fn sql(&self, statement: &str) -> Result<String, LabError> {
        let (schema, _) = self.postgres.ok_or(LabError::NoPostgres)?;
        let mut command = schema.query.clone();
        command.push(statement.to_owned());
        Ok(exec(self.engine, &self.name(POSTGRES), &command, AROUND).await?)
    }

    /// Waits until web serves.
    pub(super) async fn await_web(&self) -> Result<(), LabError> {
        let begun = Instant::now();
        loop {
            let said = self.run("health", Duration::ZERO).await;
            if said.as_deref().is_ok_and(|said| said.trim() == "200") {
                return Ok(());
            }
            if begun.elapsed() > START_LIMIT {
                let log = self.engine.logs(&self.web(), 3, None).await?;
                return Err(LabError::NotServing {
                    log: one_line(&log),
                });
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    pub(super) fn engine(&self) -> &E {
        self.engine
    }

    pub(super) fn web(&self) -> String {
        self.name(WEB)
    }

    pub(super) async fn remove_web(&self) -> Result<(), LabError> {
        Ok(self.engine.remove(&self.web()).await?)
    }

    /// What the player in the responder says of `mode`.
    pub(super) async fn run(&self, mode: &str, limit: Duration) -> Result<String, LabError> {
        let port = self
            .model
            .env
            .iter()
            .find_map(|line| line.strip_prefix("PORT="));
        let limit_ms = limit.as_millis().to_string();
        let port = port.unwrap_or(WEB_PORT);
        let command = ["node", "/lfctl-lab/play.js", mode, WEB, port, &limit_ms];
        let command = command.map(str::to_owned);
        Ok(exec(self.engine, &self.name(OUTSIDE), &command, limit + AROUND).await?)
    }

    /// Removes all that the lab made, also what an earlier one left.
    pub(super) async fn clear(&self) -> Result<(), LabError> {
        let owner = self.owner("").appliance;
        let mut tries = 0;
        loop {
            for container in self.engine.containers(&owner).await? {
                self.engine.remove(&container.name).await?;
            }
            let mut failed = None;
            for network in self.engine.networks(&owner).await? {
                failed = self.engine.remove_network(&network.name).await.err();
            }
            match failed {
                None => return Ok(()),
                Some(error) if tries == REMOVALS => return Err(error.into()),
                Some(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn start(&self, spec: &ContainerSpec, files: &[(&str, &str)]) -> Result<(), LabError> {
        self.engine.create(spec).await?;
        let file = |(name, content): &(&str, &str)| RenderedFile {
            path: format!("/lfctl-lab/{name}"),
            content: Secret::new(*content),
            mode: 0o444,
            uid: 0,
            gid: 0,
        };
        let files: Vec<_> = files.iter().map(file).collect();
        if !files.is_empty() {
            self.engine.upload(&spec.name, files_tar(&files)?).await?;
        }
        Ok(self.engine.start(&spec.name).await?)
    }

    /// A container on the lab's network, of web's own image.
    fn container(&self, part: &str) -> ContainerSpec {
        ContainerSpec {
            name: self.name(part),
            owner: self.owner(part),
            image: self.model.image.clone(),
            user: None,
            entrypoint: None,
            command: None,
            env: BTreeMap::new().into(),
            networks: vec![(self.name("network"), vec![part.to_owned()])],
            links: BTreeMap::new(),
            resolver: Resolver::Nobody,
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            extra_hosts: Vec::new(),
            dns_options: Vec::new(),
            ports: Vec::new(),
            health: None,
            stop_signal: None,
            stop_timeout: None,
            restart: false,
            nofile: None,
            confinement: None,
            config_hash: String::new(),
        }
    }
}
