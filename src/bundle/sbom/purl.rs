//! Package URLs.

use packageurl::PackageUrl;

use super::packages::{Distribution, Manager, Package};
use crate::oci::digest::Digest;

/// Of a package of a distribution; `None` for a name that no package URL can
/// hold.
pub(super) fn of_package(package: &Package, distribution: Option<&Distribution>) -> Option<String> {
    let (kind, namespace) = match package.manager {
        Manager::Dpkg => ("deb", "debian"),
        Manager::Apk => ("apk", "alpine"),
    };
    let namespace = distribution.map_or(namespace, |distribution| distribution.id.as_str());
    let release = distribution
        .filter(|distribution| !distribution.version.is_empty())
        .map(|distribution| format!("{}-{}", distribution.id, distribution.version));
    let build = || {
        let mut purl = PackageUrl::new(kind, package.name.as_str())?;
        if !namespace.is_empty() {
            purl.with_namespace(namespace)?;
        }
        if !package.version.is_empty() {
            purl.with_version(package.version.as_str())?;
        }
        if !package.architecture.is_empty() {
            purl.add_qualifier("arch", package.architecture.as_str())?;
        }
        if let Some(release) = release {
            purl.add_qualifier("distro", release)?;
        }
        Ok::<_, packageurl::Error>(purl.to_string())
    };
    build().ok()
}

/// Of an image in the repository `name`.
pub(super) fn of_image(name: &str, tag: &str, manifest: &Digest) -> Option<String> {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    let build = || {
        let mut purl = PackageUrl::new("oci", last)?;
        purl.with_version(manifest.to_string())?;
        purl.add_qualifier("repository_url", name)?;
        if !tag.is_empty() {
            purl.add_qualifier("tag", tag)?;
        }
        Ok::<_, packageurl::Error>(purl.to_string())
    };
    build().ok()
}

/// Type and architecture that a package URL names, where it names any.
pub(super) fn kind_and_architecture(purl: &str) -> (String, String) {
    let Ok(purl) = purl.parse::<PackageUrl<'_>>() else {
        return Default::default();
    };
    let architecture = purl.qualifiers().get("arch").map(ToString::to_string);
    (purl.ty().to_owned(), architecture.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_version_may_hold_an_epoch_and_any_other_sign() {
        let package = |name: &str, version: &str| Package {
            manager: Manager::Dpkg,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            licences: Arc::new([]),
        };
        let purl = of_package(&package("libstdc++6", "1:2.3~rc1+b1"), None).unwrap();
        assert_eq!(
            purl,
            "pkg:deb/debian/libstdc%2B%2B6@1:2.3~rc1%2Bb1?arch=amd64"
        );
        let found: PackageUrl<'_> = purl.parse().unwrap();
        assert_eq!(found.name(), "libstdc++6");
        assert_eq!(found.version(), Some("1:2.3~rc1+b1"));
        let (kind, architecture) = kind_and_architecture(&purl);
        assert_eq!((kind.as_str(), architecture.as_str()), ("deb", "amd64"));
    }

    #[test]
    fn an_image_is_named_by_its_digest() {
        let digest = Digest::of(b"");
        let purl = of_image("docker.io/library/redis", "7.2.11", &digest).unwrap();
        assert_eq!(
            purl,
            format!("pkg:oci/redis@{digest}?repository_url=docker.io%2Flibrary%2Fredis&tag=7.2.11")
        );
    }
}
