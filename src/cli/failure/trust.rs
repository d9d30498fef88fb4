//! What a failure of keys and signatures means to an operator.

use super::from::OTHER_COPY;
use super::{Failure, Kind};
use crate::sign::SignError;

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        let kind = match error {
            SignError::Io(_) => Kind::LocalIo,
            SignError::KeyId(_) => Kind::Usage,
            SignError::Policy(error) => return error.into(),
            _ => Kind::NotTrusted,
        };
        let failure = Self::from_error(kind, &error);
        match error {
            SignError::NoTrustedKeys(_) | SignError::UnknownKey { .. } => failure.hint(
                "get the publisher's key another way than the bundle, then \
                 `lfctl trust add FILE`",
            ),
            SignError::TooFew { .. } => failure.hint(
                "have another holder check and sign it: `lfctl bundle sign BUNDLE --key THEIR_KEY`; \
                 carry the signature beside the bundle",
            ),
            SignError::Revoked(_) => {
                failure.hint("ask the publisher for a bundle signed with their present key")
            }
            SignError::Conflict(id) => failure.hint(format!(
                "one of the two is a forgery: compare the words that `lfctl trust list` shows with the \
                 publisher; if they are not his, `lfctl trust revoke {id}`, and ask him for a key of another id"
            )),
            SignError::TwoFiles { ref files, .. } => {
                let [one, other] = files.each_ref().map(|file| {
                    let file = file.display().to_string();
                    shell_words::quote(&file).into_owned()
                });
                failure
                    .hint(format!(
                        "one of the two is a forgery: compare the words of both with the \
                         publisher's: `lfctl key show {one}`, `lfctl key show {other}`"
                    ))
                    .hint(format!(
                        "then remove the forged one: `rm {one}` or `rm {other}`"
                    ))
            }
            SignError::Wrong { .. } | SignError::MalformedSignature(_) => failure.hint(OTHER_COPY),
            SignError::Writable(ref dir) => {
                let dir = dir.display().to_string();
                failure.hint(format!(
                    "look who wrote there, compare the words that `lfctl key show FILE` prints, and type: \
                     `chmod go-w {}`",
                    shell_words::quote(&dir)
                ))
            }
            SignError::PasswordNeeded => {
                failure.hint("run on a terminal, or give the password with `--password-fd`")
            }
            _ => failure,
        }
    }
}
