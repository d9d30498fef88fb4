//! Any `config.json` of Docker: no login is shown.
#![no_main]

use lfctl::oci::registry::Credentials;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(credentials) = Credentials::parse(text)
    {
        // That it can be shown at all is what may fail here.
        let _ = format!("{credentials:?}");
    }
});
