//! Any bundle spec: what is accepted is accepted again as it is written.
#![no_main]

use lfctl::bundle::spec::BundleSpec;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(spec) = BundleSpec::parse(text)
    {
        let written = toml::to_string(&spec).expect("a spec as text");
        BundleSpec::parse(&written).expect("its own text");
    }
});
