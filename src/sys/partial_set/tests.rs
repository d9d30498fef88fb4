use super::*;
use proptest::prelude::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn parts(dir: &Path, part_size: u64) -> PartialSet {
    let dir = dir.to_owned();
    PartialSet::create(part_size, Box::new(move |at| dir.join(format!("a.{at}")))).unwrap()
}

#[test]
fn no_part_has_its_name_before_all_are_complete() {
    let dir = tempfile::tempdir().unwrap();
    let set = parts(dir.path(), 4);
    set.reserve(9).unwrap();
    let partial = [".a.0.partial", ".a.1.partial", ".a.2.partial"];
    assert_eq!(names(dir.path()), partial);
    let writer = set.writer();
    drop(set);
    assert!(names(dir.path()).is_empty());
    writer.write_all_at(b"a", 20).unwrap_err();
    assert!(names(dir.path()).is_empty(), "a late writer");

    let set = parts(dir.path(), 4);
    set.reserve(9).unwrap();
    // The third cannot take its name.
    fs::create_dir_all(dir.path().join("a.2/in-the-way")).unwrap();
    set.finish().unwrap_err();
    assert_eq!(names(dir.path()), ["a.2"]);
}

#[test]
fn a_file_in_one_piece_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.tar");
    let set = PartialSet::whole(&target).unwrap();
    set.reserve(3).unwrap();
    set.write_all_at(b"abcd", 0).unwrap();
    assert_eq!(set.finish().unwrap(), std::slice::from_ref(&target));
    assert_eq!(fs::read(target).unwrap(), b"abcd");
}

#[test]
fn what_was_kept_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let reopen = || {
        let dir = dir.path().to_owned();
        PartialSet::reopen(4, Box::new(move |at| dir.join(format!("a.{at}")))).unwrap()
    };
    let read = |set: &PartialSet, len| {
        let mut bytes = vec![0; len];
        set.writer().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let set = parts(dir.path(), 4);
    set.write_all_at(b"abcdefghijk", 0).unwrap();
    set.writer().keep(true);
    drop(set);
    assert_eq!(names(dir.path()).len(), 3);

    // Less is reserved than there was; what comes behind begins anew.
    let set = reopen();
    set.reserve(7).unwrap();
    assert_eq!(read(&set, 7), b"abcdefg");
    set.write_all_at(b"X", 9).unwrap();
    assert_eq!(fs::read(dir.path().join(".a.2.partial")).unwrap(), b"\0X");
    set.writer().keep(true);
    drop(set);

    let set = reopen();
    set.clear().unwrap();
    assert_eq!(names(dir.path()), [".a.0.partial"]);
    set.reserve(5).unwrap();
    assert_eq!(read(&set, 5), [0; 5]);
}

proptest! {
    #[test]
    fn joined_parts_are_what_was_written(
        content in prop::collection::vec(any::<u8>(), 1..100),
        part_size in 1..120_u64,
        piece in 1..40_usize,
        backwards: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let set = parts(dir.path(), part_size);
        let mut pieces: Vec<_> = content.chunks(piece).enumerate().collect();
        if backwards {
            pieces.reverse();
        }
        for (at, bytes) in pieces {
            let offset = (at * piece) as u64;
            set.write_all_at(bytes, offset).unwrap();
            set.writer().start_sync(offset, bytes.len() as u64).unwrap();
        }
        let span = set.span().unwrap();
        prop_assert_eq!(span.size(), content.len() as u64);
        let mut read = vec![0; content.len()];
        span.read_exact_at(&mut read, 0).unwrap();
        prop_assert_eq!(&read, &content);
        let mut joined = Vec::new();
        for path in set.finish().unwrap() {
            joined.extend(fs::read(path).unwrap());
        }
        prop_assert_eq!(&joined, &content);
    }
}
