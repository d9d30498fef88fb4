//! What the steps of an install work with.

use std::collections::BTreeMap;

use super::blueprint::Blueprint;
use crate::appliance::Appliance;
use crate::appliance::state::State;
use crate::bundle::open::Bundle;
use crate::engine::EngineFacts;
use crate::render::Names;
use crate::report::event::Reporter;
use crate::stack::release::SchemaChange;
use crate::stack::secret::SecretStore;
use crate::sys::paths::Paths;

/// A change that brings an appliance to what is wanted: all that its steps
/// work with.
pub struct BringUp<'a, E> {
    pub engine: &'a E,
    /// What the engine is.
    pub facts: &'a EngineFacts,
    pub appliance: &'a Appliance,
    /// Where the files of the host lie.
    pub paths: &'a Paths,
    /// `install`, `upgrade`, …
    pub command: &'static str,
    /// The verified bundle; `None` where the engine has the images already.
    pub bundle: Option<&'a Bundle>,
    /// Bundles that have what it leaves out.
    pub bases: &'a [Bundle],
    /// What the containers are to be made from.
    pub target: Blueprint,
    /// What the containers were made from before, where something ran.
    pub previous: Option<Blueprint>,
    /// Whether the appliance stands still meanwhile.
    pub cold: bool,
    /// What the change does to the databases of the release before.
    pub schema_change: SchemaChange,
    /// What was recorded before.
    pub before: Option<State>,
    /// The secrets, once they exist.
    pub secrets: SecretStore,
    /// Where events go.
    pub reporter: &'a dyn Reporter,
}

impl<E> std::fmt::Debug for BringUp<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BringUp")
            .field("appliance", &self.appliance.name())
            .finish_non_exhaustive()
    }
}

impl<E> BringUp<'_, E> {
    /// The engine's names for the parts of the appliance.
    pub fn names(&self) -> Names<'_> {
        Names {
            appliance: self.appliance.name(),
        }
    }

    /// Short hashes of the secrets whose change loses data.
    pub fn fingerprints(&self) -> BTreeMap<String, String> {
        self.target
            .stack
            .secrets
            .iter()
            .filter(|(_, rule)| rule.immutable)
            .filter_map(|(name, _)| Some((name.clone(), self.secrets.fingerprint(name)?)))
            .collect()
    }

    /// `text` without secrets, those of `site.toml` included.
    pub(super) fn redact(&self, text: &str) -> String {
        self.target.site.redactor(&self.secrets).redact(text)
    }
}
