//! What starts the engine, and with it the stack, after a reboot.
//!
//! systemd keeps this in links: a unit is enabled where a directory of wants
//! or requires names it.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::engine::{EngineFacts, EngineKind};

/// Where units of the system lie, below the root.
const SYSTEM: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Where units of every user lie, below the root.
const USER: [&str; 4] = [
    "etc/systemd/user",
    "run/systemd/user",
    "usr/local/lib/systemd/user",
    "usr/lib/systemd/user",
];
/// Docker's unit may have the name that snap gives it.
const DOCKER: [&str; 2] = ["docker.service", "snap.docker.dockerd.service"];
/// Podman's socket, by which lfctl drives it, and what starts its containers.
const PODMAN: [&str; 2] = ["podman.socket", "podman-restart.service"];

/// What systemd does at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Units that must start, and whether they are enabled.
    pub units: BTreeMap<&'static str, bool>,
    /// Who runs a rootless engine, and whether his services run without a
    /// login.
    pub user: Option<(String, bool)>,
}

/// A line of `/etc/passwd`.
struct User {
    name: String,
    home: PathBuf,
}

/// Looks below `root`; `None` where the host is not run by systemd.
///
/// # Errors
///
/// No unit of the engine is found, or who runs it.
pub(super) fn look(root: &Path, engine: &EngineFacts) -> io::Result<Option<Boot>> {
    if !root.join("run/systemd/system").is_dir() {
        return Ok(None);
    }
    let below = |dirs: &[&str]| -> Vec<PathBuf> { dirs.iter().map(|dir| root.join(dir)).collect() };
    let (dirs, user) = if engine.rootless {
        let user = user(root, &engine.socket)?;
        let mut dirs = vec![in_root(root, &user.home).join(".config/systemd/user")];
        dirs.extend(below(&USER));
        let lingers = root
            .join("var/lib/systemd/linger")
            .join(&user.name)
            .exists();
        (dirs, Some((user.name, lingers)))
    } else {
        (below(&SYSTEM), None)
    };
    let wanted: Vec<_> = match engine.kind {
        EngineKind::Docker => {
            let there = DOCKER.into_iter().find(|unit| is_there(&dirs, unit));
            there.into_iter().collect()
        }
        EngineKind::Podman => PODMAN.to_vec(),
    };
    if !wanted.iter().any(|unit| is_there(&dirs, unit)) {
        return Err(io::Error::other(format!(
            "systemd has no unit of {} here",
            engine.kind
        )));
    }
    let units = wanted
        .into_iter()
        .map(|unit| (unit, is_enabled(&dirs, unit)))
        .collect();
    Ok(Some(Boot { units, user }))
}

fn is_there(dirs: &[PathBuf], unit: &str) -> bool {
    dirs.iter()
        .any(|dir| dir.join(unit).symlink_metadata().is_ok())
}

fn is_enabled(dirs: &[PathBuf], unit: &str) -> bool {
    let entries = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok());
    entries.flatten().flatten().any(|entry| {
        let path = entry.path();
        let is_list = path
            .extension()
            .is_some_and(|extension| extension == "wants" || extension == "requires");
        is_list && path.join(unit).symlink_metadata().is_ok()
    })
}

/// Who owns the socket.
fn user(root: &Path, socket: &str) -> io::Result<User> {
    let uid = fs::metadata(in_root(root, Path::new(socket)))?.uid();
    let passwd = fs::read_to_string(root.join("etc/passwd"))?;
    parse_passwd(&passwd, uid)
        .ok_or_else(|| io::Error::other(format!("/etc/passwd does not name user {uid}")))
}

fn parse_passwd(passwd: &str, uid: u32) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?;
        let home = fields.nth(2)?;
        (id.parse() == Ok(uid)).then(|| User {
            name: name.to_owned(),
            home: home.into(),
        })
    })
}

fn in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::engine::EngineKind::{Docker, Podman};

    fn engine(kind: EngineKind, rootless: bool) -> EngineFacts {
        EngineFacts {
            kind,
            rootless,
            socket: "/run/engine.sock".to_owned(),
            ..crate::engine::testing::facts()
        }
    }

    /// A host that runs systemd, with these units.
    fn host(units: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        for unit in units {
            write(root.path(), unit);
        }
        root
    }

    fn write(root: &Path, name: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    fn enable(root: &Path, link: &str) {
        let path = root.join(link);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/anywhere", path).unwrap();
    }

    fn units(root: &Path, engine: &EngineFacts) -> Vec<(&'static str, bool)> {
        let boot = look(root, engine).unwrap().unwrap();
        boot.units.into_iter().collect()
    }

    #[test]
    fn enabled_is_what_a_target_wants() {
        let root = host(&["lib/systemd/system/docker.service"]);
        let root = root.path();
        let docker = engine(Docker, false);
        assert_eq!(units(root, &docker), [("docker.service", false)]);
        enable(
            root,
            "etc/systemd/system/multi-user.target.wants/docker.service",
        );
        assert_eq!(units(root, &docker), [("docker.service", true)]);
    }

    #[test]
    fn snap_has_a_name_of_its_own() {
        let unit = "snap.docker.dockerd.service";
        let root = host(&["etc/systemd/system/snap.docker.dockerd.service"]);
        assert_eq!(units(root.path(), &engine(Docker, false)), [(unit, false)]);
    }

    #[test]
    fn podman_needs_its_socket_and_what_starts_containers() {
        let root = host(&[
            "usr/lib/systemd/system/podman.socket",
            "usr/lib/systemd/system/podman-restart.service",
        ]);
        let root = root.path();
        enable(
            root,
            "etc/systemd/system/sockets.target.wants/podman.socket",
        );
        let expected = [("podman-restart.service", false), ("podman.socket", true)];
        assert_eq!(units(root, &engine(Podman, false)), expected);
    }

    #[test]
    fn a_rootless_engine_is_started_by_its_user() {
        let root = host(&["usr/lib/systemd/user/podman.socket", "run/engine.sock"]);
        let root = root.path();
        let uid = fs::metadata(root.join("run/engine.sock")).unwrap().uid();
        let passwd = format!("other:x:99999:1::/:/bin/sh\nop:x:{uid}:1:,,,:/home/op:/bin/sh\n");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        let user = ".config/systemd/user/default.target.wants/podman-restart.service";
        enable(root, &format!("home/op/{user}"));
        let boot = look(root, &engine(Podman, true)).unwrap().unwrap();
        assert_eq!(boot.user, Some(("op".to_owned(), false)));
        assert!(boot.units["podman-restart.service"] && !boot.units["podman.socket"]);
        write(root, "var/lib/systemd/linger/op");
        let boot = look(root, &engine(Podman, true)).unwrap().unwrap();
        assert_eq!(boot.user, Some(("op".to_owned(), true)));
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_missing() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(look(empty.path(), &engine(Docker, false)).unwrap(), None);
        assert!(look(host(&[]).path(), &engine(Docker, false)).is_err());
        assert!(look(host(&[]).path(), &engine(Podman, true)).is_err());
    }
}
