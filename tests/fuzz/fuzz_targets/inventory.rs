//! Any inventory: a delta against it leaves out layers of the bundle alone.
#![no_main]

use lfctl::bundle::delta::{Base, Inventory};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(base) = Base::of_inventory("a.json".as_ref(), bytes) {
        let inventory: Inventory = serde_json::from_slice(bytes).expect("it was read");
        let written = serde_json::to_vec(&inventory).expect("an inventory as text");
        assert!(Base::of_inventory("a.json".as_ref(), &written).is_ok());
        let images = lfctl_fuzz::images();
        if let Some(delta) = base.delta(images.iter()) {
            let own = images.iter().flat_map(|image| &image.layers);
            let own: Vec<_> = own.map(|layer| layer.digest).collect();
            assert!(delta.absent.iter().all(|digest| own.contains(digest)));
        }
    }
});
