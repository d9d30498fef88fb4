//! Directories and tar streams, there and back.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use jiff::Timestamp;
use tar::EntryType;

use super::*;

fn sample(dir: &Path) {
    fs::create_dir_all(dir.join("a/empty")).unwrap();
    fs::write(dir.join("a/file"), vec![7; 700_000]).unwrap();
    fs::write(dir.join("z"), "z").unwrap();
    fs::hard_link(dir.join("z"), dir.join("a/zz")).unwrap();
    symlink("../z", dir.join("a/link")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o640);
    fs::set_permissions(dir.join("z"), mode).unwrap();
    let file = std::fs::File::open(dir.join("z")).unwrap();
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    file.set_modified(time.into()).unwrap();
    let mode = std::fs::Permissions::from_mode(0o550);
    fs::set_permissions(dir.join("a/empty"), mode).unwrap();
}

fn assert_sample(dir: &Path) {
    assert_eq!(fs::read(dir.join("a/file")).unwrap(), vec![7; 700_000]);
    assert_eq!(fs::read(dir.join("a/zz")).unwrap(), b"z");
    let link = fs::read_link(dir.join("a/link")).unwrap();
    assert_eq!(link, Path::new("../z"));
    let meta = fs::metadata(dir.join("z")).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.mtime()), (0o640, 1_700_000_000));
    let meta = fs::metadata(dir.join("a/empty")).unwrap();
    assert_eq!(meta.mode() & 0o777, 0o550);
    assert_eq!(fs::read_dir(dir.join("a")).unwrap().count(), 4);
}

fn repository(dir: &Path) -> Repository {
    let password = Password::generate().unwrap();
    Repository::init(&dir.join("r"), &password).unwrap()
}

#[test]
fn a_directory_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    sample(&from);
    let at = Path::new("volumes/x");
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    writer.write_directory(at, &from).unwrap();
    writer.commit(&Description::default()).unwrap();
    // Again, so that the files of the parent are taken over.
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    writer.write_directory(at, &from).unwrap();
    let (snapshot, totals) = writer.commit(&Description::default()).unwrap();
    assert!(totals.added < 5000, "{totals:?}");
    fs::create_dir(&to).unwrap();
    let reader = repository.reader().unwrap();
    let bytes = reader.restore(&snapshot, at, &to).unwrap();
    assert_eq!(bytes, 700_002);
    assert_sample(&to);
    // A second time it would write over what is there.
    assert!(reader.restore(&snapshot, at, &to).is_err());
}

#[test]
fn a_tar_stream_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let from = dir.path().join("from");
    sample(&from);
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("shadow/1", &from).unwrap();
    // As an engine sends a file that it sent before under another name.
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(EntryType::Link);
    link.set_size(0);
    link.set_mode(0o600);
    link.set_uid(0);
    link.set_gid(0);
    link.set_mtime(0);
    builder
        .append_link(&mut link, "shadow/1/again", "shadow/1/a/file")
        .unwrap();
    let stream = builder.into_inner().unwrap();

    let at = Path::new("clickhouse/shadow");
    let mut writer = repository.write_snapshot(|_| {}).unwrap();
    writer.write_tar(at, &mut stream.as_slice(), 2).unwrap();
    let (snapshot, _) = writer.commit(&Description::default()).unwrap();
    let reader = repository.reader().unwrap();
    let mut out = Vec::new();
    reader.write_tar(&snapshot, at, &mut out).unwrap();
    let to = dir.path().join("to");
    let mut archive = tar::Archive::new(out.as_slice());
    archive.set_preserve_mtime(true);
    archive.unpack(&to).unwrap();
    assert_eq!(fs::read(to.join("again")).unwrap().len(), 700_000);
    fs::remove_file(to.join("again")).unwrap();
    assert_sample(&to);
}

#[test]
fn a_tar_stream_that_is_cut_off_or_leads_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_data(&mut header, "a/b", &b"1234"[..])
        .unwrap();
    let good = builder.into_inner().unwrap();
    let mut bad = good.clone();
    bad[..4].copy_from_slice(b"../b");
    let sum: u32 = bad[..512].iter().enumerate().fold(0, |sum, (at, byte)| {
        let byte = if (148..156).contains(&at) {
            b' '
        } else {
            *byte
        };
        sum + u32::from(byte)
    });
    bad[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let write = |stream: &[u8]| {
        let mut writer = repository.write_snapshot(|_| {}).unwrap();
        writer.write_tar(Path::new("x"), &mut &*stream, 0)
    };
    write(&good).unwrap();
    assert!(matches!(
        write(&good[..514]),
        Err(RepositoryError::Source { .. })
    ));
    assert!(matches!(write(&bad), Err(RepositoryError::BadPath(_))));
}
