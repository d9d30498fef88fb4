//! What can be wrong with a stack definition.

use super::name::LONGEST_NAME;

/// A mistake in a stack definition. `at` says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A name that nothing has.
    #[error("{at} refers to {kind} `{name}`, which does not exist")]
    UnknownReference {
        at: String,
        /// Such as `volume`.
        kind: &'static str,
        name: String,
    },
    /// Two things of one name.
    #[error("{kind} `{name}` is defined twice")]
    Duplicate {
        /// Such as `service`.
        kind: &'static str,
        name: String,
    },
    /// A name that engines or templates do not take.
    #[error(
        "{kind} `{name}` is not a legal name: use 1 to {LONGEST_NAME} of a-z, 0-9 and `-`, not at an end"
    )]
    IllegalName {
        /// Such as `service`.
        kind: &'static str,
        name: String,
    },
    /// A name that lfctl uses itself.
    #[error("{kind} `{name}` has a name that lfctl uses itself")]
    ReservedName {
        /// Such as `service`.
        kind: &'static str,
        name: String,
    },
    /// A text that does not follow its syntax.
    #[error("{at} has `{value}`, which is not a valid {expected}")]
    Syntax {
        at: String,
        /// What stands there.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// A command with a reference: its value would be seen by `ps`.
    #[error("{at} has a reference in `{argument}`; commands are shown by `ps` and must hold none")]
    ReferenceInCommand { at: String, argument: String },
    /// A command without a program.
    #[error("{at} is an empty command")]
    EmptyCommand { at: String },
    /// A volume in two places.
    #[error("volume `{name}` is mounted more than once")]
    MountedTwice {
        /// The volume.
        name: String,
    },
    /// Not exactly one published port, or not the gateway's.
    #[error("exactly the gateway may publish a port, in stage `edge`; published by: {}", .services.join(", "))]
    Published {
        /// The services that publish one.
        services: Vec<String>,
    },
    /// A service that needs longer to end than it is given.
    #[error("service `{service}` is killed after {seconds} s and needs at least {least} s")]
    StopTooShort {
        service: String,
        /// Given.
        seconds: u64,
        /// Needed.
        least: u64,
    },
    /// A variable that must have a certain value.
    #[error("{at} must set {variable} to {expected}, found {found}")]
    Variable {
        at: String,
        variable: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A variable that must not be set.
    #[error("{at} must not set {variable}")]
    ForbiddenVariable { at: String, variable: &'static str },
    /// A variable on which web and worker disagree.
    #[error("web and worker must agree on {variable}")]
    NotShared { variable: String },
    /// Flags with which a worker of Langfuse 4 exits.
    #[error("the flags of Langfuse 4 contradict each other: {reason}")]
    IllegalFlags { reason: &'static str },
    /// Anything else that the topology demands.
    #[error("{at} {reason}")]
    Topology {
        at: String,
        /// What is wrong.
        reason: &'static str,
    },
}
