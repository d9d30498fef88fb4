//! Any list of parts: what is accepted adds up.
#![no_main]

use std::path::Path;

use lfctl::bundle::parts::PartList;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = PartList::parse(Path::new("list"), bytes) {
        let sizes = (0..list.parts.len()).map(|at| list.part_bytes(at));
        assert_eq!(sizes.sum::<u64>(), list.size);
        assert!(!list.part_name(0).contains('/'));
    }
});
