//! Any stack definition that a bundle may carry: what is accepted is accepted
//! again as it is written.
#![no_main]

use std::collections::BTreeSet;

use lfctl::stack::Stack;
use lfctl::stack::validate::validate;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(stack) = serde_json::from_slice::<Stack>(bytes) {
        let images = BTreeSet::from(["app".to_owned(), "gateway".to_owned()]);
        let valid = validate(&stack, &images);
        let written = serde_json::to_vec(&stack).expect("a stack as text");
        let again: Stack = serde_json::from_slice(&written).expect("its own text");
        assert_eq!(validate(&again, &images).is_ok(), valid.is_ok());
    }
});
