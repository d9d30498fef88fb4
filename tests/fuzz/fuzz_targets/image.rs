//! Any image manifest, a NUL and any image config, made to fit by the digest.
#![no_main]

use lfctl::oci::digest::Digest;
use lfctl::oci::image::{Image, compression, config_of};
use serde_json::{Value, json};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0);
    let (manifest, config) = bytes.split_at(end.unwrap_or(bytes.len()));
    let config = config.strip_prefix(b"\0").unwrap_or_default().to_vec();
    let mut manifest = manifest.to_vec();
    let _ = config_of(&manifest);
    // Nothing gets any further without the right digest, which no chance finds.
    if let Ok(mut value) = serde_json::from_slice::<Value>(&manifest)
        && value.get("config").is_some_and(Value::is_object)
    {
        value["config"]["digest"] = json!(Digest::of(&config));
        value["config"]["size"] = json!(config.len());
        manifest = value.to_string().into_bytes();
    }
    if let Ok(image) = Image::parse(manifest.clone(), config) {
        let named = config_of(&manifest).expect("it was read");
        assert_eq!(
            named,
            (Digest::of(&image.config), image.config.len() as u64)
        );
        for layer in &image.layers {
            assert_eq!(compression(&layer.media_type), Some(layer.compression));
        }
    }
});
