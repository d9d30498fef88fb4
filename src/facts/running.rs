//! What an engine holds and runs, against what a bundle says.
//!
//! Everything is compared by digest: names and tags can be moved by anybody
//! who reaches the engine. What the engine says of its own images is
//! believed; who owns the engine's files owns the host.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::appliance::generation::InstalledImage;
use crate::bundle::manifest::{BundleImage, BundleManifest};
use crate::engine::{
    Container, ContainerEngine, ContainerState, EngineError, EngineFacts, EngineImage, LABEL_PART,
};
use crate::oci::digest::Digest;
use crate::stack::Stack;
use crate::stack::{EGRESS, JOB};

/// How a host stands to a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// Every image of the bundle.
    pub images: Vec<ComparedImage>,
    /// Every service of the bundle, and what else runs in the appliance's name.
    pub services: Vec<ComparedService>,
}

/// An image of the bundle in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ComparedImage {
    pub reference: String,
    /// Digest of its manifest in the bundle.
    pub manifest: Digest,
    /// Digest of its config in the bundle.
    pub config: Digest,
    /// The engine's id of it, from which containers are made: in a containerd
    /// store the digest of its manifest, in any other that of its config.
    pub id: String,
    /// What the engine has of it.
    pub verdict: ImageVerdict,
}

/// What the engine has of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImageVerdict {
    /// Exactly it, and the reference points at it.
    Same,
    /// It, but the reference points at another image or at none.
    TagMoved,
    /// It, and the reference, which points elsewhere, was never given to it:
    /// it was somebody else's when the image was loaded.
    TagTaken,
    /// Other layers under its id.
    OtherLayers,
    /// Nothing.
    Absent,
}

impl ImageVerdict {
    /// Whether the engine has it as lfctl left it.
    fn is_as_left(self) -> bool {
        matches!(self, Self::Same | Self::TagTaken)
    }
}

/// A service of the bundle in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ComparedService {
    /// The service, or the name of a container that belongs to none.
    pub service: String,
    /// Id of the image that its container was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What runs of it.
    pub verdict: ServiceVerdict,
}

/// What runs of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ServiceVerdict {
    /// It runs, from the image of the bundle.
    Same,
    /// Its container is of the image of the bundle and does not run.
    NotRunning,
    /// Its container is of another image.
    OtherImage,
    /// It has no container.
    Absent,
    /// A container in the appliance's name of which the bundle says nothing.
    Unknown,
}

impl Comparison {
    /// How many images and services are not as the bundle says.
    pub fn differences(&self) -> usize {
        let images = self.images.iter();
        let services = self.services.iter();
        images.filter(|image| !image.verdict.is_as_left()).count()
            + services
                .filter(|service| service.verdict != ServiceVerdict::Same)
                .count()
    }
}

/// Asks the engine for everything that the bundle names. `recorded` is what
/// the appliance knows of its images, by key.
///
/// # Errors
///
/// The engine does not answer.
pub async fn compare<E: ContainerEngine>(
    engine: &E,
    facts: &EngineFacts,
    appliance: &str,
    manifest: &BundleManifest,
    stack: &Stack,
    recorded: &BTreeMap<String, InstalledImage>,
) -> Result<Comparison, EngineError> {
    let mut images = Vec::with_capacity(manifest.images.len());
    for image in manifest.images.values() {
        let mut held = None;
        let ids = facts.image_ids(image.manifest, image.config);
        for id in &ids {
            held = held.or(engine.image(&id.to_string()).await?);
        }
        let tagged = engine.image(&image.reference).await?;
        images.push(ComparedImage {
            reference: image.reference.clone(),
            manifest: image.manifest,
            config: image.config,
            id: match &held {
                Some(held) => held.id.clone(),
                None => ids[0].to_string(),
            },
            verdict: of_image(image, held.as_ref(), tagged.as_ref(), recorded),
        });
    }
    let containers = engine.containers(appliance).await?;
    let services = of_services(facts, manifest, stack, &containers);
    Ok(Comparison { images, services })
}

fn of_image(
    image: &BundleImage,
    held: Option<&EngineImage>,
    tagged: Option<&EngineImage>,
    recorded: &BTreeMap<String, InstalledImage>,
) -> ImageVerdict {
    let Some(held) = held else {
        return ImageVerdict::Absent;
    };
    let layers = image.layers.iter().map(|layer| layer.diff_id.to_string());
    if !layers.eq(held.diff_ids.iter().cloned()) {
        return ImageVerdict::OtherLayers;
    }
    let was_given =
        |known: &InstalledImage| known.id == held.id && known.tags.contains(&image.reference);
    match tagged {
        Some(tagged) if tagged.id == held.id => ImageVerdict::Same,
        _ if recorded.values().any(was_given) => ImageVerdict::TagMoved,
        _ => ImageVerdict::TagTaken,
    }
}

fn of_services(
    facts: &EngineFacts,
    manifest: &BundleManifest,
    stack: &Stack,
    containers: &[Container],
) -> Vec<ComparedService> {
    let part = |container: &Container| {
        let part = container.labels.get(LABEL_PART);
        part.cloned().unwrap_or_else(|| container.name.clone())
    };
    let mut found: BTreeMap<String, Vec<&Container>> = BTreeMap::new();
    for container in containers {
        found.entry(part(container)).or_default().push(container);
    }
    // The migration is over; what is left of it does nothing.
    found.remove(JOB);
    let ids = |image: &BundleImage| facts.image_ids(image.manifest, image.config);
    let mut compared = Vec::new();
    for service in &stack.services {
        let image = manifest.images.get(&service.image);
        let wanted = image.map(ids).unwrap_or_default();
        let of_it = found.remove(&service.name).unwrap_or_default();
        if of_it.is_empty() {
            compared.push(ComparedService {
                service: service.name.clone(),
                image: None,
                verdict: ServiceVerdict::Absent,
            });
        }
        compared.extend(of_it.into_iter().map(|container| ComparedService {
            service: service.name.clone(),
            image: Some(container.image.clone()),
            verdict: of_container(&wanted, container),
        }));
    }
    // No definition has it: the site asks for it, and it runs the gateway's image.
    let gateway = stack.service(&stack.langfuse.gateway);
    let image = gateway.and_then(|gateway| manifest.images.get(&gateway.image));
    let wanted = image.map(ids).unwrap_or_default();
    let egress = found.remove(EGRESS).unwrap_or_default();
    compared.extend(egress.into_iter().map(|container| ComparedService {
        service: EGRESS.to_owned(),
        image: Some(container.image.clone()),
        verdict: of_container(&wanted, container),
    }));
    let unknown = found.into_values().flatten();
    compared.extend(unknown.map(|container| ComparedService {
        service: container.name.clone(),
        image: Some(container.image.clone()),
        verdict: ServiceVerdict::Unknown,
    }));
    compared
}

fn of_container(wanted: &[Digest], container: &Container) -> ServiceVerdict {
    // Podman leaves out the name of the algorithm.
    let image = container.image.trim_start_matches("sha256:");
    if !wanted.iter().any(|id| id.hex() == image) {
        ServiceVerdict::OtherImage
    } else if container.state == ContainerState::Running {
        ServiceVerdict::Same
    } else {
        ServiceVerdict::NotRunning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::manifest::Layer;

    #[test]
    fn layers_and_tags_count_as_well_as_ids() {
        let image = BundleImage {
            reference: "docker.io/a/b:1.0".to_owned(),
            manifest: Digest::of(b"manifest"),
            config: Digest::of(b"config"),
            layers: vec![Layer {
                digest: Digest::of(b"gzip"),
                size: 4,
                diff_id: Digest::of(b"layer"),
                unpacked: 5,
                media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
            }],
        };
        let layers = image.layers.iter().map(|layer| layer.diff_id.to_string());
        let held = EngineImage {
            id: image.config.to_string(),
            diff_ids: layers.collect(),
            tags: Vec::new(),
        };
        let mut spoilt = held.clone();
        spoilt.diff_ids.push(image.config.to_string());
        let mut other = held.clone();
        other.id = image.manifest.to_string();
        let known = InstalledImage {
            reference: image.reference.clone(),
            id: held.id.clone(),
            tags: vec!["lfctl.local/b:1".to_owned(), image.reference.clone()],
        };
        let mut recorded = BTreeMap::from([("a".to_owned(), known)]);
        for (found, tagged, verdict) in [
            (Some(&held), Some(&held), ImageVerdict::Same),
            (Some(&held), Some(&other), ImageVerdict::TagMoved),
            (Some(&held), None, ImageVerdict::TagMoved),
            (Some(&spoilt), Some(&held), ImageVerdict::OtherLayers),
            (None, Some(&held), ImageVerdict::Absent),
        ] {
            assert_eq!(of_image(&image, found, tagged, &recorded), verdict);
        }
        // Left to its owner from when the image was loaded, it is no difference.
        if let Some(known) = recorded.get_mut("a") {
            known.tags.pop();
        }
        for tagged in [Some(&other), None] {
            let verdict = of_image(&image, Some(&held), tagged, &recorded);
            assert_eq!(verdict, ImageVerdict::TagTaken);
            assert!(verdict.is_as_left());
        }
    }
}
