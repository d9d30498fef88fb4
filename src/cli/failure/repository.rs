//! What the errors of a backup repository mean to an operator.

use super::{Failure, Kind};
use crate::repository::RepositoryError;

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        let kind = match error {
            RepositoryError::ReadOnly(_)
            | RepositoryError::Full(_)
            | RepositoryError::Gone(_)
            | RepositoryError::Io { .. } => Kind::LocalIo,
            RepositoryError::Locked { .. } => Kind::Locked,
            RepositoryError::NotEmpty { .. } | RepositoryError::NotFound(_) => Kind::Usage,
            _ => Kind::Failed,
        };
        let failure = Self::from_error(kind, &error);
        match error {
            RepositoryError::WrongPassword(_) => failure.hint(
                "give the password of that repository, or its 24 words, with `--password-file FILE`",
            ),
            RepositoryError::NotFound(_) => {
                failure.hint("see that the right directory is mounted there")
            }
            RepositoryError::NotEmpty { .. } => {
                failure.hint("name an empty directory, or one that does not exist yet")
            }
            RepositoryError::Locked { .. } => failure.hint(
                "wait until that program has ended; a lock that nobody holds counts no longer after \
                 30 minutes",
            ),
            RepositoryError::ReadOnly(_) => {
                failure.hint("mount it so that this user can write there, then run it again")
            }
            RepositoryError::Full(_) => failure.hint(
                "make room there, such as with `lfctl backup prune`, then run it again",
            ),
            RepositoryError::Gone(_) => failure.hint("mount it again, then run it again"),
            RepositoryError::Damaged { .. } | RepositoryError::NotIndexed { .. } => failure.hint(
                "`lfctl backup verify` lists all damage and the snapshots that it concerns; restore \
                 from another snapshot, or from another copy of the repository",
            ),
            RepositoryError::NoSnapshot(_) | RepositoryError::AmbiguousSnapshot(_) => {
                failure.hint("`lfctl backup list` shows the snapshots")
            }
            _ => failure,
        }
    }
}
