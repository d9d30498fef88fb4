//! `lfctl bundle sign`: the signature of somebody who did not make it.

use std::path::PathBuf;

use serde::Serialize;

use crate::bundle::countersign::path_beside;
use crate::bundle::manifest::Release;
use crate::bundle::parts::EXTENSION;
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::open::{Depth, SignedBundleArgs};
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::oci::digest::Digest;
use crate::sign::KeyId;
use crate::sys::fs::write_atomically;

/// Arguments of `lfctl bundle sign`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: SignedBundleArgs,
    /// Secret key that signs it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
    /// Where the signature goes; by default beside the bundle. It counts only under the name of the
    /// bundle with the key's id behind it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What was signed, and where the signature is.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Countersigned {
    file: PathBuf,
    /// Digest of the bundle's `index.json`.
    index: Digest,
    key_id: KeyId,
    release: Release,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let bundle = self.bundle.open_to_sign(Depth::Bytes, context)?;
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
        let document = Countersigned {
            file: file.clone(),
            index: receipt.index,
            key_id: key.public().id(),
            release: receipt.release.clone(),
        };
        let text = format!(
            "{} was checked and is signed by key {} in {}; carry it beside the bundle",
            receipt.release,
            key.public().id(),
            file.display()
        );
        context.print(&document, &text)
    }
}
