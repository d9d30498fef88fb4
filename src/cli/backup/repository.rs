//! Which repository, and the password that opens it.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::appliance::Appliance;
use crate::appliance::backup::Records;
use crate::cli::Context;
use crate::cli::failure::{Failure, Kind};
use crate::cli::password::from_descriptor;
use crate::cli::prompt;
use crate::report::event::{Level, notice};
use crate::repository::{Password, Repository};

/// The password of a repository.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct RepositoryPassword {
    /// Read the password of the repository, or its 24 words, from this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Read it from this open file descriptor, up to the first line end
    #[arg(long, value_name = "N", conflicts_with = "password_file")]
    password_fd: Option<u32>,
}

/// A repository that is read.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct RepositoryArg {
    /// Directory of the repository; without it, that of the last backup of this host
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    #[command(flatten)]
    pub password: RepositoryPassword,
}

impl RepositoryArg {
    /// Opens the repository.
    pub(in crate::cli) fn open(&self, appliance: &Appliance) -> Result<Repository, Failure> {
        let path = match &self.from {
            Some(path) => std::path::absolute(path)?,
            None => Records::load(appliance)?
                .backup
                .map(|last| last.repository)
                .ok_or_else(|| {
                    Failure::new(Kind::Usage, "this host has made no backup yet")
                        .hint("name the repository with `--from DIR`")
                })?,
        };
        self.password.open(&path, appliance)
    }
}

impl RepositoryPassword {
    /// The password that was given, if one was.
    fn given(&self) -> Result<Option<Password>, Failure> {
        if let Some(fd) = self.password_fd {
            let line = from_descriptor(fd)?;
            return Ok(Some(Password::read(line.expose_secret())));
        }
        let Some(file) = &self.password_file else {
            return Ok(None);
        };
        let text = secrecy::SecretString::from(fs_err::read_to_string(file)?);
        match text.expose_secret().trim() {
            "" => Err(Failure::new(
                Kind::Usage,
                format!("{} holds no password", file.display()),
            )),
            text => Ok(Some(Password::read(text))),
        }
    }

    /// Opens a repository with the password that was given, the one that this
    /// host keeps, or one that is typed.
    pub(super) fn open(&self, path: &Path, appliance: &Appliance) -> Result<Repository, Failure> {
        let password = match self.given()? {
            Some(password) => password,
            None => match appliance.backup_password()? {
                Some(password) => password,
                None => ask()?,
            },
        };
        Ok(Repository::open(path, &password)?)
    }

    /// Lets the host keep the password that was given, if it keeps none.
    pub(in crate::cli) fn keep(&self, appliance: &Appliance) -> Result<(), Failure> {
        if self.password_file.is_some()
            && appliance.backup_password()?.is_none()
            && let Some(given) = self.given()?
        {
            appliance.keep_backup_password(&given)?;
        }
        Ok(())
    }

    /// Opens the repository to write to, and makes it where there is none. The
    /// host keeps the password from then on.
    pub(super) fn open_or_make(
        &self,
        path: &Path,
        context: &Context,
        appliance: &Appliance,
    ) -> Result<Repository, Failure> {
        refuse_beside_password(path, appliance)?;
        let kept = appliance.backup_password()?;
        let given = self.given()?;
        let chosen = given.or_else(|| kept.clone());
        match self.open(path, appliance) {
            Err(_) if !is_repository(path) => {}
            opened => {
                let opened = opened?;
                if let (Some(chosen), None) = (&chosen, &kept) {
                    appliance.keep_backup_password(chosen)?;
                }
                return Ok(opened);
            }
        }
        let password = match chosen {
            Some(password) => password,
            None => Password::generate()?,
        };
        // Kept first: a repository that nobody can open is worth nothing.
        if kept.is_none() {
            appliance.keep_backup_password(&password)?;
            show(context, appliance, &password);
        }
        Ok(Repository::init(path, &password)?)
    }
}

fn is_repository(path: &Path) -> bool {
    path.join("config").exists()
}

fn refuse_beside_password(path: &Path, appliance: &Appliance) -> Result<(), Failure> {
    let own = appliance.dir();
    if path.starts_with(&own) || own.starts_with(path) {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "`{}` is where this host keeps the password of the repository",
                path.display()
            ),
        )
        .hint("name a directory on another disk, or a mounted share"));
    }
    Ok(())
}

fn show(context: &Context, appliance: &Appliance, password: &Password) {
    let Some(words) = password.words() else {
        return;
    };
    notice(
        context.reporter.as_ref(),
        Level::Warning,
        "backup.password",
        format!(
            "write these 24 words down and keep them apart from this host and from the backups; \
             they are shown once, and without them no other host can restore:\n\n{}\n\n\
             this host keeps them as a password in {}",
            lines(words.expose_secret()),
            appliance.backup_password_path().display()
        ),
    );
}

fn lines(words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let lines: Vec<String> = words
        .chunks(6)
        .map(|line| format!("    {}", line.join(" ")))
        .collect();
    lines.join("\n")
}

fn ask() -> Result<Password, Failure> {
    if !prompt::is_possible() {
        return Err(Failure::new(
            Kind::Usage,
            "the password of the repository is needed, and there is no terminal",
        )
        .hint("give it, or its 24 words, with `--password-file FILE`"));
    }
    let typed = prompt::secret("Password of the repository, or its 24 words")?;
    Ok(Password::read(typed.expose_secret()))
}
