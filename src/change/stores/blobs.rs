//! The blob store: object by object through its S3 API.
//!
//! An object that was listed is read whole or is gone by then. Those that are
//! written while the list is read may be in it or not: nothing of an earlier
//! part of the cut names them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, Method, S3Action, UrlStyle};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::http::Connection;
use super::path_of_key;
use crate::repository::{Meta, RepositoryError, SnapshotWriter};

/// For how long a signature holds.
const SIGNED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Requests under way.
const AHEAD: usize = 16;
/// Bytes of the longest list that is read.
const LIST: u64 = 16 << 20;
/// The type of nearly all objects, which is not written down for each.
pub(in crate::change) const USUAL_TYPE: &str = "application/json";
/// Directory of the objects in a snapshot.
pub(in crate::change) const OBJECTS: &str = "blobs";

/// Types of the objects that have another than [`USUAL_TYPE`], by key.
pub(in crate::change) type Types = BTreeMap<String, String>;

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Volume {
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Volume {
    pub(in crate::change) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What was found in a bucket: objects by the first part of their keys.
pub(in crate::change) type Prefixes = BTreeMap<String, Volume>;

/// The first part of a key, by which objects are counted.
pub(in crate::change) fn prefix(key: &str) -> &str {
    key.split_once('/').map_or("", |(first, _)| first)
}

/// A bucket and the keys to it.
#[derive(Debug, Clone)]
pub(in crate::change) struct Place {
    bucket: Bucket,
    credentials: Credentials,
}

impl Place {
    pub(in crate::change) fn new(
        port: u16,
        bucket: &str,
        region: &str,
        access_key: &str,
        secret: &str,
    ) -> Option<Self> {
        let url = format!("http://127.0.0.1:{port}").parse().ok()?;
        let bucket = Bucket::new(url, UrlStyle::Path, bucket.to_owned(), region.to_owned());
        Some(Self {
            bucket: bucket.ok()?,
            credentials: Credentials::new(access_key, secret),
        })
    }
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::change) struct Listed {
    pub(in crate::change) key: String,
    pub(in crate::change) size: u64,
    meta: Meta,
}

impl Listed {
    /// Whether it only stands for a directory of the server.
    fn is_directory(&self) -> bool {
        self.key.ends_with('/') && self.size == 0
    }
}

/// Reads a bucket page by page.
pub(in crate::change) struct Reading<R> {
    connection: Connection<R>,
    place: Place,
    next: Option<String>,
    is_over: bool,
}

fn status(what: &str, status: u16, body: &str) -> io::Error {
    let body: String = body.chars().take(300).collect();
    io::Error::other(format!("{what} was answered with {status}: {body}"))
}

impl<R: Read> Reading<R> {
    pub(in crate::change) fn new(connection: Connection<R>, place: Place) -> Self {
        Self {
            connection,
            place,
            next: None,
            is_over: false,
        }
    }

    /// The next objects by key; `None` behind the last.
    pub(in crate::change) fn page(&mut self) -> io::Result<Option<Vec<Listed>>> {
        if self.is_over {
            return Ok(None);
        }
        let mut list = self
            .place
            .bucket
            .list_objects_v2(Some(&self.place.credentials));
        if let Some(next) = &self.next {
            list.with_continuation_token(next.clone());
        }
        let url = list.sign(SIGNED_FOR);
        self.connection.send(Method::Get, &url, None, None)?;
        self.connection.flush()?;
        let answer = self.connection.receive()?;
        let mut text = String::new();
        let mut body = self.connection.body(&answer).take(LIST);
        body.read_to_string(&mut text)?;
        if answer.status != 200 {
            return Err(status("a list of objects", answer.status, &text));
        }
        let parsed = ListObjectsV2::parse_response(&text)
            .map_err(|error| io::Error::other(format!("no list of objects: {error}")))?;
        self.is_over = parsed.next_continuation_token.is_none();
        self.next = parsed.next_continuation_token;
        let listed = parsed.contents.into_iter().map(|object| {
            let changed = object.last_modified.and_then(|at| at.parse().ok());
            let size = object.size.unwrap_or_default();
            // An object has no inode; what identifies its content does as well.
            let inode = object.etag.as_deref().map_or(0, identity);
            let meta = Meta {
                modified: changed,
                inode,
                ..Meta::default()
            };
            Listed {
                key: object.key,
                size,
                meta,
            }
        });
        Ok(Some(listed.collect()))
    }

    /// Copies all objects into a snapshot; those that the last one has
    /// unchanged are not read. `known` are the types that it wrote down.
    pub(in crate::change) fn copy(
        mut self,
        writer: &mut SnapshotWriter<'_>,
        known: &Types,
    ) -> Result<(Prefixes, Types), RepositoryError> {
        let failed = |source: io::Error| RepositoryError::Source {
            path: PathBuf::from(OBJECTS),
            source,
        };
        let mut copied = Copied::default();
        while let Some(page) = self.page().map_err(failed)? {
            let mut under_way = VecDeque::new();
            for object in page {
                if object.is_directory() {
                    continue;
                }
                let path = Path::new(OBJECTS).join(path_of_key(&object.key));
                if writer.reuse_file(&path, &object.meta, object.size)? {
                    let content_type = known.get(&object.key).cloned();
                    copied.add(&object.key, object.size, content_type);
                    continue;
                }
                let get = self
                    .place
                    .bucket
                    .get_object(Some(&self.place.credentials), &object.key);
                let url = get.sign(SIGNED_FOR);
                let sent = self.connection.send(Method::Get, &url, None, None);
                sent.map_err(failed)?;
                under_way.push_back((object, path));
                if under_way.len() >= AHEAD {
                    self.connection.flush().map_err(failed)?;
                    self.take(&mut under_way, AHEAD / 2, writer, &mut copied)?;
                }
            }
            self.connection.flush().map_err(failed)?;
            self.take(&mut under_way, 0, writer, &mut copied)?;
        }
        self.connection.close().map_err(failed)?;
        Ok((copied.prefixes, copied.types))
    }

    /// Counts what is in the bucket.
    pub(in crate::change) fn count(mut self) -> io::Result<Prefixes> {
        let mut prefixes = Prefixes::new();
        while let Some(page) = self.page()? {
            for object in page.iter().filter(|one| !one.is_directory()) {
                let volume = prefixes.entry(prefix(&object.key).to_owned()).or_default();
                volume.add(object.size);
            }
        }
        self.connection.close()?;
        Ok(prefixes)
    }

    /// Reads answers until no more than `left` are under way.
    fn take(
        &mut self,
        under_way: &mut VecDeque<(Listed, PathBuf)>,
        left: usize,
        writer: &mut SnapshotWriter<'_>,
        copied: &mut Copied,
    ) -> Result<(), RepositoryError> {
        while under_way.len() > left
            && let Some((object, path)) = under_way.pop_front()
        {
            let failed = |source: io::Error| RepositoryError::Source {
                path: path.clone(),
                source,
            };
            let answer = self.connection.receive().map_err(failed)?;
            let mut body = self.connection.body(&answer);
            if answer.status == 200 {
                let size = writer.write_file(&path, object.meta, &mut body)?;
                copied.add(&object.key, size, answer.content_type);
                continue;
            }
            let mut text = String::new();
            body.read_to_string(&mut text).map_err(failed)?;
            // Deleted since it was listed.
            if answer.status != 404 {
                return Err(failed(status("an object", answer.status, &text)));
            }
        }
        Ok(())
    }
}

/// Writes objects into a bucket.
pub(in crate::change) struct Writing<R> {
    connection: Connection<R>,
    place: Place,
    types: Types,
    under_way: VecDeque<String>,
    written: u64,
}

impl<R: Read> Writing<R> {
    pub(in crate::change) fn new(connection: Connection<R>, place: Place, types: Types) -> Self {
        Self {
            connection,
            place,
            types,
            under_way: VecDeque::new(),
            written: 0,
        }
    }

    /// Writes an object of `size` bytes.
    pub(in crate::change) fn put(
        &mut self,
        key: &str,
        size: u64,
        content: &mut impl Read,
    ) -> Result<(), RepositoryError> {
        let failed = |error| RepositoryError::from_stream(Path::new(key), error);
        let put = self
            .place
            .bucket
            .put_object(Some(&self.place.credentials), key);
        let url = put.sign(SIGNED_FOR);
        let content_type = self.types.get(key).map_or(USUAL_TYPE, String::as_str);
        self.connection
            .send(Method::Put, &url, Some(content_type), Some(size))
            .map_err(failed)?;
        let sent = io::copy(content, self.connection.body_of_request()).map_err(failed)?;
        if sent != size {
            let why = format!("{sent} bytes of {size}");
            return Err(failed(io::Error::other(why)));
        }
        self.under_way.push_back(key.to_owned());
        if self.under_way.len() >= AHEAD {
            self.settle(AHEAD / 2)?;
        }
        Ok(())
    }

    /// Waits until all objects are written; returns how many.
    pub(in crate::change) fn finish(mut self) -> Result<u64, RepositoryError> {
        self.settle(0)?;
        let ended = self.connection.close();
        ended.map_err(|error| RepositoryError::from_stream(Path::new(OBJECTS), error))?;
        Ok(self.written)
    }

    fn settle(&mut self, left: usize) -> Result<(), RepositoryError> {
        let failed = |error| RepositoryError::from_stream(Path::new(OBJECTS), error);
        self.connection.flush().map_err(failed)?;
        while self.under_way.len() > left
            && let Some(key) = self.under_way.pop_front()
        {
            let failed = |error| RepositoryError::from_stream(Path::new(&key), error);
            let answer = self.connection.receive().map_err(failed)?;
            let mut text = String::new();
            let mut body = self.connection.body(&answer);
            body.read_to_string(&mut text).map_err(failed)?;
            if answer.status != 200 {
                return Err(failed(status("an object", answer.status, &text)));
            }
            self.written += 1;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Copied {
    prefixes: Prefixes,
    types: Types,
}

impl Copied {
    fn add(&mut self, key: &str, size: u64, content_type: Option<String>) {
        let volume = self.prefixes.entry(prefix(key).to_owned()).or_default();
        volume.add(size);
        if let Some(content_type) = content_type.filter(|it| it != USUAL_TYPE) {
            self.types.insert(key.to_owned(), content_type);
        }
    }
}

/// A number that stands for an entity tag; never 0.
fn identity(etag: &str) -> u64 {
    let hash = Sha256::digest(etag.as_bytes());
    let first = hash.iter().take(8);
    first.fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte)) | 1
}
