//! `lfctl bundle split`: a bundle over several files.

use std::path::{Path, PathBuf};
use std::pin::pin;

use serde::Serialize;

use crate::bundle::parts::{EXTENSION, SMALLEST, SplitOptions, split};
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::open::{Depth, SignedBundleArgs};
use crate::cli::password::{PasswordArg, read_secret_key};
use crate::cli::signal::{outlive_size_limit, unless_asked_to_stop};
use crate::oci::digest::Digest;

/// What FAT32 takes is one byte less than this.
const FAT32: u64 = 4 << 30;
const MIB: u64 = 1 << 20;

/// Reads a size such as `650M`: bytes, or K, M, G or T in powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        "T" | "TIB" => 40,
        _ => return Err("write bytes, or a number with K, M, G or T, such as 4G".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{digits}` is not a number"))?;
    match number.checked_mul(1 << shift) {
        // Nobody who writes 4G wants parts that no stick takes.
        Some(FAT32) => Ok(FAT32 - MIB),
        Some(bytes) if (SMALLEST..=u64::MAX >> 1).contains(&bytes) => Ok(bytes),
        _ => Err(format!("parts have {SMALLEST} bytes at least")),
    }
}

/// Arguments of `lfctl bundle split`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    bundle: SignedBundleArgs,
    /// Bytes of a part, such as 650M; `4G` makes parts that FAT32 takes
    #[arg(long, value_parser = size)]
    size: u64,
    /// Directory for the parts
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Secret key that signs the list of parts
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
}

/// The parts that were made.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Parted {
    /// The list of the parts; they lie beside it.
    list: PathBuf,
    /// Digest of the bundle's `index.json`.
    index: Digest,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        outlive_size_limit();
        let key = read_secret_key(&self.key, &self.password)?;
        let bundle = self.bundle.open(Depth::Bytes, context)?;
        let name = Path::new(bundle.path().file_name().unwrap_or_default());
        // Parts may be cut again.
        let name = match name.extension() {
            Some(extension) if extension == EXTENSION => name.with_extension(""),
            _ => name.to_owned(),
        };
        fs_err::create_dir_all(&self.output)?;
        let options = SplitOptions {
            target: self.output.join(name),
            part_size: self.size,
        };
        let split = pin!(split(&bundle, options, &key, context.reporter.as_ref()));
        let list = unless_asked_to_stop(split).await.ok_or_else(|| {
            Failure::new(Kind::Interrupted, "interrupted: no parts were made")
                .hint("run the same command again")
        })??;
        let document = Parted {
            list: list.clone(),
            index: bundle.digest(),
        };
        context.print(&document, &list.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("650M"), Ok(650 * MIB));
        assert_eq!(size("650MiB"), Ok(650 * MIB));
        assert_eq!(size("8g"), Ok(8 << 30));
        assert_eq!(size("4G"), Ok((4 << 30) - MIB));
        for bad in ["", "G", "-1", "1X", "4 G", "100", "99999999T", "1.5G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
