//! Bundles over several files, as the command line takes and makes them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use dialoguer::Input;

use super::Context;
use super::bundle::Which;
use super::failure::Failure;
use super::password::{PasswordArg, read_secret_key};
use super::uninstall::prompt_failure;
use crate::bundle::open::{Bundle, UntrustedBundle};
use crate::bundle::parts::{Cut, PartError, PartList, Parts, SMALLEST, split};
use crate::sign::TrustStore;

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

/// Opens a bundle that lies in parts: finds them, checks each, and the bundle
/// in them. Without a store, nobody's signature is asked for.
pub(super) fn open(
    list_path: &Path,
    more: &[PathBuf],
    store: Option<&TrustStore>,
    context: &Context,
) -> Result<Bundle, Failure> {
    let (list, _) = PartList::read(list_path, store)?;
    let own = list_path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut dirs = vec![own.unwrap_or(Path::new(".")).to_owned()];
    dirs.extend_from_slice(more);
    let parts = loop {
        match Parts::find(list.clone(), &dirs) {
            Err(PartError::Missing { name, .. }) if may_ask(context) => {
                dirs.push(ask_for(&name)?);
            }
            found => break found?,
        }
    };
    parts.check(context.reporter.as_ref())?;
    let archive = parts.archive(list_path)?;
    let untrusted = UntrustedBundle::over(archive)?;
    let bundle = match store {
        Some(store) => untrusted.verify(store)?,
        None => untrusted.trust_blindly()?,
    };
    parts.belong_to(bundle.digest())?;
    Ok(bundle)
}

fn may_ask(context: &Context) -> bool {
    !context.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Parts are read where they are, so every medium stays mounted.
fn ask_for(name: &str) -> Result<PathBuf, Failure> {
    let dir: String = Input::new()
        .with_prompt(format!(
            "Directory that holds `{name}` (leave all media mounted)"
        ))
        .interact_text()
        .map_err(prompt_failure)?;
    Ok(PathBuf::from(dir))
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
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let bundle = self.which.open(context)?;
        bundle.verify_blobs(context.reporter.as_ref())?;
        let key = read_secret_key(&self.key, &self.password)?;
        let name = bundle.path().file_name().unwrap_or_default();
        let name = Path::new(name);
        // Parts may be cut again.
        let name = match name.extension() {
            Some(extension) if extension == "parts" => name.with_extension(""),
            _ => name.to_owned(),
        };
        fs_err::create_dir_all(&self.output)?;
        let cut = Cut {
            target: self.output.join(name),
            part_size: self.size,
        };
        let list = split(&bundle, cut, &key, context.reporter.as_ref())?;
        let document = serde_json::json!({ "list": list, "index": bundle.digest() });
        context.print(&document, &format!("{}", list.display()))
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
