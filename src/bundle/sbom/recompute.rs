//! The bill of a finished bundle, read out of its layers again.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Bom, LayerContent, scan, unread};
use crate::bundle::{Bundle, OpenError};
use crate::oci::digest::Digest;
use crate::oci::image::{Compression, compression};
use crate::report::event::{Level, Reporter, Step, StepStatus, Unit, notice};

/// Why the packages of a bundle cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SbomError {
    /// A delta bundle does not carry every layer.
    #[error("layer {0} is not in this bundle, but in the one it builds on")]
    Absent(Digest),
    /// The bundle cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A layer cannot be read, or its content cannot be listed.
    #[error("cannot read the packages in layer {digest}")]
    Layer {
        /// The layer.
        digest: Digest,
        #[source]
        source: io::Error,
    },
    /// The packages are too many to be listed.
    #[error("cannot list the packages of the images")]
    Content(#[source] io::Error),
    /// The document is no JSON of the right shape.
    #[error("software bill of materials cannot be read or written")]
    Json(#[from] serde_json::Error),
}

/// The document that the bundle carries, if it carries one.
pub fn stored(bundle: &Bundle) -> Result<Option<Vec<u8>>, SbomError> {
    let digest = bundle.manifest().sbom;
    Ok(digest.map(|digest| bundle.blob(&digest)).transpose()?)
}

/// Inflates every layer and makes the document anew.
///
/// # Errors
///
/// A layer is absent, wrong, or not a tar.
pub fn recompute(bundle: &Bundle, reporter: &dyn Reporter) -> Result<Bom, SbomError> {
    let manifest = bundle.manifest();
    let layers: BTreeMap<Digest, _> = manifest
        .images
        .values()
        .flat_map(|image| &image.layers)
        .map(|layer| (layer.digest, layer))
        .collect();
    let total = layers.values().map(|layer| layer.size).sum();
    let step = Step::sized(
        reporter,
        "sbom",
        "Reading packages",
        Some(total),
        Unit::Bytes,
    );
    let (mut contents, mut done) = (BTreeMap::new(), 0);
    for (digest, layer) in layers {
        if bundle.blob_size(&digest).is_none() {
            return Err(SbomError::Absent(digest));
        }
        let stored = BufReader::with_capacity(1 << 17, bundle.reader(&digest)?);
        let content = inflate_and_scan(stored, &layer.media_type, layer.unpacked)
            .map_err(|source| SbomError::Layer { digest, source })?;
        contents.insert(digest, content);
        done += layer.size;
        step.progress(done);
    }
    step.finish(StepStatus::Done, None);
    for problem in unread(manifest, &contents) {
        let text = format!("the list of packages is incomplete: {problem}");
        notice(reporter, Level::Warning, "sbom.packages-unread", text);
    }
    Bom::of(manifest, &contents).map_err(SbomError::Content)
}

/// Reads a layer to its end, so that its hash was checked, but not beyond
/// the size that was signed.
fn inflate_and_scan(
    stored: impl io::BufRead + 'static,
    media_type: &str,
    unpacked: u64,
) -> io::Result<LayerContent> {
    let inflated: Box<dyn Read> = match compression(media_type) {
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(stored)),
        _ => Box::new(stored),
    };
    let mut limited = inflated.take(unpacked);
    let content = scan(&mut limited)?;
    io::copy(&mut limited, &mut io::sink())?;
    // The end of the file tells whether its hash was right.
    let mut rest = limited.into_inner();
    if rest.read(&mut [0])? > 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it inflates to more than was signed",
        ));
    }
    Ok(content)
}
