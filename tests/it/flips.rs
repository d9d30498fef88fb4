//! A thousand bundles, each with one wrong bit, on their way into a real
//! engine: a thousand refusals, and nothing is ever there afterwards.

use fs_err as fs;
use lfctl::bundle::open::UntrustedBundle;
use lfctl::engine::Images;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::host::trust::TrustStore;
use lfctl::oci::digest::Digest;
use lfctl::report::event::Silent;
use lfctl::transfer::load::{load_images, private_tag};
use lfctl::transfer::plan::sources;

use crate::support::bundle::{key, noise, store};
use crate::support::engine::Rig;

const FLIPS: u32 = 1000;

/// Two images that share a layer, with layers as large as all else together.
fn bundle(mark: &str) -> Fake {
    let shared = FakeLayer::files(&[("etc/mark", mark.as_bytes())]);
    let packed = FakeLayer::files(&[("bin/packed", &noise(1, 20_000))]);
    let plain = FakeLayer::plain(&[("bin/plain", &noise(2, 10_000))]);
    let mut fake = Fake::small().unwrap();
    for (key, layer) in [("app", packed), ("gateway", plain)] {
        let image = FakeImage::new(vec![shared.clone(), layer]);
        fake = fake.image(key, &format!("registry.test/{mark}-{key}:1"), image);
    }
    fake
}

/// What comes of a file that may be a bundle: what the engine loaded.
async fn load(rig: &Rig, path: &std::path::Path, trusted: &TrustStore) -> Result<usize, String> {
    let bundle = UntrustedBundle::open(path)
        .and_then(|bundle| bundle.verify(trusted))
        .map_err(|error| error.to_string())?;
    let images = sources(&bundle, &[]).map_err(|error| error.to_string())?;
    load_images(&rig.engine, &rig.facts, images, &Silent)
        .await
        .map(|loaded| loaded.len())
        .map_err(|error| error.to_string())
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_thousand_wrong_bits_are_refused_a_thousand_times_with_nothing_loaded() {
    let rig = Rig::new().await;
    let key = key();
    let trusted = store(&key);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.tar");
    let fake = bundle(&rig.name);
    let mut ours = Vec::new();
    for (reference, image) in fake.images.values() {
        let config = Digest::of(&image.config);
        rig.forget_reference(reference);
        rig.forget_reference(&private_tag(reference, &config));
        ours.push(config.to_string());
    }
    fake.write(&path, &key).unwrap();
    let good = fs::read(&path).unwrap();
    let places = noise(std::process::id(), 8 * FLIPS as usize);
    for place in places.chunks_exact(8) {
        let place = u64::from_be_bytes(place.try_into().unwrap());
        let bit = usize::try_from(place % (8 * good.len() as u64)).unwrap();
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let result = load(&rig, &path, &trusted).await;
        assert!(result.is_err(), "bit {bit} may change: {result:?}");
        for id in &ours {
            let held = rig.engine.image(id).await.unwrap();
            assert_eq!(held, None, "bit {bit}: {result:?}");
        }
    }
    // So that a thousand refusals mean something.
    fs::write(&path, &good).unwrap();
    assert_eq!(load(&rig, &path, &trusted).await, Ok(2));
}
