//! `lfctl trust`: whose bundles this host accepts.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Serialize;

use super::Context;
use super::failure::{Failure, Kind};
use super::password::{PasswordArg, read_secret_key};
use crate::bundle::parts::signature_path;
use crate::change::release::SignedStatement;
use crate::host::Host;
use crate::host::audit::Deed;
use crate::host::trust::TrustStore;
use crate::report::event::{Level, notice};
use crate::sign::{IntroducedKey, KeyId, Signature, TrustStatement, TrustedKey};
use crate::sys::fs::write_atomically;

/// Subcommands of `lfctl trust`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Accept bundles signed by this key from now on
    Add(AddArgs),
    /// Show the keys of this host
    List(ListArgs),
    /// Refuse this key from now on, even if it is added again
    Revoke(RevokeArgs),
    /// Ask for bundles signed by so many holders of trusted keys
    Require(RequireArgs),
    /// Say, signed with a trusted key, which keys hosts are to trust or to refuse
    Statement(StatementArgs),
    /// Do what a statement says, if a trusted key signed it
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

/// A key of the store as programs read it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Entry {
    id: KeyId,
    revoked: bool,
    /// Who holds it; the key itself stands for whom nobody named.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// To be read aloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

/// Arguments of `lfctl trust add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// A public key file; get it by another way than the bundle
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
        let key = TrustedKey::parse(&fs::read_to_string(&self.file)?)?;
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
            .hint("get the key again, by another way than the bundle"));
        }
        let host = Host::lock(&context.paths)?;
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
fn audit(host: &Host<'_>, command: &str, result: String) -> Result<(), Failure> {
    Ok(host.audit(Deed {
        command: command.to_owned(),
        result,
        ..Deed::default()
    })?)
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
            holder: Some(store.policy().holder(stored.key.id())),
            words: Some(stored.key.words()),
            file: Some(stored.file),
        })
        .collect();
    for id in store.revoked() {
        if entries.iter().all(|entry| entry.id != id) {
            entries.push(Entry {
                id,
                revoked: true,
                holder: None,
                words: None,
                file: None,
            });
        }
    }
    let mut lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let state = if entry.revoked { "revoked" } else { "trusted" };
            let file = entry.file.as_deref().unwrap_or("".as_ref());
            let words = entry.words.as_deref().unwrap_or_default();
            let named = entry
                .holder
                .as_deref()
                .filter(|name| *name != entry.id.to_string());
            let held = named
                .map(|name| format!("held by {name}  "))
                .unwrap_or_default();
            format!("{}  {state}  {held}{}  {words}", entry.id, file.display())
        })
        .collect();
    let needed = store.policy().signatures();
    if needed > 1 && !lines.is_empty() {
        lines.push(format!(
            "bundles count only with the signatures of {needed} holders"
        ));
    }
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
    fn run(self, context: &Context) -> Result<(), Failure> {
        let host = Host::lock(&context.paths)?;
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

impl RequireArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let host = Host::lock(&context.paths)?;
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
        let document = serde_json::json!({ "signatures": self.signatures, "holders": holders });
        context.print(&document, &text)
    }
}

/// Trusted comment of a statement, so that nothing else can pass for one.
const STATEMENT: &str = "lfctl trust statement";

/// Arguments of `lfctl trust statement`.
#[derive(Debug, clap::Args)]
pub struct StatementArgs {
    /// Public key file of a key to be trusted; may be repeated
    #[arg(long, value_name = "FILE")]
    introduce: Vec<PathBuf>,
    /// Id of a key to be refused; may be repeated
    #[arg(long, value_name = "KEY")]
    revoke: Vec<KeyId>,
    /// Secret key that signs the statement
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
    /// Where the statement goes; its signature goes beside it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl StatementArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let mut statement = TrustStatement {
            revoke: self.revoke,
            ..TrustStatement::default()
        };
        for file in &self.introduce {
            let key = TrustedKey::parse(&fs::read_to_string(file)?)?;
            statement.introduce.push(IntroducedKey(key));
        }
        if statement.is_empty() {
            return Err(Failure::new(Kind::Usage, "the statement says nothing")
                .hint("name keys with `--introduce` or `--revoke`"));
        }
        let text = serde_json::to_string_pretty(&statement).map_err(std::io::Error::from)? + "\n";
        let key = read_secret_key(&self.key, &self.password)?;
        let signature = key.sign(text.as_bytes(), STATEMENT)?;
        let beside = signature_path(&self.output);
        write_atomically(&beside, signature.as_bytes(), 0o644)?;
        write_atomically(&self.output, text.as_bytes(), 0o644)?;
        let said = format!(
            "carry {} and {} to every host",
            self.output.display(),
            beside.display()
        );
        context.print(&statement, &said)
    }
}

/// Bytes of the largest statement. It is held in memory before anybody is
/// known to vouch for it.
const STATEMENT_LIMIT: u64 = 1 << 20;
const SIGNATURE_LIMIT: u64 = 4 << 10;

/// Arguments of `lfctl trust apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    /// The statement, with its signature beside it
    file: PathBuf,
}

impl ApplyArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let bytes = read_small(&self.file, STATEMENT_LIMIT)?;
        let signature = Signature::parse(&self.signature()?)?;
        let host = Host::lock(&context.paths)?;
        let mut store = context.trust_store()?;
        let signer = store.verify(&bytes, &signature)?;
        let statement = Some(signature.trusted_comment())
            .filter(|comment| *comment == STATEMENT)
            .and_then(|_| serde_json::from_slice::<TrustStatement>(&bytes).ok())
            .ok_or_else(|| {
                let file = self.file.display();
                Failure::new(
                    Kind::NotTrusted,
                    format!("`{file}` is signed, but is no statement"),
                )
                .hint("make one with `lfctl trust statement`")
            })?;
        let said = SignedStatement {
            statement: &statement,
            signer,
            bundle: None,
        };
        said.apply(context.reporter.as_ref(), &host, &mut store)?;
        list(context, &store)
    }

    fn signature(&self) -> Result<String, Failure> {
        let path = signature_path(&self.file);
        if !path.try_exists()? {
            return Err(Failure::new(
                Kind::NotTrusted,
                format!(
                    "statement `{}` is not signed: `{}` is not there",
                    self.file.display(),
                    path.display()
                ),
            )
            .hint(
                "copy the signature together with the statement; if there is none, ask its maker",
            ));
        }
        let bytes = read_small(&path, SIGNATURE_LIMIT)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Failure::new(
            Kind::NotTrusted,
            format!("`{}` is larger than {limit} bytes", path.display()),
        )
        .hint("make a statement with `lfctl trust statement`"));
    }
    Ok(bytes)
}
