//! The host and the filesystems that fill up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::Fact;
use super::limit::blocking;
use crate::engine::EngineFacts;
use crate::sys::disk::Disk;
use crate::sys::host::Host;

/// A dead network filesystem blocks without end.
const LIMIT: Duration = Duration::from_secs(5);

/// Filesystems by what lies there.
pub(super) type Disks = BTreeMap<&'static str, Fact<Disk>>;

/// Looks at the host, the engine's data root and lfctl's state directory.
pub(super) async fn look(engine: &Fact<EngineFacts>, state_dir: &Path) -> (Fact<Host>, Disks) {
    let data = engine
        .known()
        .map(|engine| PathBuf::from(&engine.data_root));
    let paths = [
        ("images and data", data),
        ("lfctl's state", Some(state_dir.to_owned())),
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
