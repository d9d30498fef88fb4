//! The local container engine, behind one trait.
//!
//! Implementations speak to a socket on this host and to nothing else. They
//! never pull: an image is there or it is loaded from a bundle. Every object
//! they make carries the labels of its [`Owner`], and nothing without those
//! labels is ever changed or removed.

mod contract;
pub mod docker;
mod error;
mod model;
mod route;
mod spec;
mod start;
mod target;
#[cfg(test)]
pub(crate) mod testing;

pub use contract::{
    ContainerEngine, Containers, ExecAndLogs, Images, LoadBody, NetworksAndVolumes, SaveBody,
};
pub use error::{EngineCause, EngineError};
pub use model::{
    Container, ContainerState, EngineFacts, EngineImage, EngineKind, ExecOutput, HealthState,
    Resource,
};
pub use route::LoadRoute;
pub use spec::{
    ConfinementSpec, ContainerSpec, HealthSpec, LABEL_APPLIANCE, LABEL_CONFIG, LABEL_PART,
    NetworkSpec, Owner, PortSpec, Reach, Resolver,
};
pub use start::{either, log_commands, start_commands};
pub use target::{EngineTarget, ParseTargetError};
