//! The files of a snapshot under way, and what a file of a snapshot is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType, Tree};
use rustic_core::{DataId, Id, TreeId};

use super::cipher::Hash;
use super::error::{RepositoryError, Result};

/// Bits of Go's file mode, which the format uses.
const GO_DIR: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;
const PERMISSIONS: u32 = 0o777;

/// What a file is besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permissions, such as `0o600`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content changed.
    pub modified: Option<Timestamp>,
    /// When its metadata changed; known for files of a filesystem.
    pub changed: Option<Timestamp>,
    /// Its number on the filesystem; 0 for anything else.
    pub inode: u64,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            mode: 0o600,
            uid: 0,
            gid: 0,
            modified: None,
            changed: None,
            inode: 0,
        }
    }
}

/// What kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file with content.
    File,
    Directory,
    /// A symbolic link to this path.
    Symlink(PathBuf),
}

/// Where the content of a file comes from.
#[derive(Clone)]
pub(super) enum Content {
    /// The blobs of this file of the pipeline.
    Sent(usize),
    /// Blobs that the repository holds.
    Held(Vec<DataId>),
}

enum Item {
    File {
        meta: Meta,
        size: u64,
        content: Content,
    },
    Symlink(Meta, PathBuf),
    Directory(Branch),
}

/// A directory of a snapshot under way.
#[derive(Default)]
pub(super) struct Branch {
    meta: Option<Meta>,
    items: BTreeMap<OsString, Item>,
}

impl Branch {
    pub(super) fn add_file(
        &mut self,
        path: &Path,
        meta: Meta,
        size: u64,
        content: Content,
    ) -> Result<()> {
        self.add(
            path,
            Item::File {
                meta,
                size,
                content,
            },
        )
    }

    pub(super) fn repeat_file(&mut self, path: &Path, again: &Path) -> Result<()> {
        let bad = || RepositoryError::BadPath(again.to_owned());
        let (name, parent) = path.file_name().zip(path.parent()).ok_or_else(bad)?;
        let found = self.descend(parent, again)?.items.get(name);
        let Some(Item::File {
            meta,
            size,
            content,
        }) = found
        else {
            return Err(bad());
        };
        let (meta, size, content) = (meta.clone(), *size, content.clone());
        self.add_file(again, meta, size, content)
    }

    pub(super) fn add_symlink(&mut self, path: &Path, meta: Meta, target: PathBuf) -> Result<()> {
        self.add(path, Item::Symlink(meta, target))
    }

    pub(super) fn add_directory(&mut self, path: &Path, meta: Meta) -> Result<()> {
        self.descend(path, path)?.meta = Some(meta);
        Ok(())
    }

    fn add(&mut self, path: &Path, item: Item) -> Result<()> {
        let bad = || RepositoryError::BadPath(path.to_owned());
        let name = path.file_name().ok_or_else(bad)?;
        let branch = self.descend(path.parent().ok_or_else(bad)?, path)?;
        if branch.items.contains_key(name) {
            return Err(bad());
        }
        branch.items.insert(name.to_owned(), item);
        Ok(())
    }

    fn descend(&mut self, directory: &Path, whole: &Path) -> Result<&mut Self> {
        let bad = || RepositoryError::BadPath(whole.to_owned());
        let mut branch = self;
        for name in names(directory).ok_or_else(bad)? {
            let item = branch
                .items
                .entry(name.to_owned())
                .or_insert_with(|| Item::Directory(Self::default()));
            let Item::Directory(next) = item else {
                return Err(bad());
            };
            branch = next;
        }
        Ok(branch)
    }

    /// Turns the branch into tree documents, deepest first, and hands each to
    /// `save`. Returns the id of its own.
    pub(super) fn save(
        self,
        contents: &[Vec<Hash>],
        save: &mut dyn FnMut(Vec<u8>, TreeId) -> Result<()>,
    ) -> Result<TreeId> {
        let mut nodes = Vec::with_capacity(self.items.len());
        for (name, item) in self.items {
            nodes.push(node(&name, item, contents, save)?);
        }
        let (bytes, id) = Tree { nodes }
            .serialize()
            .map_err(|error| RepositoryError::Format(error.to_string()))?;
        save(bytes, id)?;
        Ok(id)
    }
}

fn node(
    name: &OsStr,
    item: Item,
    contents: &[Vec<Hash>],
    save: &mut dyn FnMut(Vec<u8>, TreeId) -> Result<()>,
) -> Result<Node> {
    Ok(match item {
        Item::File {
            meta,
            size,
            content,
        } => {
            let mut node = Node::new_node(name, NodeType::File, metadata(&meta, size, 0));
            node.content = Some(match content {
                Content::Held(content) => content,
                Content::Sent(file) => contents
                    .get(file)
                    .into_iter()
                    .flatten()
                    .map(|hash| DataId::from(Id::new(*hash)))
                    .collect(),
            });
            node
        }
        Item::Symlink(meta, target) => Node::new_node(
            name,
            NodeType::from_link(&target),
            metadata(&meta, 0, GO_SYMLINK),
        ),
        Item::Directory(branch) => {
            let meta = branch.meta.clone().unwrap_or(Meta {
                mode: 0o700,
                ..Meta::default()
            });
            let mut node = Node::new_node(name, NodeType::Dir, metadata(&meta, 0, GO_DIR));
            node.subtree = Some(branch.save(contents, save)?);
            node
        }
    })
}

fn metadata(meta: &Meta, size: u64, kind: u32) -> Metadata {
    // Stock `restic` sets both times when it restores, given or not.
    let modified = meta.modified.unwrap_or(Timestamp::UNIX_EPOCH);
    Metadata {
        mode: Some(meta.mode & PERMISSIONS | kind),
        mtime: Some(modified),
        atime: Some(modified),
        ctime: meta.changed,
        uid: Some(meta.uid),
        gid: Some(meta.gid),
        inode: meta.inode,
        size,
        links: u64::from(kind == 0),
        ..Metadata::default()
    }
}

/// What a node of a snapshot says of its file.
pub(super) fn meta_of(node: &Node) -> Meta {
    Meta {
        mode: node.meta.mode.unwrap_or(0o600) & PERMISSIONS,
        uid: node.meta.uid.unwrap_or(0),
        gid: node.meta.gid.unwrap_or(0),
        modified: node.meta.mtime,
        changed: node.meta.ctime,
        inode: node.meta.inode,
    }
}

/// The kind of a node; `None` for devices, pipes and sockets.
pub(super) fn kind_of(node: &Node) -> Option<Kind> {
    match &node.node_type {
        NodeType::File => Some(Kind::File),
        NodeType::Dir => Some(Kind::Directory),
        NodeType::Symlink { .. } => Some(Kind::Symlink(node.node_type.to_link().to_owned())),
        _ => None,
    }
}

/// The names along a path inside a snapshot; `None` if it leads elsewhere.
pub(super) fn names(path: &Path) -> Option<Vec<&OsStr>> {
    path.components()
        .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
        .map(|part| match part {
            Component::Normal(name) if !name.as_bytes().contains(&0) => Some(name),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Result<usize> {
        let mut root = Branch::default();
        for path in paths {
            let meta = Meta::default();
            root.add_file(Path::new(path), meta, 0, Content::Held(Vec::new()))?;
        }
        let mut saved = 0;
        root.save(&[], &mut |_, _| {
            saved += 1;
            Ok(())
        })?;
        Ok(saved)
    }

    #[test]
    fn directories_come_from_the_paths_in_any_order() {
        assert_eq!(tree(&["b/c", "a", "b/a/x"]).unwrap(), 3);
        assert_eq!(tree(&["/a"]).unwrap(), 1);
    }

    #[test]
    fn a_path_that_leads_elsewhere_or_stands_twice_is_refused() {
        for paths in [
            &["../a"][..],
            &["a", "a"],
            &["a", "a/b"],
            &[""],
            &["a/../b"],
        ] {
            assert!(tree(paths).is_err(), "{paths:?}");
        }
    }
}
