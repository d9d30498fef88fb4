//! Backup repositories beside stock restic, and on filesystems that fail.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use lfctl::repository::{
    Description, KeepRules, Meta, Password, Repository, RepositoryError, SnapshotWriter,
};

use crate::support::bundle::noise;
use crate::support::small_disk::SmallDisk;

const PASSWORD: &str = "0123456789abcdef0123456789abcdef";

fn password() -> Password {
    Password::new(PASSWORD)
}

fn restic(repository: &Path, arguments: &[&str]) -> Output {
    Command::new("restic")
        .arg("--no-cache")
        .arg("--repo")
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .unwrap()
}

fn restic_ok(repository: &Path, arguments: &[&str]) -> String {
    let output = restic(repository, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

fn fill(writer: &mut SnapshotWriter<'_>, files: &[(&str, &[u8])]) -> Result<(), RepositoryError> {
    for (path, bytes) in files {
        let mut bytes = *bytes;
        writer.write_file(Path::new(path), Meta::default(), &mut bytes)?;
    }
    Ok(())
}

fn description() -> Description {
    Description {
        host: "langfuse-1".to_owned(),
        tags: vec!["lfctl".to_owned()],
        manifest: b"{}".to_vec(),
    }
}

#[test]
#[ignore = "needs restic"]
fn stock_restic_lists_checks_and_restores_what_we_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let repository = Repository::init(&path, &password()).unwrap();
    let large = noise(1, 6_000_000);
    let files: [(&str, &[u8]); 4] = [
        ("redis/dump.rdb", b"redis"),
        ("postgres/langfuse.dump", &large),
        ("blobs/b/a ü \" \\ b", b"odd name"),
        ("empty", b""),
    ];
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    fill(&mut writer, &files).unwrap();
    writer
        .add_symlink(Path::new("link"), Meta::default(), "redis".into())
        .unwrap();
    let (snapshot, _) = writer.commit(&description()).unwrap();

    let listed: serde_json::Value =
        serde_json::from_str(&restic_ok(&path, &["snapshots", "--json"])).unwrap();
    assert_eq!(listed[0]["id"], snapshot.id.as_str());
    assert_eq!(listed[0]["hostname"], "langfuse-1");
    assert_eq!(listed[0]["tags"], serde_json::json!(["lfctl"]));
    restic_ok(&path, &["check", "--read-data"]);
    let target = dir.path().join("out");
    let to = target.to_str().unwrap();
    restic_ok(&path, &["restore", "latest", "--verify", "--target", to]);
    for (name, bytes) in files {
        assert!(fs::read(target.join(name)).unwrap() == bytes, "{name}");
    }
    let link = fs::read_link(target.join("link")).unwrap();
    assert_eq!(link, Path::new("redis"));
    // It takes the repository for one of its own in every other way too.
    restic_ok(&path, &["backup", to]);
    restic_ok(
        &path,
        &["forget", "--keep-last", "1", "--group-by", "", "--prune"],
    );
    restic_ok(&path, &["check", "--read-data"]);
    assert!(repository.verify(|_, _| {}).unwrap().is_whole());
}

#[test]
#[ignore = "needs restic"]
fn we_read_prune_and_continue_what_stock_restic_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let from = dir.path().join("from");
    fs::create_dir_all(from.join("sub")).unwrap();
    let large = noise(2, 6_000_000);
    fs::write(from.join("large"), &large).unwrap();
    fs::write(from.join("sub/small"), "small").unwrap();
    restic_ok(&path, &["init"]);
    restic_ok(&path, &["backup", from.to_str().unwrap()]);

    let repository = Repository::open(&path, &password()).unwrap();
    let snapshot = repository.snapshot("latest").unwrap();
    let reader = repository.reader().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let inside = from.strip_prefix("/").unwrap();
    reader.restore(&snapshot, inside, &out).unwrap();
    assert!(fs::read(out.join("large")).unwrap() == large);
    assert_eq!(fs::read(out.join("sub/small")).unwrap(), b"small");
    drop(reader);

    // The same bytes are cut at the same places: nothing of them is added.
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    fill(&mut writer, &[("large", &large)]).unwrap();
    let (_, totals) = writer.commit(&description()).unwrap();
    assert!(totals.added < 10_000, "{totals:?}");
    let rules = KeepRules {
        last: 1,
        ..KeepRules::default()
    };
    assert_eq!(repository.prune(&rules, &[]).unwrap().snapshots, 1);
    restic_ok(&path, &["check", "--read-data"]);
}

#[test]
#[ignore = "needs restic"]
fn restic_and_we_respect_each_others_locks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let repository = Repository::init(&path, &password()).unwrap();
    let writer = repository.write_snapshot(|_| {}).unwrap();
    restic_ok(&path, &["snapshots"]);
    let pruned = restic(&path, &["prune"]);
    let errors = String::from_utf8_lossy(&pruned.stderr);
    assert!(errors.contains("already locked"), "{errors}");
    drop(writer);
    restic_ok(&path, &["prune"]);
}

#[test]
#[ignore = "needs root"]
fn a_full_target_is_named_and_its_snapshots_stay() {
    let dir = tempfile::tempdir().unwrap();
    let small = SmallDisk::at(dir.path().join("small"), 16 << 20);
    let path = small.0.join("r");
    let repository = Repository::init(&path, &password()).unwrap();
    let first = noise(3, 2_000_000);
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    fill(&mut writer, &[("a", &first)]).unwrap();
    writer.commit(&description()).unwrap();

    let large = noise(4, 24_000_000);
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    let failed = match fill(&mut writer, &[("a", &large)]) {
        Ok(()) => writer.commit(&description()).map(drop),
        Err(error) => {
            drop(writer);
            Err(error)
        }
    };
    assert!(
        matches!(&failed, Err(RepositoryError::Full(at)) if at.starts_with(&path)),
        "{failed:?}"
    );
    assert_eq!(repository.snapshots().unwrap().len(), 1);
    assert!(repository.verify(|_, _| {}).unwrap().is_whole());
    // Of what was written before it was full, a prune gives the room back.
    let pruned = repository.prune(&KeepRules::default(), &[]).unwrap();
    assert!(pruned.after < 3_000_000, "{pruned:?}");
}

#[test]
#[ignore = "needs root"]
fn a_read_only_target_can_be_read_but_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let small = SmallDisk::at(dir.path().join("small"), 16 << 20);
    let path = small.0.join("r");
    let repository = Repository::init(&path, &password()).unwrap();
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    fill(&mut writer, &[("a", b"a")]).unwrap();
    let (snapshot, _) = writer.commit(&description()).unwrap();
    small.read_only();
    let written = repository.write_snapshot(|_| {});
    assert!(matches!(written, Err(RepositoryError::ReadOnly(_))));
    let pruned = repository.prune(&KeepRules::default(), &[]);
    assert!(matches!(pruned, Err(RepositoryError::ReadOnly(_))));
    let init = Repository::init(&small.0.join("other"), &password());
    assert!(matches!(init, Err(RepositoryError::ReadOnly(_))));
    let repository = Repository::open(&path, &password()).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let reader = repository.reader().unwrap();
    reader.restore(&snapshot, Path::new(""), &out).unwrap();
    assert_eq!(fs::read(out.join("a")).unwrap(), b"a");
    assert!(repository.verify(|_, _| {}).unwrap().is_whole());
}
