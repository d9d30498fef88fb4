//! What a host remembers of a bundle that it took something out of: the
//! release, so that none goes back, and what its signer says of keys.

use std::path::PathBuf;

use crate::bundle::open::Bundle;
use crate::change::error::ChangeError;
use crate::host::audit::NewEntry;
use crate::host::releases::Releases;
use crate::host::trust::{TrustPolicy, TrustStore};
use crate::host::{HostError, HostLock};
use crate::oci::digest::Digest;
use crate::report::event::{Level, Reporter, notice};
use crate::sign::{KeyId, SignError, TrustStatement};
use crate::sys::paths::Paths;

/// The keys of this host, and how many of their holders have to sign.
///
/// # Errors
///
/// A file of the trust store is not what it should be.
pub fn trust_store(paths: &Paths) -> Result<TrustStore, SignError> {
    let store = TrustStore::load(&paths.trusted_keys(), &paths.revoked_keys())?;
    let file = paths.trust_policy();
    Ok(store.under(TrustPolicy::load(&file)?, file))
}

/// Writes down which release was taken, and does what its signer says of
/// keys. Nothing of a bundle that was trusted blindly counts. Doing it again
/// changes nothing.
///
/// # Errors
///
/// The host's files cannot be read or written, or another lfctl writes them.
pub fn record(paths: &Paths, reporter: &dyn Reporter, bundle: &Bundle) -> Result<(), ChangeError> {
    let Some(signer) = bundle.key_id() else {
        return Ok(());
    };
    let manifest = bundle.manifest();
    let host = HostLock::lock(paths)?;
    let mut store = trust_store(paths)?;
    // A key that was named for this one run says nothing about the host.
    if store.is_trusted(signer) {
        // First, because the release is here even if its keys cannot be had.
        host.record(&manifest.release, bundle.digest())?;
        let statement = SignedStatement {
            statement: &manifest.trust,
            signer,
            bundle: Some(bundle.digest()),
        };
        statement.apply(reporter, &host, &mut store)?;
    }
    Ok(())
}

/// Whether [`record`] has nothing left to do.
///
/// # Errors
///
/// The host's files cannot be read.
pub fn is_recorded(paths: &Paths, bundle: &Bundle) -> Result<bool, ChangeError> {
    let Some(signer) = bundle.key_id() else {
        return Ok(true);
    };
    let mut store = trust_store(paths)?;
    if !store.is_trusted(signer) {
        return Ok(true);
    }
    let manifest = bundle.manifest();
    if !Releases::load(&paths.releases())?.has_seen(&manifest.release) {
        return Ok(false);
    }
    // Asked about the first change, it makes none.
    let mut is_open = false;
    let looked: Result<(), SignError> = store.apply(&manifest.trust, signer, |_| {
        is_open = true;
        Err(SignError::NoTrustedKeys(PathBuf::new()))
    });
    Ok(looked.is_ok() && !is_open)
}

/// What a signer says of keys.
#[derive(Debug, Clone, Copy)]
pub struct SignedStatement<'a> {
    /// What is said.
    pub statement: &'a TrustStatement,
    /// Who signed it.
    pub signer: KeyId,
    /// The bundle that says it, if one does.
    pub bundle: Option<Digest>,
}

impl SignedStatement<'_> {
    /// Changes the trust store, after reporting and logging each change.
    ///
    /// # Errors
    ///
    /// See [`TrustStore::apply`]; the audit log cannot be written.
    pub fn apply(
        &self,
        reporter: &dyn Reporter,
        host: &HostLock<'_>,
        store: &mut TrustStore,
    ) -> Result<(), ChangeError> {
        store.apply(self.statement, self.signer, |change| {
            let text = change.to_string();
            notice(reporter, Level::Warning, "trust.changed", &text);
            host.audit(NewEntry {
                command: "trust".to_owned(),
                bundle: self.bundle,
                key: Some(self.signer.to_string()),
                result: text,
            })
            .map_err(HostError::from)?;
            Ok(())
        })
    }
}
