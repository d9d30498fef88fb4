//! What a host decides before it uses a bundle: it refuses an older release
//! and applies what the signer says about keys.

use super::Context;
use super::failure::Failure;
use crate::bundle::open::Bundle;
use crate::host::HostLock;
use crate::host::audit::NewEntry;
use crate::host::releases::{Releases, ReleasesError};
use crate::oci::digest::Digest;
use crate::report::event::{Level, notice};
use crate::sign::TrustedKey;

/// Rules for accepting a release.
#[derive(Debug, clap::Args)]
pub struct AdmissionArgs {
    /// Accept a release older than one this host has had; the audit log records it
    #[arg(long)]
    allow_downgrade: bool,
}

impl AdmissionArgs {
    /// Refuses a release that goes back, unless that was asked for. The bundle
    /// that is `installed` does not: it is what mends its appliance, whatever
    /// this host has loaded since.
    pub(super) fn check(
        &self,
        context: &Context,
        bundle: &Bundle,
        installed: Option<Digest>,
    ) -> Result<Exceptions, Failure> {
        let mut exceptions = Exceptions::default();
        let release = &bundle.manifest().release;
        if bundle.key_id().is_none() {
            exceptions.0.push((
                "insecure-skip-signature",
                format!("{release} is installed without a check of its signature"),
            ));
        }
        let releases = Releases::load(&context.paths.releases())?;
        if installed == Some(bundle.digest()) {
            return Ok(exceptions);
        }
        match releases.check(release) {
            Err(error @ ReleasesError::Older { .. }) if self.allow_downgrade => {
                notice(
                    context.reporter.as_ref(),
                    Level::Warning,
                    "bundle.downgrade",
                    format!("taken all the same: {error}"),
                );
                exceptions.0.push(("allow-downgrade", error.to_string()));
            }
            other => other?,
        }
        if let Some(seen) = releases.twin(release, bundle.digest()) {
            let text = format!(
                "this host has had another bundle of {release} with the same counter ({}): {} at {}; \
                 this one is {}",
                release.counter,
                seen.bundle,
                seen.at,
                bundle.digest()
            );
            notice(
                context.reporter.as_ref(),
                Level::Warning,
                "bundle.same-counter",
                format!("{text}\nask the publisher whether both are theirs"),
            );
            exceptions.0.push(("same-counter", text));
        }
        Ok(exceptions)
    }
}

/// What the operator asked for against the rules.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Exceptions(Vec<(&'static str, String)>);

impl Exceptions {
    /// Adds that the bundle is believed because of keys that were named for
    /// this run.
    pub(super) fn add_named_keys(&mut self, keys: &[TrustedKey]) {
        if keys.is_empty() {
            return;
        }
        let named: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
        let result = format!("believed with `--trusted-key`: {}", named.join(" "));
        self.0.push(("trusted-key", result));
    }

    /// Writes them to the audit log: before anything is taken, so that no
    /// interruption keeps them out of it, and not where nothing will be.
    pub(super) fn write_down(&self, context: &Context, bundle: &Bundle) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let host = HostLock::lock(&context.paths)?;
        for (command, result) in &self.0 {
            host.audit(NewEntry {
                command: (*command).to_owned(),
                bundle: Some(bundle.digest()),
                key: Some(signer(bundle)),
                result: result.clone(),
            })?;
        }
        Ok(())
    }
}

/// The keys that signed a bundle, as audit logs name them.
pub(super) fn signer(bundle: &Bundle) -> String {
    let keys: Vec<_> = bundle.signers().iter().map(ToString::to_string).collect();
    match keys.as_slice() {
        [] => "none".to_owned(),
        keys => keys.join(" "),
    }
}
