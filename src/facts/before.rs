//! The facts before a change.

use jiff::Timestamp;

use futures_util::future::join_all;

use super::host;
use super::nofile;
use super::{Change, Fact, Facts, Subject};
use crate::engine::{ContainerEngine, EngineFacts};
use crate::langfuse::schema::{SchemaState, schema_state};
use crate::render::Names;
use crate::stack::Stack;

/// Looks at the host and its filesystems; the engine was asked already, and
/// what it holds is part of `change`.
pub async fn before(engine: &EngineFacts, subject: Subject, change: Change) -> Facts {
    let nofile = nofile::limit(engine).await;
    let engine = Fact::Known(engine.clone());
    let ground = host::look(&engine, &subject).await;
    Facts {
        change: Some(change),
        engine,
        host: ground.host,
        disks: ground.disks,
        boot: ground.boot,
        firewall: ground.firewall,
        nofile,
        ..Facts::unasked(Timestamp::now(), subject)
    }
}

/// The states of the schemas of the stack that runs, in its order.
pub async fn running_schemas(
    engine: &impl ContainerEngine,
    appliance: &str,
    runs: &Stack,
) -> Vec<Fact<SchemaState>> {
    let names = Names { appliance };
    let states = runs.schemas.iter().map(async |schema| {
        let container = names.container(&schema.service);
        Fact::from(schema_state(engine, &container, schema).await)
    });
    join_all(states).await
}
