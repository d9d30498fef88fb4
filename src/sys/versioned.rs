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

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::fs::read_optional;
use super::text::one_line;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// TOML.
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
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The file.
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
        /// The file.
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
    let head = Head::read(text).map_err(damaged)?;
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
    fn read(text: Text<'_>) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Fields<V> {
            schema: u32,
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
        Ok(Self { schema, writer })
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
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Second {
        schema: u32,
        colour: String,
    }

    impl Versioned for Second {
        const FORMAT: Format = Format::Json;
        const SCHEMA: u32 = 2;
        const LIMIT: u64 = 100;

        fn from_text(text: Text<'_>, schema: u32) -> Result<Self, Malformed> {
            #[derive(Deserialize)]
            struct First {
                color: String,
            }
            match schema {
                1 => text.parse().map(|First { color }| Self {
                    schema: 2,
                    colour: color,
                }),
                _ => text.parse(),
            }
        }
    }

    #[derive(Debug, Deserialize)]
    struct Hidden {
        #[expect(dead_code, reason = "only errors are looked at")]
        count: u32,
    }

    impl Versioned for Hidden {
        const FORMAT: Format = Format::Toml;
        const SCHEMA: u32 = 1;
        const IS_SECRET: bool = true;

        fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
            text.parse()
        }
    }

    fn read(text: &[u8]) -> Result<Second, DocumentError> {
        parse(Path::new("/x/a.json"), text)
    }

    fn said(error: &DocumentError) -> String {
        crate::sys::text::chain(error)
    }

    #[test]
    fn an_older_schema_is_read() {
        let colour = || "red".to_owned();
        for text in [
            r#"{"schema": 1, "color": "red"}"#,
            r#"{"schema": 2, "colour": "red"}"#,
        ] {
            let read = read(text.as_bytes()).unwrap();
            assert_eq!(
                read,
                Second {
                    schema: 2,
                    colour: colour()
                }
            );
        }
    }

    #[test]
    fn a_newer_schema_is_refused_with_the_version_that_wrote_it() {
        let error = read(br#"{"schema": 3, "lfctl": "9.1.0", "form": ["another"]}"#).unwrap_err();
        let this = env!("CARGO_PKG_VERSION");
        assert_eq!(
            error.to_string(),
            format!(
                "`/x/a.json` was written by lfctl 9.1.0 with schema 3; lfctl {this} reads up to schema 2"
            )
        );
        for text in [
            r#"{"schema": 3}"#,
            r#"{"schema": 3, "lfctl": {"is": "a table now"}}"#,
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            let DocumentError::Newer {
                writer: None,
                found: 3,
                reads: 2,
                ..
            } = &error
            else {
                panic!("{error:?}");
            };
            assert!(error.to_string().contains("by a newer lfctl"), "{error}");
        }
    }

    #[test]
    fn what_is_damaged_is_not_taken_for_newer() {
        let long = format!(r#"{{"schema": 3, "colour": "{}"}}"#, "x".repeat(100));
        for (text, reason) in [
            (&b""[..], "EOF"),
            (b"{", "EOF"),
            (b"{}", "missing field `schema`"),
            (br#"{"schema": 3, "colour": "r"#, "EOF"),
            (b"{\n\"schema\": \xff}", "line 2: not UTF-8"),
            (br#"{"schema": "3"}"#, "expected u32"),
            (br#"{"schema": -3}"#, "expected u32"),
            (br#"{"schema": 0}"#, "schema 0"),
            (br#"{"schema": 2, "more": 1}"#, "unknown field `more`"),
            (long.as_bytes(), "100 are the most"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, DocumentError::Damaged { .. }), "{error:?}");
            let said = said(&error);
            assert!(
                said.contains(reason) && said.contains("/x/a.json"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_quoted() {
        for text in [
            "schema = 1\ncount = \"hunter2\"\n",
            "schema = \"hunter2\"\n",
            "schema = 1\ncount = hunter2\n",
        ] {
            let error = parse::<Hidden>(Path::new("a"), text.as_bytes()).unwrap_err();
            let said = format!("{} {error:?}", said(&error));
            assert!(
                !said.contains("hunter2") && said.contains("line "),
                "{said}"
            );
        }
    }

    #[test]
    fn a_file_that_does_not_exist_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.json");
        assert!(load::<Second>(&file).unwrap().is_none());
        fs_err::write(&file, " ".repeat(101)).unwrap();
        let error = load::<Second>(&file).unwrap_err();
        assert!(matches!(error, DocumentError::Damaged { .. }), "{error:?}");
        fs_err::write(&file, r#"{"schema": 1, "color": "red"}"#).unwrap();
        assert_eq!(load::<Second>(&file).unwrap().unwrap().colour, "red");
        assert!(matches!(
            load::<Second>(dir.path()),
            Err(DocumentError::Io(_))
        ));
    }
}
