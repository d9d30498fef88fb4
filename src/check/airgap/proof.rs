//! The report, as a document.

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::airgap::{Seen, Times, Tried};
use crate::render::egress::Route;

/// Version of the document that this lfctl writes.
pub const SCHEMA: u32 = 1;

/// A report on whether anything leaves an appliance.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// What it says in one word.
    pub verdict: Verdict,
    /// Ways out that were found.
    pub findings: Vec<Leak>,
    /// What could not be seen, in words.
    pub unseen: Vec<String>,
    pub about: About,
    /// All that the site lets the appliance reach.
    pub routes: Vec<Route>,
    /// Each container, and what was tried from it.
    pub containers: Vec<Seen>,
    /// What the containers tried by themselves.
    pub watched: Vec<Sighting>,
    /// What lfctl itself connected to over IP meanwhile.
    pub own_connections: Vec<String>,
}

/// What was looked at, when and by what.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct About {
    /// The lfctl that looked.
    pub lfctl: String,
    /// Name of the host.
    pub host: String,
    /// Name of the appliance.
    pub appliance: String,
    pub release: String,
    /// Digest of the bundle it comes from.
    pub bundle: String,
    /// Key that signed the bundle; absent when the signature was skipped.
    pub bundle_key: Option<String>,
    /// Key of this host, which signs the report.
    pub key: String,
    /// Engine and version.
    pub engine: String,
    /// When looking began.
    #[cfg_attr(test, schemars(with = "String"))]
    pub began: Timestamp,
    /// When it ended.
    #[cfg_attr(test, schemars(with = "String"))]
    pub ended: Timestamp,
    /// How the appliance was used while it was watched.
    pub used: Vec<String>,
}

/// What a report says in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing left, and all of it was seen.
    Proven,
    /// Nothing left, but not all of it was seen.
    NotProven,
    /// There is a way out, or something looks for one.
    Open,
}

/// A way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Leak {
    pub service: String,
    /// What it reached or tried, in words.
    pub what: String,
    /// Address or name; absent for a network.
    pub target: Option<String>,
    /// Port; absent for a network or a name.
    pub port: Option<u16>,
    /// When it was first seen; absent for what stays as it is.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub at: Option<Timestamp>,
}

/// Whose a sighting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Known to be called, and kept in.
    CallHome,
    /// On the site's list.
    Allowed,
    /// Nobody knows why.
    Unknown,
}

/// Something that a container tried by itself.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Sighting {
    pub service: String,
    #[serde(flatten)]
    pub tried: Tried,
    /// When and how often.
    #[serde(flatten)]
    pub times: Times,
    /// Whose it is.
    pub class: Class,
}

impl Proof {
    /// Records that the appliance was not used as it should have been while it
    /// was watched, so that what it would have tried was not seen.
    pub fn not_used(&mut self, why: Vec<String>) {
        self.unseen.extend(why);
        if self.verdict == Verdict::Proven && !self.unseen.is_empty() {
            self.verdict = Verdict::NotProven;
        }
    }
}
