//! Any key or signature file.
#![no_main]

use lfctl::sign::{SecretKey, Signature, TrustedKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(signature) = Signature::parse(text) {
        assert!(!signature.trusted_comment().contains('\n'));
    }
    if let Ok(key) = TrustedKey::parse(text) {
        assert_eq!(
            TrustedKey::parse(&key.to_text()).expect("its own text"),
            key
        );
    }
    if let Ok(key) = TrustedKey::from_base64(text) {
        assert_eq!(key.to_base64(), text);
    }
    if let Ok(key) = SecretKey::parse(text, None) {
        // A key that signs wrongly says so.
        if let Ok(signature) = key.sign(b"x", "y") {
            let signature = Signature::parse(&signature).expect("a signature");
            key.public()
                .verify(b"x", &signature)
                .expect("its own signature");
        }
    }
});
