//! What changes from one bundle to another. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::manifest::{Blob, BundleImage, BundleManifest, Layer, Release};
use super::sbom::{Bom, PackageKey};
use crate::oci::digest::Digest;

/// The difference of two bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Release of the old one.
    pub from: Release,
    /// Release of the new one.
    pub to: Release,
    /// Images that differ, by key.
    pub images: BTreeMap<String, ImageDifference>,
    /// Bytes of layers that only the new one has: what an update has to carry.
    pub carry_bytes: u64,
    /// Bytes of layers of the new one that the old one has as well.
    pub shared_bytes: u64,
}

/// The difference of the images under one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ImageDifference {
    /// Reference in the old bundle, if it has the image.
    pub from: Option<String>,
    /// Reference in the new bundle, if it has the image.
    pub to: Option<String>,
    /// Layers that came.
    pub layers_added: Vec<Blob>,
    /// Layers that went.
    pub layers_removed: Vec<Blob>,
    /// Packages that came, went or changed.
    pub packages: Vec<PackageDifference>,
}

/// A package whose versions differ; none on one side means that it is not
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PackageDifference {
    #[serde(flatten)]
    pub package: PackageKey,
    /// Versions in the old image.
    pub from: BTreeSet<String>,
    /// Versions in the new image.
    pub to: BTreeSet<String>,
}

/// Compares two bundles, each with its bill of materials.
pub fn diff(old: (&BundleManifest, &Bom), new: (&BundleManifest, &Bom)) -> Difference {
    let keys: BTreeSet<&String> = old.0.images.keys().chain(new.0.images.keys()).collect();
    let images = keys.into_iter().filter_map(|key| {
        let (before, after) = (old.0.images.get(key), new.0.images.get(key));
        let same = before.map(|image| (&image.manifest, &image.reference))
            == after.map(|image| (&image.manifest, &image.reference));
        (!same).then(|| (key.clone(), of_image((before, old.1), (after, new.1))))
    });
    let (had, has) = (layers(old.0), layers(new.0));
    let (shared, carried): (Vec<_>, Vec<_>) = has
        .iter()
        .partition(|(digest, _)| had.contains_key(*digest));
    let bytes = |layers: &[(&Digest, &u64)]| layers.iter().map(|(_, size)| **size).sum();
    Difference {
        from: old.0.release.clone(),
        to: new.0.release.clone(),
        images: images.collect(),
        carry_bytes: bytes(&carried),
        shared_bytes: bytes(&shared),
    }
}

fn layers(manifest: &BundleManifest) -> BTreeMap<Digest, u64> {
    let layers = manifest.images.values().flat_map(|image| &image.layers);
    layers.map(|layer| (layer.digest, layer.size)).collect()
}

type Side<'a> = (Option<&'a BundleImage>, &'a Bom);

fn of_image(old: Side<'_>, new: Side<'_>) -> ImageDifference {
    let layers = |side: Side<'_>| {
        side.0
            .map_or(&[] as &[Layer], |image| &image.layers)
            .to_vec()
    };
    let only = |these: &[Layer], others: &[Layer]| {
        let known: BTreeSet<_> = others.iter().map(|layer| layer.digest).collect();
        let fresh = these.iter().filter(|layer| !known.contains(&layer.digest));
        fresh
            .map(|layer| Blob {
                digest: layer.digest,
                size: layer.size,
            })
            .collect()
    };
    let packages = |side: Side<'_>| {
        side.0
            .map(|image| side.1.packages(&image.manifest))
            .unwrap_or_default()
    };
    let (had, has) = (packages(old), packages(new));
    let all: BTreeSet<&PackageKey> = had.keys().chain(has.keys()).collect();
    let changed = all.into_iter().filter(|key| had.get(key) != has.get(key));
    ImageDifference {
        from: old.0.map(|image| image.reference.clone()),
        to: new.0.map(|image| image.reference.clone()),
        layers_added: only(&layers(new), &layers(old)),
        layers_removed: only(&layers(old), &layers(new)),
        packages: changed
            .map(|key| PackageDifference {
                package: key.clone(),
                from: had.get(key).cloned().unwrap_or_default(),
                to: has.get(key).cloned().unwrap_or_default(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::sbom::scan;
    use crate::fake::bundle::{Fake, FakeImage, FakeLayer};

    fn layer(packages: &str) -> FakeLayer {
        FakeLayer::plain(&[("var/lib/dpkg/status", packages.as_bytes())])
    }

    fn made(images: &[(&str, FakeImage)]) -> (BundleManifest, Bom) {
        let mut fake = Fake::small().unwrap();
        for (key, image) in images {
            fake = fake.image(key, &format!("docker.io/rehearsal/{key}:1"), image.clone());
        }
        let layers = fake
            .images
            .values()
            .flat_map(|(_, image)| image.layers.clone())
            .filter(|layer| layer.bytes.len() as u64 == layer.unpacked)
            .map(|layer| (layer.digest(), scan(&mut layer.bytes.as_slice()).unwrap()))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let pair = crate::sign::generate(None).unwrap();
        let secret = secrecy::ExposeSecret::expose_secret(&pair.secret);
        let key = crate::sign::SecretKey::parse(secret, None).unwrap();
        let manifest = fake.write(&dir.path().join("a.tar"), &key).unwrap();
        let bom = Bom::of(&manifest, &layers).unwrap();
        (manifest, bom)
    }

    #[test]
    fn packages_layers_and_bytes_are_told_apart() {
        let stay = "Package: stay\nVersion: 1\n\n";
        let base = layer(stay);
        let before = layer(&format!(
            "{stay}Package: gone\nVersion: 1\n\nPackage: moved\nVersion: 1\n"
        ));
        let after = layer(&format!(
            "{stay}Package: moved\nVersion: 2\n\nPackage: fresh\nVersion: 1\n"
        ));
        let old = made(&[("app", FakeImage::new(vec![base.clone(), before.clone()]))]);
        let new = made(&[
            ("app", FakeImage::new(vec![base, after.clone()])),
            ("extra", FakeImage::new(vec![after.clone()])),
        ]);
        let found = diff((&old.0, &old.1), (&new.0, &new.1));
        assert_eq!(found.images.keys().collect::<Vec<_>>(), ["app", "extra"]);
        let app = &found.images["app"];
        let blob = |layer: &FakeLayer| {
            vec![Blob {
                digest: layer.digest(),
                size: layer.bytes.len() as u64,
            }]
        };
        assert_eq!(
            (&app.layers_added, &app.layers_removed),
            (&blob(&after), &blob(&before))
        );
        let packages: Vec<_> = app
            .packages
            .iter()
            .map(|one| (one.package.name.as_str(), one.from.len(), one.to.len()))
            .collect();
        assert_eq!(packages, [("fresh", 0, 1), ("gone", 1, 0), ("moved", 1, 1)]);
        assert_eq!(found.images["extra"].from, None);
        assert_eq!(found.carry_bytes, after.bytes.len() as u64);
        let all: u64 = layers(&new.0).values().sum();
        assert_eq!(found.shared_bytes, all - found.carry_bytes);
    }

    #[test]
    fn a_bundle_does_not_differ_from_itself() {
        let one = made(&[]);
        let found = diff((&one.0, &one.1), (&one.0, &one.1));
        assert!(found.images.is_empty());
        assert_eq!(found.carry_bytes, 0);
    }
}
