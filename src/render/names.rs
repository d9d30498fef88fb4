//! The names under which an engine knows the parts of an appliance.

use crate::engine::Owner;
use crate::stack::{EGRESS, JOB};

/// The engine's names for the parts of an appliance.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Name of the appliance.
    pub appliance: &'a str,
}

impl Names<'_> {
    /// A service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.appliance)
    }

    /// The container of a service that is started beside the one it is to
    /// replace.
    pub fn beside(&self, service: &str) -> String {
        format!("{}-{service}-next", self.appliance)
    }

    /// The migration job's container.
    pub fn job(&self) -> String {
        self.container(JOB)
    }

    /// The network without a route out.
    pub fn internal(&self) -> String {
        format!("{}-internal", self.appliance)
    }

    /// The network of the gateway's published port.
    pub fn edge(&self) -> String {
        format!("{}-edge", self.appliance)
    }

    /// The network with a route out, which only the egress container is on.
    pub fn outside(&self) -> String {
        format!("{}-outside", self.appliance)
    }

    /// The network that a service shares with the egress container.
    pub fn to_egress(&self, service: &str) -> String {
        format!("{}-{EGRESS}-{service}", self.appliance)
    }

    pub fn volume(&self, name: &str) -> String {
        format!("{}-{name}", self.appliance)
    }

    pub(super) fn owner(&self, part: &str) -> Owner {
        Owner {
            appliance: self.appliance.to_owned(),
            part: part.to_owned(),
        }
    }
}
