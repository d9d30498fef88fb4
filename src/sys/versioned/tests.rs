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
