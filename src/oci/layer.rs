//! Walking through an inflated layer, which is a tar.
//!
//! Layers come from anywhere, so this reads every dialect that image builders
//! write (ustar, GNU, PAX) and bounds what it holds: names and PAX records to
//! [`EXTENSION`] bytes, bodies not at all. Nothing is unpacked.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

/// Bytes of the largest name or PAX record that is held.
const EXTENSION: u64 = 1 << 20;
const BLOCK: usize = 512;

/// What an entry of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// Another name for a path.
    Symlink,
    /// Another name for a file of the same layer.
    Hardlink,
    /// Anything else.
    Other,
}

/// An entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Path from the root, without `/` or `./` in front or `/` behind.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Where a link leads, as it is written.
    pub target: String,
    /// Bytes of a file.
    pub size: u64,
}

/// What extension headers say of the entry behind them.
#[derive(Default)]
struct Extensions {
    path: Option<String>,
    target: Option<String>,
    size: Option<u64>,
}

/// Shows every entry to `visit`, with a reader over its body.
///
/// # Errors
///
/// `InvalidData` for what is no tar, whatever `visit` fails with, and what
/// reading fails with.
pub fn walk(
    reader: &mut dyn Read,
    mut visit: impl FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut extensions = Extensions::default();
    loop {
        let mut header = Header::new_old();
        if !fill(reader, header.as_mut_bytes())? || header.as_bytes() == &[0; BLOCK] {
            return Ok(());
        }
        check(&header)?;
        let kind = header.entry_type();
        let size = header.entry_size()?;
        match kind {
            EntryType::XHeader => read_pax(&held(reader, size)?, &mut extensions)?,
            EntryType::XGlobalHeader => drop(held(reader, size)?),
            EntryType::GNULongName => extensions.path = Some(text(&held(reader, size)?)),
            EntryType::GNULongLink => extensions.target = Some(text(&held(reader, size)?)),
            _ => {
                skip_sparse_map(reader, &header)?;
                let said = std::mem::take(&mut extensions);
                let size = said.size.unwrap_or(size);
                let entry = entry(&header, said, size);
                let size = if has_body(kind) { size } else { 0 };
                let mut body = reader.take(size);
                visit(&entry, &mut body)?;
                let left = body.limit();
                skip(body.into_inner(), left.saturating_add(padding(size)))?;
            }
        }
    }
}

fn has_body(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
    )
}

fn entry(header: &Header, said: Extensions, size: u64) -> LayerEntry {
    let path = said.path.unwrap_or_else(|| text(&header.path_bytes()));
    let target = said
        .target
        .or_else(|| header.link_name_bytes().map(|name| text(&name)))
        .unwrap_or_default();
    LayerEntry {
        path: plain(&path),
        kind: match header.entry_type() {
            kind if has_body(kind) => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::Hardlink,
            _ => Kind::Other,
        },
        target,
        size,
    }
}

/// A path in its one spelling.
pub fn plain(path: &str) -> String {
    let parts: Vec<_> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    parts.join("/")
}

fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn check(header: &Header) -> io::Result<()> {
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u32::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    if header.cksum()? == sum {
        Ok(())
    } else {
        Err(invalid("the checksum of a header is wrong"))
    }
}

fn read_pax(bytes: &[u8], extensions: &mut Extensions) -> io::Result<()> {
    for record in PaxExtensions::new(bytes) {
        let record = record?;
        match record.key_bytes() {
            b"path" => extensions.path = Some(text(record.value_bytes())),
            b"linkpath" => extensions.target = Some(text(record.value_bytes())),
            b"size" => {
                let size = record.value().ok().and_then(|value| value.parse().ok());
                extensions.size = Some(size.ok_or_else(|| invalid("a PAX record has no size"))?);
            }
            _ => {}
        }
    }
    Ok(())
}

/// GNU's sparse files have further headers when they have many holes.
fn skip_sparse_map(reader: &mut dyn Read, header: &Header) -> io::Result<()> {
    let mut more = header.entry_type() == EntryType::GNUSparse
        && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
    while more {
        let mut next = GnuExtSparseHeader::new();
        reader.read_exact(next.as_mut_bytes())?;
        more = next.is_extended();
    }
    Ok(())
}

/// The body of an extension header, whole, with its padding.
fn held(reader: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    if size > EXTENSION {
        return Err(invalid("an extension header is too large"));
    }
    let mut bytes = Vec::new();
    let padded = size + padding(size);
    reader.take(padded).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != padded {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(usize::try_from(size).unwrap_or_default());
    Ok(bytes)
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn skip(reader: &mut dyn Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.take(bytes), &mut io::sink())?;
    if skipped == bytes {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Fills a block; `false` at the end of the stream.
fn fill(reader: &mut dyn Read, block: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(mut bytes: &[u8]) -> io::Result<Vec<(LayerEntry, Vec<u8>)>> {
        let mut seen = Vec::new();
        walk(&mut bytes, |entry, body| {
            let mut content = Vec::new();
            // Some bodies are left where they are.
            if entry.size < 1000 {
                body.read_to_end(&mut content)?;
            }
            seen.push((entry.clone(), content));
            Ok(())
        })?;
        Ok(seen)
    }

    fn add(
        tar: &mut tar::Builder<Vec<u8>>,
        kind: EntryType,
        path: &str,
        target: &str,
        body: &[u8],
    ) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        if target.is_empty() {
            tar.append_data(&mut header, path, body).unwrap();
        } else {
            tar.append_link(&mut header, path, target).unwrap();
        }
    }

    #[test]
    fn names_of_every_length_and_links_are_read() {
        let long = format!("usr/{}/file", "d".repeat(300));
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, EntryType::Regular, "./a", "", b"one");
        add(&mut tar, EntryType::Regular, "large", "", &[1; 1500]);
        add(&mut tar, EntryType::Symlink, "link", &long, b"");
        add(&mut tar, EntryType::Link, "hard", "a", b"");
        add(&mut tar, EntryType::Directory, "dir/", "", b"");
        add(&mut tar, EntryType::Regular, &long, "", b"two");
        tar.append_pax_extensions([("path", b"pax/name".as_slice())])
            .unwrap();
        add(&mut tar, EntryType::Regular, "ignored", "", b"three");
        let seen = seen(&tar.into_inner().unwrap()).unwrap();
        let found: Vec<_> = seen
            .iter()
            .map(|(entry, body)| (entry.path.as_str(), entry.kind, body.as_slice()))
            .collect();
        assert_eq!(
            found,
            [
                ("a", Kind::File, b"one".as_slice()),
                ("large", Kind::File, b""),
                ("link", Kind::Symlink, b""),
                ("hard", Kind::Hardlink, b""),
                ("dir", Kind::Directory, b""),
                (&long, Kind::File, b"two"),
                ("pax/name", Kind::File, b"three"),
            ]
        );
        assert_eq!(seen[2].0.target, long);
        assert_eq!(seen[3].0.target, "a");
    }

    #[test]
    fn a_size_in_a_pax_record_counts() {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([("size", b"600".as_slice())])
            .unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        let mut header = Header::new_ustar();
        header.set_path("large").unwrap();
        header.set_size(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[7; 1024]);
        let mut next = tar::Builder::new(Vec::new());
        add(&mut next, EntryType::Regular, "next", "", b"x");
        bytes.extend(next.into_inner().unwrap());
        let seen = seen(&bytes).unwrap();
        assert_eq!((seen[0].0.size, seen[0].1.len()), (600, 600));
        assert_eq!(seen[1].0.path, "next");
    }

    #[test]
    fn a_huge_name_is_refused_before_it_is_held() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let error = seen(header.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_is_no_tar_and_what_is_cut_off_is_an_error() {
        assert!(seen(&[7; 512]).is_err());
        assert!(seen(&[7; 100]).is_err());
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, EntryType::Regular, "a", "", &[1; 2000]);
        let bytes = tar.into_inner().unwrap();
        assert!(seen(&bytes[..1000]).is_err());
        assert!(seen(&[]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(position: prop::sample::Index, value: u8) {
            let mut tar = tar::Builder::new(Vec::new());
            tar.append_pax_extensions([("path", b"name".as_slice())]).unwrap();
            add(&mut tar, EntryType::Regular, &"n".repeat(200), "", b"body");
            let mut bytes = tar.into_inner().unwrap();
            let at = position.index(bytes.len());
            bytes[at] = value;
            let _ = seen(&bytes);
        }
    }
}
