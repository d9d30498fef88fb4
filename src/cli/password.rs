//! Passwords of secret keys: from a terminal or a file descriptor, never
//! from an argument or the environment, which others can read.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use fs_err as fs;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::failure::{Failure, Kind};
use super::prompt;
use crate::sign::SecretKey;

/// Bytes of the longest password, as `minisign` has it.
const LONGEST: u64 = 1024;

/// Where a password comes from.
#[derive(Debug, Clone, clap::Args)]
pub struct PasswordArg {
    /// Read the password of the secret key from this open file descriptor, up to the first line end
    #[arg(long, value_name = "N")]
    password_fd: Option<u32>,
}

impl PasswordArg {
    /// The password of an existing key.
    pub(super) fn ask(&self) -> Result<SecretString, Failure> {
        match self.given()? {
            Some(password) => Ok(password),
            None => prompt::secret("Password of the secret key"),
        }
    }

    /// The password of a new key.
    pub(super) fn choose(&self) -> Result<SecretString, Failure> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        loop {
            let password = prompt::secret("Password for the new secret key")?;
            let again = prompt::secret("The same again")?;
            if password.expose_secret() == again.expose_secret() {
                return Ok(password);
            }
            writeln!(std::io::stderr(), "  the two differ; type it again")?;
        }
    }

    /// The password from the descriptor; `None` when somebody is to be asked.
    fn given(&self) -> Result<Option<SecretString>, Failure> {
        if let Some(fd) = self.password_fd {
            return from_descriptor(fd).map(Some);
        }
        if prompt::is_possible() {
            return Ok(None);
        }
        Err(
            Failure::new(Kind::Usage, "a password is needed and there is no terminal")
                .hint("run on a terminal, or give the password with `--password-fd`"),
        )
    }
}

/// The first line of an open file descriptor.
pub(super) fn from_descriptor(fd: u32) -> Result<SecretString, Failure> {
    // Opening the link gives the same open file, without unsafe code.
    let file = fs::File::open(format!("/proc/self/fd/{fd}"))?;
    let line = first_line(file.take(LONGEST))?;
    match std::str::from_utf8(&line) {
        Ok("") => Err(Failure::new(
            Kind::Usage,
            format!("file descriptor {fd} holds no password"),
        )),
        Ok(line) => Ok(SecretString::from(line)),
        Err(_) => Err(Failure::new(
            Kind::Usage,
            format!("password on file descriptor {fd} is not UTF-8"),
        )),
    }
}

/// Reads to the end of the line and no further: its writer may keep
/// the pipe open.
fn first_line(mut source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or(0)));
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.extend(byte),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// Reads a secret key file, asking for its password only when it has one.
pub(super) fn read_secret_key(file: &Path, password: &PasswordArg) -> Result<SecretKey, Failure> {
    let text = SecretString::from(fs::read_to_string(file)?);
    let text = text.expose_secret();
    if !SecretKey::is_protected(text) {
        return Ok(SecretKey::parse(text, None)?);
    }
    Ok(SecretKey::parse(text, Some(&password.ask()?))?)
}
