//! Where images come from: registries, a directory, or an engine that has
//! them already.
//!
//! A registry and a directory hand out any blob at any time. An engine packs
//! everything into one tar, in an order of its own and without saying how
//! large anything is, so its images are read twice: once to know them, and
//! once to take them. Nothing of it is kept on disk.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use fs_err as fs;
use futures_util::StreamExt;
use oci_spec::distribution::Reference;
use tokio::sync::mpsc::{Sender, channel};

use super::CreateError;
use super::options::{ImagesFrom, Options};
use super::pipeline::Chunks;
use crate::bundle::manifest::Platform;
use crate::bundle::spec::{BundleSpec, SpecError, parse_reference, tagged};
use crate::engine::docker::Docker;
use crate::engine::{Images, SaveBody};
use crate::oci::digest::Digest;
use crate::oci::image::{Image, ImageError, config_of};
use crate::oci::local::{LayoutDir, LocalError, Saved, Wanted};
use crate::oci::registry::{Blob, Registry};
use crate::report::event::{Reporter, Step, StepStatus, Unit};

/// Bytes that are read from a file at once.
const CHUNK: usize = 256 << 10;
/// Chunks between a thread that reads and who takes them.
const QUEUE: usize = 3;

/// A place that was looked into.
pub(super) enum Source {
    Registry(Registry),
    Layout(LayoutDir),
    Engine(EngineImages),
}

impl Source {
    pub(super) async fn open(
        options: &Options,
        spec: &BundleSpec,
        reporter: &dyn Reporter,
    ) -> Result<Self, CreateError> {
        Ok(match &options.from {
            ImagesFrom::Registries => Self::Registry(Registry::new(options.registry.clone())?),
            ImagesFrom::Layout(dir) => Self::Layout(LayoutDir::open(dir)?),
            ImagesFrom::Engine(engine) => {
                Self::Engine(EngineImages::open(engine.clone(), spec, reporter).await?)
            }
        })
    }

    /// The image behind a reference.
    pub(super) async fn image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Image, CreateError> {
        let name = tagged(reference);
        // What cannot be checked must not pass as unpinned.
        let pinned = reference.digest().map(str::parse).transpose();
        let pinned = pinned.map_err(|source| CreateError::Image {
            reference: reference.whole(),
            source: ImageError::Digest(source),
        })?;
        let wanted = Wanted {
            name: &name,
            os: &platform.os,
            architecture: &platform.architecture,
            pinned,
        };
        match self {
            Self::Registry(registry) => pulled(registry, reference, platform).await,
            Self::Layout(layout) => Ok(layout.image(&wanted)?),
            Self::Engine(images) => Ok(images.saved.image(&wanted)?),
        }
    }

    /// Sends the bytes of a blob to `sink`, in order and each once. They are
    /// counted, not hashed. Ends early and well when nobody takes them.
    pub(super) async fn fetch(
        &self,
        reference: &Reference,
        blob: Blob,
        sink: &Sender<Bytes>,
        advance: &dyn Fn(u64),
    ) -> Result<(), CreateError> {
        match self {
            Self::Registry(registry) => Ok(registry.fetch(reference, blob, sink, advance).await?),
            Self::Layout(layout) => read_file(layout.path(blob.digest), blob, sink, advance).await,
            Self::Engine(_) => Err(CreateError::Layer {
                digest: blob.digest,
                image: String::new(),
                problem: "an engine hands out no single layer".to_owned(),
            }),
        }
    }
}

async fn pulled(
    registry: &Registry,
    reference: &Reference,
    platform: &Platform,
) -> Result<Image, CreateError> {
    let unusable = |source| CreateError::Image {
        reference: reference.whole(),
        source,
    };
    let resolved = registry
        .resolve(reference, &platform.os, &platform.architecture)
        .await?;
    let (config, size) = config_of(&resolved.manifest).map_err(unusable)?;
    let config = registry.document(reference, config, size).await?;
    Image::parse(resolved.manifest, config).map_err(unusable)
}

async fn read_file(
    path: PathBuf,
    blob: Blob,
    sink: &Sender<Bytes>,
    advance: &dyn Fn(u64),
) -> Result<(), CreateError> {
    let (sender, mut chunks) = channel(QUEUE);
    let what = format!("`{}`", path.display());
    let reading = tokio::task::spawn_blocking(move || {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::Start(blob.from))?;
        send_all(&mut file.take(blob.size - blob.from), |chunk| {
            sender.blocking_send(chunk).is_ok()
        })
    });
    while let Some(chunk) = chunks.recv().await {
        let len = chunk.len() as u64;
        if sink.send(chunk).await.is_err() {
            break;
        }
        advance(len);
    }
    drop(chunks);
    let read = reading.await?;
    read.map_err(|source| CreateError::Local(LocalError::Io { what, source }))
}

/// Reads to the end in chunks, or until nobody takes them any more.
fn send_all(reader: &mut dyn Read, mut send: impl FnMut(Bytes) -> bool) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        chunk.truncate(read);
        if !send(chunk.into()) {
            return Ok(());
        }
    }
}

/// Images that an engine has, after they were read once.
pub(super) struct EngineImages {
    engine: Docker,
    references: Vec<String>,
    saved: Arc<Saved>,
}

/// What comes out of an engine the second time.
pub(super) enum Piece {
    /// The bytes behind this are those of a blob.
    Blob(Digest),
    /// Some of its bytes.
    Bytes(Bytes),
}

impl EngineImages {
    async fn open(
        engine: Docker,
        spec: &BundleSpec,
        reporter: &dyn Reporter,
    ) -> Result<Self, CreateError> {
        let mut references = BTreeSet::new();
        for (key, text) in &spec.images {
            let parsed = parse_reference(text).map_err(|problem| SpecError::Reference {
                key: key.clone(),
                reference: text.clone(),
                problem,
            })?;
            let reference = tagged(&parsed);
            if engine.image(&reference).await?.is_none() {
                return Err(CreateError::NotInEngine {
                    engine: engine.kind(),
                    reference,
                });
            }
            references.insert(reference);
        }
        let references: Vec<_> = references.into_iter().collect();
        let title = format!(
            "Reading {} images out of {}",
            references.len(),
            engine.kind()
        );
        let progress = Step::sized(reporter, "survey", &title, None, Unit::Bytes);
        let mut bytes = 0;
        let mut advance = |more: u64| {
            bytes += more;
            progress.progress(bytes);
        };
        let (sink, chunks) = channel(QUEUE);
        let reading = tokio::task::spawn_blocking(move || Saved::survey(&mut Chunks::new(chunks)));
        feed(engine.save(&references)?, sink, &mut advance).await?;
        let saved = Arc::new(reading.await??);
        progress.finish(StepStatus::Done, None);
        Ok(Self {
            engine,
            references,
            saved,
        })
    }

    /// Sends these blobs, each once, in the order in which they come.
    pub(super) async fn send(
        &self,
        blobs: BTreeSet<Digest>,
        pieces: Sender<Piece>,
    ) -> Result<(), CreateError> {
        let (sink, chunks) = channel(QUEUE);
        let saved = Arc::clone(&self.saved);
        let reading = tokio::task::spawn_blocking(move || {
            saved.replay(&mut Chunks::new(chunks), blobs, |digest, body| {
                let mut listens = pieces.blocking_send(Piece::Blob(digest)).is_ok();
                if listens {
                    send_all(body, |chunk| {
                        listens = pieces.blocking_send(Piece::Bytes(chunk)).is_ok();
                        listens
                    })?;
                }
                if listens {
                    Ok(())
                } else {
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            })
        });
        feed(self.engine.save(&self.references)?, sink, &mut |_| {}).await?;
        match reading.await? {
            // Who takes them has failed, and says why.
            Err(LocalError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// Carries what an engine sends to a thread that reads it, to the end or
/// until that has what it wants.
async fn feed(
    mut body: SaveBody,
    sink: Sender<Bytes>,
    advance: &mut dyn FnMut(u64),
) -> Result<(), CreateError> {
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        let len = chunk.len() as u64;
        if sink.send(chunk).await.is_err() {
            break;
        }
        advance(len);
    }
    Ok(())
}
