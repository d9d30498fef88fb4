//! Any lock.
#![no_main]

use lfctl::bundle::lock::Lock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(lock) = Lock::parse(text)
    {
        let written = lock.to_text().expect("a lock as text");
        assert_eq!(Lock::parse(&written).expect("its own text"), lock);
    }
});
