//! Everything that checks look at, as plain values.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::boot::Boot;
use super::change::Change;
use super::egress::Attempt;
use super::fact::Fact;
use super::subject::Subject;
use crate::engine::{Container, EngineFacts, Resource};
use crate::host::firewall::Wall;
use crate::langfuse::http::HttpError;
use crate::langfuse::schema::{FailedMigration, SchemaState, ServerFacts};
use crate::langfuse::sdk::SdkCalls;
use crate::langfuse::{Health, ProbeError, UpdateCheck};
use crate::sys::disk::Disk;
use crate::sys::host::Host;

/// Groups of questions that cost something or leave a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// Memory, CPUs, disks.
    Host,
    /// Health of web and worker, and the published port.
    Health,
    /// Both schemas and the background migrations.
    Schema,
    /// Settings of the datastores.
    Settings,
    /// Connects from inside web and worker.
    Egress,
    /// The update check.
    Update,
    /// What SDKs were answered.
    Clients,
    /// An event sent and read back.
    Event,
}

impl Probe {
    pub fn all() -> BTreeSet<Self> {
        [
            Self::Host,
            Self::Health,
            Self::Schema,
            Self::Settings,
            Self::Egress,
            Self::Update,
            Self::Clients,
            Self::Event,
        ]
        .into()
    }
}

/// An event that made it through the whole stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventTrip {
    /// Milliseconds until web accepted it.
    pub accepted_ms: u64,
    /// Milliseconds from then until it could be read.
    pub readable_ms: u64,
}

/// What the worker's own health check said when it was run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandHealth {
    /// Exit code; 0 is healthy.
    pub code: i64,
    /// What it printed, on one line.
    pub output: String,
}

/// Everything that checks look at.
#[derive(Debug)]
pub struct Facts {
    /// The appliance.
    pub subject: Subject,
    /// What is about to be done to it; `None` when it is only looked at.
    pub change: Option<Change>,
    /// When gathering began.
    pub now: Timestamp,
    pub engine: Fact<EngineFacts>,
    /// What starts the engine after a reboot; `None` where the host is not run
    /// by systemd.
    pub boot: Fact<Option<Boot>>,
    /// How many open files the engine may grant a container.
    pub nofile: Fact<u64>,
    /// Containers by service.
    pub containers: Fact<BTreeMap<String, Container>>,
    /// Networks of the appliance.
    pub networks: Fact<Vec<Resource>>,
    /// Volumes of the appliance.
    pub volumes: Fact<Vec<Resource>>,
    pub host: Fact<Host>,
    /// Whether the host's firewall drops new connections of the gateway.
    pub firewall: Fact<Wall>,
    /// Filesystems that fill up, by what lies there: the engine's and lfctl's
    /// own.
    pub disks: BTreeMap<&'static str, Fact<Disk>>,
    /// Web's answer to the health question, or that it gave none.
    pub web: Fact<Result<Health, HttpError>>,
    /// The worker's health.
    pub worker: Fact<CommandHealth>,
    /// Whether the published port takes connections.
    pub published: Fact<Result<(), HttpError>>,
    /// States of the schemas, in the order of the stack; before an upgrade, of
    /// the one that runs.
    pub schemas: Vec<Fact<SchemaState>>,
    /// Background migrations that failed.
    pub background: Fact<Vec<FailedMigration>>,
    /// What the database servers say of themselves, in the order of the
    /// schemas.
    pub servers: Vec<Fact<ServerFacts>>,
    /// Redis's eviction policy; `None` when the stack has no Redis that can
    /// be asked without a password in an argument.
    pub eviction: Option<Fact<String>>,
    /// Whether crash reports are off, by service that has the switch.
    pub crash_reports_off: BTreeMap<String, Fact<bool>>,
    /// Connects from inside, by service.
    pub egress: BTreeMap<String, Fact<Vec<Attempt>>>,
    /// The update check.
    pub update: Fact<UpdateCheck>,
    /// Calls of SDKs of the last day.
    pub sdks: Fact<Vec<SdkCalls>>,
    /// The event that was sent and read back, or where it got lost.
    pub event: Fact<Result<EventTrip, ProbeError>>,
}

impl Facts {
    /// Nothing was asked yet.
    pub fn unasked(now: Timestamp, subject: Subject) -> Self {
        Self {
            subject,
            change: None,
            now,
            engine: Fact::not_asked(),
            boot: Fact::not_asked(),
            nofile: Fact::not_asked(),
            containers: Fact::not_asked(),
            networks: Fact::not_asked(),
            volumes: Fact::not_asked(),
            host: Fact::not_asked(),
            firewall: Fact::not_asked(),
            disks: BTreeMap::new(),
            web: Fact::not_asked(),
            worker: Fact::not_asked(),
            published: Fact::not_asked(),
            schemas: Vec::new(),
            background: Fact::not_asked(),
            servers: Vec::new(),
            eviction: None,
            crash_reports_off: BTreeMap::new(),
            egress: BTreeMap::new(),
            update: Fact::not_asked(),
            sdks: Fact::not_asked(),
            event: Fact::not_asked(),
        }
    }
}
