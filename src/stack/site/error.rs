//! What can be wrong with `site.toml`.

use std::fmt;

/// Version of `site.toml` that this lfctl writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// One thing that is wrong with `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, such as `tls.certificate`.
    pub key: String,
    /// Line, counted from 1; `None` for a key that is missing.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
    /// What to write.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "`{}` {}; {}", self.key, self.reason, self.remedy)
    }
}

/// Why a `site.toml` is not usable. Messages never quote secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Not TOML.
    #[error("not valid TOML at line {line}: {message}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Written for a newer lfctl.
    #[error("written for schema {found}, this lfctl reads up to {SCHEMA}")]
    NewerSchema {
        /// The schema of the file.
        found: u32,
    },
    /// Values that cannot work.
    #[error("{}", list(.0))]
    Invalid(Vec<Problem>),
    /// A certificate or key file that the gateway cannot use.
    #[error("{file} {reason}")]
    Tls {
        file: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
