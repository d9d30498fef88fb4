//! The lab: what Langfuse's update check comes to under everything that a
//! network may do to it.
//!
//! A throwaway web of the appliance's own image, without its databases, calls a
//! responder that plays the vendor's host and the name server. Both are alone
//! on a network of their own; nothing of the appliance is touched, and all of
//! it is removed at the end.

mod error;
mod mode;
mod room;
mod telemetry;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::LabError;
pub use mode::{Mode, NoSuchMode};
use room::{Room, Settings};
pub use telemetry::{HealthCall, MODES as TELEMETRY_MODES, PlayedTelemetry};

use super::Subject;
use crate::engine::{ContainerEngine, EngineKind};
use crate::langfuse::{BeforeCheck, UpdateCheck};
use crate::sys::text::one_line;

/// How long an update check may take: longer than any that ends by itself, but
/// for TLS that is completed and then silent, which takes 300 s.
pub const CHECK_LIMIT: Duration = Duration::from_secs(15);

/// What kind of body an update check was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Nothing in time.
    None,
    /// `null`: no release is known.
    Null,
    /// A release.
    Release,
    /// An error of the server.
    Error,
    /// Anything else.
    Other,
}

impl Body {
    fn of(answer: Option<&(u16, String)>) -> Self {
        let Some((_, body)) = answer else {
            return Self::None;
        };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match body.pointer("/result/data/json") {
            Some(Value::Null) => Self::Null,
            Some(Value::Object(_)) => Self::Release,
            _ if body.get("error").is_some() => Self::Error,
            _ => Self::Other,
        }
    }
}

/// What a mode came to.
#[derive(Debug, Clone)]
pub struct Played {
    /// The mode.
    pub mode: Mode,
    /// Status of web's health before, while and after; `None` where nothing
    /// came within 5 s.
    pub health: [Option<u16>; 3],
    /// The kind of answer.
    pub body: Body,
    /// The update check, judged.
    pub check: UpdateCheck,
}

/// What all modes came to.
#[derive(Debug, Clone)]
pub struct Results {
    /// Update checks without settings, and with those of the appliance.
    pub checks: [Vec<Played>; 2],
    /// Health calls under usage telemetry.
    pub telemetry: Vec<PlayedTelemetry>,
}

/// What the player prints.
#[derive(Deserialize)]
struct Printed {
    before: Option<u16>,
    during: Option<u16>,
    after: Option<u16>,
    status: Option<u16>,
    body: String,
    ms: u64,
}

/// Plays these modes, without settings and with those of the appliance, and
/// removes everything again. `None` where `stop` came first.
///
/// # Errors
///
/// See [`LabError`].
pub async fn play<E: ContainerEngine>(
    engine: &E,
    subject: &Subject,
    modes: &[Mode],
    stop: impl Future<Output = ()>,
    told: impl Fn(),
) -> Result<Option<Results>, LabError> {
    if engine.facts().await?.kind != EngineKind::Docker {
        return Err(LabError::NotDocker);
    }
    let mut room = Room::of(engine, subject).await?;
    let mut stop = std::pin::pin!(stop);
    let played = play_in(&mut room, modes, stop.as_mut(), told).await;
    room.clear().await?;
    played
}

async fn play_in<E: ContainerEngine>(
    room: &mut Room<'_, E>,
    modes: &[Mode],
    mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
    told: impl Fn(),
) -> Result<Option<Results>, LabError> {
    // What makes something is waited for, or it would appear behind the end.
    room.open().await?;
    let mut all = [Vec::new(), Vec::new()];
    for (settings, played) in [Settings::None, Settings::Appliance]
        .into_iter()
        .zip(&mut all)
    {
        room.start_web(settings).await?;
        let served = tokio::select! {
            served = room.await_web() => served,
            () = stop.as_mut() => return Ok(None),
        };
        served?;
        for mode in modes {
            let one = tokio::select! {
                one = play_one(room, *mode) => one,
                () = stop.as_mut() => return Ok(None),
            };
            played.push(one?);
            told();
        }
        room.remove_web().await?;
    }
    let telemetry = telemetry::play(room, modes, stop, &told).await?;
    Ok(telemetry.map(|telemetry| Results {
        checks: all,
        telemetry,
    }))
}

async fn play_one<E: ContainerEngine>(room: &Room<'_, E>, mode: Mode) -> Result<Played, LabError> {
    let web = room.web();
    let before = BeforeCheck::look(room.engine(), &web).await;
    let text = room.run(&mode.to_string(), CHECK_LIMIT).await?;
    let printed: Printed = serde_json::from_str(text.trim()).map_err(|_| LabError::Format {
        mode,
        text: one_line(&text),
    })?;
    let answer = printed.status.map(|status| (status, printed.body));
    let body = Body::of(answer.as_ref());
    let elapsed = Duration::from_millis(printed.ms);
    let is_healthy = std::future::ready(printed.after == Some(200));
    Ok(Played {
        mode,
        health: [printed.before, printed.during, printed.after],
        body,
        check: before
            .judge(room.engine(), answer, elapsed, is_healthy)
            .await,
    })
}
