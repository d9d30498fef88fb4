//! Images and indexes as odd as people meet them, from registries and from
//! layouts: what an engine takes is taken, what is no image is called what it
//! is.

mod migrations;
mod store;

use std::io::Write;
use std::process::Output;

use lfctl::fake::bundle::FakeLayer;
use lfctl::oci::digest::Digest;
use serde_json::{Value, json};

use self::store::Store;
use super::server::{ok, serve};
use super::{APP, Desk};

#[track_caller]
pub(super) fn assert_made(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {text}");
}

#[track_caller]
pub(super) fn assert_config(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
}

type Edit = fn(&mut Value, &mut Value);

#[test]
fn only_what_is_used_of_an_image_has_to_make_sense() {
    let desk = Desk::new();
    let odd: [(&str, Edit); 7] = [
        ("rootfs without a type", |config, _| {
            config["rootfs"].as_object_mut().unwrap().remove("type");
        }),
        ("no os and no architecture", |config, _| {
            config["os"] = Value::Null;
            config.as_object_mut().unwrap().remove("architecture");
        }),
        ("null for maps", |config, _| {
            config["config"] =
                json!({"ExposedPorts": null, "Volumes": null, "Labels": null, "Env": null});
        }),
        ("text for a list", |config, _| {
            config["config"] = json!({"Entrypoint": "/bin/sh", "Cmd": "-c"});
        }),
        ("no config and odd history", |config, _| {
            config["config"] = Value::Null;
            config["history"] = json!([null, {"created": 7}]);
        }),
        ("null annotations and urls", |_, manifest| {
            manifest["annotations"] = Value::Null;
            manifest["layers"][0]["urls"] = Value::Null;
            manifest["config"]["annotations"] = Value::Null;
        }),
        ("an old registry's type of a config", |_, manifest| {
            manifest["config"]["mediaType"] = json!("application/octet-stream");
        }),
    ];
    for (what, edit) in odd {
        let image = Store::image(&[&[("a", b"a")]], edit);
        assert_made(&desk.create_from(&[(APP, &image)]), what);
        desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);
    }
    for diff_ids in [
        json!({"type": "layers"}),
        json!({"diff_ids": null}),
        Value::Null,
    ] {
        let image = Store::image(&[], |config, manifest| {
            config["rootfs"] = diff_ids.clone();
            manifest["layers"] = Value::Null;
        });
        assert_made(
            &desk.create_from(&[(APP, &image)]),
            "an image without layers",
        );
        desk.lfctl(&["bundle", "verify", "a.tar", "--trusted-key", "release.pub"]);
    }
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    let desk = Desk::new();
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let chart = Store::image(&[], |_, manifest| {
        manifest["config"]["mediaType"] = json!(helm);
    });
    assert_config(
        &desk.create_from(&[(APP, &chart)]),
        &[APP, "a Helm chart", helm],
    );
    let layer = |kind: &'static str| {
        Store::image(&[&[("a", b"a")]], move |_, manifest| {
            manifest["layers"][0]["mediaType"] = json!(kind);
        })
    };
    let zstd = layer("application/vnd.oci.image.layer.v1.tar+zstd");
    let words = [
        "zstd",
        APP,
        "hint: ",
        "--dest-compress-format gzip",
        "--from oci:DIR",
    ];
    assert_config(&desk.create_from(&[(APP, &zstd)]), &words);
    let foreign = layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    let words = ["may not be distributed", APP, "--from docker"];
    assert_config(&desk.create_from(&[(APP, &foreign)]), &words);

    for (document, words) in [
        (
            r#"{"schemaVersion":1,"name":"a","tag":"1","fsLayers":[],"history":[]}"#,
            ["schema 1", "skopeo copy --format v2s2"],
        ),
        (
            "<!doctype html><title>Sign in</title>",
            ["a web page", "curl -i"],
        ),
    ] {
        let address = serve(move |_, stream| {
            let _ = stream.write_all(&ok(document.as_bytes()));
        });
        assert_config(&desk.pull(&address, &[], &[]), &words);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn an_index_is_followed_to_the_image_of_the_platform() {
    let amd = json!({"platform": {"os": "linux", "architecture": "amd64"}});
    let arm = json!({"platform": {"os": "linux", "architecture": "arm64"}});
    let unknown = json!({"platform": {"os": "unknown", "architecture": "unknown"}});
    let other = |store: Store, kind: &str| (store, json!({"mediaType": kind}));
    let of_arm = || {
        Store::image(&[&[("arm", b"")]], |config, _| {
            config["architecture"] = json!("arm64");
        })
    };
    let nested = Store::index(vec![
        (Store::simple("app"), amd.clone()),
        (Store::simple("proof"), unknown.clone()),
    ]);
    let odd = [
        ("nested", Store::index(vec![(nested.clone(), amd.clone())])),
        (
            "nested without a platform",
            Store::index(vec![(nested, json!({}))]),
        ),
        (
            "no platforms",
            Store::index(vec![
                (of_arm(), json!({})),
                (Store::simple("app"), json!({})),
            ]),
        ),
        (
            "an unknown kind first",
            Store::index(vec![
                other(Store::simple("x"), "application/vnd.example+json"),
                (Store::simple("app"), amd.clone()),
            ]),
        ),
        (
            "an artifact without a platform",
            Store::index(vec![
                (
                    Store::image(&[], |_, manifest| {
                        manifest["config"]["mediaType"] =
                            json!("application/vnd.oci.empty.v1+json");
                    }),
                    json!({"platform": null}),
                ),
                (
                    Store::simple("app"),
                    json!({"platform": null, "annotations": null}),
                ),
            ]),
        ),
    ];
    let desk = Desk::new();
    let simple = Digest::of(&Store::simple("app").root()).to_string();
    for (what, store) in odd {
        assert_made(&desk.pull(&store.serve(), &[], &[]), what);
        let inspect = [
            "bundle",
            "inspect",
            "a.tar",
            "--json",
            "--trusted-key",
            "release.pub",
        ];
        let found = desk.lfctl(&inspect);
        assert!(found.contains(&simple), "{what}, from a registry: {found}");
        assert_made(&desk.create_from(&[(APP, &store)]), what);
        let found = desk.lfctl(&inspect);
        assert!(found.contains(&simple), "{what}, from a layout: {found}");
    }
    let store = Store::index(vec![(of_arm(), arm), (of_arm(), json!({}))]);
    for refused in [
        desk.pull(&store.serve(), &[], &[]),
        desk.create_from(&[(APP, &store)]),
    ] {
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains("it is for linux/arm64"), "{text}");
    }
}

#[test]
fn a_name_that_stands_for_two_images_is_not_decided() {
    let desk = Desk::new();
    let (old, new) = (Store::simple("old"), Store::simple("new"));
    let digests = [&old, &new].map(|store| Digest::of(&store.root()).to_string());
    for other in [APP, "rehearsal/app:1.0.0"] {
        let refused = desk.create_from(&[(APP, &old), (other, &new)]);
        let words = [
            &["names 2 images", APP],
            &digests.each_ref().map(String::as_str)[..],
        ];
        assert_config(&refused, &words.concat());
    }
    assert_made(
        &desk.create_from(&[(APP, &old), (APP, &old)]),
        "the same twice",
    );
    // A digest behind the reference says which is meant.
    let spec = fs_err::read_to_string(desk.path("a.toml")).unwrap();
    let pinned = format!("{APP}@{}", digests[1]);
    fs_err::write(desk.path("a.toml"), spec.replace(APP, &pinned)).unwrap();
    assert_made(&desk.create_from(&[(APP, &old), (APP, &new)]), "pinned");
    let inspect = [
        "bundle",
        "inspect",
        "a.tar",
        "--json",
        "--trusted-key",
        "release.pub",
    ];
    assert!(desk.lfctl(&inspect).contains(&digests[1]));
}

#[test]
fn an_odd_layer_is_no_forgery_and_too_many_are_refused_before_they_are_carried() {
    let desk = Desk::new();
    let gzip = FakeLayer::files(&[("a", b"a")]);
    let mut image = Store::image(&[], |config, manifest| {
        config["rootfs"]["diff_ids"] = json!([gzip.diff_id]);
        manifest["layers"] = json!([{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": gzip.digest(),
            "size": gzip.bytes.len(),
        }]);
    });
    image.put(gzip.bytes);
    let words = [
        "is called a plain tar by its image and is gzip",
        APP,
        "--from docker",
    ];
    assert_config(&desk.create_from(&[(APP, &image)]), &words);

    let names: Vec<_> = (0..126_u32).map(|at| at.to_string()).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| [(name.as_str(), name.as_bytes())])
        .collect();
    let layers: Vec<&[(&str, &[u8])]> = files.iter().map(<[_; 1]>::as_slice).collect();
    let most = Store::image(&layers[..125], |_, _| {});
    assert_made(&desk.create_from(&[(APP, &most)]), "125 layers");
    let many = Store::image(&layers, |_, _| {});
    let words = ["126 layers", "at most 125", APP, "squash"];
    assert_config(&desk.create_from(&[(APP, &many)]), &words);
}
