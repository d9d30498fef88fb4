//! The databases of Debian's and Alpine's package managers.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::budget::{Budget, LICENCE, WORD, problem, short};

/// Bytes of the longest line that is looked at; of a longer one only these.
const LINE: u64 = 64 << 10;
/// Packages that one database may hold.
const PACKAGES: usize = 50_000;

/// Who installed a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// Debian's.
    Dpkg,
    /// Alpine's.
    Apk,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Who installed it.
    pub manager: Manager,
    pub name: String,
    /// Its version, as its manager writes it.
    pub version: String,
    /// Such as `amd64`; may be empty.
    pub architecture: String,
    /// Licences, as they are written down. Many packages may share them.
    pub licences: Arc<[String]>,
}

impl Package {
    /// Bytes that it takes, the licences of apk's packages included.
    fn weight(&self) -> usize {
        let licences: usize = self.licences.iter().map(|text| licence_weight(text)).sum();
        let text = self.name.len() + self.version.len() + self.architecture.len();
        size_of::<Self>() + text + licences
    }
}

/// Bytes that a licence takes.
pub(super) fn licence_weight(text: &str) -> usize {
    size_of::<String>() + text.len()
}

/// `/etc/os-release`, as far as package names depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Such as `debian`.
    pub id: String,
    /// Such as `12`; may be empty.
    pub version: String,
}

/// A package database, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Database {
    pub(super) packages: Vec<Package>,
    /// Why some of its packages are not listed.
    pub(super) problem: Option<String>,
}

/// States in which nothing of a package is on the disk but its settings.
const GONE: [&str; 2] = ["not-installed", "config-files"];

/// Reads `status` of dpkg, or one of the files below `status.d`.
pub(super) fn dpkg(reader: &mut dyn Read, budget: &mut Budget) -> io::Result<Database> {
    paragraphs(
        reader,
        Manager::Dpkg,
        budget,
        |package, is_there, field, value| {
            let value = value.trim();
            match field.to_ascii_lowercase().as_str() {
                "package" => package.name = word(field, value)?,
                "version" => package.version = word(field, value)?,
                "architecture" => package.architecture = word(field, value)?,
                // The third word; files below `status.d` have none of them.
                "status" => {
                    let state = value.split_ascii_whitespace().next_back();
                    *is_there &= state.is_none_or(|state| !GONE.contains(&state));
                }
                _ => {}
            }
            Ok(())
        },
    )
}

/// Reads `installed` of apk.
pub(super) fn apk(reader: &mut dyn Read, budget: &mut Budget) -> io::Result<Database> {
    paragraphs(reader, Manager::Apk, budget, |package, _, field, value| {
        match field {
            "P" => package.name = word(field, value)?,
            "V" => package.version = word(field, value)?,
            "A" => package.architecture = word(field, value)?,
            "L" => {
                let licence = short(value.trim(), LICENCE, "licence of a package")?;
                package.licences = Arc::new([licence]);
            }
            _ => {}
        }
        Ok(())
    })
}

fn word(field: &str, value: &str) -> io::Result<String> {
    short(value, WORD, &format!("`{field}` of a package"))
}

/// Both databases are paragraphs of `field:value` lines. What is too long or
/// too much costs the package that says it, not the others.
fn paragraphs(
    reader: &mut dyn Read,
    manager: Manager,
    budget: &mut Budget,
    mut on_field: impl FnMut(&mut Package, &mut bool, &str, &str) -> io::Result<()>,
) -> io::Result<Database> {
    let blank = || Package {
        manager,
        name: String::new(),
        version: String::new(),
        architecture: String::new(),
        licences: Arc::new([]),
    };
    let mut database = Database::default();
    let (mut package, mut is_there) = (blank(), true);
    let mut finish = |database: &mut Database, package: Package, is_there: bool| {
        if !is_there || package.name.is_empty() {
            return;
        }
        let kept = if database.packages.len() == PACKAGES {
            Err(format!(
                "a package database names more than {PACKAGES} packages"
            ))
        } else {
            let weighed = budget.spend(package.weight());
            weighed.map_err(|error| error.to_string())
        };
        match kept {
            Ok(()) => database.packages.push(package),
            Err(problem) => {
                database.problem.get_or_insert(problem);
            }
        }
    };
    lines(reader, |line| {
        if line.is_empty() {
            let package = std::mem::replace(&mut package, blank());
            finish(
                &mut database,
                package,
                std::mem::replace(&mut is_there, true),
            );
        } else if let Some((field, value)) = line.split_once(':')
            && let Err(error) = on_field(&mut package, &mut is_there, field, value)
        {
            let problem = problem(error)?;
            database.problem.get_or_insert(problem);
            is_there = false;
        }
        Ok(())
    })?;
    finish(&mut database, package, is_there);
    Ok(database)
}

/// Reads `os-release`.
pub(super) fn os_release(reader: &mut dyn Read) -> io::Result<Option<Distribution>> {
    let (mut id, mut version) = (None, String::new());
    lines(reader, |line| {
        if let Some((field, value)) = line.split_once('=') {
            let value = || {
                let value = value.trim().trim_matches(['"', '\'']);
                short(value, WORD, &format!("`{field}` in `os-release`"))
            };
            match field {
                "ID" => id = Some(value()?),
                "VERSION_ID" => version = value()?,
                _ => {}
            }
        }
        Ok(())
    })?;
    Ok(id.map(|id| Distribution { id, version }))
}

/// Shows each line, without its end, cut off at [`LINE`] bytes.
pub(super) fn lines(
    reader: &mut dyn Read,
    mut each: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else {
            reader.skip_until(b'\n')?;
        }
        each(&String::from_utf8_lossy(&line))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_dpkg_whose_files_are_there_count() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\
                      Description: C\n Package: not a field\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                      Package: tzdata\nVersion: 2025b\nArchitecture: all";
        let found = dpkg(&mut status.as_bytes(), &mut Budget::of_layer()).unwrap();
        let found = found.packages;
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.version.as_str()))
            .collect();
        assert_eq!(names, [("libc6", "2.36-9"), ("tzdata", "2025b")]);
        assert_eq!(found[0].architecture, "amd64");

        let known = [
            ("held", "hold ok installed"),
            ("going", "deinstall ok installed"),
            ("half", "install reinstreq half-installed"),
            ("unpacked", "install ok unpacked"),
            ("unconfigured", "install ok half-configured"),
            ("awaited", "install ok triggers-awaited"),
            ("pending", "install ok triggers-pending"),
            ("gone", "deinstall ok config-files"),
            ("purged", "purge ok not-installed"),
        ];
        let all =
            known.map(|(name, state)| format!("package: {name}\nSTATUS: {state} \nVersion: 1\n\n"));
        let found = dpkg(&mut all.concat().as_bytes(), &mut Budget::of_layer()).unwrap();
        let names: Vec<_> = found.packages.iter().map(|one| one.name.as_str()).collect();
        let wanted: Vec<_> = known[..7].iter().map(|(name, _)| *name).collect();
        assert_eq!(names, wanted);
        assert_eq!(found.problem, None);
    }

    #[test]
    fn one_odd_package_does_not_cost_the_others() {
        let long = "1".repeat(300);
        let status = format!(
            "Package: a\nVersion: 1\n\nPackage: odd\nVersion: {long}\nStatus: install ok installed\n\n\
             Package: b\nVersion: 2\n"
        );
        let found = dpkg(&mut status.as_bytes(), &mut Budget::of_layer()).unwrap();
        let names: Vec<_> = found.packages.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let problem = found.problem.unwrap();
        assert!(problem.contains("300 bytes, more than 256"), "{problem}");
    }

    #[test]
    fn apk_names_licences() {
        let installed = "C:Q1=\nP:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.37.0-r12\nA:x86_64\nL:GPL-2.0-only\n\n";
        let found = apk(&mut installed.as_bytes(), &mut Budget::of_layer()).unwrap();
        let found = found.packages;
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[1].name.as_str(), &*found[1].licences),
            ("busybox", &["GPL-2.0-only".to_owned()][..])
        );
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut endless = "Package: a\nVersion: 1\nX: "
            .as_bytes()
            .chain(io::repeat(b'x').take(3 << 20))
            .chain("\nArchitecture: all".as_bytes());
        let found = dpkg(&mut endless, &mut Budget::of_layer()).unwrap();
        assert_eq!(found.packages[0].architecture, "all");
    }

    #[test]
    fn a_database_without_end_is_read_only_so_far() {
        let one = "P:a\nV:1\n\n";
        let found = apk(
            &mut one.repeat(PACKAGES + 1).as_bytes(),
            &mut Budget::of_layer(),
        );
        let problem = found.unwrap().problem.unwrap();
        assert!(problem.contains("more than"), "{problem}");
    }

    #[test]
    fn os_release_may_be_quoted() {
        let found = os_release(&mut "NAME=\"Alpine\"\nID=alpine\nVERSION_ID='3.21.3'\n".as_bytes())
            .unwrap();
        let wanted = Distribution {
            id: "alpine".to_owned(),
            version: "3.21.3".to_owned(),
        };
        assert_eq!(found, Some(wanted));
        assert_eq!(os_release(&mut "NAME=x".as_bytes()).unwrap(), None);
    }
}
