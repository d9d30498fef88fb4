//! Licences: out of Debian's copyright files, and as SPDX spells them.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::budget::{Budget, LICENCE, short};
use super::packages::{licence_weight, lines};

/// Licences that one package may name.
const LICENCES: usize = 200;
/// Where Debian keeps the texts that copyright files refer to.
const COMMON: &str = "/usr/share/common-licenses/";

/// The licences that a copyright file names: the `License` fields of the
/// machine-readable format, or what a free text refers to in Debian's
/// collection of common licences.
pub(super) fn debian(reader: &mut dyn Read, budget: &mut Budget) -> io::Result<Vec<String>> {
    let mut machine_readable = None;
    let mut found = BTreeSet::new();
    let mut keep = |found: &mut BTreeSet<String>, name: &str| {
        if !found.contains(name) {
            let name = short(name, LICENCE, "licence in a copyright file")?;
            budget.spend(licence_weight(&name))?;
            found.insert(name);
        }
        Ok::<_, io::Error>(())
    };
    lines(reader, |line| {
        if machine_readable.is_none() && !line.trim().is_empty() {
            machine_readable =
                Some(line.starts_with("Format:") || line.starts_with("Format-Specification:"));
        }
        if found.len() < LICENCES {
            if machine_readable == Some(true) {
                let name = line.strip_prefix("License:").map(str::trim);
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    keep(&mut found, name)?;
                }
            } else {
                common(line).try_for_each(|name| keep(&mut found, name))?;
            }
        }
        Ok(())
    })?;
    Ok(found.into_iter().collect())
}

fn common(line: &str) -> impl Iterator<Item = &str> {
    line.split(COMMON).skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
            .unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches(['.', '-']);
        (!name.is_empty()).then_some(name)
    })
}

/// A licence as a document names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Licence {
    /// Identifier of the SPDX list.
    Id(&'static str),
    /// Anything else, as it is written.
    Name(String),
}

/// SPDX's identifier for a name, where there is one without doubt.
pub(super) fn spdx(name: &str) -> Licence {
    let known = |name: &str| {
        let id = spdx::license_id(name)?.name;
        (id == name).then_some(id)
    };
    let found = translated(name).map_or_else(|| known(name), |name| known(&name));
    found.map_or_else(|| Licence::Name(name.to_owned()), Licence::Id)
}

/// Debian's short names in SPDX's spelling.
fn translated(name: &str) -> Option<String> {
    let family = ["GPL-", "LGPL-", "AGPL-", "GFDL-"]
        .iter()
        .find(|family| name.starts_with(**family));
    if let Some(family) = family
        && !name.ends_with("-only")
        && !name.ends_with("-or-later")
    {
        let version = &name[family.len()..];
        let (version, suffix) = match version.strip_suffix('+') {
            Some(version) => (version, "or-later"),
            None => (version, "only"),
        };
        let dot = if version.contains('.') { "" } else { ".0" };
        return Some(format!("{family}{version}{dot}-{suffix}"));
    }
    Some(
        match name {
            "Expat" => "MIT",
            "BSD-2-clause" => "BSD-2-Clause",
            "BSD-3-clause" => "BSD-3-Clause",
            "BSD-4-clause" => "BSD-4-Clause",
            "zlib" => "Zlib",
            "CC0" => "CC0-1.0",
            "PSF-2" => "PSF-2.0",
            _ => return None,
        }
        .to_owned(),
    )
}

/// Whether a text is an SPDX expression of several licences.
pub(super) fn is_expression(text: &str) -> bool {
    text.contains(' ') && spdx::Expression::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_readable_files_name_their_licences() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                    Files: *\nLicense: GPL-2+\n This is in /usr/share/common-licenses/GPL-3\n\n\
                    Files: b\nLicense: Expat\n\nLicense: GPL-2+\n text\n\nLicense:\n";
        assert_eq!(
            debian(&mut text.as_bytes(), &mut Budget::of_layer()).unwrap(),
            ["Expat", "GPL-2+"]
        );
    }

    #[test]
    fn free_text_names_what_it_refers_to() {
        let text = "This is Debian's package of x.\nLicense: is not a field here\n\
                    see `/usr/share/common-licenses/LGPL-2.1'. and /usr/share/common-licenses/GPL-3.\n";
        assert_eq!(
            debian(&mut text.as_bytes(), &mut Budget::of_layer()).unwrap(),
            ["GPL-3", "LGPL-2.1"]
        );
        assert!(
            debian(&mut "nothing".as_bytes(), &mut Budget::of_layer())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn known_licences_get_their_identifier() {
        for (name, id) in [
            ("MIT", "MIT"),
            ("Expat", "MIT"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-3", "GPL-3.0-only"),
            ("GPL-3.0-or-later", "GPL-3.0-or-later"),
            ("LGPL-2.1-only", "LGPL-2.1-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("Apache-2.0", "Apache-2.0"),
            ("BSD-3-clause", "BSD-3-Clause"),
        ] {
            assert_eq!(spdx(name), Licence::Id(id), "{name}");
        }
        for name in [
            "public-domain",
            "GPL-2+ with OpenSSL exception",
            "GPL-99",
            "",
        ] {
            assert_eq!(spdx(name), Licence::Name(name.to_owned()));
        }
        assert!(is_expression("GPL-2.0-or-later AND MIT"));
        assert!(!is_expression("MIT") && !is_expression("some licence"));
    }
}
