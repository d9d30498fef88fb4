//! The images of a bundle, as the engine will know them and as they are sent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use super::load::{Chains, ImageSource, batches, private_tag};
use crate::appliance::generation::InstalledImage;
use crate::appliance::state::State;
use crate::bundle::manifest::{BundleImage, Layer};
use crate::bundle::{Bundle, OpenError};
use crate::engine::{ContainerEngine, EngineError, EngineFacts, LoadRoute};
use crate::oci::digest::Digest;

/// What the engine will call each image, by key.
pub fn expected(bundle: &Bundle, facts: &EngineFacts) -> BTreeMap<String, InstalledImage> {
    bundle
        .manifest()
        .images
        .iter()
        .map(|(key, image)| {
            let id = facts.image_ids(image.manifest, image.config)[0];
            let installed = InstalledImage {
                reference: image.reference.clone(),
                id: id.to_string(),
                // Written down before they exist, so that whatever an
                // interrupted load leaves behind can be found again.
                tags: vec![
                    private_tag(&image.reference, &image.config),
                    image.reference.clone(),
                ],
            };
            (key.clone(), installed)
        })
        .collect()
}

/// The same, with the tags that lfctl has made or will make: those that an
/// earlier run wrote down, and else all but the operator's own. The image he
/// loaded himself may be used by others, and cannot be had again.
pub async fn known<E: ContainerEngine>(
    engine: &E,
    bundle: &Bundle,
    facts: &EngineFacts,
    before: Option<&State>,
) -> Result<BTreeMap<String, InstalledImage>, EngineError> {
    let mut images = expected(bundle, facts);
    for (key, image) in &mut images {
        let known = before.and_then(|state| state.current.images.get(key));
        if let Some(known) = known.filter(|known| known.id == image.id) {
            image.tags.clone_from(&known.tags);
            continue;
        }
        let mut held = Vec::new();
        for tag in &image.tags {
            held.push(engine.image(tag).await?.is_some());
        }
        // Where lfctl's own tag is there, `bundle load` made the other as well.
        if held == [false, true] {
            image.tags.truncate(1);
        }
    }
    Ok(images)
}

/// Bytes that the engine's disk must hold until these images are loaded: the
/// layers, and beside them the archives that it keeps while it reads them or,
/// in a containerd store, every layer as it is stored. Layers that `held` has
/// are neither sent nor stored again.
pub fn bytes_needed<'a>(
    images: impl Iterator<Item = &'a BundleImage>,
    facts: &EngineFacts,
    held: &Chains,
) -> u64 {
    let route = LoadRoute::of(facts);
    let mut layers = BTreeMap::new();
    let mut sent = BTreeMap::new();
    for image in images {
        let chain = image.layers.iter().map(|layer| layer.diff_id.to_string());
        let missing = &image.layers[held.held(&chain.collect::<Vec<_>>())..];
        layers.extend(missing.iter().map(|layer| (layer.digest, layer)));
        let digests = missing.iter().map(|layer| layer.digest);
        sent.insert(image.manifest, digests.collect::<BTreeSet<_>>());
    }
    let sum = |bytes: fn(&Layer) -> u64| -> u64 { layers.values().map(|layer| bytes(layer)).sum() };
    let unpacked = sum(|layer| layer.unpacked);
    if facts.containerd_store {
        return unpacked + sum(|layer| layer.size);
    }
    let sent: Vec<_> = sent.into_values().collect();
    let archive = |places: &Vec<usize>| -> u64 {
        let digests: BTreeSet<_> = places.iter().flat_map(|place| &sent[*place]).collect();
        let bytes = digests.into_iter().map(|digest| match route {
            LoadRoute::Inflated { .. } => layers[digest].unpacked,
            LoadRoute::Stored => layers[digest].size,
        });
        bytes.sum()
    };
    let archives = match route {
        LoadRoute::Inflated { .. } => (0..sent.len()).map(|place| vec![place]).collect(),
        LoadRoute::Stored => batches(&sent),
    };
    let mut archives: Vec<_> = archives.iter().map(archive).collect();
    archives.sort_unstable_by(|a, b| b.cmp(a));
    unpacked + archives.iter().take(route.at_once()).sum::<u64>()
}

/// Every distinct image of the bundle, ready to be sent. Layers that it
/// leaves out are taken from `bases`, where they have them.
pub fn sources(bundle: &Bundle, bases: &[Bundle]) -> Result<Vec<ImageSource>, OpenError> {
    let holders: Arc<[Bundle]> = std::iter::once(bundle).chain(bases).cloned().collect();
    let holder = |digest: &Digest| {
        let has = |bundle: &&Bundle| bundle.blob_size(digest).is_some();
        holders.iter().find(has)
    };
    let mut sources: BTreeMap<Digest, ImageSource> = BTreeMap::new();
    for (key, image) in &bundle.manifest().images {
        if let Some(source) = sources.get_mut(&image.manifest) {
            source.keys.push(key.clone());
            continue;
        }
        let absent = image.layers.iter().map(|layer| layer.digest);
        let holders = Arc::clone(&holders);
        let source = ImageSource {
            keys: vec![key.clone()],
            reference: image.reference.clone(),
            manifest_digest: image.manifest,
            config_digest: image.config,
            manifest: bundle.blob(&image.manifest)?.into(),
            config: bundle.blob(&image.config)?.into(),
            layers: image.layers.clone(),
            absent: absent.filter(|layer| holder(layer).is_none()).collect(),
            open: Arc::new(move |digest: &Digest| {
                let has = |bundle: &&Bundle| bundle.blob_size(digest).is_some();
                // The bundle itself says best what it does not hold.
                let holder = holders.iter().find(has).or(holders.first());
                let holder = holder.ok_or(io::ErrorKind::NotFound)?;
                let reader = holder.reader(digest).map_err(io::Error::other)?;
                Ok(Box::new(reader) as Box<dyn Read + Send>)
            }),
        };
        sources.insert(image.manifest, source);
    }
    Ok(sources.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::manifest::Layer;
    use crate::engine::EngineKind;
    use crate::engine::testing::facts;

    /// Docker's own store on one CPU.
    fn two_at_once() -> EngineFacts {
        EngineFacts { cpus: 1, ..facts() }
    }

    fn image(name: &str, layers: &[(&str, u64)]) -> BundleImage {
        let layers = layers.iter().map(|(name, unpacked)| Layer {
            digest: Digest::of(name.as_bytes()),
            size: unpacked / 10,
            diff_id: Digest::of(format!("{name} inflated").as_bytes()),
            unpacked: *unpacked,
            media_type: String::new(),
        });
        BundleImage {
            reference: name.to_owned(),
            manifest: Digest::of(name.as_bytes()),
            config: Digest::of(name.as_bytes()),
            layers: layers.collect(),
        }
    }

    #[test]
    fn room_counts_each_layer_once_and_the_archives_under_way() {
        let images = [
            image("a", &[("base", 100), ("a", 1000)]),
            image("b", &[("base", 100), ("b", 2000)]),
            image("c", &[("c", 50)]),
            // The same image under another key.
            image("b", &[("base", 100), ("b", 2000)]),
        ];
        let none = Chains::default();
        let layers = 100 + 1000 + 2000 + 50;
        let podman = EngineFacts {
            kind: EngineKind::Podman,
            ..facts()
        };
        // Those that share the base go together.
        let together = 10 + 100 + 200;
        assert_eq!(
            bytes_needed(images.iter(), &podman, &none),
            layers + together
        );
        let two = two_at_once();
        assert_eq!(
            bytes_needed(images.iter(), &two, &none),
            layers + 2100 + 1100
        );
        assert_eq!(bytes_needed(std::iter::empty(), &two, &none), 0);
        // The blobs stay beside what is unpacked from them, each once.
        let containerd = EngineFacts {
            containerd_store: true,
            ..facts()
        };
        let blobs = 10 + 100 + 200 + 5;
        assert_eq!(
            bytes_needed(images.iter(), &containerd, &none),
            layers + blobs
        );
    }

    #[test]
    fn room_leaves_out_what_the_engine_holds() {
        let images = [
            image("a", &[("base", 100), ("a", 1000)]),
            image("b", &[("other", 10), ("base", 100), ("b", 2000)]),
        ];
        let chain = |names: &[&str]| -> Vec<String> {
            let diff_id = |name: &&str| Digest::of(format!("{name} inflated").as_bytes());
            names.iter().map(|name| diff_id(name).to_string()).collect()
        };
        let two = two_at_once();
        let bytes_needed =
            |chains: Vec<Vec<String>>| bytes_needed(images.iter(), &two, &Chains::new(chains));
        // A layer is held where it lies on the same layers, and not elsewhere.
        let base = chain(&["base", "of another image"]);
        assert_eq!(
            bytes_needed(vec![base.clone()]),
            1000 + 10 + 100 + 2000 + 1000 + 2110
        );
        let other = chain(&["other", "base"]);
        assert_eq!(bytes_needed(vec![base, other]), 1000 + 2000 + 1000 + 2000);
        let all = vec![chain(&["base", "a"]), chain(&["other", "base", "b"])];
        assert_eq!(bytes_needed(all), 0);
    }
}
