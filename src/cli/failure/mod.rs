//! Failures as people and scripts see them: kind, message, causes, hints.
//!
//! The only place that knows exit codes. Library errors stay plain; the
//! `From` impls here give each its kind and tell the operator what to type
//! next. The README's table of exit codes is compared with [`Kind`] by a test.

mod bundle;
mod from;
#[cfg(feature = "pull")]
mod registry;
mod repository;
mod trust;

use std::borrow::Cow;
use std::error::Error;
use std::io::Write;

use console::style;

use super::hint::Hints;
use crate::report::event::ErrorReport;
use crate::report::human::fit;
use crate::report::text::visible;

/// Why a command failed, as a script needs to tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing more specific.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// `site.toml` or a bundle spec is wrong.
    Config,
    /// A signature, key, digest or counter is not trusted.
    NotTrusted,
    /// Preflight or doctor found something that must be fixed first.
    Blocked,
    /// Doctor found warnings and was asked to fail on them.
    Warnings,
    /// The container engine is unreachable or refused.
    Engine,
    /// Another lfctl holds the lock.
    Locked,
    /// A check of the air gap or of the way of an event could not be made.
    NotProven,
    /// A change failed and was undone: the old release runs.
    RolledBack,
    /// A change failed and so did undoing it.
    RollbackFailed,
    /// Interrupted; running the same command again continues.
    Interrupted,
    /// A bug in lfctl.
    Bug,
    /// A local file could not be read or written.
    LocalIo,
}

impl Kind {
    /// Every kind, in the order of its exit code.
    pub const ALL: [Self; 14] = [
        Self::Failed,
        Self::Usage,
        Self::Config,
        Self::NotTrusted,
        Self::Blocked,
        Self::Warnings,
        Self::Engine,
        Self::Locked,
        Self::NotProven,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Interrupted,
        Self::Bug,
        Self::LocalIo,
    ];

    /// The exit code of the process.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::NotTrusted => 4,
            Self::Blocked => 5,
            Self::Warnings => 6,
            Self::Engine => 7,
            Self::Locked => 8,
            Self::NotProven => 9,
            Self::RolledBack => 10,
            Self::RollbackFailed => 11,
            Self::Interrupted => 12,
            Self::Bug => 70,
            Self::LocalIo => 74,
        }
    }
}

/// Names of files, and what servers and containers say, as it may be shown.
fn shown(text: impl Into<String>) -> String {
    let text = text.into();
    match visible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(text) => text,
    }
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    report: ErrorReport,
    /// The failure has been shown already, as a table of findings is.
    shown: bool,
}

impl Failure {
    /// A failure described by `message` alone.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            report: ErrorReport {
                message: shown(message),
                causes: Vec::new(),
                hints: Vec::new(),
            },
            shown: false,
        }
    }

    /// A failure with the message and the chain of sources of `error`.
    pub fn from_error(kind: Kind, error: &dyn Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(shown(cause.to_string()));
            source = cause.source();
        }
        let mut failure = Self::new(kind, error.to_string());
        failure.report.causes = causes;
        failure
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.report.causes.push(shown(cause));
        self
    }

    /// Puts another message over it, which has this one as its cause.
    #[must_use]
    pub fn within(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.report.message, shown(message));
        self.report.causes.insert(0, inner);
        self
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.report.hints.push(shown(hint));
        self
    }

    /// Says this to type next, and nothing else.
    #[must_use]
    pub fn only_hint(mut self, hint: impl Into<String>) -> Self {
        self.report.hints.clear();
        self.hint(hint)
    }

    /// Marks the failure as shown, so that only its exit code is left to say.
    #[must_use]
    pub fn already_shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// The message without what a service printed, for the audit log.
    pub fn first_line(&self) -> String {
        self.report
            .message
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// Gives the commands in its hints the flags of this call.
    #[must_use]
    pub(super) fn with_flags(mut self, hints: &Hints) -> Self {
        for hint in &mut self.report.hints {
            *hint = hints.add_to(hint);
        }
        self
    }

    /// Whether it was shown already.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Why it failed.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The failure as programs read it.
    pub fn report(&self) -> &ErrorReport {
        &self.report
    }

    /// Writes the failure once: message, causes, then hints.
    pub fn show(&self) {
        if self.shown {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        let mut line = |text: String| {
            let _ = writeln!(stderr, "{}", fit(&text, 2));
        };
        let error = style("error:").red().bold().for_stderr();
        line(format!("{error} {}", self.report.message));
        for cause in &self.report.causes {
            line(format!("caused by: {cause}"));
        }
        if !self.report.hints.is_empty() {
            line(String::new());
        }
        for hint in &self.report.hints {
            line(format!("{} {hint}", style("hint:").cyan().for_stderr()));
        }
    }
}
