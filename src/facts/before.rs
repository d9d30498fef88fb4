//! The facts before a change.

use jiff::Timestamp;

use super::{Change, Fact, Facts, Subject};
use super::{host, nofile};
use crate::engine::EngineFacts;

/// Looks at the host and its filesystems; the engine was asked already, and
/// what it holds is part of `change`.
pub async fn before(engine: &EngineFacts, subject: Subject, change: Change) -> Facts {
    let nofile = nofile::limit(engine).await;
    let engine = Fact::Known(engine.clone());
    let (host, disks) = host::look(&engine, &subject).await;
    Facts {
        change: Some(change),
        engine,
        host,
        disks,
        nofile,
        ..Facts::unasked(Timestamp::now(), subject)
    }
}
