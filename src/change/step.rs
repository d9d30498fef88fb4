//! The steps that bring an appliance to what is wanted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::{Phase, Step as StepValue};
use crate::appliance::journal::COMMIT;

/// One step of an install, an upgrade or a rollback. Every step may be run again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "step", content = "of", rename_all = "kebab-case")]
pub enum Step {
    /// Write down what is about to be installed.
    Intend,
    /// Write down the generation that is to run.
    StageGeneration,
    /// Send the images that the engine lacks.
    LoadImages,
    /// Write `site.toml`.
    WriteSite,
    /// Generate the secrets that are missing.
    WriteSecrets,
    /// Make a network, by engine name. One that an older lfctl made goes first,
    /// and with it all containers; volumes stay.
    CreateNetwork(String),
    /// Have the host's firewall drop new connections of the gateway.
    CloseFirewall,
    /// Make a volume, by engine name.
    CreateVolume(String),
    /// Make and start the container of a service.
    StartService(String),
    /// The same on empty databases, with what makes the first user.
    StartFirst(String),
    /// Make it anew without that, and wait until it is healthy again.
    StartAgain(String),
    /// Wait until its health check holds.
    AwaitHealthy(String),
    /// Run the migration job to its end.
    Migrate,
    /// Read both schemas and compare them with the release.
    CheckSchemas,
    /// Ask web for its version.
    ProbeVersion,
    /// Send one event and read it back.
    ProbeEvent,
    /// Start the new container of web beside the one that serves.
    StartBeside(String),
    /// Wait until its health check holds.
    AwaitBeside(String),
    /// Tell the gateway where to lead.
    Lead(Leads),
    /// Ask the web behind the inner port for its version.
    ProveVersion,
    /// Send an event through it and read it back.
    ProveEvent,
    /// Let it call its update check.
    ProveUpdateCheck,
    /// Stop a service; its container stays.
    StopService(String),
    /// Start the container that a stop kept, or make it anew where it is gone.
    StartKept(String),
    /// Write down which services are stopped on purpose.
    RecordStopped(BTreeSet<String>),
    /// Make a rollback point of a volume that nobody uses.
    MakePoint(PointOf),
    /// Make and start the container of a service that was stopped, on data of
    /// which there is a rollback point.
    StartAnew(String),
    /// Write `state.json`.
    Commit,
    /// Remove the old container of web, once its last request is answered.
    Succeed(String),
    /// Remove a rollback point.
    DropPoint(PointOf),
    /// Stop and remove the container of a service that is not wanted any more.
    RemoveService(String),
    /// Remove a network that nothing is on any more, by engine name.
    RemoveNetwork(String),
    /// Remove a tag from an image that no kept generation uses.
    RemoveTag(String),
    /// Remove a tag from an image that a change loaded which was never
    /// committed.
    RemoveStaged(String),
    /// Write down on the host that the release was taken, with what its signer
    /// says of other keys.
    RecordRelease,
}

/// A rollback point of a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PointOf {
    /// The volume, as the stack definition names it.
    pub volume: String,
    /// The generation whose data it keeps.
    pub generation: u32,
}

/// Where the gateway leads during a change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "to", content = "until", rename_all = "kebab-case")]
pub enum Leads {
    /// Everybody to the old web, the inner port to the new one.
    Prove,
    /// Everybody to the new web.
    Open,
    /// Nobody anywhere until about then, the inner port to the new web.
    Closed(String),
    /// The same, by the gateway of the new release.
    StillClosed(String),
}

impl Leads {
    fn id(&self) -> &'static str {
        match self {
            Self::Prove => "prove",
            Self::Open => "open",
            Self::Closed(_) => "closed",
            Self::StillClosed(_) => "still-closed",
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Prove => "lead the gateway's inner port to the new web".to_owned(),
            Self::Open => "lead the gateway to the new web".to_owned(),
            Self::Closed(until) => {
                format!("let the gateway answer 503 with Retry-After, expected until {until}")
            }
            Self::StillClosed(_) => {
                "lead the closed gateway's inner port to the new web".to_owned()
            }
        }
    }
}

impl StepValue for Step {
    fn id(&self) -> String {
        match self {
            Self::Intend => "intend".to_owned(),
            Self::StageGeneration => "stage-generation".to_owned(),
            Self::LoadImages => "load".to_owned(),
            Self::WriteSite => "write-site".to_owned(),
            Self::WriteSecrets => "write-secrets".to_owned(),
            Self::CreateNetwork(name) => format!("network:{name}"),
            Self::CloseFirewall => "firewall".to_owned(),
            Self::CreateVolume(name) => format!("volume:{name}"),
            Self::StartService(name) | Self::StartKept(name) => format!("start:{name}"),
            Self::StartFirst(name) => format!("start-first:{name}"),
            Self::StartAgain(name) => format!("start-again:{name}"),
            Self::AwaitHealthy(name) => format!("healthy:{name}"),
            Self::Migrate => "migrate".to_owned(),
            Self::CheckSchemas => "check-schemas".to_owned(),
            Self::ProbeVersion => "probe:version".to_owned(),
            Self::ProbeEvent => "probe:event".to_owned(),
            Self::StartBeside(name) => format!("beside:{name}"),
            Self::AwaitBeside(name) => format!("healthy-beside:{name}"),
            Self::Lead(leads) => format!("gateway:{}", leads.id()),
            Self::ProveVersion => "prove:version".to_owned(),
            Self::ProveEvent => "prove:event".to_owned(),
            Self::ProveUpdateCheck => "prove:update-check".to_owned(),
            Self::Commit => COMMIT.to_owned(),
            Self::Succeed(name) => format!("succeed:{name}"),
            Self::StopService(name) => format!("stop:{name}"),
            Self::RecordStopped(_) => "record-stopped".to_owned(),
            Self::MakePoint(point) => format!("point:{}", point.volume),
            Self::StartAnew(name) => format!("start-anew:{name}"),
            Self::DropPoint(point) => format!("drop-point:{}", point.volume),
            Self::RemoveService(name) => format!("remove:{name}"),
            Self::RemoveNetwork(name) => format!("remove-network:{name}"),
            Self::RemoveTag(name) => format!("remove-image:{name}"),
            Self::RemoveStaged(name) => format!("remove-staged:{name}"),
            Self::RecordRelease => "record-release".to_owned(),
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Intend => "record what is to be installed".to_owned(),
            Self::StageGeneration => "write down the generation to come".to_owned(),
            Self::LoadImages => "load images".to_owned(),
            Self::WriteSite => "write site.toml".to_owned(),
            Self::WriteSecrets => "generate secrets".to_owned(),
            Self::CreateNetwork(name) => format!("create network {name}"),
            Self::CloseFirewall => "close the host's firewall to the gateway".to_owned(),
            Self::CreateVolume(name) => format!("create volume {name}"),
            Self::StartService(name) | Self::StartAnew(name) | Self::StartKept(name) => {
                format!("start {name}")
            }
            Self::StartFirst(name) => format!("start {name}, which makes the first user"),
            Self::StartAgain(name) => {
                format!("start {name} again without the first user's password")
            }
            Self::AwaitHealthy(name) => format!("wait until {name} is healthy"),
            Self::Migrate => "migrate the databases".to_owned(),
            Self::CheckSchemas => "check both schemas".to_owned(),
            Self::ProbeVersion => "ask web for its version".to_owned(),
            Self::ProbeEvent => "send an event and read it back".to_owned(),
            Self::StartBeside(name) => format!("start the new {name} beside the old one"),
            Self::AwaitBeside(name) => format!("wait until the new {name} is healthy"),
            Self::Lead(leads) => leads.label(),
            Self::ProveVersion => "ask the new web for its version".to_owned(),
            Self::ProveEvent => "send an event through the new web and read it back".to_owned(),
            Self::ProveUpdateCheck => "let the new web call its update check".to_owned(),
            Self::StopService(name) => format!("stop {name}"),
            Self::RecordStopped(_) => "record what is stopped on purpose".to_owned(),
            Self::MakePoint(point) => format!("make a rollback point of {}", point.volume),
            Self::DropPoint(point) => format!("remove the rollback point of {}", point.volume),
            Self::Commit => "record the installed release".to_owned(),
            Self::Succeed(name) => {
                format!("remove the old {name} once its last request is answered")
            }
            Self::RemoveService(name) => format!("remove {name}, which is not wanted any more"),
            Self::RemoveNetwork(name) => format!("remove network {name}"),
            Self::RemoveTag(name) => format!("remove image {name}"),
            Self::RemoveStaged(name) => {
                format!("remove image {name}, left by a change that was not committed")
            }
            Self::RecordRelease => "record the release on this host".to_owned(),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Intend | Self::RemoveStaged(_) | Self::StageGeneration | Self::LoadImages => {
                Phase::Stage
            }
            Self::Succeed(_)
            | Self::DropPoint(_)
            | Self::RemoveService(_)
            | Self::RemoveNetwork(_)
            | Self::RemoveTag(_)
            | Self::RecordRelease => Phase::Settle,
            _ => Phase::Window,
        }
    }

    fn reports_itself(&self) -> bool {
        matches!(self, Self::LoadImages)
    }

    fn may_be_left(&self) -> bool {
        // They wait or look; an image that is half sent is sent again, and for a
        // migration that is at work undoing waits a while, and the next run to its end.
        matches!(
            self,
            Self::LoadImages
                | Self::Migrate
                | Self::AwaitHealthy(_)
                | Self::ProbeVersion
                | Self::ProbeEvent
        )
    }

    fn is_commit(&self) -> bool {
        matches!(self, Self::Commit)
    }
}
