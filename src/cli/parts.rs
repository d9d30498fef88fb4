//! Bundles over several files, as the command line takes and makes them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::pin::pin;

use dialoguer::Input;

use super::Context;
use super::bundle::Which;
use super::failure::{Failure, Kind};
use super::password::{PasswordArg, read_secret_key};
use super::signal::{outlive_size_limit, unless_asked_to_stop};
use super::uninstall::prompt_failure;
use crate::bundle::countersign;
use crate::bundle::open::{Bundle, UntrustedBundle};
use crate::bundle::parts::{Cut, EXTENSION, PartError, PartList, Parts, SMALLEST, split};
use crate::host::trust::TrustStore;

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
        .map_err(|_| format!("`{digits}` is no number"))?;
    match number.checked_mul(1 << shift) {
        // Nobody who writes 4G wants parts that no stick takes.
        Some(FAT32) => Ok(FAT32 - MIB),
        Some(bytes) if (SMALLEST..=u64::MAX >> 1).contains(&bytes) => Ok(bytes),
        _ => Err(format!("parts have {SMALLEST} bytes at least")),
    }
}

/// How much of the parts is looked at when a bundle is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Names and sizes, and what is read of them.
    Head,
    /// Every byte, so that a wrong part is named before anything is done.
    Bytes,
}

/// A bundle that lies in parts.
pub(super) struct Split<'a> {
    pub(super) list: PathBuf,
    /// Where parts may lie that are not beside the list.
    pub(super) dirs: Vec<PathBuf>,
    /// Whose signature counts; anybody's without one.
    pub(super) store: Option<&'a TrustStore>,
}

impl Split<'_> {
    /// Finds the parts, checks them, and opens the bundle in them.
    pub(super) fn open(self, depth: Depth, context: &Context) -> Result<Bundle, Failure> {
        let reporter = context.reporter.as_ref();
        let mut parts = self.find(context)?;
        if depth == Depth::Bytes {
            parts.check(self.store, reporter)?;
        }
        match self.bundle(&parts) {
            Err(error) if depth == Depth::Head => {
                // A wrong part tells more than what it made of the bundle.
                parts.check(self.store, reporter)?;
                Err(error)
            }
            opened => opened,
        }
    }

    fn find(&self, context: &Context) -> Result<Parts, Failure> {
        let (list, _) = PartList::read(&self.list, self.store)?;
        let mut dirs = self.dirs.clone();
        loop {
            match Parts::find(list.clone(), &self.list, &dirs) {
                Err(PartError::Missing { names, .. }) if may_ask(context) => {
                    dirs.extend(ask_for(&names)?);
                }
                found => return Ok(found?),
            }
        }
    }

    fn bundle(&self, parts: &Parts) -> Result<Bundle, Failure> {
        let untrusted = UntrustedBundle::over(parts.archive()?)?;
        let beside = countersign::find(&self.list.with_extension(""), &self.dirs)?;
        let bundle = match self.store {
            Some(store) => untrusted.countersigned(beside).verify(store)?,
            None => untrusted.trust_blindly()?,
        };
        parts.belong_to(bundle.digest())?;
        Ok(bundle)
    }
}

fn may_ask(context: &Context) -> bool {
    !context.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Another directory to look in; none when the same ones are to be looked
/// through again. Parts are read where they are, so every medium stays.
fn ask_for(names: &[String]) -> Result<Option<PathBuf>, Failure> {
    let (first, behind) = match names {
        [] => return Ok(None),
        [first] => (first, String::new()),
        [first, rest @ ..] => (first, format!(" ({} more are missing)", rest.len())),
    };
    let typed: String = Input::new()
        .with_prompt(format!(
            "Insert the medium with `{first}`{behind}, leave the others in, and press Enter; or \
             type its directory"
        ))
        .allow_empty(true)
        .validate_with(|typed: &String| {
            if typed.is_empty() || Path::new(typed).is_dir() {
                Ok(())
            } else {
                Err("no such directory")
            }
        })
        .interact_text()
        .map_err(prompt_failure)?;
    Ok((!typed.is_empty()).then(|| PathBuf::from(typed)))
}

/// Arguments of `lfctl bundle split`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
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

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        outlive_size_limit();
        let key = read_secret_key(&self.key, &self.password)?;
        let bundle = self.which.open(Depth::Bytes, context)?;
        let name = Path::new(bundle.path().file_name().unwrap_or_default());
        // Parts may be cut again.
        let name = match name.extension() {
            Some(extension) if extension == EXTENSION => name.with_extension(""),
            _ => name.to_owned(),
        };
        fs_err::create_dir_all(&self.output)?;
        let cut = Cut {
            target: self.output.join(name),
            part_size: self.size,
        };
        let split = pin!(split(&bundle, cut, &key, context.reporter.as_ref()));
        let list = unless_asked_to_stop(split).await.ok_or_else(|| {
            Failure::new(Kind::Interrupted, "interrupted: no parts were made")
                .hint("run the same command again")
        })??;
        let document = serde_json::json!({ "list": list, "index": bundle.digest() });
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
