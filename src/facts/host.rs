//! The host and the filesystems that fill up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;

use super::boot::{self, Boot};
use super::image_dir::image_dir;
use super::limit::blocking;
use super::{Fact, Subject};
use crate::engine::EngineFacts;
use crate::host::firewall::{Firewall, Wall};
use crate::sys::disk::Disk;
use crate::sys::host::Host;

/// A dead network filesystem blocks without end.
const LIMIT: Duration = Duration::from_secs(5);

/// Filesystems by what lies there.
pub(super) type Disks = BTreeMap<&'static str, Fact<Disk>>;

/// What an appliance stands on.
pub(super) struct Ground {
    pub(super) host: Fact<Host>,
    pub(super) disks: Disks,
    pub(super) boot: Fact<Option<Boot>>,
    pub(super) firewall: Fact<Wall>,
}

impl Ground {
    pub(super) fn not_asked() -> Self {
        Self {
            host: Fact::not_asked(),
            disks: Disks::new(),
            boot: Fact::not_asked(),
            firewall: Fact::not_asked(),
        }
    }
}

/// Looks at the host, the engine's directories and lfctl's state directory. An
/// engine that is down may be so because its disk is full: then the data root
/// is the one on record.
pub(super) async fn look(engine: &Fact<EngineFacts>, subject: &Subject) -> Ground {
    let disks = paths(engine, subject).into_iter();
    let disks =
        join_all(disks.map(async |(purpose, path)| {
            (purpose, blocking(LIMIT, move || Disk::of(&path)).await)
        }));
    let firewall = Firewall::of(&subject.name);
    let (host, disks, boot, firewall) = tokio::join!(
        blocking(LIMIT, Host::read),
        disks,
        at_boot(engine),
        blocking(LIMIT, move || firewall.wall()),
    );
    Ground {
        host,
        disks: disks.into_iter().collect(),
        boot,
        firewall,
    }
}

fn paths(engine: &Fact<EngineFacts>, subject: &Subject) -> Vec<(&'static str, PathBuf)> {
    let mut paths = vec![("lfctl's state", subject.state_dir.clone())];
    match engine {
        Fact::Known(engine) => {
            let (images, data) = (image_dir(engine), PathBuf::from(&engine.data_root));
            if images == data {
                paths.push(("images and data", data));
            } else {
                paths.extend([("images", images), ("data", data)]);
            }
        }
        Fact::Unknown(_) => {
            let place = subject.home.as_ref().and_then(|home| home.place.as_ref());
            paths.extend(place.map(|place| ("images and data", PathBuf::from(&place.data_root))));
        }
    }
    paths
}

async fn at_boot(engine: &Fact<EngineFacts>) -> Fact<Option<Boot>> {
    match engine.clone() {
        Fact::Known(engine) => blocking(LIMIT, move || boot::look(Path::new("/"), &engine)).await,
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}
