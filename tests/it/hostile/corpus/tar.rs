//! What a tar can do that a bundle must not. Nothing here needs a key.

use lfctl::oci::archive::Entry;
use tar::{EntryType, Header};

use super::Case;
use super::forge::Names;
use crate::support::bundle::Parts;

const LARGE: &str = "bytes; at most";

const BLOCK: usize = 512;

pub(super) fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

fn header(kind: EntryType, name: &[u8], size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

/// A whole entry.
pub(super) fn entry(kind: EntryType, name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, name.as_bytes(), content.len())
        .as_bytes()
        .to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn inserted(good: &Parts, offset: usize, more: &[u8]) -> Vec<u8> {
    let mut bytes = good.assemble();
    bytes.splice(offset..offset, more.iter().copied());
    bytes
}

/// The bundle with another header for one entry, with a right checksum.
fn reheaded(good: &Parts, name: &str, change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut bytes = good.assemble();
    let offset = at(good.entry(name).offset);
    let mut header = Header::from_byte_slice(&bytes[offset..offset + BLOCK]).clone();
    change(&mut header);
    header.set_cksum();
    bytes[offset..offset + BLOCK].copy_from_slice(header.as_bytes());
    bytes
}

fn named(good: &Parts, name: &str, other: &[u8]) -> Vec<u8> {
    reheaded(good, name, |header| {
        let field = &mut header.as_mut_bytes()[..100];
        field.fill(0);
        field[..other.len()].copy_from_slice(other);
    })
}

fn linked(good: &Parts, name: &str, kind: EntryType, to: &str) -> Vec<u8> {
    reheaded(good, name, |header| {
        header.set_entry_type(kind);
        header.as_mut_bytes()[157..157 + to.len()].copy_from_slice(to.as_bytes());
    })
}

const WRONG: &str = "tar header of";
pub(super) const TRAILING: &str = "trailing data";

/// Names, kinds and entries that nothing calls for.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn entries(good: &Parts) -> Vec<Case> {
    let layer = Names::of(good).layer;
    let offset = |name: &str| at(good.entry(name).offset);
    let end = at(good.entry(&layer).end());
    let device = reheaded(good, &layer, |header| {
        header.set_entry_type(EntryType::Char);
        header.set_device_major(1).unwrap();
        header.set_device_minor(1).unwrap();
    });
    let long = [
        entry(
            EntryType::GNULongName,
            "././@LongLink",
            b"../../etc/cron.d/x\0",
        ),
        entry(EntryType::Regular, "x", b"* * * * * root sh"),
    ];
    let pax = entry(
        EntryType::XHeader,
        "PaxHeaders/x",
        b"27 path=../../etc/cron.d/x\n",
    );
    let global = entry(
        EntryType::XGlobalHeader,
        "pax_global_header",
        b"17 uid=4294967295\n",
    );
    let second = entry(EntryType::Regular, "index.json", b"{}");
    let unlisted = {
        let content = b"nobody lists this";
        let digest = lfctl::oci::digest::Digest::of(content);
        entry(
            EntryType::Regular,
            &lfctl::oci::archive::blob_name(&digest),
            content,
        )
    };
    let mut twice = good.clone();
    twice.0.push(good.0.last().unwrap().clone());
    let mut swapped = good.clone();
    swapped.0.swap(6, 7);
    vec![
        Case::new(
            "name-traversal",
            "a blob named `../../etc/cron.d/x`",
            WRONG,
            named(good, &layer, b"../../etc/cron.d/x"),
        ),
        Case::new(
            "name-inside",
            "a blob named by a detour, `blobs/../blobs/sha256/…`",
            WRONG,
            named(good, &layer, format!("blobs/../{layer}").as_bytes()),
        ),
        Case::new(
            "name-absolute",
            "a blob named `/etc/passwd`",
            WRONG,
            named(good, &layer, b"/etc/passwd"),
        ),
        Case::new(
            "name-not-utf8",
            "a blob whose name is no text",
            WRONG,
            named(good, &layer, b"blobs/sha256/\xff\xfe"),
        ),
        Case::new(
            "symlink",
            "a symbolic link to `/etc/shadow` in the place of the layer",
            WRONG,
            linked(good, &layer, EntryType::Symlink, "/etc/shadow"),
        ),
        Case::new(
            "hardlink",
            "a hard link to `/etc/shadow` in the place of the layer",
            WRONG,
            linked(good, &layer, EntryType::Link, "/etc/shadow"),
        ),
        Case::new(
            "symlink-index",
            "a symbolic link in the place of `index.json`",
            WRONG,
            linked(good, "index.json", EntryType::Symlink, "/etc/shadow"),
        ),
        Case::new(
            "device",
            "a device, `/dev/mem`, in the place of the layer",
            WRONG,
            device,
        ),
        Case::new(
            "fifo",
            "a named pipe in the place of the layer",
            WRONG,
            linked(good, &layer, EntryType::Fifo, ""),
        ),
        Case::new(
            "directory",
            "a directory entry before the blobs",
            WRONG,
            inserted(
                good,
                offset(&good.0[4].0),
                &entry(EntryType::Directory, "blobs/", b""),
            ),
        ),
        Case::new(
            "pax-header",
            "a PAX header that renames `index.json` to `../../etc/cron.d/x`",
            WRONG,
            inserted(good, offset("index.json"), &pax),
        ),
        Case::new(
            "pax-global",
            "a global PAX header before everything",
            "is not a bundle",
            inserted(good, 0, &global),
        ),
        Case::new(
            "gnu-longname",
            "a file under a GNU long name, before the layer",
            TRAILING,
            inserted(good, offset(&layer), &long.concat()),
        ),
        Case::new(
            "gnu-sparse",
            "the layer as a GNU sparse file",
            WRONG,
            linked(good, &layer, EntryType::GNUSparse, ""),
        ),
        Case::new(
            "extra-first",
            "another entry before everything",
            "is not a bundle",
            inserted(good, 0, &entry(EntryType::Regular, "evil", b"x")),
        ),
        Case::new(
            "extra-between",
            "an empty entry before `manifest.json`",
            WRONG,
            inserted(
                good,
                offset("manifest.json"),
                &entry(EntryType::Regular, "evil", b""),
            ),
        ),
        Case::new(
            "extra-blob",
            "a blob that nothing refers to, behind the others",
            TRAILING,
            inserted(good, end, &unlisted),
        ),
        Case::new(
            "duplicate-blob",
            "the layer twice",
            TRAILING,
            twice.assemble(),
        ),
        Case::new(
            "duplicate-index",
            "a second `index.json`, which whoever unpacks the tar would end up with",
            TRAILING,
            inserted(good, end, &second),
        ),
        Case::new(
            "swapped",
            "two blobs in the wrong order",
            WRONG,
            swapped.assemble(),
        ),
    ]
}

/// Headers that lie about their entry.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn headers(good: &Parts) -> Vec<Case> {
    let names = Names::of(good);
    let layer = &names.layer;
    let claim = |name: &str, size: u64| {
        let offset = good.entry(name).offset;
        let huge = Entry::new(name, size, offset).unwrap();
        let mut bytes = good.assemble();
        bytes[at(offset)..at(offset) + BLOCK].copy_from_slice(&huge.header().unwrap());
        bytes
    };
    let checksum = |name: &str| {
        let mut bytes = good.assemble();
        bytes[at(good.entry(name).offset) + 148] ^= 1;
        bytes
    };
    let stack = good.entry(&names.stack);
    let overlap = reheaded(good, &names.stack, |header| {
        header.set_size(stack.size - 600);
    });
    let negative = reheaded(good, "index.json", |header| {
        header.as_mut_bytes()[124..136].fill(0xff);
    });
    let spelt = reheaded(good, "index.json", |header| {
        let size = format!("{:o} ", good.get("index.json").len());
        let field = &mut header.as_mut_bytes()[124..136];
        field.fill(0);
        field[..size.len()].copy_from_slice(size.as_bytes());
    });
    vec![
        Case::new(
            "size-index",
            "`index.json` claims 1 TiB",
            LARGE,
            claim("index.json", 1 << 40),
        ),
        Case::new(
            "size-signature",
            "the signature claims 1 MiB",
            LARGE,
            claim("index.json.minisig", 1 << 20),
        ),
        Case::new(
            "size-docker",
            "`manifest.json` claims 8 EiB less 1 MiB",
            LARGE,
            claim("manifest.json", (u64::MAX >> 1) - (1 << 20)),
        ),
        Case::new(
            "size-layer",
            "the header of the layer claims 1 TiB",
            WRONG,
            claim(layer, 1 << 40),
        ),
        Case::new(
            "size-zero",
            "the header of the layer claims that it is empty",
            WRONG,
            claim(layer, 0),
        ),
        Case::new(
            "size-limit",
            "`index.json` claims as much as is allowed, and is not there",
            "truncated",
            claim("index.json", 4 << 20),
        ),
        Case::new(
            "size-negative",
            "the size of `index.json` is negative",
            "sizes of the entries",
            negative,
        ),
        Case::new(
            "size-spelling",
            "the size of `index.json` is right, and spelt as other tools do",
            WRONG,
            spelt,
        ),
        Case::new(
            "overlap",
            "the stack definition claims to end inside itself, where the next entry would begin",
            WRONG,
            overlap,
        ),
        Case::new(
            "checksum-index",
            "a wrong checksum in the header of `index.json`",
            WRONG,
            checksum("index.json"),
        ),
        Case::new(
            "checksum-layer",
            "a wrong checksum in the header of the layer",
            WRONG,
            checksum(layer),
        ),
        Case::new(
            "set-uid",
            "the layer is set-uid and belongs to another user",
            WRONG,
            reheaded(good, layer, |header| {
                header.set_mode(0o4755);
                header.set_uid(1000);
            }),
        ),
    ]
}
