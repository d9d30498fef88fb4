//! Tables of `site.toml`.

use toml::de::DeTable;

/// A table of the document; `None` where it is absent or of another type.
pub(super) struct Section<'a> {
    pub(super) path: String,
    pub(super) table: Option<&'a DeTable<'a>>,
}

impl Section<'_> {
    /// The path of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}
