//! The one reader of documents that lfctl stores: each has a schema number.
//!
//! Older schemas are read, a newer one is refused with the file and the
//! version that wrote it, and a damaged file is never taken for a newer one.
//!
//! A document holds `schema`, counted from 1, and may hold `lfctl`, the
//! version of its writer. Both are read before anything else, since a newer
//! schema may have any other form.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fs::read_optional;
use super::text::one_line;

/// Version of this lfctl.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Toml,
}

/// A stored document.
pub trait Versioned: Sized {
    /// How it is written.
    const FORMAT: Format;
    /// The schema that this lfctl writes, and the newest it reads.
    const SCHEMA: u32;
    /// Bytes of the largest file that is read.
    const LIMIT: u64 = 4 << 20;
    /// Whether errors must not quote values of the document.
    const IS_SECRET: bool = false;
    /// The schema of a document that says none; `None` where each says its own.
    const UNNUMBERED: Option<u32> = None;

    /// Reads a text of `schema`, which is from 1 to [`Versioned::SCHEMA`].
    ///
    /// # Errors
    ///
    /// The text has not the form of that schema.
    fn from_text(text: Text<'_>, schema: u32) -> Result<Self, Malformed>;
}

/// The text of a document.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    content: &'a str,
    format: Format,
    is_secret: bool,
}

impl Text<'_> {
    /// Reads the text as `T`.
    ///
    /// # Errors
    ///
    /// The text has not the form of `T`.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, Malformed> {
        let (line, message) = match self.format {
            Format::Json => match serde_json::from_str(self.content) {
                Ok(value) => return Ok(value),
                Err(error) => (
                    Some(error.line()).filter(|line| *line > 0),
                    error.to_string(),
                ),
            },
            Format::Toml => match toml::from_str(self.content) {
                Ok(value) => return Ok(value),
                Err(error) => (
                    error.span().map(|span| line_of(self.content, span.start)),
                    error.message().to_owned(),
                ),
            },
        };
        // Parsers quote the value they met between quotes or backticks.
        let message = if self.is_secret {
            unquoted(&message)
        } else {
            message
        };
        Err(Malformed { line, message })
    }
}

/// Why a text has not the form of its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct Malformed {
    /// Line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong there.
    pub message: String,
}

impl Malformed {
    /// What no parser sees, such as two values that contradict each other.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
        }
    }
}

/// Why a stored document is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// A newer lfctl wrote it.
    #[error(
        "`{}` was written by {} with schema {found}; lfctl {} reads up to schema {reads}",
        .file.display(),
        .writer.as_ref().map_or_else(|| "a newer lfctl".to_owned(), |writer| format!("lfctl {writer}")),
        VERSION
    )]
    Newer {
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema that this lfctl reads.
        reads: u32,
        /// The version that wrote it, where the file says so.
        writer: Option<String>,
    },
    /// It is not what lfctl wrote.
    #[error("`{}` is damaged", .file.display())]
    Damaged {
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: Malformed,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the document in `file`; `None` if there is no such file.
///
/// # Errors
///
/// See [`DocumentError`].
pub fn load<T: Versioned>(file: &Path) -> Result<Option<T>, DocumentError> {
    match read_optional(file, T::LIMIT) {
        Ok(Some(bytes)) => parse(file, &bytes).map(Some),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(DocumentError::Damaged {
            file: file.to_owned(),
            source: Malformed::new(error.to_string()),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Reads the content of `file`, which is named in errors.
///
/// # Errors
///
/// [`DocumentError::Newer`] and [`DocumentError::Damaged`].
pub fn parse<T: Versioned>(file: &Path, bytes: &[u8]) -> Result<T, DocumentError> {
    let damaged = |source| DocumentError::Damaged {
        file: file.to_owned(),
        source,
    };
    if bytes.len() as u64 > T::LIMIT {
        let (has, most) = (bytes.len(), T::LIMIT);
        let message = format!("it has {has} bytes; {most} are the most");
        return Err(damaged(Malformed::new(message)));
    }
    let content = std::str::from_utf8(bytes).map_err(|error| {
        damaged(Malformed {
            line: Some(bytes[..error.valid_up_to()].split(|b| *b == b'\n').count()),
            message: "not UTF-8".to_owned(),
        })
    })?;
    let text = Text {
        content,
        format: T::FORMAT,
        is_secret: T::IS_SECRET,
    };
    let head = Head::read(text, T::UNNUMBERED).map_err(damaged)?;
    match head.schema {
        0 => Err(damaged(Malformed::new("schema 0 does not exist"))),
        schema if schema > T::SCHEMA => Err(DocumentError::Newer {
            file: file.to_owned(),
            found: schema,
            reads: T::SCHEMA,
            writer: head.writer,
        }),
        schema => T::from_text(text, schema).map_err(damaged),
    }
}

/// What every schema has.
struct Head {
    schema: u32,
    writer: Option<String>,
}

impl Head {
    fn read(text: Text<'_>, unnumbered: Option<u32>) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<V> {
            schema: Option<u32>,
            lfctl: Option<V>,
        }
        let (schema, writer) = match text.format {
            Format::Json => {
                let fields: Fields<serde_json::Value> = text.parse()?;
                let writer = fields
                    .lfctl
                    .as_ref()
                    .and_then(|value| value.as_str().map(one_line));
                (fields.schema, writer)
            }
            Format::Toml => {
                let fields: Fields<toml::Value> = text.parse()?;
                let writer = fields
                    .lfctl
                    .as_ref()
                    .and_then(|value| value.as_str().map(one_line));
                (fields.schema, writer)
            }
        };
        let schema = schema.or(unnumbered);
        let schema = schema.ok_or_else(|| Malformed::new("missing field `schema`"))?;
        Ok(Self { schema, writer })
    }
}

/// The field `lfctl` of a document: the version of this lfctl when it is
/// written, any value when it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writer;

impl Serialize for Writer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(VERSION)
    }
}

impl<'de> Deserialize<'de> for Writer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The line, counted from 1, that holds the byte at `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.get(..offset).unwrap_or(text).matches('\n').count()
}

/// A parser's message without what stands between quotes.
fn unquoted(message: &str) -> String {
    let mut quoted = false;
    let mut text = String::new();
    for c in message.chars() {
        if matches!(c, '"' | '`') {
            quoted = !quoted;
            if quoted {
                text.push('…');
            }
        } else if !quoted {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests;
