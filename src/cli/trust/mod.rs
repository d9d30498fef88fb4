//! `lfctl trust`: whose bundles this host accepts.

mod list;
mod statement;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

pub(super) use self::list::Entry;
use self::list::list;
use self::statement::{ApplyArgs, StatementArgs};
use super::Context;
use super::failure::{Failure, Kind};
use super::open::read_key;
use crate::host::HostLock;
use crate::host::audit::NewEntry;
use crate::report::event::{Level, notice};
use crate::sign::KeyId;

/// Subcommands of `lfctl trust`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Accept bundles signed by this key from now on
    Add(AddArgs),
    /// Show the keys of this host
    List(ListArgs),
    /// Refuse this key from now on, even if it is added again
    Revoke(RevokeArgs),
    /// Require signatures of several holders of trusted keys
    Require(RequireArgs),
    /// Write a signed statement of keys that hosts should trust or refuse
    Statement(StatementArgs),
    /// Apply a statement, if a trusted key signed it
    Apply(ApplyArgs),
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "trust add",
            Self::List(_) => "trust list",
            Self::Revoke(_) => "trust revoke",
            Self::Require(_) => "trust require",
            Self::Statement(_) => "trust statement",
            Self::Apply(_) => "trust apply",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(args) => args.run(context),
            Self::List(_) => list(context, &context.trust_store()?),
            Self::Revoke(args) => args.run(context),
            Self::Require(args) => args.run(context),
            Self::Statement(args) => args.run(context),
            Self::Apply(args) => args.run(context),
        }
    }
}

/// Arguments of `lfctl trust add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// A public key file; get it another way than the bundle
    file: PathBuf,
    /// Refuse the key unless these are its words, as its maker reads them aloud
    #[arg(long)]
    words: Option<String>,
    /// Who holds the key, such as `vendor`; several keys of one holder are one signature
    #[arg(long, value_name = "NAME", value_parser = holder)]
    holder: Option<String>,
}

fn holder(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    // An id would be taken for a key that nobody was named for.
    let is_id = text.len() == 16 && text.parse::<KeyId>().is_ok();
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) || is_id {
        return Err("write a name of letters, digits and `-_.@`".to_owned());
    }
    Ok(text.to_owned())
}

impl AddArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let key = read_key(&self.file)?;
        let words = key.words();
        let said = self.words.as_ref().map(|said| {
            let said: Vec<_> = said.split_whitespace().map(str::to_lowercase).collect();
            said.join(" ")
        });
        if said.is_some_and(|said| said != words) {
            return Err(Failure::new(
                Kind::NotTrusted,
                format!(
                    "`{}` is another key: its words are `{words}`",
                    self.file.display()
                ),
            )
            .hint("get the key again, another way than the bundle"));
        }
        let host = HostLock::lock(&context.paths)?;
        let mut store = context.trust_store()?;
        store.add(&key, self.holder.as_deref())?;
        let id = key.id();
        let text = format!(
            "key {id} is trusted on this host; ask its maker whether these are its words:\n  {words}"
        );
        let entry = Entry {
            id,
            revoked: false,
            holder: Some(store.policy().holder(id)),
            words: Some(words),
            file: Some(self.file),
        };
        let holder = store.policy().holder(id);
        audit(&host, "trust add", format!("key {id}, held by {holder}"))?;
        context.print(&entry, &text)
    }
}

/// Writes a line about the keys of this host into its log.
fn audit(host: &HostLock<'_>, command: &str, result: String) -> Result<(), Failure> {
    Ok(host.audit(NewEntry {
        command: command.to_owned(),
        result,
        ..NewEntry::default()
    })?)
}

/// Arguments of `lfctl trust list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {}

/// Arguments of `lfctl trust revoke`.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// Id of the key, as `lfctl trust list` shows it
    #[arg(value_name = "KEY")]
    id: KeyId,
}

impl RevokeArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let host = HostLock::lock(&context.paths)?;
        let mut store = context.trust_store()?;
        if store.list().all(|stored| stored.key.id() != self.id) {
            notice(
                context.reporter.as_ref(),
                Level::Warning,
                "trust.unknown-key",
                format!(
                    "this host holds no key {}: is the id right? `lfctl trust list` shows them",
                    self.id
                ),
            );
        }
        store.revoke(self.id)?;
        audit(&host, "trust revoke", format!("key {}", self.id))?;
        let entry = Entry {
            id: self.id,
            revoked: true,
            holder: None,
            words: None,
            file: None,
        };
        let text = format!("key {} is revoked: its bundles are refused", self.id);
        context.print(&entry, &text)
    }
}

/// Arguments of `lfctl trust require`.
#[derive(Debug, clap::Args)]
pub struct RequireArgs {
    /// How many holders have to sign, such as 2: the vendor, and who checks releases on this site
    signatures: usize,
}

/// How many holders have to sign, and whose keys are trusted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Required {
    signatures: usize,
    holders: BTreeSet<String>,
}

impl RequireArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let host = HostLock::lock(&context.paths)?;
        let mut store = context.trust_store()?;
        let holders = store.holders();
        if self.signatures == 0 || self.signatures > holders.len() {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "{} signatures cannot be asked for: this host trusts keys of {} holders",
                    self.signatures,
                    holders.len()
                ),
            )
            .hint("add the other key with `lfctl trust add FILE --holder NAME`"));
        }
        let mut policy = store.policy().clone();
        policy.require(self.signatures);
        let text = format!(
            "bundles count from now on with the signatures of {} of {} holders",
            self.signatures,
            holders.len()
        );
        if policy != *store.policy() {
            store.set_policy(policy)?;
            audit(&host, "trust require", text.clone())?;
        }
        let document = Required {
            signatures: self.signatures,
            holders,
        };
        context.print(&document, &text)
    }
}
