//! Any `index.json` in an otherwise good bundle: only the one that fits opens.
#![no_main]

libfuzzer_sys::fuzz_target!(|index: &[u8]| {
    let mut parts = lfctl_fuzz::parts().clone();
    let good = std::mem::replace(&mut parts[1].1, index.to_vec());
    if lfctl_fuzz::open(&lfctl_fuzz::assemble(&parts)).is_ok() {
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
        let digest =
            |bytes: &[u8]| value(bytes).map(|value| value["manifests"][0]["digest"].clone());
        assert_eq!(digest(index), digest(&good));
    }
});
