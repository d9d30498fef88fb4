//! Questions on a terminal.
//!
//! The cursor is never hidden, a question is printed once at any width, and
//! Ctrl-C leaves the terminal as it was. Long
//! answers, and those on a terminal that cannot move its cursor, are read by the
//! kernel's own line editing. A password switches the echo off, and reads Ctrl-C
//! itself so that the echo is back before lfctl ends.

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use dialoguer::Input;
use dialoguer::theme::Theme;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::termios::{tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Context;
use super::failure::{Failure, Kind};
use crate::report::human::fit;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// Whether somebody can be asked.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether something may be asked that `--yes` does not answer.
pub(super) fn may_ask(context: &Context) -> bool {
    !context.yes && is_possible()
}

/// Another directory to look in; none when the same ones are to be looked
/// through again. Parts are read where they are, so every medium stays.
///
/// # Errors
///
/// As [`ask`].
pub(super) fn for_parts(names: &[String]) -> Result<Option<PathBuf>, Failure> {
    let (first, behind) = match names {
        [] => return Ok(None),
        [first] => (first, String::new()),
        [first, rest @ ..] => (first, format!(" ({} more are missing)", rest.len())),
    };
    let question = format!(
        "Insert the medium with `{first}`{behind}, leave the others in, and press Enter; or type \
         its directory"
    );
    ask(&question, None, |typed| {
        if typed.is_empty() {
            Ok(None)
        } else if Path::new(typed).is_dir() {
            Ok(Some(PathBuf::from(typed)))
        } else {
            Err(format!("there is no directory `{typed}`"))
        }
    })
}

/// Asks until `check` accepts the answer. Enter alone takes `default`.
///
/// # Errors
///
/// Ctrl-C, the end of the input, or a terminal that cannot be used.
pub(super) fn ask<T>(
    question: &str,
    default: Option<&str>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    until_accepted(question, default, check, |prompt| {
        show(prompt)?;
        line()
    })
}

fn until_accepted<T>(
    question: &str,
    default: Option<&str>,
    check: impl Fn(&str) -> Result<T, String>,
    read: impl Fn(&str) -> Result<String, Failure>,
) -> Result<T, Failure> {
    let prompt = match default {
        Some(default) => format!("{question} [{default}]: "),
        None => format!("{question}: "),
    };
    loop {
        let line = read(&prompt)?;
        let answer = match (line.trim(), default) {
            ("", Some(default)) => default,
            (typed, _) => typed,
        };
        match check(answer) {
            Ok(value) => return Ok(value),
            Err(why) => writeln!(std::io::stderr(), "{}", fit(&format!("  {why}"), 2))?,
        }
    }
}

/// Asks a question that is answered with yes or no.
///
/// # Errors
///
/// As [`ask`].
pub(super) fn confirm(question: &str, default: bool) -> Result<bool, Failure> {
    let question = format!("{question} [{}]", if default { "Y/n" } else { "y/N" });
    let check = |answer: &str| match &*answer.to_lowercase() {
        "" => Ok(default),
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("answer y or n".to_owned()),
    };
    until_accepted(&question, None, check, word)
}

/// Asks for a password, which is not shown.
///
/// # Errors
///
/// As [`ask`].
pub(super) fn secret(question: &str) -> Result<SecretString, Failure> {
    show(&format!("{question}: "))?;
    let typed = {
        let _silent = Silent::new()?;
        read_silently()
    };
    writeln!(std::io::stderr())?;
    let typed = typed?.ok_or_else(interrupted)?;
    let text = std::str::from_utf8(&typed)
        .map_err(|_| Failure::new(Kind::Usage, "the password is not UTF-8"))?;
    Ok(SecretString::from(text))
}

fn show(prompt: &str) -> Result<(), Failure> {
    let mut stderr = std::io::stderr();
    let prompt = fit(prompt, 2);
    write!(stderr, "{} ", prompt.trim_end())?;
    Ok(stderr.flush()?)
}

fn interrupted() -> Failure {
    // Ends the process, unless something that is under way wants to hear of it.
    let _ = kill_process(getpid(), Signal::INT);
    interruption()
}

fn interruption() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted at a question")
        .hint("run the same command again to continue")
}

fn no_answer() -> Failure {
    Failure::new(
        Kind::Usage,
        "the input ended before the question was answered",
    )
    .hint("run the same command again and answer it")
}

/// An answer that is shorter than what is left of the line: dialoguer draws a
/// wrapped one twice.
fn word(prompt: &str) -> Result<String, Failure> {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    if is_dumb {
        show(prompt)?;
        return line();
    }
    let fitted = fit(prompt, 2);
    let input = Input::<String>::with_theme(&Plain)
        .with_prompt(fitted.trim_end())
        .allow_empty(true)
        .interact();
    match input {
        Ok(typed) => Ok(typed),
        // The signal itself was raised already.
        Err(dialoguer::Error::IO(error)) if error.kind() == ErrorKind::Interrupted => {
            Err(interruption())
        }
        Err(dialoguer::Error::IO(error)) => Err(error.into()),
    }
}

/// A question as it was written, and the answer behind it.
struct Plain;

impl Theme for Plain {
    fn format_input_prompt(
        &self,
        to: &mut dyn fmt::Write,
        prompt: &str,
        _default: Option<&str>,
    ) -> fmt::Result {
        write!(to, "{prompt} ")
    }

    fn format_input_prompt_selection(
        &self,
        to: &mut dyn fmt::Write,
        prompt: &str,
        typed: &str,
    ) -> fmt::Result {
        write!(to, "{prompt} {typed}")
    }
}

/// One line, without its end.
fn line() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    // A read would go on behind a handled signal; this ends by it.
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
        Err(Errno::INTR) => return Err(interrupted()),
        Err(error) => return Err(std::io::Error::from(error).into()),
        Ok(_) => {}
    }
    let mut line = String::new();
    if stdin.read_line(&mut line)? == 0 {
        let _ = writeln!(std::io::stderr());
        return Err(no_answer());
    }
    Ok(line)
}

/// What is typed up to Enter; `None` after Ctrl-C.
fn read_silently() -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let mut typed = Zeroizing::new(Vec::with_capacity(128));
    loop {
        let mut byte = [0];
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Ok(0) => return Err(no_answer()),
            Err(Errno::INTR) => return Ok(None),
            Err(error) => return Err(std::io::Error::from(error).into()),
            Ok(_) => {}
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(Some(typed)),
            CTRL_C => return Ok(None),
            CTRL_D if typed.is_empty() => return Err(no_answer()),
            CTRL_D => {}
            CTRL_U => typed.clear(),
            BACKSPACE | DELETE => {
                let text = String::from_utf8_lossy(&typed);
                let last = text.chars().last().map_or(0, char::len_utf8);
                let left = typed.len().saturating_sub(last);
                typed.truncate(left);
            }
            byte => typed.push(byte),
        }
    }
}

/// A terminal that neither shows what is typed nor acts on it, until dropped.
struct Silent(Termios);

impl Silent {
    fn new() -> Result<Self, Failure> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).map_err(std::io::Error::from)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin, OptionalActions::Drain, &silent).map_err(std::io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.0);
    }
}
