//! The keys a host trusts: a directory with one public key a file, and a list
//! of revoked key ids. Revoking wins, also over a key that is added later.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::policy::TrustPolicy;
use crate::sign::{IntroducedKey, KeyId, SignError, Signature, TrustStatement, TrustedKey};
use crate::sys::fs::{read_optional, read_own, write_atomically};

/// Bytes of the largest file of a public key.
pub const KEY_LIMIT: u64 = 16 << 10;
/// Bytes of the largest list of revoked keys.
const REVOKED_LIMIT: u64 = 1 << 20;

/// A key of the trust store.
#[derive(Debug, Clone)]
pub struct StoredKey {
    pub key: TrustedKey,
    /// Whether its signatures are refused all the same.
    pub revoked: bool,
    /// The file that holds it.
    pub file: PathBuf,
}

/// The keys a host trusts and those it revoked.
#[derive(Debug, Clone)]
pub struct TrustStore {
    dir: PathBuf,
    revoked_file: PathBuf,
    keys: Vec<(TrustedKey, PathBuf)>,
    revoked: BTreeSet<KeyId>,
    policy: TrustPolicy,
    /// Where the policy is kept; empty if it is not.
    policy_file: PathBuf,
}

/// What a statement changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustChange {
    /// A key is trusted now.
    Introduced {
        key: KeyId,
        /// Who vouched for it.
        signer: KeyId,
    },
    /// A key is refused now.
    Revoked {
        key: KeyId,
        /// Who declared it void.
        signer: KeyId,
    },
}

impl std::fmt::Display for TrustChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Introduced { key, signer } => {
                write!(
                    f,
                    "key {key} is trusted from now on: key {signer} vouches for it"
                )
            }
            Self::Revoked { key, signer } => {
                write!(
                    f,
                    "key {key} is refused from now on: key {signer} revoked it"
                )
            }
        }
    }
}

impl TrustStore {
    /// Reads the store. A directory or list that does not exist is empty; a
    /// file in it that is no key is an error, since a key that was meant to
    /// count would be missing in silence.
    pub fn load(dir: &Path, revoked_file: &Path) -> Result<Self, SignError> {
        let mut store = Self {
            dir: dir.to_owned(),
            revoked_file: revoked_file.to_owned(),
            keys: Vec::new(),
            revoked: BTreeSet::new(),
            policy: TrustPolicy::default(),
            policy_file: PathBuf::new(),
        };
        for dir in [Some(dir), dir.parent()].into_iter().flatten() {
            refuse_writable(dir)?;
        }
        for file in key_files(dir).map_err(SignError::Io)? {
            let key = read_key(&file)?;
            let mut others = store.keys.iter();
            let other = others.find(|(known, _)| known.id() == key.id() && *known != key);
            if let Some((_, other)) = other {
                return Err(SignError::TwoFiles {
                    id: key.id(),
                    files: [other.clone(), file],
                });
            }
            store.keys.push((key, file));
        }
        let revoked = read_optional(revoked_file, REVOKED_LIMIT).map_err(SignError::Io)?;
        let revoked = String::from_utf8_lossy(&revoked.unwrap_or_default()).into_owned();
        for line in revoked.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                store.revoked.insert(line.parse()?);
            }
        }
        Ok(store)
    }

    /// These keys instead of the stored ones, for one run. What this host
    /// revoked stays revoked, and as many holders have to sign.
    #[must_use]
    pub fn with_only(self, keys: impl IntoIterator<Item = TrustedKey>) -> Self {
        Self {
            keys: Self::of(keys).keys,
            ..self
        }
    }

    /// A store that is not on disk and trusts exactly these keys.
    pub fn of(keys: impl IntoIterator<Item = TrustedKey>) -> Self {
        Self {
            dir: PathBuf::new(),
            revoked_file: PathBuf::new(),
            keys: keys.into_iter().map(|key| (key, PathBuf::new())).collect(),
            revoked: BTreeSet::new(),
            policy: TrustPolicy::default(),
            policy_file: PathBuf::new(),
        }
    }

    /// The same keys under a policy, which is kept in `file`.
    #[must_use]
    pub fn under(self, policy: TrustPolicy, file: PathBuf) -> Self {
        Self {
            policy,
            policy_file: file,
            ..self
        }
    }

    /// How many have to sign.
    pub fn policy(&self) -> &TrustPolicy {
        &self.policy
    }

    /// Changes the policy, in its file first.
    pub fn set_policy(&mut self, policy: TrustPolicy) -> Result<(), SignError> {
        if !self.policy_file.as_os_str().is_empty() {
            policy.save(&self.policy_file)?;
        }
        self.policy = policy;
        Ok(())
    }

    /// Every key, in the order of its file name.
    pub fn list(&self) -> impl Iterator<Item = StoredKey> + '_ {
        self.keys.iter().map(|(key, file)| StoredKey {
            key: key.clone(),
            revoked: self.revoked.contains(&key.id()),
            file: file.clone(),
        })
    }

    /// Ids that are refused, whether or not a key of that id is stored.
    pub fn revoked(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.revoked.iter().copied()
    }

    /// Trusts a key from now on, and says who holds it where that is named.
    /// Adding a key twice changes nothing.
    ///
    /// # Errors
    ///
    /// The key was revoked, another key has its id, or the files cannot be
    /// written. Nothing is said of who holds what then, either.
    pub fn add(&mut self, key: &TrustedKey, holder: Option<&str>) -> Result<(), SignError> {
        let id = key.id();
        if self.revoked.contains(&id) {
            return Err(SignError::Revoked(id));
        }
        let known = self.knows(key)?;
        // Before the key counts, so that it never counts as somebody else's.
        let mut policy = self.policy.clone();
        if holder.is_some_and(|holder| policy.assign(id, holder)) {
            self.set_policy(policy)?;
        }
        if known {
            return Ok(());
        }
        self.store(key, &key.to_text())
    }

    /// Whether this very key is stored.
    fn knows(&self, key: &TrustedKey) -> Result<bool, SignError> {
        match self.find(key.id()) {
            Some(known) if known == key => Ok(true),
            Some(_) => Err(SignError::Conflict(key.id())),
            None => Ok(false),
        }
    }

    fn store(&mut self, key: &TrustedKey, text: &str) -> Result<(), SignError> {
        let target = self.dir.join(format!("{}.pub", key.id()));
        write_atomically(&target, text.as_bytes(), 0o644).map_err(SignError::Io)?;
        self.keys.push((key.clone(), target));
        Ok(())
    }

    /// Refuses signatures of this key from now on, even if it is added again.
    pub fn revoke(&mut self, id: KeyId) -> Result<(), SignError> {
        let mut revoked = self.revoked.clone();
        revoked.insert(id);
        let mut text = String::from("# Keys whose signatures lfctl refuses, one id a line.\n");
        for id in &revoked {
            text.push_str(&id.to_string());
            text.push('\n');
        }
        write_atomically(&self.revoked_file, text.as_bytes(), 0o644).map_err(SignError::Io)?;
        self.revoked = revoked;
        Ok(())
    }

    /// Ids of the keys that are stored and not revoked.
    fn trusted(&self) -> Vec<KeyId> {
        let ids = self.keys.iter().map(|(key, _)| key.id());
        ids.filter(|id| !self.revoked.contains(id)).collect()
    }

    /// Whether a key is stored and not revoked.
    pub fn is_trusted(&self, id: KeyId) -> bool {
        self.find(id).is_some() && !self.revoked.contains(&id)
    }

    /// Does what a trusted key said of other keys. Revoking wins, and a key
    /// that was revoked never comes back. `before` is told of each change
    /// right before it is made, so that an interruption leaves none untold.
    ///
    /// # Errors
    ///
    /// `signer` is not trusted, `before` fails, or the files cannot be written.
    /// Another key has the id of an introduced one: told when everything else
    /// is done, since one who took that id must not be able to keep a key from
    /// being revoked.
    pub fn apply<E: From<SignError>>(
        &mut self,
        statement: &TrustStatement,
        signer: KeyId,
        mut before: impl FnMut(TrustChange) -> Result<(), E>,
    ) -> Result<(), E> {
        if statement.is_empty() {
            return Ok(());
        }
        if !self.is_trusted(signer) {
            return Err(E::from(SignError::UnknownKey {
                signed_by: signer,
                trusted: self.trusted(),
            }));
        }
        // The signer last: a run that is interrupted in between has to be able
        // to do it again.
        let (own, others): (Vec<_>, Vec<_>) =
            statement.revoke.iter().partition(|key| **key == signer);
        self.revoke_all(others, signer, &mut before)?;
        let mut conflict = None;
        for IntroducedKey(key) in &statement.introduce {
            let id = key.id();
            if self.revoked.contains(&id) || statement.revoke.contains(&id) {
                continue;
            }
            match self.knows(key) {
                Ok(true) => {}
                Ok(false) => {
                    before(TrustChange::Introduced { key: id, signer })?;
                    let mut policy = self.policy.clone();
                    if policy.follow(id, signer) {
                        self.set_policy(policy)?;
                    }
                    self.store(key, &key.to_text_introduced_by(signer))?;
                }
                Err(error) => conflict = Some(error),
            }
        }
        self.revoke_all(own, signer, &mut before)?;
        conflict.map_or(Ok(()), |error| Err(E::from(error)))
    }

    fn revoke_all<E: From<SignError>>(
        &mut self,
        keys: Vec<&KeyId>,
        signer: KeyId,
        before: &mut impl FnMut(TrustChange) -> Result<(), E>,
    ) -> Result<(), E> {
        for key in keys.into_iter().copied() {
            if !self.revoked.contains(&key) {
                before(TrustChange::Revoked { key, signer })?;
                self.revoke(key)?;
            }
        }
        Ok(())
    }

    /// Checks that a trusted key, which is not revoked, signed `bytes`.
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> Result<KeyId, SignError> {
        let id = signature.key_id();
        if self.revoked.contains(&id) {
            return Err(SignError::Revoked(id));
        }
        if self.keys.is_empty() {
            return Err(SignError::NoTrustedKeys(self.dir.clone()));
        }
        let key = self.find(id).ok_or_else(|| SignError::UnknownKey {
            signed_by: id,
            trusted: self.trusted(),
        })?;
        key.verify(bytes, signature)?;
        Ok(id)
    }

    /// The same keys, as a host that keeps them below `dir`.
    #[cfg(test)]
    pub(super) fn at(self, dir: &Path) -> Self {
        Self {
            dir: dir.join("trusted-keys.d"),
            revoked_file: dir.join("revoked-keys"),
            policy_file: dir.join("trust-policy.toml"),
            ..self
        }
    }

    fn find(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys
            .iter()
            .map(|(key, _)| key)
            .find(|key| key.id() == id)
    }
}

fn key_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pub") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Who can write to the directory can make up a key, or lose a revocation.
fn refuse_writable(dir: &Path) -> Result<(), SignError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.permissions().mode() & 0o022 != 0 => {
            Err(SignError::Writable(dir.to_owned()))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SignError::Io(error)),
        _ => Ok(()),
    }
}

fn read_key(file: &Path) -> Result<TrustedKey, SignError> {
    let bytes = read_own(file, KEY_LIMIT).map_err(SignError::Io)?;
    let text = String::from_utf8_lossy(&bytes);
    TrustedKey::parse(&text).map_err(|error| match error {
        SignError::MalformedKey { reason, .. } => SignError::MalformedKey {
            what: format!("`{}`", file.display()),
            reason,
        },
        other => other,
    })
}
