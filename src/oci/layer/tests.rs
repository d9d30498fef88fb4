use super::*;
use proptest::prelude::*;
use tar::EntryType;

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

fn add(tar: &mut tar::Builder<Vec<u8>>, kind: EntryType, path: &str, target: &str, body: &[u8]) {
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

/// A header made by hand: name, type, size field, and what the sum counts.
fn header(name: &str, kind: u8, size: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn an_empty_number_is_zero_and_only_files_have_bodies() {
    let mut bytes = Vec::new();
    bytes.extend(header("dir/", b'5', b""));
    bytes.extend(header("link", b'2', b"            "));
    bytes.extend(header("hard", b'1', b"00000001000\0"));
    bytes.extend(header("old/", 0, b"7"));
    bytes.extend(header("fifo", b'6', b"7"));
    bytes.extend(header("odd", b'V', b"00000000003\0"));
    bytes.extend([b'o'; BLOCK]);
    bytes.extend(header("octal", b'0', b" 3 \0"));
    bytes.extend([b'x'; BLOCK]);
    bytes.extend(header(
        "binary",
        b'0',
        &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1],
    ));
    bytes.extend([b'y'; 2 * BLOCK]);
    let found: Vec<_> = seen(&bytes)
        .unwrap()
        .into_iter()
        .map(|(entry, body)| (entry.path, entry.kind, body.len()))
        .collect();
    let wanted = [
        ("dir", Kind::Directory, 0),
        ("link", Kind::Symlink, 0),
        ("hard", Kind::Hardlink, 0),
        ("old", Kind::Directory, 0),
        ("fifo", Kind::Other, 0),
        ("odd", Kind::Other, 3),
        ("octal", Kind::File, 3),
        ("binary", Kind::File, 513),
    ];
    let wanted = wanted.map(|(path, kind, size)| (path.to_owned(), kind, size));
    assert_eq!(found, wanted);
    for wrong in [
        b"8".as_slice(),
        b"1 2",
        b"+1",
        b"-1",
        &[0xff; 12],
        &[0xbf; 12],
    ] {
        let error = seen(&header("a", b'0', wrong)).unwrap_err();
        assert!(is_malformed(&error), "{wrong:?}: {error}");
    }
}

#[test]
fn a_checksum_over_signed_bytes_is_one() {
    let mut block = header("caf\u{e9}", b'0', b"");
    block[148..156].fill(b' ');
    let sum: i32 = block.iter().map(|byte| i32::from(byte.cast_signed())).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(seen(&block).unwrap()[0].0.path, "caf\u{e9}");
}

#[test]
fn the_last_of_several_pax_headers_counts_and_a_long_name_before_it() {
    let mut bytes = Vec::new();
    for records in ["17 linkpath=gone\n", "15 path=of pax\n"] {
        let size = format!("{:011o}\0", records.len());
        bytes.extend(header("x", b'x', size.as_bytes()));
        let mut body = [0; BLOCK];
        body[..records.len()].copy_from_slice(records.as_bytes());
        bytes.extend(body);
    }
    let named = bytes.clone();
    bytes.extend(header("own", b'2', b""));
    let found = seen(&bytes).unwrap();
    assert_eq!(
        (found[0].0.path.as_str(), found[0].0.target.as_str()),
        ("of pax", "")
    );
    let mut bytes = named;
    bytes.extend(header("@LongLink", b'L', b"5"));
    let mut body = [0; BLOCK];
    body[..4].copy_from_slice(b"long");
    bytes.extend(body);
    bytes.extend(header("own", b'0', b""));
    assert_eq!(seen(&bytes).unwrap()[0].0.path, "long");
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
