//! What breaks a repository, and what comes of it.

use std::io::{self, Read};

use super::*;

#[test]
fn a_source_that_fails_leaves_no_snapshot() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the pipe broke"));
            }
            self.0 -= 1;
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let it = fixture();
    let mut writer = it.repository.write_snapshot(|_| {}).unwrap();
    let path = Path::new("postgres/langfuse.dump");
    let written = writer.write_file(path, Meta::default(), &mut Broken(100));
    assert!(matches!(
        written,
        Err(RepositoryError::Source { path, .. }) if path.ends_with("langfuse.dump")
    ));
    drop(writer);
    assert!(it.repository.snapshots().unwrap().is_empty());
    assert!(
        fs::read_dir(it.path().join("locks"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn the_wrong_password_and_no_repository_are_told_apart() {
    let it = fixture();
    let wrong = Repository::open(&it.path(), &Password::new("wrong"));
    assert!(matches!(wrong, Err(RepositoryError::WrongPassword(_))));
    let nothing = Repository::open(it.dir.path(), &password());
    assert!(matches!(nothing, Err(RepositoryError::NotFound(_))));
    let again = Repository::init(&it.path(), &password());
    assert!(matches!(again, Err(RepositoryError::Exists(_))));
    fs::write(it.dir.path().join("file"), "").unwrap();
    let other = Repository::init(it.dir.path(), &password());
    assert!(matches!(other, Err(RepositoryError::NotEmpty { .. })));
}

#[test]
fn a_newer_repository_is_refused_by_its_version() {
    let it = fixture();
    let directory = Directory::new(&it.path());
    let plain = it
        .repository
        .cipher
        .open_file(&directory.read(&directory.config()).unwrap())
        .unwrap();
    let newer = String::from_utf8(plain)
        .unwrap()
        .replace("\"version\":2", "\"version\":3");
    let sealed = it.repository.cipher.seal(newer.as_bytes()).unwrap();
    directory
        .write(&directory.config(), [sealed.as_slice()])
        .unwrap();
    let opened = Repository::open(&it.path(), &password());
    assert!(matches!(
        opened,
        Err(RepositoryError::Newer { version: 3, .. })
    ));
}

#[test]
fn a_writer_keeps_prunes_away_and_a_prune_keeps_writers_away() {
    let it = fixture();
    let writer = it.repository.write_snapshot(|_| {}).unwrap();
    let second = it.repository.write_snapshot(|_| {}).unwrap();
    let pruned = it.repository.prune(&KeepRules::default(), &[]);
    let Err(RepositoryError::Locked { path, holder, .. }) = pruned else {
        panic!("{pruned:?}");
    };
    assert!(path.exists());
    assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    drop((writer, second));
    it.repository.prune(&KeepRules::default(), &[]).unwrap();
    let sharing = lock::Sharing::Exclusive;
    let lock = lock::Lock::acquire(&it.repository.directory, &it.repository.cipher, sharing);
    assert!(matches!(
        it.repository.reader(),
        Err(RepositoryError::Locked { .. })
    ));
    drop(lock);
    it.repository.reader().unwrap();
}

#[test]
fn one_damaged_pack_is_named_with_what_it_takes_along() {
    let it = fixture();
    let (snapshot, _) = it.write(&[("good", b"good"), ("bad", &noise(8, 6_000_000))]);
    let largest = it
        .packs()
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&largest, bytes).unwrap();

    let verified = it.repository.verify(|_, _| {}).unwrap();
    assert_eq!(verified.damaged.len(), 1, "{verified:?}");
    assert_eq!(verified.damaged[0].path, largest);
    assert_eq!(verified.lost, [Path::new("bad")]);
    assert_eq!(verified.broken.len(), 1);
    let read = it.read(&snapshot, "bad");
    assert!(matches!(read, Err(RepositoryError::Damaged { path, .. }) if path == largest));
    assert_eq!(it.read(&snapshot, "good").unwrap(), b"good");

    fs::remove_file(&largest).unwrap();
    let verified = it.repository.verify(|_, _| {}).unwrap();
    assert_eq!(verified.damaged[0].what, "the file is missing");
}

#[test]
fn every_byte_of_a_pack_is_covered() {
    let it = fixture();
    it.write(&[("a", b"some bytes")]);
    assert!(it.repository.verify(|_, _| {}).unwrap().is_whole());
    for (path, pack) in it.repository.packs().unwrap() {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let checked = verify::check_pack(&it.repository.cipher, &path, &pack);
            assert!(checked.damage.is_some(), "byte {at} of {}", path.display());
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_lost_index_is_told_and_written_anew() {
    let it = fixture();
    let (snapshot, _) = it.write(&[("a", b"1")]);
    for entry in fs::read_dir(it.path().join("index")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let verified = it.repository.verify(|_, _| {}).unwrap();
    assert!(!verified.is_whole());
    assert_eq!(verified.damaged[0].path, it.path().join("index"));
    let reader = it.repository.reader().unwrap();
    assert!(matches!(
        reader.find(&snapshot, Path::new("a")),
        Err(RepositoryError::NotIndexed { .. })
    ));
    drop(reader);
    it.repository.rebuild_index().unwrap();
    assert!(it.repository.verify(|_, _| {}).unwrap().is_whole());
    assert_eq!(it.read(&snapshot, "a").unwrap(), b"1");
}

#[test]
fn a_target_that_vanishes_is_not_made_anew() {
    let it = fixture();
    let mut writer = it.repository.write_snapshot(|_| {}).unwrap();
    let away = it.dir.path().join("away");
    fs::rename(it.path(), &away).unwrap();
    fs::create_dir(it.path()).unwrap();
    let data = noise(9, 3_000_000);
    writer
        .write_file(Path::new("a"), Meta::default(), &mut data.as_slice())
        .unwrap();
    let committed = writer.commit(&description());
    assert!(
        matches!(committed, Err(RepositoryError::Gone(_))),
        "{committed:?}"
    );
    assert!(fs::read_dir(it.path()).unwrap().next().is_none());
    assert!(matches!(
        it.repository.snapshots(),
        Err(RepositoryError::Gone(_))
    ));
}

#[test]
fn what_an_interrupted_run_left_is_found_again() {
    let it = fixture();
    let data = noise(10, 6_000_000);
    let mut writer = it.repository.write_snapshot(|_| {}).unwrap();
    writer
        .write_file(Path::new("a"), Meta::default(), &mut data.as_slice())
        .unwrap();
    drop(writer);
    let (_, totals) = it.write(&[("a", &data)]);
    assert!(totals.added < 100_000, "{totals:?}");
    let pruned = it.repository.prune(&KeepRules::default(), &[]).unwrap();
    assert!(pruned.after > 6_000_000);
}
