//! Any statement about keys: what is accepted is accepted again as it is
//! written.
#![no_main]

use lfctl::sign::TrustStatement;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = serde_json::from_slice::<TrustStatement>(bytes) {
        let written = serde_json::to_vec(&statement).expect("a statement as text");
        let again: TrustStatement = serde_json::from_slice(&written).expect("its own text");
        assert_eq!(again, statement);
    }
});
