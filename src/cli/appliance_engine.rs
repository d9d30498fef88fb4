//! Whether an engine is the one that an appliance lives in.

use super::failure::{Failure, Kind};
use crate::appliance::state::State;
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine, Containers, NetworksAndVolumes};

/// Refuses an engine in which the appliance does not live: what is missing
/// there is not lost.
///
/// # Errors
///
/// It is of another kind; or it keeps its data elsewhere and holds nothing of
/// the appliance. Moved data alone is no reason.
pub(super) async fn check(name: &str, state: &State, engine: &Docker) -> Result<(), Failure> {
    if state.engine != engine.kind() {
        let (there, here) = (state.engine, engine.kind());
        return Err(Failure::new(
            Kind::Engine,
            format!("`{name}` lives in {there}, and this is {here}"),
        )
        .hint(format!(
            "start {there} and run again with `--engine {there}`"
        )));
    }
    let Some(place) = state.elsewhere(&engine.facts().await?) else {
        return Ok(());
    };
    let is_here = !engine.containers(name).await?.is_empty()
        || !engine.volumes(name).await?.is_empty()
        || !engine.networks(name).await?.is_empty();
    if is_here {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Engine,
        format!(
            "`{name}` lives in another {}, which keeps its data in {}",
            state.engine, place.data_root
        ),
    )
    .hint(format!("run again with `--engine unix://{}`", place.socket)))
}
