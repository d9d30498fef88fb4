//! Any list of packages, as a bundle may carry it.
#![no_main]

use lfctl::bundle::sbom::Bom;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(bom) = Bom::parse(bytes) {
        let written = bom.to_json().expect("a document");
        let again = Bom::parse(&written).expect("its own text");
        for image in lfctl_fuzz::manifests() {
            assert_eq!(again.packages(image), bom.packages(image));
        }
    }
});
