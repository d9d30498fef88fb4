//! The databases of Debian's and Alpine's package managers.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::budget::{Budget, LICENCE, WORD, short};

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
    /// Its name.
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

/// Reads `status` of dpkg, or one of the files below `status.d`.
pub(super) fn dpkg(reader: &mut dyn Read, budget: &mut Budget) -> io::Result<Vec<Package>> {
    paragraphs(
        reader,
        Manager::Dpkg,
        budget,
        |package, installed, field, value| {
            let value = value.trim();
            match field {
                "Package" => package.name = word(field, value)?,
                "Version" => package.version = word(field, value)?,
                "Architecture" => package.architecture = word(field, value)?,
                // The third word; files below `status.d` have none of them.
                "Status" => *installed = value.ends_with(" installed"),
                _ => {}
            }
            Ok(())
        },
    )
}

/// Reads `installed` of apk.
pub(super) fn apk(reader: &mut dyn Read, budget: &mut Budget) -> io::Result<Vec<Package>> {
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

/// Both databases are paragraphs of `field:value` lines.
fn paragraphs(
    reader: &mut dyn Read,
    manager: Manager,
    budget: &mut Budget,
    mut take: impl FnMut(&mut Package, &mut bool, &str, &str) -> io::Result<()>,
) -> io::Result<Vec<Package>> {
    let blank = || Package {
        manager,
        name: String::new(),
        version: String::new(),
        architecture: String::new(),
        licences: Arc::new([]),
    };
    let mut packages = Vec::new();
    let (mut package, mut installed) = (blank(), true);
    let mut finish = |package: Package, installed: bool| {
        if installed && !package.name.is_empty() && !package.version.is_empty() {
            if packages.len() == PACKAGES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a package database names more than {PACKAGES} packages"),
                ));
            }
            budget.take(package.weight())?;
            packages.push(package);
        }
        Ok(())
    };
    lines(reader, |line| {
        if line.is_empty() {
            finish(std::mem::replace(&mut package, blank()), installed)?;
            installed = true;
        } else if let Some((field, value)) = line.split_once(':') {
            take(&mut package, &mut installed, field, value)?;
        }
        Ok(())
    })?;
    finish(package, installed)?;
    Ok(packages)
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
    fn only_installed_packages_of_dpkg_count() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\
                      Description: C\n Package: not a field\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                      Package: tzdata\nVersion: 2025b\nArchitecture: all";
        let found = dpkg(&mut status.as_bytes(), &mut Budget::of_layer()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.name.as_str(), one.version.as_str()))
            .collect();
        assert_eq!(names, [("libc6", "2.36-9"), ("tzdata", "2025b")]);
        assert_eq!(found[0].architecture, "amd64");
    }

    #[test]
    fn apk_names_licences() {
        let installed = "C:Q1=\nP:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.37.0-r12\nA:x86_64\nL:GPL-2.0-only\n\n";
        let found = apk(&mut installed.as_bytes(), &mut Budget::of_layer()).unwrap();
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
        assert_eq!(found[0].architecture, "all");
    }

    #[test]
    fn a_database_without_end_is_refused() {
        let one = "P:a\nV:1\n\n";
        let error = apk(
            &mut one.repeat(PACKAGES + 1).as_bytes(),
            &mut Budget::of_layer(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
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
