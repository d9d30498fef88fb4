//! PAX records: `LENGTH KEY=VALUE` with a line feed behind.
//!
//! The length rules: a value may hold any byte, line feeds included, as those
//! of file capabilities and the targets of odd links do.

use std::io;

use super::field::{invalid, text};

/// What the records of one extension header say, as far as it counts here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<String>,
    pub(super) target: Option<String>,
    pub(super) size: Option<u64>,
    /// The body is a map of the file's parts, and these.
    pub(super) is_sparse: bool,
}

/// Reads the body of an extension header.
///
/// # Errors
///
/// `MalformedTar`: it is not made of records.
pub(super) fn parse(mut bytes: &[u8]) -> io::Result<Records> {
    let wrong = || invalid("a PAX record is malformed");
    let mut records = Records::default();
    let mut sparse_name = None;
    while !bytes.is_empty() {
        let (key, value, rest) = next(bytes).ok_or_else(wrong)?;
        bytes = rest;
        let is_name = matches!(key, b"path" | b"linkpath" | b"uname" | b"gname");
        let checked = if is_name { value } else { key };
        if key.is_empty() || checked.contains(&0) {
            return Err(wrong());
        }
        let said = (!value.is_empty()).then_some(value);
        match key {
            b"path" => records.path = said.map(text),
            b"linkpath" => records.target = said.map(text),
            b"size" => records.size = said.map(size).transpose()?,
            b"GNU.sparse.name" => sparse_name = said.map(text),
            b"GNU.sparse.major" | b"GNU.sparse.map" => records.is_sparse = true,
            _ => {}
        }
    }
    if records.is_sparse {
        // The name in the header is one for programs that know no holes.
        records.path = sparse_name.or(records.path);
    }
    Ok(records)
}

/// Key and value of the first record, and what lies behind it.
fn next(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().position(|byte| *byte == b' ')?;
    let length = str::from_utf8(&bytes[..blank]).ok()?;
    let (record, rest) = bytes.split_at_checked(length.parse().ok()?)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

fn size(value: &[u8]) -> io::Result<u64> {
    let parsed = str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| invalid("a PAX record has no size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as builders write it.
    fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
        let rest = [b" ", key, b"=", value, b"\n"].concat();
        let mut length = rest.len();
        while length != length.to_string().len() + rest.len() {
            length = length.to_string().len() + rest.len();
        }
        [length.to_string().as_bytes(), &rest].concat()
    }

    #[test]
    fn the_length_of_a_record_rules_and_not_the_lines_in_its_value() {
        let records = [
            record(
                b"SCHILY.xattr.security.capability",
                b"\x01\0\0\x02\n\0 7 a=b\n",
            ),
            record(b"linkpath", b"two\nlines"),
            record(b"path", b"a=b\n12 path=c"),
            record(b"size", b""),
        ];
        let found = parse(&records.concat()).unwrap();
        assert_eq!(found.target.as_deref(), Some("two\nlines"));
        assert_eq!(found.path.as_deref(), Some("a=b\n12 path=c"));
        // Nothing said: the header counts.
        assert_eq!(found.size, None);
    }

    #[test]
    fn a_file_with_holes_has_its_name_in_a_record_of_its_own() {
        let records = [
            record(b"GNU.sparse.major", b"1"),
            record(b"GNU.sparse.name", b"var/lib/dpkg/status"),
            record(b"path", b"GNUSparseFile.7/status"),
        ];
        let found = parse(&records.concat()).unwrap();
        assert_eq!(found.path.as_deref(), Some("var/lib/dpkg/status"));
        assert!(found.is_sparse);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for wrong in [
            b"7 a=b".as_slice(),
            b"99 path=a\n",
            b"6 a=bc\n",
            b"x a=b\n",
            b"0 a=b\n",
            b"6 abc\n",
            b"5 =b\n",
            b"9 path=\0\n",
            b"9 size=x\n",
            b"10 size=-1\n",
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(super::super::is_malformed(&error), "{wrong:?}");
        }
    }
}
