//! Any bundle manifest that somebody trusted signed: what opens agrees with
//! the blobs that are there.
#![no_main]

libfuzzer_sys::fuzz_target!(|manifest: &[u8]| {
    if let Ok(bundle) = lfctl_fuzz::open(&lfctl_fuzz::around(manifest)) {
        for blob in &bundle.manifest().blobs {
            assert_eq!(bundle.blob_size(&blob.digest), Some(blob.size));
        }
        for image in bundle.manifest().images.values() {
            assert!(bundle.blob_size(&image.config).is_some());
        }
    }
});
