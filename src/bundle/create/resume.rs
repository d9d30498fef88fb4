//! Going on where an interrupted run stopped.
//!
//! What was pulled stays in the file in the making; beside it, marks say how
//! much of each layer is there and what digest that much had. A mark is a
//! hint only: before any byte is used again it is read and hashed, so that a
//! power cut, a disk error or a stranger costs time and nothing else.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bundle::layout::LayerSlot;
use crate::bundle::parts::first_partial;
use crate::oci::digest::Digest;
use crate::sys::fs::open_own;
use crate::sys::partial::PartialFile;
use crate::sys::partial_set::{PartialSet, PartialWriter};

/// Bytes of a layer between two marks.
const STRIDE: u64 = 8 << 20;
/// Bytes of the most marks that are read.
const LIMIT: u64 = 16 << 20;
/// Bytes that are read back at once.
const CHUNK: usize = 256 << 10;

/// Which layers go where. Marks of another plan are of no use.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Plan {
    plan: Digest,
}

/// So many bytes of a layer are there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Mark {
    layer: Digest,
    bytes: u64,
    /// Of those bytes.
    digest: Digest,
}

/// The marks of a run. As long as there are any, the file in the making is
/// kept.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    plan: Plan,
    sink: Mutex<Sink>,
    found: BTreeMap<Digest, Mark>,
    writer: PartialWriter,
}

#[derive(Debug)]
enum Sink {
    Empty,
    File(fs::File),
    Closed,
}

impl Sink {
    fn begin(path: &Path, plan: &Plan) -> io::Result<fs::File> {
        let mut file = open_own(path, Some(0o666))?;
        file.set_len(0)?;
        writeln!(file, "{}", serde_json::to_string(plan)?)?;
        Ok(file)
    }
}

impl Marks {
    /// Reads the marks of an earlier run for `target`, or begins anew.
    pub(super) fn open(
        set: &PartialSet,
        target: &Path,
        slots: &[LayerSlot],
        part_size: Option<u64>,
    ) -> io::Result<Self> {
        let path = marks_path(target)?;
        let plan = plan(slots, part_size);
        let found = read(&path, &plan).unwrap_or_default();
        let sink = if found.is_empty() {
            set.clear()?;
            remove(&path)?;
            Sink::Empty
        } else {
            // All of it again: the last line may be half a one.
            let mut file = Sink::begin(&path, &plan)?;
            for mark in found.values() {
                writeln!(file, "{}", serde_json::to_string(mark)?)?;
            }
            Sink::File(file)
        };
        let writer = set.writer();
        writer.keep(!found.is_empty());
        Ok(Self {
            path,
            plan,
            sink: Mutex::new(sink),
            found,
            writer,
        })
    }

    /// Whether anything of an earlier run is of use.
    pub(super) fn go_on(&self) -> bool {
        !self.found.is_empty()
    }

    /// How many bytes of a layer are there and are what they were.
    pub(super) fn usable(&self, slot: &LayerSlot) -> u64 {
        let mark = self.found.get(&slot.digest);
        let Some(mark) = mark.filter(|mark| mark.bytes <= slot.size) else {
            return 0;
        };
        let mut hasher = Sha256::new();
        let read = read_back(&self.writer, slot, mark.bytes, |chunk| {
            hasher.update(&chunk);
        });
        let is_same = read.is_ok() && Digest::from_bytes(hasher.finalize().into()) == mark.digest;
        if is_same { mark.bytes } else { 0 }
    }

    /// Whether a layer of which `before` and now `bytes` bytes are there
    /// should be marked.
    pub(super) fn is_due(slot: &LayerSlot, before: u64, bytes: u64) -> bool {
        bytes / STRIDE > before / STRIDE || (bytes == slot.size && bytes >= STRIDE)
    }

    /// Writes down that so many bytes of a layer are there. A mark that finds
    /// no room costs the next run time, not this one its bundle.
    pub(super) fn record(&self, slot: &LayerSlot, bytes: u64, hasher: &Sha256) {
        let mark = Mark {
            layer: slot.digest,
            bytes,
            digest: Digest::from_bytes(hasher.clone().finalize().into()),
        };
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if self.write(&mut sink, &mark).is_err() {
            *sink = Sink::Closed;
        }
    }

    fn write(&self, sink: &mut Sink, mark: &Mark) -> io::Result<()> {
        let line = format!("{}\n", serde_json::to_string(mark)?);
        if matches!(*sink, Sink::Empty) {
            *sink = Sink::File(Sink::begin(&self.path, &self.plan)?);
        }
        if let Sink::File(file) = sink {
            file.write_all(line.as_bytes())?;
            self.writer.keep(true);
        }
        Ok(())
    }

    /// Nothing of this run is of any use to another.
    pub(super) fn discard(&self) -> io::Result<()> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        self.writer.keep(false);
        *sink = Sink::Closed;
        remove(&self.path)
    }
}

fn marks_path(target: &Path) -> io::Result<PathBuf> {
    Ok(PartialFile::path_for(target)?.with_extension("marks"))
}

/// Where an interrupted run left what the next one goes on with; `None` if it
/// had not pulled enough to be kept.
pub fn kept(target: &Path, split: Option<u64>) -> Option<PathBuf> {
    let partial = match split {
        Some(_) => first_partial(target),
        None => PartialFile::path_for(target),
    };
    let has_marks = marks_path(target).is_ok_and(|marks| marks.exists());
    partial.ok().filter(|partial| has_marks && partial.exists())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads the first bytes of a layer back from its place.
pub(super) fn read_back(
    writer: &PartialWriter,
    slot: &LayerSlot,
    bytes: u64,
    mut each: impl FnMut(Vec<u8>),
) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        let now = usize::try_from(bytes - at).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; now];
        writer.read_exact_at(&mut chunk, slot.offset + at)?;
        each(chunk);
        at += now as u64;
    }
    Ok(())
}

fn plan(slots: &[LayerSlot], part_size: Option<u64>) -> Plan {
    let mut hasher = Sha256::new();
    for slot in slots {
        hasher.update(format!("{} {} {}\n", slot.digest, slot.offset, slot.size));
    }
    hasher.update(format!("{part_size:?}"));
    Plan {
        plan: Digest::from_bytes(hasher.finalize().into()),
    }
}

/// The marks of this plan; `None` if there are none that can be read.
fn read(path: &Path, plan: &Plan) -> Option<BTreeMap<Digest, Mark>> {
    let mut text = String::new();
    let file = open_own(path, None).ok()?;
    file.take(LIMIT).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let known: Plan = serde_json::from_str(lines.next()?).ok()?;
    let marks = lines.map_while(|line| serde_json::from_str::<Mark>(line).ok());
    (known == *plan).then(|| marks.map(|mark| (mark.layer, mark)).collect())
}
