//! Usage telemetry in the lab: what it makes of the first health call of
//! twelve hours.
//!
//! Langfuse asks Postgres whether it is time, counts rows in `ClickHouse`, and
//! answers health once its client has given up. So a Postgres of the
//! appliance's own image stands beside the lab's web, and the responder counts
//! for `ClickHouse`.

use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;

use super::error::LabError;
use super::mode::Mode;
use super::room::{Room, Settings};
use crate::engine::ContainerEngine;
use crate::sys::text::one_line;

/// How long a health call may take: longer than telemetry's client tries.
const HEALTH_LIMIT: Duration = Duration::from_secs(45);

/// What a mode made of health, with telemetry and with the appliance's
/// settings.
#[derive(Debug, Clone, Copy)]
pub struct PlayedTelemetry {
    pub mode: Mode,
    /// With telemetry on and no settings that keep web in.
    pub on: HealthCall,
    /// With those of the appliance.
    pub with: HealthCall,
}

/// The first health call.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct HealthCall {
    /// HTTP status; `None` where nothing came in time.
    pub status: Option<u16>,
    /// Milliseconds it took.
    pub ms: u64,
    /// Status of another call meanwhile.
    pub beside: Option<u16>,
}

/// The modes that telemetry is played in: those that a sealed network may have.
pub const MODES: [Mode; 4] = [
    Mode::NameNotFound,
    Mode::Refused,
    Mode::Dropped,
    Mode::TcpSilent,
];

/// Plays the modes of `modes` in which telemetry is known. `None` where `stop`
/// came first.
pub(super) async fn play<E: ContainerEngine>(
    room: &Room<'_, E>,
    modes: &[Mode],
    mut stop: Pin<&mut impl Future<Output = ()>>,
    told: &impl Fn(),
) -> Result<Option<Vec<PlayedTelemetry>>, LabError> {
    let modes: Vec<_> = MODES
        .into_iter()
        .filter(|one| modes.contains(one))
        .collect();
    if modes.is_empty() {
        return Ok(Some(Vec::new()));
    }
    room.start_postgres().await?;
    let mut halves = Vec::new();
    for settings in [Settings::Telemetry, Settings::Appliance] {
        room.start_web(settings).await?;
        let half = tokio::select! {
            half = play_half(room, &modes, told) => half?,
            () = stop.as_mut() => return Ok(None),
        };
        halves.push(half);
        room.remove_web().await?;
    }
    let with = halves.pop().unwrap_or_default();
    let on = halves.pop().unwrap_or_default();
    let rows = modes.into_iter().zip(on.into_iter().zip(with));
    Ok(Some(
        rows.map(|(mode, (on, with))| PlayedTelemetry { mode, on, with })
            .collect(),
    ))
}

async fn play_half<E: ContainerEngine>(
    room: &Room<'_, E>,
    modes: &[Mode],
    told: &impl Fn(),
) -> Result<Vec<HealthCall>, LabError> {
    room.await_web().await?;
    let mut calls = Vec::new();
    for mode in modes {
        room.make_telemetry_due().await?;
        let text = room.run(&format!("telemetry-{mode}"), HEALTH_LIMIT).await?;
        calls.push(
            serde_json::from_str(text.trim()).map_err(|_| LabError::Format {
                mode: *mode,
                text: one_line(&text),
            })?,
        );
        told();
    }
    Ok(calls)
}
