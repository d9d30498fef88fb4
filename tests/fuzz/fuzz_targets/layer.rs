//! Any inflated layer, read for the packages in it.
#![no_main]

use lfctl::bundle::sbom::{ImageContent, scan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut reader = bytes;
    if let Ok(content) = scan(&mut reader) {
        let once = ImageContent::of([&content]);
        // A layer on top of itself changes nothing, unless it hides things.
        let _ = ImageContent::of([&content, &content]);
        assert!(once.packages.iter().all(|package| !package.name.is_empty()));
    }
});
