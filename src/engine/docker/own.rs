//! Which objects are lfctl's: only those carry its label, and no other is
//! changed or removed.

use std::collections::BTreeMap;

use super::call::{checked, refused};
use super::{Docker, raw, read};
use crate::engine::{Container, EngineError, LABEL_APPLIANCE};

impl Docker {
    /// A container by its name or whole id, also another one's.
    pub(super) async fn inspect(
        &self,
        action: &str,
        name: &str,
    ) -> Result<Option<Container>, EngineError> {
        let name = checked(action, name)?;
        let path = format!("/containers/{name}/json");
        let found = raw::get(self, action, &path).await?;
        let found = found.as_ref().map(read::container);
        // The engine also takes a beginning of an id for a name.
        Ok(found.filter(|container| container.name == name || container.id == name))
    }

    /// Fails unless the container is there and carries lfctl's label.
    pub(super) async fn own(&self, action: &str, name: &str) -> Result<(), EngineError> {
        match self.inspect(action, name).await? {
            Some(container) => labelled(action, &container.labels),
            None => Err(refused(action, Some(404), "no such container")),
        }
    }
}

/// Refuses an object that lfctl did not make.
pub(super) fn labelled(action: &str, labels: &BTreeMap<String, String>) -> Result<(), EngineError> {
    if labels.contains_key(LABEL_APPLIANCE) {
        Ok(())
    } else {
        Err(refused(action, None, "it is not lfctl's"))
    }
}
