//! `lfctl key`: key pairs in minisign's format.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::Context;
use super::failure::{Failure, Kind};
use super::password::{PasswordArg, read_secret_key};
use crate::host::trust::KEY_LIMIT;
use crate::sign::{KeyId, TrustedKey, generate};
use crate::sys::fs::{read_text, with_suffix, write_new};

/// Subcommands of `lfctl key`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key pair: NAME.key, which signs, and NAME.pub, which hosts trust
    Generate(GenerateArgs),
    /// Show the id and the public half of a key file
    Show(ShowArgs),
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Generate(_) => "key generate",
            Self::Show(_) => "key show",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Generate(args) => args.run(context),
            Self::Show(args) => args.run(context),
        }
    }
}

/// Arguments of `lfctl key generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Path of both files without their extension
    #[arg(long, short, value_name = "NAME", default_value = "lfctl")]
    output: PathBuf,
    /// Do not protect the secret key with a password
    #[arg(long, conflicts_with = "password_fd")]
    no_password: bool,
    #[command(flatten)]
    password: PasswordArg,
}

/// A key as programs read it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Shown {
    id: KeyId,
    /// What `minisign -P` takes.
    public_key: String,
    /// SHA-256 of `public-key`.
    fingerprint: String,
    /// The same, to be read aloud.
    words: String,
    file: PathBuf,
}

impl Shown {
    fn new(key: &TrustedKey, file: PathBuf) -> Self {
        Self {
            id: key.id(),
            public_key: key.to_base64(),
            fingerprint: key.fingerprint(),
            words: key.words(),
            file,
        }
    }
}

impl GenerateArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let (secret, public) = (
            with_suffix(&self.output, ".key"),
            with_suffix(&self.output, ".pub"),
        );
        // Before the password is asked for.
        if let Some(file) = [&secret, &public]
            .into_iter()
            .find(|file| file.symlink_metadata().is_ok())
        {
            return Err(exists_already(file));
        }
        let new = if self.no_password {
            generate(None)?
        } else {
            generate(Some(&self.password.choose()?))?
        };
        write_key(&secret, new.secret.expose_secret(), 0o600)?;
        if let Err(failure) = write_key(&public, &new.public.to_text(), 0o644) {
            // A secret key without its public half would stand in the way.
            fs::remove_file(&secret)?;
            return Err(failure);
        }
        let text = format!(
            "key {}\nto read aloud: {}\n  {}  signs bundles: keep it secret and keep a copy\n  {}  goes to every host: \
             `lfctl trust add {}`",
            new.public.id(),
            new.public.words(),
            secret.display(),
            public.display(),
            public.display()
        );
        context.print(&Shown::new(&new.public, public), &text)
    }
}

fn write_key(file: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    write_new(file, text.as_bytes(), mode).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists_already(file),
        _ => error.into(),
    })
}

fn exists_already(file: &Path) -> Failure {
    let message = format!(
        "`{}` exists already; a key is never overwritten",
        file.display()
    );
    Failure::new(Kind::Usage, message).hint("choose another name with `--output`")
}

/// Arguments of `lfctl key show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// A public or secret key file
    file: PathBuf,
    #[command(flatten)]
    password: PasswordArg,
}

impl ShowArgs {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let key = match TrustedKey::parse(&read_text(&self.file, KEY_LIMIT)?) {
            Ok(key) => key,
            Err(_) => read_secret_key(&self.file, &self.password)?
                .public()
                .clone(),
        };
        let text = format!(
            "{}fingerprint: {}\nto read aloud: {}",
            key.to_text(),
            key.fingerprint(),
            key.words()
        );
        context.print(&Shown::new(&key, self.file), &text)
    }
}
