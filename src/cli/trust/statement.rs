//! `lfctl trust statement` and `lfctl trust apply`: what a holder says of
//! other keys, signed.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::list::list;
use crate::bundle::parts::signature_path;
use crate::change::release::SignedStatement;
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::open::read_key;
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::host::HostLock;
use crate::host::audit::NewEntry;
use crate::host::statements::{Applied, Standing, Statements};
use crate::oci::digest::Digest;
use crate::report::event::{Level, notice};
use crate::sign::{IntroducedKey, KeyId, Signature, TrustStatement};
use crate::sys::fs::{read_bounded, write_atomically};

/// Trusted comment of a statement, so that nothing else can pass for one.
const STATEMENT: &str = "lfctl trust statement";

/// Arguments of `lfctl trust statement`.
#[derive(Debug, clap::Args)]
pub struct StatementArgs {
    /// Public key file of a key to trust; may be repeated
    #[arg(long, value_name = "FILE")]
    introduce: Vec<PathBuf>,
    /// Id of a key to refuse; may be repeated
    #[arg(long, value_name = "KEY")]
    revoke: Vec<KeyId>,
    /// Number of the statement, higher than of those that the same key signed before; without it, the
    /// milliseconds since 1970
    #[arg(long, value_name = "N")]
    counter: Option<u64>,
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
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut statement = TrustStatement {
            revoke: self.revoke,
            counter: self.counter.or_else(milliseconds_now),
            ..TrustStatement::default()
        };
        for file in &self.introduce {
            let key = read_key(file)?;
            statement.introduce.push(IntroducedKey(key));
        }
        if statement.is_empty() {
            return Err(Failure::new(Kind::Usage, "the statement is empty")
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
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let bytes = read_small(&self.file, STATEMENT_LIMIT)?;
        let signature = Signature::parse(&self.signature()?)?;
        let host = HostLock::lock(&context.paths)?;
        let mut store = context.trust_store()?;
        let signer = store.verify(&bytes, &signature)?;
        let mut statement = Some(signature.trusted_comment())
            .filter(|comment| *comment == STATEMENT)
            .and_then(|_| serde_json::from_slice::<TrustStatement>(&bytes).ok())
            .ok_or_else(|| {
                let file = self.file.display();
                Failure::new(
                    Kind::NotTrusted,
                    format!("`{file}` is signed, but is not a statement"),
                )
                .hint("make one with `lfctl trust statement --key SECRET -o FILE`")
            })?;
        let this = Applied {
            counter: statement.counter.unwrap_or_default(),
            statement: Digest::of(&bytes),
        };
        let file = context.paths.statements();
        let known = Statements::load(&file)?;
        let standing = known.standing(signer, this);
        let introduced = match standing {
            Standing::Older(_) => std::mem::take(&mut statement.introduce),
            _ => Vec::new(),
        };
        if let Standing::Twin(other) = standing {
            warn_of_twin(context, &host, signer, this, other)?;
        }
        known.record(&file, signer, this)?;
        let said = SignedStatement {
            statement: &statement,
            signer,
            bundle: None,
        };
        said.apply(context.reporter.as_ref(), &host, &mut store)?;
        if let (Standing::Older(newest), false) = (standing, introduced.is_empty()) {
            return Err(older(this, newest, signer));
        }
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

fn milliseconds_now() -> Option<u64> {
    u64::try_from(Timestamp::now().as_millisecond()).ok()
}

fn older(this: Applied, newest: Applied, signer: KeyId) -> Failure {
    Failure::new(
        Kind::NotTrusted,
        format!(
            "statement {} is older than one of key {signer} that this host has had ({}): what it revokes is \
             revoked, the keys that it introduces are not trusted",
            this.counter, newest.counter
        ),
    )
    .hint("ask its signer for a new statement, or add the key with `lfctl trust add FILE`")
}

/// A counter names one statement: its signer counted wrongly, or somebody
/// else has the key.
fn warn_of_twin(
    context: &Context,
    host: &HostLock<'_>,
    signer: KeyId,
    this: Applied,
    other: Applied,
) -> Result<(), Failure> {
    let text = format!(
        "this host has had another statement {} of key {signer}: {}; this one is {}",
        this.counter, other.statement, this.statement
    );
    let reporter = context.reporter.as_ref();
    let asked = format!("{text}\nask the signer whether both are theirs");
    notice(reporter, Level::Warning, "trust.same-counter", asked);
    Ok(host.audit(NewEntry {
        command: "same-counter".to_owned(),
        key: Some(signer.to_string()),
        result: text,
        ..NewEntry::default()
    })?)
}

fn read_small(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    read_bounded(path, limit).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Failure::new(
            Kind::NotTrusted,
            format!("`{}` is larger than {limit} bytes", path.display()),
        )
        .hint("make a statement with `lfctl trust statement --key SECRET -o FILE`"),
        _ => error.into(),
    })
}
