//! Any file: what opens and verifies is the bundle that its bytes say.
#![no_main]

use lfctl::report::event::Silent;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = lfctl_fuzz::open(bytes)
        && let Ok(receipt) = bundle.verify_blobs(&Silent)
    {
        assert_eq!(receipt.size, bytes.len() as u64);
        // Every byte is committed to: none behind the head can differ.
        let mut other = bytes.to_vec();
        let at = other.len() - 1;
        other[at] ^= 1;
        let opened = lfctl_fuzz::open(&other).and_then(|bundle| bundle.verify_blobs(&Silent));
        assert!(opened.is_err());
    }
});
