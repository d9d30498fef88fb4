//! `lfctl trust statement` and `lfctl trust apply`: what a holder says of
//! other keys, signed.

use std::io::Read;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::list::list;
use crate::bundle::parts::signature_path;
use crate::change::release::SignedStatement;
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::host::HostLock;
use crate::sign::{IntroducedKey, KeyId, Signature, TrustStatement, TrustedKey};
use crate::sys::fs::write_atomically;

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
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut statement = TrustStatement {
            revoke: self.revoke,
            ..TrustStatement::default()
        };
        for file in &self.introduce {
            let key = TrustedKey::parse(&fs::read_to_string(file)?)?;
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
        let statement = Some(signature.trusted_comment())
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
        .hint("make a statement with `lfctl trust statement --key SECRET -o FILE`"));
    }
    Ok(bytes)
}
