//! What a host does with a bundle before it takes anything out of it: no
//! release goes back, and what the signer says of keys is done.

use super::Context;
use super::failure::Failure;
use crate::appliance::audit::{self, Deed};
use crate::appliance::releases::{Releases, ReleasesError};
use crate::bundle::open::Bundle;
use crate::report::event::{Level, notice};
use crate::sign::{TrustStatement, TrustStore};

/// Name under which the log of what concerns the whole host is kept.
const HOST: &str = "_host";

/// Whether an older release may come.
#[derive(Debug, clap::Args)]
pub struct AcceptArg {
    /// Take a release that is older than one this host has had; the audit log keeps that
    #[arg(long)]
    allow_downgrade: bool,
}

impl AcceptArg {
    /// Refuses a release that goes back, unless that was asked for.
    pub(super) fn check(&self, context: &Context, bundle: &Bundle) -> Result<Exceptions, Failure> {
        let mut exceptions = Exceptions::default();
        let release = &bundle.manifest().release;
        if bundle.key_id().is_none() {
            exceptions.0.push((
                "insecure-skip-signature",
                format!("{release} is taken, and nobody vouches for it"),
            ));
        }
        match Releases::load(&context.paths.releases())?.check(release) {
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
        Ok(exceptions)
    }
}

/// What the operator asked for against the rules.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Exceptions(Vec<(&'static str, String)>);

impl Exceptions {
    /// Writes them to the audit log: before anything is taken, so that no
    /// interruption keeps them out of it, and not where nothing will be.
    pub(super) fn write_down(&self, context: &Context, bundle: &Bundle) -> Result<(), Failure> {
        for (command, result) in &self.0 {
            note(context, Some(bundle), command, result.clone())?;
        }
        Ok(())
    }
}

/// Writes down which release was taken, and does what its signer says of
/// keys. Nothing of a bundle that was trusted blindly counts. Doing it again
/// changes nothing.
pub(super) fn accept(context: &Context, bundle: &Bundle) -> Result<(), Failure> {
    let Some(signer) = bundle.key_id() else {
        return Ok(());
    };
    let manifest = bundle.manifest();
    let paths = &context.paths;
    let mut store = context.trust_store()?;
    // A key that was named for this one run says nothing about the host.
    if store.is_trusted(signer) {
        // First, because the release is here even if its keys cannot be had.
        Releases::record(&paths.releases(), &manifest.release, bundle.digest())?;
        apply(context, &mut store, &manifest.trust, signer, Some(bundle))?;
    }
    Ok(())
}

/// Does what `signer` says of keys, and says and writes down each change.
pub(super) fn apply(
    context: &Context,
    store: &mut TrustStore,
    statement: &TrustStatement,
    signer: crate::sign::KeyId,
    bundle: Option<&Bundle>,
) -> Result<(), Failure> {
    for change in store.apply(statement, signer)? {
        let text = change.to_string();
        notice(
            context.reporter.as_ref(),
            Level::Warning,
            "trust.changed",
            &text,
        );
        note(context, bundle, "trust", text)?;
    }
    Ok(())
}

/// Writes a line into the audit log of the host.
pub(super) fn note(
    context: &Context,
    bundle: Option<&Bundle>,
    command: &str,
    result: String,
) -> Result<(), Failure> {
    let deed = Deed {
        command: command.to_owned(),
        bundle: bundle.map(Bundle::digest),
        key: bundle.map(signer),
        result,
    };
    Ok(audit::append(&context.paths.audit_log(HOST), deed)?)
}

/// The keys that signed a bundle, as audit logs name them.
pub(super) fn signer(bundle: &Bundle) -> String {
    let keys: Vec<_> = bundle.signers().iter().map(ToString::to_string).collect();
    match keys.as_slice() {
        [] => "none".to_owned(),
        keys => keys.join(" "),
    }
}
