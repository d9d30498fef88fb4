//! Networks and volumes.

use std::collections::BTreeMap;

use bollard::query_parameters as query;

use super::call::{CHANGE, absent, checked, refused};
use super::own::labelled;
use super::{Docker, raw, read, write};
use crate::engine::{
    EngineError, LABEL_APPLIANCE, NetworkSpec, NetworksAndVolumes, Owner, Resource,
};

impl NetworksAndVolumes for Docker {
    async fn networks(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let path = format!("/networks?{}", of_appliance(appliance));
        let found = raw::get(self, "list networks", &path).await?;
        Ok(found.iter().flat_map(read::resources).collect())
    }

    async fn network(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        let action = format!("show network `{name}`");
        let name = checked(&action, name)?;
        let found = raw::get(self, &action, &format!("/networks/{name}")).await?;
        Ok(found
            .as_ref()
            .map(read::resource)
            .filter(|network| network.name == name))
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let action = format!("make network `{}`", spec.name);
        // Old engines make a second network of the same name without a word.
        if let Some(found) = self.network(&spec.name).await? {
            return Err(taken("network", &spec.name, &found.labels, &spec.owner));
        }
        let request = self
            .client
            .create_network(write::network(spec, self.dialect().await?));
        self.call(&action, CHANGE, request).await?;
        Ok(())
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let action = format!("remove network `{name}`");
        let Some(found) = self.network(name).await? else {
            return Ok(());
        };
        labelled(&action, &found.labels)?;
        let request = self.client.remove_network(name);
        absent(self.call(&action, CHANGE, request).await)?;
        Ok(())
    }

    async fn volumes(&self, appliance: &str) -> Result<Vec<Resource>, EngineError> {
        let path = format!("/volumes?{}", of_appliance(appliance));
        let found = raw::get(self, "list volumes", &path).await?;
        let volumes = found.as_ref().and_then(|found| found.get("Volumes"));
        Ok(volumes.into_iter().flat_map(read::resources).collect())
    }

    async fn volume(&self, name: &str) -> Result<Option<Resource>, EngineError> {
        let action = format!("show volume `{name}`");
        let name = checked(&action, name)?;
        let found = raw::get(self, &action, &format!("/volumes/{name}")).await?;
        Ok(found.as_ref().map(read::resource))
    }

    async fn create_volume(&self, name: &str, owner: &Owner) -> Result<(), EngineError> {
        let action = format!("make volume `{name}`");
        // Engines answer with the old volume, data and all, as if it were new.
        if let Some(found) = self.volume(name).await? {
            return Err(taken("volume", name, &found.labels, owner));
        }
        let request = self.client.create_volume(write::volume(name, owner));
        self.call(&action, CHANGE, request).await?;
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let action = format!("remove volume `{name}`");
        let Some(found) = self.volume(name).await? else {
            return Ok(());
        };
        labelled(&action, &found.labels)?;
        let request = self
            .client
            .remove_volume(name, None::<query::RemoveVolumeOptions>);
        absent(self.call(&action, CHANGE, request).await)?;
        Ok(())
    }
}

/// Judges an object that has a name somebody wants to use.
pub(super) fn taken(
    kind: &'static str,
    name: &str,
    labels: &BTreeMap<String, String>,
    owner: &Owner,
) -> EngineError {
    if labels.get(LABEL_APPLIANCE) == Some(&owner.appliance) {
        refused(
            &format!("make {kind} `{name}`"),
            Some(409),
            "it exists already",
        )
    } else {
        EngineError::Foreign {
            kind,
            name: name.to_owned(),
            appliance: owner.appliance.clone(),
        }
    }
}

fn of_appliance(appliance: &str) -> String {
    raw::filter("label", &format!("{LABEL_APPLIANCE}={appliance}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_foreign_or_a_conflict() {
        let owner = Owner {
            appliance: "a".to_owned(),
            part: "web".to_owned(),
        };
        let own = taken("volume", "v", &owner.labels(), &owner);
        assert!(matches!(
            own,
            EngineError::Refused {
                status: Some(409),
                ..
            }
        ));
        let foreign = taken("volume", "v", &BTreeMap::new(), &owner);
        assert!(matches!(foreign, EngineError::Foreign { .. }));
    }
}
