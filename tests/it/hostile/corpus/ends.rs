//! Files that are cut off, or go on.

use tar::EntryType;

use super::Case;
use super::forge::Names;
use super::tar::{TRAILING, at, entry as whole_entry};
use crate::support::bundle::Parts;

const CUT: &str = "truncated: the file ends at byte";
const NONE: &str = "is not a bundle";

/// Files that end too early, too late or not at all.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn ends(good: &Parts) -> Vec<Case> {
    let names = Names::of(good);
    let whole = good.assemble();
    let cut = |offset: u64| whole[..at(offset)].to_vec();
    let entry = |name: &str| good.entry(name);
    let layer = entry(&names.layer);
    let full = whole.len() as u64;
    let mut dirty = whole.clone();
    *dirty.last_mut().unwrap() = 1;
    let mut padding = whole.clone();
    padding[at(layer.end()) - 1] = 1;
    vec![
        Case::new("empty", "no bytes at all", NONE, Vec::new()),
        Case::new(
            "cut-first-header",
            "ends inside the first header",
            NONE,
            cut(100),
        ),
        Case::new(
            "cut-first-content",
            "ends behind the first header",
            CUT,
            cut(512),
        ),
        Case::new(
            "cut-index-header",
            "ends where `index.json` would begin",
            CUT,
            cut(entry("index.json").offset),
        ),
        Case::new(
            "cut-index",
            "ends inside `index.json`",
            CUT,
            cut(entry("index.json").data() + 100),
        ),
        Case::new(
            "cut-signature",
            "ends inside the signature",
            CUT,
            cut(entry("index.json.minisig").data() + 100),
        ),
        Case::new(
            "cut-docker",
            "ends behind the signature",
            CUT,
            cut(entry("manifest.json").offset),
        ),
        Case::new(
            "cut-artifact",
            "ends inside the artifact manifest",
            CUT,
            cut(entry(&names.artifact).data() + 10),
        ),
        Case::new(
            "cut-bundle",
            "ends inside the bundle manifest",
            CUT,
            cut(entry(&names.bundle).data() + 10),
        ),
        Case::new(
            "cut-blob-header",
            "ends inside the header of the layer",
            CUT,
            cut(layer.offset + 100),
        ),
        Case::new(
            "cut-layer",
            "ends inside the layer",
            CUT,
            cut(layer.data() + 10),
        ),
        Case::new(
            "cut-padding",
            "ends inside the padding behind the layer",
            CUT,
            cut(layer.end() - 1),
        ),
        Case::new(
            "cut-no-end",
            "the two blocks that end a tar are missing",
            CUT,
            cut(layer.end()),
        ),
        Case::new(
            "cut-one-end",
            "one of the two blocks that end a tar is missing",
            CUT,
            cut(full - 512),
        ),
        Case::new(
            "dirty-end",
            "a byte in the blocks that end the tar",
            "end the tar are not zero",
            dirty,
        ),
        Case::new(
            "dirty-padding",
            "a byte in the padding behind the layer",
            "padding behind",
            padding,
        ),
        Case::new(
            "trailing-byte",
            "a byte behind the end",
            TRAILING,
            [&whole[..], b"x"].concat(),
        ),
        Case::new(
            "trailing-blocks",
            "zeros behind the end, as tar itself writes them",
            TRAILING,
            [&whole[..], &[0; 1024]].concat(),
        ),
        Case::new(
            "trailing-tar",
            "a second tar behind the end",
            TRAILING,
            [
                &whole[..],
                &whole_entry(EntryType::Regular, "evil", b"x"),
                &[0; 1024],
            ]
            .concat(),
        ),
    ]
}
