use super::*;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use std::io::Write;
use tokio::sync::mpsc::channel;

use crate::sys::partial_set::PartialSet;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn slot(stored: &[u8], inflated: &[u8], compression: Compression) -> LayerSlot {
    LayerSlot {
        digest: Digest::of(stored),
        size: stored.len() as u64,
        diff_id: Digest::of(inflated),
        compression,
        offset: 512,
    }
}

fn inflated<T>(
    slot: &LayerSlot,
    stored: &[u8],
    scan: Option<Scan<T>>,
) -> Result<Stored<T>, CreateError> {
    let (sender, chunks) = channel(1000);
    for chunk in stored.chunks(1000) {
        sender.try_send(Bytes::copy_from_slice(chunk)).unwrap();
    }
    drop(sender);
    inflate(slot, chunks, scan)
}

fn first_byte(layer: &mut dyn Read) -> io::Result<u8> {
    let mut byte = [0];
    layer.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[test]
fn a_scan_that_stops_early_does_not_end_the_check() {
    let content = b"content".repeat(10_000);
    for (stored, compression) in [
        (gzip(&content), Compression::Gzip),
        (content.clone(), Compression::None),
    ] {
        let good = slot(&stored, &content, compression);
        let found = inflated(&good, &stored, Some(first_byte)).unwrap();
        assert_eq!((found.unpacked, found.scanned), (70_000, Some(b'c')));
        let none = inflated(&good, &stored, None::<Scan<()>>).unwrap();
        assert_eq!((none.unpacked, none.scanned), (70_000, None));

        let mut lie = good;
        lie.diff_id = Digest::of(b"other");
        let error = inflated(&lie, &stored, Some(first_byte)).unwrap_err();
        assert!(
            error.to_string().contains("the image config says"),
            "{error}"
        );
    }
}

#[test]
fn a_layer_in_several_gzip_members_is_one_layer() {
    let stored = [gzip(b"one "), gzip(b"two")].concat();
    let slot = slot(&stored, b"one two", Compression::Gzip);
    let found = inflated(&slot, &stored, None::<Scan<()>>).unwrap();
    assert_eq!(found.unpacked, 7);
}

#[test]
fn a_cut_off_layer_is_not_hidden_by_a_scan_that_forgives() {
    fn forgiving(layer: &mut dyn Read) -> io::Result<u64> {
        io::copy(layer, &mut io::sink()).or(Ok(0))
    }
    let stored = gzip(&b"content".repeat(10_000));
    let cut = &stored[..stored.len() - 9];
    let slot = slot(cut, b"", Compression::Gzip);
    let error = inflated(&slot, cut, Some(forgiving)).unwrap_err();
    assert!(error.to_string().contains("cannot be inflated"), "{error}");
}

#[test]
fn a_layer_of_another_kind_than_its_image_says_is_no_forgery() {
    let header = tar::Header::new_ustar();
    let tar = [header.as_bytes().as_slice(), &[0; 1024]].concat();
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0];
    for (stored, said, words) in [
        (gzip(&tar), Compression::None, ["a plain tar", "gzip"]),
        (tar.clone(), Compression::Gzip, ["gzip", "a plain tar"]),
        (zstd.to_vec(), Compression::Gzip, ["gzip", "zstd"]),
    ] {
        let slot = slot(&stored, &tar, said);
        let error = inflated(&slot, &stored, None::<Scan<()>>).unwrap_err();
        let CreateError::Mislabelled { said, found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!([said, found], words);
    }
    // One that is what it is called and has other content is one.
    let stored = gzip(&tar);
    let lie = slot(&stored, b"other", Compression::Gzip);
    let error = inflated(&lie, &stored, None::<Scan<()>>).unwrap_err();
    assert!(matches!(error, CreateError::Layer { .. }), "{error}");
}

#[test]
fn a_layer_that_ends_oddly_is_no_forgery() {
    let content = b"some content";
    let stored = gzip(content);
    let ends = [
        [&stored[..], &[0; 1000]].concat(),
        [&stored[..], b"garbage"].concat(),
        stored[..stored.len() - 4].to_vec(),
    ];
    for stored in ends {
        let slot = slot(&stored, content, Compression::Gzip);
        let error = inflated::<()>(&slot, &stored, None).unwrap_err();
        assert!(matches!(error, CreateError::BadEnd { .. }), "{error}");
    }
    // Less than the content is no odd end of it.
    let cut = &stored[..stored.len() - 12];
    let slot = slot(cut, content, Compression::Gzip);
    let error = inflated::<()>(&slot, cut, None).unwrap_err();
    assert!(matches!(error, CreateError::Layer { .. }), "{error}");
}

#[test]
fn a_layer_of_zeros_is_taken_and_spoken_of() {
    let stored = |unpacked| Stored::<()> {
        sum: None,
        unpacked,
        scanned: None,
    };
    let one = slot(&[7; 1000], b"", Compression::Gzip);
    let slots = [one.clone()];
    let of = |unpacked| stored(unpacked).is_swollen(&slots, &one.digest);
    assert_eq!(of(3 << 30), Some(1000));
    assert_eq!(of(1 << 20), None);
}

#[test]
fn a_bomb_is_stopped() {
    let stored = gzip(&vec![0; 3 << 20]);
    let bomb = slot(&stored, b"", Compression::Gzip);
    let decoder = MultiGzDecoder::new(io::Cursor::new(stored));
    let mut layer = Measured::new(Box::new(decoder), &bomb);
    layer.limit = 1 << 20;
    let error = layer.finish().2.unwrap_err();
    assert!(error.to_string().contains("grows beyond"), "{error}");
}

#[test]
fn a_layer_whose_marks_find_no_room_is_placed_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let set = PartialSet::whole(&target).unwrap();
    let marks = Marks::open(&set, &target, &[], None).unwrap();
    fs_err::create_dir(dir.path().join(".a.marks")).unwrap();
    let layer = vec![7; 9 << 20];
    let slot = slot(&layer, b"", Compression::None);
    let (sender, chunks) = channel(1);
    sender.try_send(Bytes::from(layer.clone())).unwrap();
    drop(sender);
    let (next, passed) = channel(1);
    drop(passed);
    let place = Place {
        file: set.writer(),
        marks: Arc::new(marks),
        there: 0,
    };
    write_layer(Some(&place), &slot, chunks, &next).unwrap();
    assert!(
        !set.writer().keeps(),
        "nothing says how much of it is there"
    );
    set.finish().unwrap();
    assert!(fs_err::read(target).unwrap()[512..] == layer);
}

#[test]
fn bytes_are_placed_and_passed_on_and_a_wrong_digest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let set = PartialSet::whole(&target).unwrap();
    for wanted in [&b"right"[..], b"wrong"] {
        let slot = slot(wanted, b"", Compression::None);
        let (sender, chunks) = channel(4);
        sender.try_send(Bytes::from_static(b"ri")).unwrap();
        sender.try_send(Bytes::from_static(b"ght")).unwrap();
        drop(sender);
        let (next, mut passed) = channel(4);
        let place = Place {
            file: set.writer(),
            marks: Arc::new(Marks::open(&set, &target, &[], None).unwrap()),
            there: 0,
        };
        let placed = write_layer(Some(&place), &slot, chunks, &next);
        assert_eq!(placed.is_ok(), wanted == b"right");
        assert_eq!(passed.try_recv().unwrap(), b"ri"[..]);
        assert_eq!(passed.try_recv().unwrap(), b"ght"[..]);
    }
    set.finish().unwrap();
    assert_eq!(&fs_err::read(target).unwrap()[512..], b"right");
}
