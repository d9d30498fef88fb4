//! What a delta bundle may leave out. Pure.
//!
//! A layer stays at home only where every image that uses it finds it in the
//! base with the same layers below. Engines know a layer by the chain of diff
//! ids up to it, not by the blob it came in, so that is what is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::Delta;
use super::manifest::{BundleManifest, Platform};
use crate::oci::digest::Digest;
use crate::oci::image::Image;
use crate::sys::versioned::{self, DocumentError, Format, Malformed, Text, Versioned, Writer};

/// Version of the inventory that this lfctl writes and reads.
pub const SCHEMA: u32 = 1;

/// What a host holds, to be carried to where bundles are made. Nobody signs
/// it: a wrong one makes a bundle that the host refuses as incomplete before
/// it changes anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Inventory {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The lfctl that wrote it.
    #[serde(default)]
    pub lfctl: Writer,
    /// The host, in words.
    pub host: String,
    /// The platform of its engine.
    pub platform: Platform,
    /// The engine takes only whole images, not those of which it has a part.
    pub whole_images: bool,
    /// Images that lfctl loaded.
    pub images: Vec<HeldImage>,
}

/// An image that an engine holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HeldImage {
    /// Digest by which the engine knows it: of its config or its manifest.
    pub id: Digest,
    /// References that point at it.
    pub tags: Vec<String>,
    /// Digests of the inflated layers, from the base up.
    pub diff_ids: Vec<Digest>,
}

impl Versioned for Inventory {
    const FORMAT: Format = Format::Json;
    const SCHEMA: u32 = SCHEMA;

    fn from_text(text: Text<'_>, _: u32) -> Result<Self, Malformed> {
        text.parse()
    }
}

/// What a base has: an older bundle, or a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// What it is, in words.
    pub name: String,
    /// Digest of the bundle's `index.json`, or of the inventory.
    pub digest: Digest,
    pub platform: Platform,
    /// Inflated bytes of its layers by diff id, as far as they are known.
    pub unpacked: BTreeMap<Digest, u64>,
    /// Diff ids of each image, by its ids.
    images: Vec<(BTreeSet<Digest>, Vec<Digest>)>,
    whole_images: bool,
}

impl Base {
    /// What a host has where this bundle was loaded into Docker's own store.
    pub fn of_bundle(manifest: &BundleManifest, digest: Digest) -> Self {
        let layers = manifest.images.values().flat_map(|image| &image.layers);
        let images = manifest.images.values().map(|image| {
            let diff_ids = image.layers.iter().map(|layer| layer.diff_id);
            ([image.config, image.manifest].into(), diff_ids.collect())
        });
        Self {
            name: manifest.release.to_string(),
            digest,
            platform: manifest.platform.clone(),
            unpacked: layers
                .map(|layer| (layer.diff_id, layer.unpacked))
                .collect(),
            images: images.collect(),
            whole_images: false,
        }
    }

    /// What a host says it has, in the content of `file`.
    ///
    /// # Errors
    ///
    /// It is no inventory, or one of a newer lfctl.
    pub fn of_inventory(file: &Path, text: &[u8]) -> Result<Self, DocumentError> {
        let inventory: Inventory = versioned::parse(file, text)?;
        let images = inventory.images.into_iter();
        Ok(Self {
            name: format!("host {}", inventory.host),
            digest: Digest::of(text),
            platform: inventory.platform,
            unpacked: BTreeMap::new(),
            images: images
                .map(|image| ([image.id].into(), image.diff_ids))
                .collect(),
            whole_images: inventory.whole_images,
        })
    }

    /// How many layers of an image the base has, from the lowest up.
    fn held(&self, image: &Image) -> usize {
        let ids = [Digest::of(&image.config), Digest::of(&image.manifest)];
        let shared = |(known, chain): &(BTreeSet<Digest>, Vec<Digest>)| {
            if self.whole_images && !ids.iter().any(|id| known.contains(id)) {
                return 0;
            }
            let pairs = chain.iter().zip(&image.layers);
            pairs
                .take_while(|(held, own)| **held == own.diff_id)
                .count()
        };
        self.images.iter().map(shared).max().unwrap_or(0)
    }

    /// What a bundle of these images can leave out, if it is anything.
    pub fn delta<'a>(&self, images: impl Iterator<Item = &'a Image>) -> Option<Delta> {
        let (mut absent, mut needed) = (BTreeSet::new(), BTreeSet::new());
        for image in images {
            let (below, above) = image.layers.split_at(self.held(image));
            absent.extend(below.iter().map(|layer| layer.digest));
            needed.extend(above.iter().map(|layer| layer.digest));
        }
        let absent: BTreeSet<_> = absent.difference(&needed).copied().collect();
        (!absent.is_empty()).then(|| Delta {
            name: self.name.clone(),
            digest: self.digest,
            absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::bundle::{FakeImage, FakeLayer};

    fn layer(name: &str) -> FakeLayer {
        FakeLayer::plain(&[(name, name.as_bytes())])
    }

    fn image(layers: &[&str]) -> Image {
        let fake = FakeImage::new(layers.iter().map(|name| layer(name)).collect());
        Image::parse(fake.manifest, fake.config).unwrap()
    }

    fn inventory(images: &[&Image], whole_images: bool) -> Inventory {
        let held = images.iter().map(|image| HeldImage {
            id: Digest::of(&image.config),
            tags: vec!["lfctl.local/app:1".to_owned()],
            diff_ids: image.layers.iter().map(|layer| layer.diff_id).collect(),
        });
        Inventory {
            schema: SCHEMA,
            lfctl: Writer,
            host: "a".to_owned(),
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
            },
            whole_images,
            images: held.collect(),
        }
    }

    fn base(images: &[&Image], whole_images: bool) -> Base {
        let text = serde_json::to_vec(&inventory(images, whole_images)).unwrap();
        Base::of_inventory(Path::new("a.json"), &text).unwrap()
    }

    fn absent(base: &Base, images: &[&Image]) -> BTreeSet<Digest> {
        let delta = base.delta(images.iter().copied());
        delta.map(|delta| delta.absent).unwrap_or_default()
    }

    fn digests(names: &[&str]) -> BTreeSet<Digest> {
        names.iter().map(|name| layer(name).digest()).collect()
    }

    #[test]
    fn what_lies_on_the_same_layers_is_left_out() {
        let base = base(&[&image(&["os", "old"]), &image(&["os", "lib"])], false);
        let new = image(&["os", "lib", "new"]);
        assert_eq!(absent(&base, &[&new]), digests(&["os", "lib"]));
        assert_eq!(absent(&base, &[&image(&["other"])]), digests(&[]));
    }

    #[test]
    fn a_layer_that_lies_on_others_for_any_image_comes_along() {
        let base = base(&[&image(&["os", "lib"])], false);
        // In the second image the chain up to `lib` is another one.
        let images = [&image(&["os", "lib"]), &image(&["new", "lib"])];
        assert_eq!(absent(&base, &images), digests(&["os"]));
        assert_eq!(absent(&base, &[&image(&["lib", "os"])]), digests(&[]));
    }

    #[test]
    fn an_engine_of_whole_images_spares_whole_images_only() {
        let (same, other) = (image(&["os", "app"]), image(&["os", "new"]));
        let base = base(&[&same], true);
        assert_eq!(absent(&base, &[&same]), digests(&["os", "app"]));
        assert_eq!(absent(&base, &[&same, &other]), digests(&["app"]));
        assert_eq!(absent(&base, &[&other]), digests(&[]));
    }

    #[test]
    fn what_is_no_inventory_is_refused() {
        let read = |text: &[u8]| Base::of_inventory(Path::new("a.json"), text).unwrap_err();
        let mut later = inventory(&[], false);
        later.schema = 2;
        let error = read(&serde_json::to_vec(&later).unwrap());
        assert!(
            matches!(error, DocumentError::Newer { found: 2, .. }),
            "{error}"
        );
        for text in [&b"{}"[..], b"{\"schema\": 1}", &vec![b' '; (4 << 20) + 1]] {
            let error = read(text);
            assert!(matches!(error, DocumentError::Damaged { .. }), "{error}");
        }
    }
}
