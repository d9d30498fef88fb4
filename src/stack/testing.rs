//! The real definition, for tests beside the code.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Stack;

/// `bundles/langfuse-4.toml`, as far as this layer knows it.
pub(crate) fn stack() -> Stack {
    spec().0
}

/// The definition and the keys of its images.
pub(super) fn spec() -> (Stack, BTreeSet<String>) {
    #[derive(Deserialize)]
    struct Spec {
        images: std::collections::BTreeMap<String, String>,
        stack: Stack,
    }
    let spec: Spec = toml::from_str(include_str!("../../bundles/langfuse-4.toml")).unwrap();
    let mut stack = spec.stack;
    // What it leaves to the image.
    for schema in stack.schemas.iter_mut().filter(|schema| schema.is_open()) {
        schema.count = 1;
        "1".clone_into(&mut schema.last);
    }
    (stack, spec.images.into_keys().collect())
}
