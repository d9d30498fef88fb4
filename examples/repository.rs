//! Writes, reads and verifies a backup repository, for `scripts/benchmark/repository`.
//!
//! usage: repository init|backup|stream|restore|read|verify REPOSITORY [DIRECTORY]
//!
//! The password comes from `RESTIC_PASSWORD`, as restic takes it.

use std::error::Error;
use std::path::Path;

use lfctl::repository::{Description, Password, Repository};

#[expect(clippy::print_stdout, reason = "it is its output")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let password = Password::new(&std::env::var("RESTIC_PASSWORD")?);
    match arguments[..] {
        ["init", path] => {
            Repository::init(Path::new(path), &password)?;
        }
        ["backup", path, directory] => {
            let repository = Repository::open(Path::new(path), &password)?;
            let mut writer = repository.write_snapshot(|_| {})?;
            writer.write_directory(Path::new("data"), Path::new(directory))?;
            let (snapshot, totals) = writer.commit(&Description::default())?;
            println!("{} {totals:?}", snapshot.id);
        }
        ["stream", path] => {
            let repository = Repository::open(Path::new(path), &password)?;
            let mut writer = repository.write_snapshot(|_| {})?;
            let name = Path::new("stream");
            let meta = lfctl::repository::Meta::default();
            writer.write_file(name, meta, &mut std::io::stdin().lock())?;
            let (snapshot, totals) = writer.commit(&Description::default())?;
            println!("{} {totals:?}", snapshot.id);
        }
        ["restore", path, directory] => {
            let repository = Repository::open(Path::new(path), &password)?;
            let snapshot = repository.snapshot("latest")?;
            let reader = repository.reader()?;
            let bytes = reader.restore(&snapshot, Path::new(""), Path::new(directory))?;
            println!("{bytes} bytes");
        }
        ["read", path] => {
            let repository = Repository::open(Path::new(path), &password)?;
            let snapshot = repository.snapshot("latest")?;
            let reader = repository.reader()?;
            let bytes = reader.write_tar(&snapshot, Path::new(""), std::io::sink())?;
            println!("{bytes} bytes");
        }
        ["verify", path] => {
            let repository = Repository::open(Path::new(path), &password)?;
            let verified = repository.verify(|_, _| {})?;
            println!("{verified:?}");
        }
        _ => {
            return Err("usage: see the source".into());
        }
    }
    Ok(())
}
