//! `lfctl trust`: whose bundles this host accepts.

use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use super::failure::Failure;
use crate::sign::{KeyId, TrustStore};

/// Subcommands of `lfctl trust`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Accept bundles signed by this key from now on
    Add(AddArgs),
    /// Show the keys of this host
    List(ListArgs),
    /// Refuse this key from now on, even if it is added again
    Revoke(RevokeArgs),
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "trust add",
            Self::List(_) => "trust list",
            Self::Revoke(_) => "trust revoke",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let store = TrustStore::load(&context.paths.trusted_keys(), &context.paths.revoked_keys())?;
        match self {
            Self::Add(args) => args.run(context, store),
            Self::List(_) => list(context, &store),
            Self::Revoke(args) => args.run(context, store),
        }
    }
}

/// A key of the store as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    id: KeyId,
    revoked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// Arguments of `lfctl trust add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// A public key file; get it by another way than the bundle
    file: PathBuf,
}

impl AddArgs {
    fn run(self, context: &Context, mut store: TrustStore) -> Result<(), Failure> {
        let id = store.add(&self.file)?;
        let entry = Entry {
            id,
            revoked: false,
            file: Some(self.file),
        };
        context.print(&entry, &format!("key {id} is trusted on this host"))
    }
}

/// Arguments of `lfctl trust list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {}

fn list(context: &Context, store: &TrustStore) -> Result<(), Failure> {
    let mut entries: Vec<_> = store
        .list()
        .map(|stored| Entry {
            id: stored.key.id(),
            revoked: stored.revoked,
            file: Some(stored.file),
        })
        .collect();
    for id in store.revoked() {
        if entries.iter().all(|entry| entry.id != id) {
            entries.push(Entry {
                id,
                revoked: true,
                file: None,
            });
        }
    }
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let state = if entry.revoked { "revoked" } else { "trusted" };
            let file = entry.file.as_deref().unwrap_or("".as_ref());
            format!("{}  {state}  {}", entry.id, file.display())
        })
        .collect();
    let text = if lines.is_empty() {
        "this host trusts no key".to_owned()
    } else {
        lines.join("\n")
    };
    context.print(&entries, &text)
}

/// Arguments of `lfctl trust revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// Id of the key, as `lfctl trust list` shows it
    #[arg(value_name = "KEY")]
    id: KeyId,
}

impl RevokeArgs {
    fn run(self, context: &Context, mut store: TrustStore) -> Result<(), Failure> {
        store.revoke(self.id)?;
        let entry = Entry {
            id: self.id,
            revoked: true,
            file: None,
        };
        let text = format!("key {} is revoked: its bundles are refused", self.id);
        context.print(&entry, &text)
    }
}
