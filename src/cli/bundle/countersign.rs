//! `lfctl bundle sign`: the signature of somebody who did not make it.

use std::path::PathBuf;

use crate::bundle::countersign::path_beside;
use crate::bundle::parts::EXTENSION;
use crate::cli::Context;
use crate::cli::bundle::Which;
use crate::cli::failure::Failure;
use crate::cli::parts::Depth;
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::sys::fs::write_atomically;

/// Arguments of `lfctl bundle sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Secret key that signs it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
    /// Where the signature goes; beside the bundle unless named. It counts only under the name of the
    /// bundle with the key's id behind it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let bundle = self.which.open_to_sign(Depth::Bytes, context)?;
        let receipt = bundle.verify_blobs(context.reporter.as_ref())?;
        let key = read_secret_key(&self.key, &self.password)?;
        let name = match bundle.path().extension() {
            Some(extension) if extension == EXTENSION => bundle.path().with_extension(""),
            _ => bundle.path().to_owned(),
        };
        let file = self
            .output
            .unwrap_or_else(|| path_beside(&name, key.public().id()));
        write_atomically(&file, bundle.countersign(&key)?.as_bytes(), 0o644)?;
        let document = serde_json::json!({
            "file": file,
            "index": receipt.index,
            "key-id": key.public().id(),
            "release": receipt.release,
        });
        let text = format!(
            "{} was checked and is signed by key {} in {}; carry it beside the bundle",
            receipt.release,
            key.public().id(),
            file.display()
        );
        context.print(&document, &text)
    }
}
