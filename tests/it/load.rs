//! `lfctl bundle load` at the command line: what it asks for and what it
//! leaves alone.

use lfctl::engine::Images;
use std::process::Command;

use fs_err as fs;
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::oci::archive::blob_name;
use lfctl::oci::digest::Digest;
use lfctl::transfer::load::private_tag;
use serde_json::Value;

use crate::support::bundle::{Parts, noise};
use crate::support::engine::{Rig, busybox};
use crate::support::host::both;
use crate::trust::{Desk, bundle};

const MIB: usize = 1 << 20;
/// Read in more pieces than the head of a bundle.
const BASE: usize = 24 * MIB;

/// A release whose images share a large base that no other test has.
fn release(rig: &Rig, counter: u64) -> Fake {
    let base = FakeLayer::files(&[("base", &noise(1, BASE)), ("name", rig.name.as_bytes())]);
    let mut fake = Fake::small().unwrap();
    fake.release.counter = counter;
    for key in ["app", "gateway"] {
        let mark = format!("{key} {counter}");
        let top = FakeLayer::files(&[("mark", mark.as_bytes())]);
        let image = FakeImage::new(vec![base.clone(), top]);
        let reference = format!("registry.test/{}-{key}:{counter}", rig.name);
        rig.forget_reference(&reference);
        rig.forget_reference(&private_tag(&reference, &Digest::of(&image.config)));
        fake = fake.image(key, &reference, image);
    }
    fake
}

fn bytes_needed(plan: &str, disk: &str) -> usize {
    let mut lines = plan.lines().map(|line| serde_json::from_str(line).unwrap());
    let plan: Value = lines.find(|line: &Value| line["event"] == "plan").unwrap();
    let bytes = plan.pointer(disk).unwrap().as_u64().unwrap();
    usize::try_from(bytes).unwrap()
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_the_engine_holds_needs_no_room() {
    let rig = Rig::new().await;
    rig.must_take_partial_archives();
    let desk = Desk::new();
    for counter in [1, 2] {
        let file = desk.path(&format!("{counter}.tar"));
        release(&rig, counter)
            .write(&file, &desk.key("old"))
            .unwrap();
    }
    let load = |bundle: &str| {
        let plan = desk.ok(&["bundle", "load", bundle, "--dry-run", "--json"]);
        bytes_needed(&plan, "/disk/bytes")
    };
    let install = |bundle: &str| {
        let plan = desk.plan_install(bundle, &[]);
        // The volumes of the small stack.
        bytes_needed(&plan, "/disk/0/bytes") - MIB
    };
    // The base once, and once in each of the two archives.
    assert!(load("2.tar") > 3 * BASE && install("2.tar") > 3 * BASE);
    desk.ok(&["bundle", "load", "1.tar"]);
    // What lfctl itself writes counts where it is the engine's filesystem.
    let own = install("1.tar");
    assert!(own == 0 || own == 16 * MIB, "{own}");
    assert_eq!(load("1.tar"), 0);
    let (load, install) = (load("2.tar"), install("2.tar"));
    assert!(0 < load && load < MIB, "{load}");
    assert_eq!(load, install - own);
}

/// Has every thread of lfctl that reads so often from a file fail then.
fn fails_to_read(desk: &Desk, arguments: &[&str]) -> String {
    let strace = "strace -f -qq -o trace -e inject=pread64:error=EIO:when=60+";
    let mut words = strace.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .arg(env!("CARGO_BIN_EXE_lfctl"))
        .args(["--root", "root"])
        .args(arguments)
        .current_dir(desk.path("."))
        .output()
        .unwrap();
    let text = both(&output);
    let trace = fs::read_to_string(desk.path("trace")).unwrap();
    assert!(trace.contains("INJECTED"), "{text}");
    assert_eq!(output.status.code(), Some(74), "{text}");
    text
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_stick_that_is_pulled_out_is_not_distrusted() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    release(&rig, 1)
        .write(&desk.path("1.tar"), &desk.key("old"))
        .unwrap();
    for command in ["verify", "load"] {
        let text = fails_to_read(&desk, &["bundle", command, "1.tar"]);
        assert!(text.contains("see that the medium can be read"), "{text}");
        assert!(!text.contains("copy the bundle again"), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_tag_that_was_left_to_its_owner_is_no_difference() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    let bundle = release(&rig, 1);
    let reference = bundle.images["app"].0.clone();
    bundle.write(&desk.path("1.tar"), &desk.key("old")).unwrap();
    let other = rig.load(vec![rig.image("other", &[&busybox(&rig.name)])]);
    rig.engine
        .tag(&other.await[0].id, &reference)
        .await
        .unwrap();
    desk.ok(&["bundle", "load", "1.tar"]);
    let running = [
        "verify",
        "--running",
        "1.tar",
        "--json",
        "--name",
        &rig.name,
    ];
    let output = desk.run(&running);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = report["images"].as_array().unwrap().iter();
    let verdict = |image: &Value| image["verdict"].as_str().unwrap().to_owned();
    let verdicts: Vec<_> = images.map(verdict).collect();
    assert_eq!(verdicts, ["tag-taken", "same"]);
    // Only the services, of which none is there.
    let services = report["services"].as_array().unwrap().len();
    assert_eq!(report["differences"], services, "{report}");
}

/// The time in the head of a gzip stream is in no checksum: no decoder and no
/// engine minds it, only the digest of the stored layer does.
#[tokio::test]
#[ignore = "needs an engine"]
async fn a_byte_that_nothing_else_would_notice_is_refused() {
    let rig = Rig::new().await;
    let desk = Desk::new();
    let file = desk.path("a.tar");
    let fake = bundle(&rig, 1);
    let (reference, image) = fake.images["app"].clone();
    fake.write(&file, &desk.key("old")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let layer = Parts::of(&bytes).entry(&blob_name(&image.layers[1].digest()));
    let at = usize::try_from(layer.data()).unwrap();
    assert_eq!(bytes[at..at + 2], [0x1f, 0x8b]);
    bytes[at + 4] ^= 1;
    fs::write(&file, bytes).unwrap();
    let digest = image.layers[1].digest().to_string();
    desk.refuses(&["bundle", "load", "a.tar"], &[&digest]);
    let private = private_tag(&reference, &Digest::of(&image.config));
    for tag in [&reference, &private] {
        assert_eq!(rig.engine.image(tag).await.unwrap(), None);
    }
}
