//! Any lock.
#![no_main]

use lfctl::bundle::lock::Lock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(lock) = Lock::parse("a.lock".as_ref(), bytes) {
        let written = lock.to_text().expect("a lock as text");
        assert_eq!(Lock::parse("a.lock".as_ref(), written.as_bytes()).expect("its own text"), lock);
    }
});
