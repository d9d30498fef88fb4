//! What each library error means to an operator: its kind, and what to type
//! next.

use std::io::ErrorKind;
use std::path::Path;

use super::{Failure, Kind};
use crate::appliance::ApplianceError;
use crate::appliance::journal::JournalError;
use crate::bundle::OpenError;
use crate::change::ChangeError;
use crate::engine::{EngineCause, EngineError, either, log_commands, start_commands};
use crate::host::HostError;
use crate::host::releases::ReleasesError;
use crate::oci::archive::ArchiveError;
use crate::stack::secret::SecretError;
use crate::stack::site::SiteError;
use crate::sys::span::is_from_system;
use crate::sys::versioned::DocumentError;
use crate::transfer::load::LoadError;

pub(super) const OTHER_COPY: &str = "copy the bundle again from where it was made, and check the copy: `lfctl bundle verify BUNDLE`";

const MEDIUM: &str = "see that the medium can be read, then run the command again";

const ROOM: &str = "make room on that filesystem, then run the command again";

const ADDRESSES: &str = "the engine has no address range left for a network: remove networks \
    that nothing uses (`docker network prune`), or give Docker more in `/etc/docker/daemon.json`, \
    such as `{\"default-address-pools\": [{\"base\": \"10.213.0.0/16\", \"size\": 24}]}`, and \
    restart it; Podman has `default_subnet_pools` in `/etc/containers/containers.conf`";

const IDS: &str = "give the user of the rootless engine 65536 ids: as root, \
    `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`, or another range that \
    `/etc/subuid` and `/etc/subgid` give nobody; then `podman system migrate`, or restart Docker";

impl Failure {
    /// A `site.toml` that cannot work; `from` says where it came from.
    pub fn site(from: &Path, error: &SiteError) -> Self {
        let mut failure = Self::new(Kind::Config, format!("{} is not valid", from.display()));
        for line in error.to_string().lines() {
            failure = failure.cause(line);
        }
        failure.hint("`lfctl help site` describes every key")
    }
}

fn about(cause: EngineCause) -> &'static str {
    match cause {
        EngineCause::NotPermitted => {
            "run lfctl as root, or as a user who may use the engine's socket"
        }
        EngineCause::NoSpace => ROOM,
        EngineCause::NoAddresses => ADDRESSES,
        EngineCause::NoIds => IDS,
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let failure = Self::from_error(Kind::Engine, &error);
        if let Some(cause) = error.cause() {
            return failure.hint(about(cause));
        }
        match error {
            EngineError::Unreachable { ref socket, .. } => failure.hint(format!(
                "start the engine ({}) or name its socket with `--engine unix:///path/to.sock`",
                either(&start_commands(socket))
            )),
            EngineError::Ill { ref socket, .. } => failure.hint(format!(
                "read what it complains of ({}) and restart it, or name another engine with \
                 `--engine`",
                either(&log_commands(socket))
            )),
            EngineError::Chosen { .. } => failure.hint(
                "take the engine of this host with `--engine docker` or `--engine podman`, or name a \
                 socket with `--engine unix:///path/to.sock`; `docker context use default` and \
                 `unset DOCKER_HOST DOCKER_CONTEXT CONTAINER_HOST` take the choice back",
            ),
            EngineError::Foreign { kind, ref name, .. } => failure.hint(format!(
                "choose another name with `--name`, or remove the {kind} `{name}` yourself if \
                 it is not needed"
            )),
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let failure = Self::from_error(Kind::LocalIo, &error);
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => failure.hint(ROOM),
            _ => failure,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Signature(error) => error.into(),
            OpenError::Archive(ArchiveError::Io(error)) => error.into(),
            OpenError::Io(ref source) if is_from_system(source) => {
                Self::from_error(Kind::LocalIo, &error).hint(MEDIUM)
            }
            OpenError::NewerFormat { .. } | OpenError::NewerLfctl { .. } => {
                Self::from_error(Kind::Failed, &error)
                    .hint("use the lfctl that came with the bundle, or a newer one")
            }
            OpenError::NotABundle(_) | OpenError::Archive(ArchiveError::NotAFile(_)) => {
                Self::from_error(Kind::NotTrusted, &error).hint("name the file of a bundle")
            }
            OpenError::Unsigned => Self::from_error(Kind::NotTrusted, &error)
                .hint("ask the publisher for the signed bundle"),
            _ => Self::from_error(Kind::NotTrusted, &error).hint(OTHER_COPY),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Layer { .. } if !error.is_wrong_content() => {
                Self::from_error(Kind::LocalIo, &error)
                    .hint(format!("{MEDIUM}: it continues where it stopped"))
            }
            LoadError::Layer { .. } | LoadError::Source { .. } | LoadError::Identity { .. } => {
                Self::from_error(Kind::NotTrusted, &error).hint(OTHER_COPY)
            }
            LoadError::Incomplete(_) => Self::from_error(Kind::Blocked, &error)
                .hint("name a bundle that has them with `--base BUNDLE`, or use a full bundle"),
            LoadError::Thread { .. } => Self::from_error(Kind::LocalIo, &error),
            _ => {
                let cause = match &error {
                    LoadError::Engine { source, .. } => source.cause(),
                    _ => None,
                };
                Self::from_error(Kind::Engine, &error).hint(cause.map_or(
                    "fix what the engine reports, then run the command again: it continues",
                    about,
                ))
            }
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Io(error) => error.into(),
            HostError::Locked { .. } => Self::from_error(Kind::Locked, &error)
                .hint("wait until it is done, then run the same command again"),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io(error) => error.into(),
            JournalError::Newer { .. } => Self::from_error(Kind::Failed, &error)
                .hint("use the lfctl that wrote it, or a later one, on this host"),
            JournalError::Damaged { ref path, .. } => {
                let hint = format!(
                    "find out what changed {}; if a backup has it whole, put that back",
                    path.display()
                );
                Self::from_error(Kind::Failed, &error).hint(hint)
            }
        }
    }
}

impl From<ApplianceError> for Failure {
    fn from(error: ApplianceError) -> Self {
        match error {
            ApplianceError::Io(error) => error.into(),
            ApplianceError::Site { path, source } => Self::site(&path, &source),
            ApplianceError::Name(_) => Self::from_error(Kind::Usage, &error),
            ApplianceError::Locked { .. } => Self::from_error(Kind::Locked, &error)
                .hint("wait until it is done; `lfctl status` shows how far it is"),
            ApplianceError::Document(error) => error.into(),
            ApplianceError::Generation { ref file, .. } => {
                let hint = format!("put {} back from a backup", file.display());
                Self::from_error(Kind::Failed, &error).hint(hint)
            }
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Io(error) => error.into(),
            DocumentError::Newer { ref writer, .. } => {
                let newer = writer.as_ref().map_or_else(
                    || "use the newest lfctl here".to_owned(),
                    |writer| format!("use lfctl {writer} or newer here"),
                );
                Self::from_error(Kind::Config, &error).hint(newer)
            }
            DocumentError::Damaged { ref file, .. } => {
                let hint = format!("put `{}` back from a backup", file.display());
                Self::from_error(Kind::Config, &error).hint(hint)
            }
        }
    }
}

impl From<ReleasesError> for Failure {
    fn from(error: ReleasesError) -> Self {
        match error {
            ReleasesError::Io(error) => error.into(),
            ReleasesError::Older { .. } => Self::from_error(Kind::NotTrusted, &error)
                .hint("use the newest bundle; to go back on purpose, add `--allow-downgrade`"),
            ReleasesError::Document(error) => error.into(),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let failure = Self::from_error(Kind::Config, &error);
        match error {
            SecretError::Immutable { ref name } => failure.hint(format!(
                "take `{name}` out of [secrets] in site.toml: the data was made with the present \
                 one, and nothing here can change it there"
            )),
            _ => failure,
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        const AGAIN: &str = "run the same command again: it continues where it stopped";
        match error {
            ChangeError::Engine(error) => error.into(),
            ChangeError::Appliance(error) => error.into(),
            ChangeError::Bundle(error) => error.into(),
            ChangeError::Load(error) => error.into(),
            ChangeError::Io(error) => error.into(),
            ChangeError::Journal(error) => error.into(),
            ChangeError::Host(error) => error.into(),
            ChangeError::Releases(error) => error.into(),
            ChangeError::Trust(error) => error.into(),
            ChangeError::Repository(error) => error.into(),
            ChangeError::Document(error) => error.into(),
            ChangeError::Store { .. } => Self::from_error(Kind::Failed, &error)
                .hint("see that every service is healthy with `lfctl doctor`, then run it again"),
            ChangeError::Interrupted { .. } | ChangeError::InterruptedDuring { .. } => {
                Self::from_error(Kind::Interrupted, &error).hint(AGAIN)
            }
            ChangeError::Unhealthy { ref service, .. } => {
                let hint = format!("read more of its log with `lfctl logs {service}`; {AGAIN}");
                Self::from_error(Kind::Failed, &error).hint(hint)
            }
            ChangeError::Migration { .. } => Self::from_error(Kind::Failed, &error)
                .hint("fix what the log names; the same command continues the migration"),
            ChangeError::Schema { .. } | ChangeError::Probe { .. } => {
                Self::from_error(Kind::Failed, &error).hint("see what is wrong: `lfctl doctor`")
            }
            ChangeError::Render(_) => Self::from_error(Kind::Bug, &error),
            ChangeError::RolledBack { ref cause, .. } => {
                let failure = Self::from_error(Kind::RolledBack, &error);
                failure.hint(match **cause {
                    ChangeError::Migration { .. } => {
                        "the release from before runs; the databases keep what the migration had \
                         done, and no upgrade can go past it: `lfctl doctor` says what is open \
                         and how to close it"
                    }
                    _ => "the release from before runs; see `lfctl doctor`",
                })
            }
            ChangeError::RollbackFailed { .. } => Self::from_error(Kind::RollbackFailed, &error)
                .hint("remove what stands in the way, then continue with `lfctl recover`"),
            ChangeError::NoBundle => Self::from_error(Kind::Failed, &error)
                .hint("load them from the bundle of the release: `lfctl bundle load BUNDLE`"),
            ChangeError::UnknownStep { .. } => Self::from_error(Kind::Failed, &error)
                .hint("use the lfctl that began the change, or a later one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    #[cfg(feature = "pull")]
    use crate::bundle::create::CreateError;
    use crate::bundle::parts::PartError;
    use crate::sys::span::SpanFile;

    /// What reading gives when the medium fails.
    fn pulled_out() -> io::Error {
        let dir = tempfile::tempdir().unwrap();
        let file = fs_err::File::open(dir.path()).unwrap();
        let file = SpanFile::new([(file.into(), 1)]).unwrap();
        file.read_at(&mut [0], 0).unwrap_err()
    }

    #[test]
    fn a_full_disk_and_a_closed_socket_say_what_to_do() {
        let refused = |message: &str| EngineError::Refused {
            action: "start `a`".to_owned(),
            status: Some(500),
            message: message.to_owned(),
        };
        let denied = || EngineError::Unreachable {
            socket: "/var/run/docker.sock".to_owned(),
            source: Box::new(io::Error::from(io::ErrorKind::PermissionDenied)),
        };
        let hints = |failure: Failure| failure.report().hints.join("; ");
        let full = hints(io::Error::from(io::ErrorKind::StorageFull).into());
        assert!(full.contains("make room"), "{full}");
        let full = hints(refused("mkdir /var/lib/docker/a: no space left on device").into());
        assert!(full.contains("make room"), "{full}");
        assert_eq!(hints(refused("no such container").into()), "");
        for words in [
            "could not find an available, non-overlapping IPv4 address pool among the defaults to \
             assign to the network",
            "all predefined address pools have been fully subnetted",
            "could not find free subnet from subnet pools",
        ] {
            let hint = hints(refused(words).into());
            assert!(hint.contains("default-address-pools"), "{hint}");
        }
        let denied = hints(denied().into());
        assert!(
            denied.contains("as root") && !denied.contains("systemctl"),
            "{denied}"
        );
    }

    #[test]
    fn a_migration_that_failed_in_an_upgrade_says_what_stays() {
        let rolled_back = |cause| {
            let error = ChangeError::RolledBack {
                command: "upgrade".to_owned(),
                cause: Box::new(cause),
            };
            Failure::from(error).report().hints.join("; ")
        };
        let log = crate::change::JobLog("P3009".to_owned());
        let hint = rolled_back(ChangeError::Migration { code: 1, log });
        assert!(hint.contains("what is open"), "{hint}");
        let hint = rolled_back(ChangeError::NoBundle);
        assert!(!hint.contains("what is open"), "{hint}");
    }

    #[test]
    fn a_medium_that_cannot_be_read_is_no_matter_of_trust() {
        let read = || OpenError::Io(pulled_out());
        let wrong = || OpenError::Io(io::ErrorKind::UnexpectedEof.into());
        let layer = |source| LoadError::Layer {
            reference: "a".to_owned(),
            digest: crate::oci::digest::Digest::of(b"a"),
            source,
        };
        let pairs: &[(Failure, Failure)] = &[
            (read().into(), wrong().into()),
            (
                ChangeError::from(read()).into(),
                ChangeError::from(wrong()).into(),
            ),
            (
                PartError::Verify(read()).into(),
                PartError::Verify(wrong()).into(),
            ),
            (
                layer(pulled_out()).into(),
                layer(io::Error::other("digest mismatch")).into(),
            ),
            #[cfg(feature = "pull")]
            (
                CreateError::Verify(read()).into(),
                CreateError::Verify(wrong()).into(),
            ),
        ];
        for (failed, wrong) in pairs {
            let report = failed.report();
            assert_eq!(failed.kind(), Kind::LocalIo, "{report:?}");
            assert!(report.hints[0].contains("medium can be read"), "{report:?}");
            let causes = report.causes.join("; ");
            assert!(causes.contains("cannot read `"), "{report:?}");
            assert_eq!(wrong.kind(), Kind::NotTrusted, "{:?}", wrong.report());
        }
    }
}
