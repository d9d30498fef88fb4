//! The host and the filesystems that fill up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;

use super::limit::blocking;
use super::{Fact, Subject};
use crate::engine::EngineFacts;
use crate::sys::disk::Disk;
use crate::sys::host::Host;

/// A dead network filesystem blocks without end.
const LIMIT: Duration = Duration::from_secs(5);

/// Filesystems by what lies there.
pub(super) type Disks = BTreeMap<&'static str, Fact<Disk>>;

/// Looks at the host, the engine's data root and lfctl's state directory. An
/// engine that is down may be so because its disk is full: then the data root
/// is the one on record.
pub(super) async fn look(engine: &Fact<EngineFacts>, subject: &Subject) -> (Fact<Host>, Disks) {
    let data = match engine {
        Fact::Known(engine) => Some(PathBuf::from(&engine.data_root)),
        Fact::Unknown(_) => subject.data_root.clone(),
    };
    let paths = [
        ("images and data", data),
        ("lfctl's state", Some(subject.state_dir.clone())),
    ];
    let disks = paths
        .into_iter()
        .filter_map(|(purpose, path)| Some((purpose, path?)));
    let disks =
        join_all(disks.map(async |(purpose, path)| {
            (purpose, blocking(LIMIT, move || Disk::of(&path)).await)
        }));
    let (host, disks) = tokio::join!(blocking(LIMIT, Host::read), disks);
    (host, disks.into_iter().collect())
}
