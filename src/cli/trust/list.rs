//! The keys of this host, as they are shown.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::host::trust::TrustStore;
use crate::sign::KeyId;

/// A key of the store as programs read it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) struct Entry {
    pub(super) id: KeyId,
    pub(super) revoked: bool,
    /// Who holds it; the key itself stands for whom nobody named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holder: Option<String>,
    /// To be read aloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) words: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
}

/// Shows every key of the store.
pub(super) fn list(context: &Context, store: &TrustStore) -> Result<(), Failure> {
    let mut entries: Vec<_> = store
        .list()
        .map(|stored| Entry {
            id: stored.key.id(),
            revoked: stored.revoked,
            holder: Some(store.policy().holder(stored.key.id())),
            words: Some(stored.key.words()),
            file: Some(stored.file),
        })
        .collect();
    for id in store.revoked() {
        if entries.iter().all(|entry| entry.id != id) {
            entries.push(Entry {
                id,
                revoked: true,
                holder: None,
                words: None,
                file: None,
            });
        }
    }
    let mut lines: Vec<_> = entries
        .iter()
        .map(|entry| {
            let state = if entry.revoked { "revoked" } else { "trusted" };
            let file = entry.file.as_deref().unwrap_or("".as_ref());
            let words = entry.words.as_deref().unwrap_or_default();
            let named = entry
                .holder
                .as_deref()
                .filter(|name| *name != entry.id.to_string());
            let held = named
                .map(|name| format!("held by {name}  "))
                .unwrap_or_default();
            format!("{}  {state}  {held}{}  {words}", entry.id, file.display())
        })
        .collect();
    let needed = store.policy().signatures();
    if needed > 1 && !lines.is_empty() {
        lines.push(format!(
            "bundles count only with the signatures of {needed} holders"
        ));
    }
    let text = if lines.is_empty() {
        let dir = context.paths.trusted_keys();
        let looked = context.looked_in(&dir, "lfctl trust list");
        format!("no key is trusted here; {looked}")
    } else {
        lines.join("\n")
    };
    context.print(&entries, &text)
}
