//! The steps that bring an appliance to what is wanted.

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
    /// Make a volume, by engine name.
    CreateVolume(String),
    /// Make and start the container of a service.
    StartService(String),
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
    /// Write `state.json`.
    Commit,
    /// Stop and remove the container of a service that is not wanted any more.
    RemoveService(String),
    /// Remove a tag from an image that no kept generation uses.
    RemoveTag(String),
    /// Write down on the host that the release was taken, with what its signer
    /// says of other keys.
    RecordRelease,
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
            Self::CreateVolume(name) => format!("volume:{name}"),
            Self::StartService(name) => format!("start:{name}"),
            Self::AwaitHealthy(name) => format!("healthy:{name}"),
            Self::Migrate => "migrate".to_owned(),
            Self::CheckSchemas => "check-schemas".to_owned(),
            Self::ProbeVersion => "probe:version".to_owned(),
            Self::ProbeEvent => "probe:event".to_owned(),
            Self::Commit => COMMIT.to_owned(),
            Self::RemoveService(name) => format!("remove:{name}"),
            Self::RemoveTag(name) => format!("remove-image:{name}"),
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
            Self::CreateVolume(name) => format!("create volume {name}"),
            Self::StartService(name) => format!("start {name}"),
            Self::AwaitHealthy(name) => format!("wait until {name} is healthy"),
            Self::Migrate => "migrate the databases".to_owned(),
            Self::CheckSchemas => "check both schemas".to_owned(),
            Self::ProbeVersion => "ask web for its version".to_owned(),
            Self::ProbeEvent => "send an event and read it back".to_owned(),
            Self::Commit => "record the installed release".to_owned(),
            Self::RemoveService(name) => format!("remove {name}, which the release does not have"),
            Self::RemoveTag(name) => format!("remove image {name}"),
            Self::RecordRelease => "record the release on this host".to_owned(),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Intend | Self::StageGeneration | Self::LoadImages => Phase::Stage,
            Self::RemoveService(_) | Self::RemoveTag(_) | Self::RecordRelease => Phase::Settle,
            _ => Phase::Window,
        }
    }

    fn reports_itself(&self) -> bool {
        matches!(self, Self::LoadImages)
    }

    fn is_commit(&self) -> bool {
        matches!(self, Self::Commit)
    }
}
