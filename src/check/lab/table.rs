//! The table.

use serde::Serialize;

use crate::facts::lab::{Body, HealthCall, Mode, Played};
use crate::langfuse::UpdateVerdict;

/// Version of the document.
pub const SCHEMA: u32 = 1;

/// How Langfuse's update check behaved under everything that a network may do.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Lab {
    /// Version of this document.
    pub schema: u32,
    /// The appliance whose web was played with.
    pub appliance: String,
    /// Its release.
    pub release: String,
    /// What is not as it must be.
    pub findings: Vec<String>,
    /// What each mode came to.
    pub modes: Vec<Row>,
    /// What usage telemetry made of health.
    pub telemetry: Vec<TelemetryRow>,
}

/// The first health call of twelve hours, in a mode.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TelemetryRow {
    /// The mode.
    pub mode: Mode,
    /// Seconds that telemetry is known to hold it.
    pub known_seconds: u64,
    /// With telemetry on and no settings that keep web in.
    pub on: HealthCell,
    /// With the settings of the appliance.
    pub with: HealthCell,
}

/// What a health call came to.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HealthCell {
    /// HTTP status; absent where nothing came in time.
    pub status: Option<u16>,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// Status of another call meanwhile.
    pub beside: Option<u16>,
}

impl From<HealthCall> for HealthCell {
    fn from(call: HealthCall) -> Self {
        Self {
            status: call.status,
            elapsed_ms: call.ms,
            beside: call.beside,
        }
    }
}

/// A mode, with and without the appliance's settings.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The mode.
    pub mode: Mode,
    /// What Langfuse is known to make of it.
    pub known: UpdateVerdict,
    /// Without settings that keep it in.
    pub without: Cell,
    /// With those of the appliance.
    pub with: Cell,
}

/// What an update check came to.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Cell {
    /// HTTP status; absent where nothing came in time.
    pub status: Option<u16>,
    /// The kind of answer.
    pub body: Body,
    /// Milliseconds it took.
    pub elapsed_ms: u64,
    /// Status of web's health before, while and after.
    pub health: [Option<u16>; 3],
    /// What Langfuse logged about it.
    pub log_line: Option<String>,
    /// What it means.
    pub verdict: UpdateVerdict,
}

impl From<&Played> for Cell {
    fn from(played: &Played) -> Self {
        let check = &played.check;
        Self {
            status: check.status,
            body: played.body,
            elapsed_ms: check.elapsed_ms,
            health: played.health,
            log_line: check.log_line.clone(),
            verdict: check.verdict,
        }
    }
}

impl Cell {
    /// Health before, while and after.
    pub(super) fn health_words(&self) -> String {
        let word =
            |status: &Option<u16>| status.map_or_else(|| "none".to_owned(), |s| s.to_string());
        self.health.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}
