//! Walking through an inflated layer, which is a tar.
//!
//! Layers come from anywhere, so this reads every dialect that image builders
//! write (ustar, GNU, PAX) by the grammar of Go's `archive/tar`, which is what
//! the engines read them with, and bounds what it holds: names and PAX records
//! to [`EXTENSION`] bytes, bodies not at all. Nothing is unpacked.
//!
//! The crate `tar` reads these parts by another grammar: it splits PAX records
//! at line feeds, which the value of a record may hold, and refuses an empty
//! number, which many builders write for directories and links.

mod field;
mod pax;

use std::io::{self, Read};

use tar::{GnuExtSparseHeader, Header};

pub use self::field::MalformedTar;
use self::field::{invalid, text};

/// Bytes of the largest name or PAX record that is held.
const EXTENSION: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Whether reading went well and the tar itself is wrong.
pub fn is_malformed(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<MalformedTar>)
}

/// What an entry of a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    /// Another name for a path.
    Symlink,
    /// Another name for a file of the same layer.
    Hardlink,
    /// Anything else.
    Other,
}

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
    /// Whether the body leaves out the holes of the file.
    pub is_sparse: bool,
}

/// What extension headers say of the entry behind them.
#[derive(Default)]
struct Extensions {
    pax: pax::Records,
    long_name: Option<String>,
    long_link: Option<String>,
}

/// Shows every entry to `visit`, with a reader over its body.
///
/// # Errors
///
/// [`MalformedTar`] as `InvalidData`, whatever `visit` fails with, and what
/// reading fails with.
pub fn walk(
    reader: &mut dyn Read,
    mut visit: impl FnMut(&LayerEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut extensions = Extensions::default();
    loop {
        let mut block = [0; BLOCK];
        if !fill(reader, &mut block)? || block == [0; BLOCK] {
            return Ok(());
        }
        let header = Header::from_byte_slice(&block);
        check(header)?;
        let size = number(&header.as_old().size)?;
        match block[156] {
            // The last of several counts, as a whole.
            b'x' => extensions.pax = pax::parse(&held(reader, size)?)?,
            b'g' => drop(held(reader, size)?),
            b'L' => extensions.long_name = Some(text(&held(reader, size)?)),
            b'K' => extensions.long_link = Some(text(&held(reader, size)?)),
            _ => {
                let said = std::mem::take(&mut extensions);
                let entry = entry(header, said, size)?;
                skip_sparse_map(reader, header)?;
                let mut body = reader.take(entry.size);
                visit(&entry, &mut body)?;
                let left = body.limit();
                skip(body.into_inner(), left.saturating_add(padding(entry.size)))?;
            }
        }
    }
}

fn entry(header: &Header, said: Extensions, size: u64) -> io::Result<LayerEntry> {
    let name = said.long_name.or(said.pax.path);
    let name = name.unwrap_or_else(|| own_name(header.as_bytes()));
    let target = said.long_link.or(said.pax.target);
    let target = target.unwrap_or_else(|| text(&header.as_old().linkname));
    let kind = match header.as_bytes()[156] {
        // Old archives mark a directory by its name alone.
        0 if name.ends_with('/') => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'5' => Kind::Directory,
        _ => Kind::Other,
    };
    let is_bare = kind != Kind::File && matches!(header.as_bytes()[156], 0 | b'1'..=b'6');
    let is_sparse = header.as_bytes()[156] == b'S' || said.pax.is_sparse;
    let size = said.pax.size.unwrap_or(size);
    if size > i64::MAX.unsigned_abs() {
        return Err(invalid("an entry is larger than any file"));
    }
    Ok(LayerEntry {
        path: plain(&name),
        kind,
        target,
        // Links, directories and devices have no body, whatever they claim.
        size: if is_bare { 0 } else { size },
        is_sparse,
    })
}

/// The name in the header itself.
fn own_name(block: &[u8; BLOCK]) -> String {
    let name = text(&block[..100]);
    let prefix = match (&block[257..263], &block[508..512]) {
        (b"ustar\0", b"tar\0") => text(&block[345..476]),
        (b"ustar\0", _) => text(&block[345..500]),
        _ => String::new(),
    };
    if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
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

/// A number of a header: octal digits among blanks and zeros, or big-endian
/// bytes behind a set bit. An empty one is 0.
fn number(field: &[u8]) -> io::Result<u64> {
    let wrong = || invalid("a header holds no number where one belongs");
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        // The next bit is the sign.
        return rest
            .iter()
            .try_fold(u64::from(first & 0x7f), |value, byte| {
                Some(value.checked_mul(256)? | u64::from(*byte))
            })
            .filter(|value| first & 0x40 == 0 && *value <= i64::MAX.unsigned_abs())
            .ok_or_else(wrong);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(begin) = field.iter().position(|byte| !is_blank(byte)) else {
        return Ok(0);
    };
    let digits = field[begin..].split(is_blank).next().unwrap_or_default();
    let rest = &field[begin + digits.len()..];
    // Behind a zero byte anything may lie.
    if rest.first() == Some(&b' ') && !rest.iter().all(is_blank) {
        return Err(wrong());
    }
    digits
        .iter()
        .try_fold(0_u64, |value, digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
            value.checked_mul(8)?.checked_add(digit.into())
        })
        .ok_or_else(wrong)
}

/// Some old programs sum up signed bytes.
fn check(header: &Header) -> io::Result<()> {
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in header.as_bytes().iter().enumerate() {
        let byte = if (148..156).contains(&at) {
            b' '
        } else {
            *byte
        };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    let sum = number(&header.as_old().cksum)?.cast_signed();
    if sum == unsigned || sum == signed {
        Ok(())
    } else {
        Err(invalid("the checksum of a header is wrong"))
    }
}

/// GNU's sparse files have further headers when they have many holes.
fn skip_sparse_map(reader: &mut dyn Read, header: &Header) -> io::Result<()> {
    let mut more = header.entry_type() == tar::EntryType::GNUSparse
        && header.as_gnu().is_some_and(tar::GnuHeader::is_extended);
    while more {
        let mut next = GnuExtSparseHeader::new();
        if !fill(reader, next.as_mut_bytes())? {
            return Err(cut_off());
        }
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
        return Err(cut_off());
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
        Err(cut_off())
    }
}

/// Fills a block; `false` at the end of the stream.
fn fill(reader: &mut dyn Read, block: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < block.len() {
        match reader.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(cut_off()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn cut_off() -> io::Error {
    invalid("it ends in the middle of an entry")
}

#[cfg(test)]
mod tests;
