//! A repository from init to prune, and what breaks it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rustic_core::{FileType, Id};
use tempfile::TempDir;

use super::*;

mod faults;
mod files;

struct Fixture {
    dir: TempDir,
    repository: Repository,
}

fn password() -> Password {
    Password::from_entropy(&[7; 32])
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init(&dir.path().join("r"), &password()).unwrap();
    Fixture { dir, repository }
}

/// Bytes that no compressor makes smaller, the same ones for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn description() -> Description {
    Description {
        host: "test".to_owned(),
        tags: vec!["lfctl".to_owned(), "release=1".to_owned()],
        manifest: b"{\"schema\":1}".to_vec(),
    }
}

impl Fixture {
    fn path(&self) -> PathBuf {
        self.repository.path().to_owned()
    }

    fn write(&self, files: &[(&str, &[u8])]) -> (Snapshot, Totals) {
        let mut writer = self.repository.write_snapshot(|_| {}).unwrap();
        for (path, bytes) in files {
            let mut bytes = *bytes;
            writer
                .write_file(Path::new(path), Meta::default(), &mut bytes)
                .unwrap();
        }
        writer.commit(&description()).unwrap()
    }

    fn read(&self, snapshot: &Snapshot, path: &str) -> Result<Vec<u8>> {
        let reader = self.repository.reader()?;
        let entry = reader.find(snapshot, Path::new(path))?.unwrap();
        let mut file = reader.open(&entry)?;
        let mut bytes = Vec::new();
        while let Some(blob) = file.next_blob()? {
            bytes.extend_from_slice(&blob);
        }
        Ok(bytes)
    }

    fn packs(&self) -> Vec<PathBuf> {
        let directory = Directory::new(&self.path());
        let packs = directory.list_files(FileType::Pack).unwrap();
        packs
            .iter()
            .map(|(id, _)| directory.file(FileType::Pack, id))
            .collect()
    }
}

#[test]
fn files_come_back_as_they_went_in_whatever_their_order() {
    let it = fixture();
    let large = noise(1, 9_000_000);
    let files: [(&str, &[u8]); 4] = [
        ("redis/dump.rdb", b"REDIS"),
        ("clickhouse/a/b", &large),
        ("postgres/langfuse.dump", &large[..1_500_000]),
        ("blobs/bucket/key", b""),
    ];
    let (written, totals) = it.write(&files);
    assert_eq!((totals.files, totals.read), (5, 10_500_017));
    let repository = Repository::open(&it.path(), &password()).unwrap();
    let snapshot = repository.snapshot("latest").unwrap();
    assert_eq!(snapshot.id, written.id);
    assert_eq!(snapshot.tags, ["lfctl", "release=1"]);
    assert_eq!(snapshot.host, "test");
    for (path, bytes) in files {
        assert!(it.read(&snapshot, path).unwrap() == bytes, "{path}");
    }
    let reader = repository.reader().unwrap();
    let paths: Vec<_> = reader
        .files(&snapshot)
        .map(|entry| entry.unwrap().path.display().to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "blobs",
            "blobs/bucket",
            "blobs/bucket/key",
            "clickhouse",
            "clickhouse/a",
            "clickhouse/a/b",
            "manifest.json",
            "postgres",
            "postgres/langfuse.dump",
            "redis",
            "redis/dump.rdb"
        ]
    );
    let manifest = reader.manifest(&snapshot).unwrap().unwrap();
    assert_eq!(manifest, b"{\"schema\":1}");
}

#[test]
fn the_second_snapshot_adds_what_changed() {
    let it = fixture();
    let mut data = noise(2, 12_000_000);
    let (_, first) = it.write(&[("a", &data)]);
    assert!(first.added >= 12_000_000);
    let (_, same) = it.write(&[("b", &data)]);
    assert!(same.added < 10_000, "{same:?}");
    // Bytes put in at the front move all that follows.
    data.splice(1000..1000, *b"more");
    let (_, moved) = it.write(&[("a", &data)]);
    assert!(moved.added < 9_000_000, "{moved:?}");
}

#[test]
fn progress_ends_at_what_was_read() {
    let it = fixture();
    let data = noise(3, 5_000_000);
    let mut seen = Vec::new();
    let mut writer = it
        .repository
        .write_snapshot(|totals| seen.push(totals.read))
        .unwrap();
    writer
        .write_file(Path::new("a"), Meta::default(), &mut data.as_slice())
        .unwrap();
    writer.commit(&Description::default()).unwrap();
    assert!(seen.len() >= 3 && seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&5_000_000));
}

#[test]
fn a_file_that_did_not_change_is_not_read_again() {
    let it = fixture();
    let meta = Meta {
        inode: 5,
        modified: Some(jiff::Timestamp::from_second(1000).unwrap()),
        changed: Some(jiff::Timestamp::from_second(2000).unwrap()),
        ..Meta::default()
    };
    let path = Path::new("blobs/a");
    let mut writer = it.repository.write_snapshot(|_| {}).unwrap();
    assert!(!writer.reuse_file(path, &meta, 3).unwrap());
    writer
        .write_file(path, meta.clone(), &mut b"abc".as_slice())
        .unwrap();
    writer.commit(&description()).unwrap();

    let mut writer = it.repository.write_snapshot(|_| {}).unwrap();
    let other = Meta {
        inode: 6,
        ..meta.clone()
    };
    let later = Meta {
        changed: Some(jiff::Timestamp::from_second(2001).unwrap()),
        ..meta.clone()
    };
    assert!(!writer.reuse_file(path, &other, 3).unwrap());
    assert!(!writer.reuse_file(path, &later, 3).unwrap());
    assert!(!writer.reuse_file(path, &meta, 4).unwrap());
    assert!(!writer.reuse_file(Path::new("b"), &meta, 3).unwrap());
    assert!(writer.reuse_file(path, &meta, 3).unwrap());
    let (snapshot, _) = writer.commit(&description()).unwrap();
    assert_eq!(it.read(&snapshot, "blobs/a").unwrap(), b"abc");
}

#[test]
fn snapshots_are_found_by_the_beginning_of_their_name() {
    let it = fixture();
    let (one, _) = it.write(&[("a", b"1")]);
    let (two, _) = it.write(&[("a", b"2")]);
    let find = |name: &str| it.repository.snapshot(name);
    assert_eq!(find(one.id.as_str()).unwrap().id, one.id);
    assert_eq!(find(&one.id.to_string()).unwrap().id, one.id);
    assert_eq!(find("latest").unwrap().id, two.id);
    assert!(matches!(find("xyz"), Err(RepositoryError::NoSnapshot(_))));
    assert!(matches!(find(""), Err(RepositoryError::NoSnapshot(_))));
    it.repository.remove_snapshot(&one, &[]).unwrap();
    assert!(matches!(
        find(one.id.as_str()),
        Err(RepositoryError::NoSnapshot(_))
    ));
}

#[test]
fn prune_gives_room_back_and_keeps_what_is_needed() {
    let it = fixture();
    let (one, _) = it.write(&[("a", &noise(4, 1_000_000))]);
    it.write(&[("a", &noise(5, 1_000_000))]);
    let (three, _) = it.write(&[("a", &noise(6, 1_000_000))]);
    let needed = [Needed {
        snapshot: one.id.to_string(),
        reason: "generation 1 rolls back to it".to_owned(),
    }];
    let refused = it.repository.remove_snapshot(&one, &needed);
    assert!(matches!(refused, Err(RepositoryError::Needed { .. })));
    let rules = KeepRules {
        last: 1,
        ..KeepRules::default()
    };
    let pruned = it.repository.prune(&rules, &needed).unwrap();
    assert_eq!(pruned.snapshots, 1);
    assert!(
        pruned.before > 3_000_000 && pruned.after < 2_200_000,
        "{pruned:?}"
    );
    assert!(it.read(&one, "a").unwrap() == noise(4, 1_000_000));
    assert!(it.read(&three, "a").unwrap() == noise(6, 1_000_000));
    assert!(it.repository.verify(|_, _| {}).unwrap().is_whole());
    // Without a rule nothing goes.
    let pruned = it.repository.prune(&KeepRules::default(), &[]).unwrap();
    assert_eq!(pruned.snapshots, 0);
}

#[test]
fn ids_are_hashes_of_the_files() {
    let it = fixture();
    it.write(&[("a", b"1")]);
    for kind in [FileType::Pack, FileType::Index, FileType::Snapshot] {
        let directory = Directory::new(&it.path());
        for (id, _) in directory.list_files(kind).unwrap() {
            let bytes = fs::read(directory.file(kind, &id)).unwrap();
            assert_eq!(id, Id::new(cipher::hash(&bytes)));
        }
    }
}
