//! How images go to an engine, and why that way. Decided by facts alone.

use serde::Serialize;

use super::{EngineFacts, EngineKind};

/// A way of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadRoute {
    /// For Docker's classic store: layers inflated, those that it holds left
    /// out, several images at once.
    Inflated {
        /// How many images at once.
        at_once: usize,
    },
    /// All other stores get whole images, layers as they are stored, those
    /// that share some in one archive, one archive after the other.
    Stored,
}

impl LoadRoute {
    /// The way for this engine.
    pub fn of(facts: &EngineFacts) -> Self {
        if facts.kind == EngineKind::Docker && !facts.containerd_store {
            // One more than there are CPUs: an engine waits for the disk now
            // and then. More only share what there is.
            let at_once = usize::try_from(facts.cpus).unwrap_or(4).clamp(1, 3) + 1;
            Self::Inflated { at_once }
        } else {
            Self::Stored
        }
    }

    /// How many archives go to the engine at once.
    pub fn at_once(self) -> usize {
        match self {
            Self::Inflated { at_once } => at_once,
            Self::Stored => 1,
        }
    }

    /// The way and its reason, in one line.
    pub fn explain(self, facts: &EngineFacts) -> String {
        let store = &facts.storage_driver;
        match self {
            Self::Inflated { at_once } => format!(
                "loading {at_once} images at a time, inflated by lfctl: faster than the engine's \
                 own store ({store})"
            ),
            Self::Stored if facts.kind == EngineKind::Podman => {
                "loading images that share layers together, as stored: Podman checks each layer as \
                 stored"
                    .to_owned()
            }
            Self::Stored => format!(
                "loading images that share layers together, as stored: a containerd store ({store}) \
                 keeps each layer as stored"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_classic_store_takes_inflated_layers() {
        let mut facts = super::super::testing::facts();
        facts.cpus = 2;
        assert_eq!(LoadRoute::of(&facts), LoadRoute::Inflated { at_once: 3 });
        facts.cpus = 64;
        assert_eq!(LoadRoute::of(&facts).at_once(), 4);
        facts.cpus = 0;
        assert_eq!(LoadRoute::of(&facts).at_once(), 2);
        facts.containerd_store = true;
        assert_eq!(LoadRoute::of(&facts), LoadRoute::Stored);
        facts.containerd_store = false;
        facts.kind = EngineKind::Podman;
        assert_eq!(LoadRoute::of(&facts).at_once(), 1);
    }
}
