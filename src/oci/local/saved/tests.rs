use super::*;
use serde_json::{Value, json};

const NAME: &str = "docker.io/library/app:1.0.0";
const WANTED: Wanted<'_> = Wanted {
    name: NAME,
    os: "linux",
    architecture: "amd64",
    pinned: None,
};

fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn survey(tar: &[u8]) -> Result<Saved, LocalError> {
    Saved::survey(&mut &*tar)
}

#[test]
fn layers_of_a_docker_archive_are_found_by_what_they_are() {
    let config = config(&[b"base", b"{top}"]).to_string();
    let index = json!([
        {"Config": "other.json", "RepoTags": null, "Layers": []},
        {"Config": "c.json", "RepoTags": ["app:1.0.0"], "Layers": ["nowhere", "else"]},
    ]);
    let tar = tar(&[
        ("two/layer.tar", b"{top}"),
        ("one/layer.tar", b"base"),
        ("again/layer.tar", b"base"),
        ("c.json", config.as_bytes()),
        ("manifest.json", index.to_string().as_bytes()),
    ]);
    let saved = survey(&tar).unwrap();
    let image = saved.image(&WANTED).unwrap();
    assert_eq!(image.config, config.as_bytes());
    assert_eq!(image.layers[1].digest, Digest::of(b"{top}"));
    assert_eq!((image.layers[0].size, image.layers[1].size), (4, 5));
    // The same image makes the same manifest, wherever it was saved.
    assert_eq!(saved.image(&WANTED).unwrap().manifest, image.manifest);

    let blobs = image.layers.iter().map(|layer| layer.digest).collect();
    let mut seen = Vec::new();
    let replayed = saved.replay(&mut &*tar, blobs, |digest, body| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        assert_eq!(digest, Digest::of(&bytes));
        seen.push(bytes);
        Ok(())
    });
    replayed.unwrap();
    assert_eq!(seen, [b"{top}".to_vec(), b"base".to_vec()]);

    let pinned = Wanted {
        pinned: Some(Digest::of(b"")),
        ..WANTED
    };
    assert!(matches!(
        saved.image(&pinned),
        Err(LocalError::Pinned { .. })
    ));
    let other = Wanted {
        name: "docker.io/library/app:1.0.1",
        ..WANTED
    };
    let error = saved.image(&other).unwrap_err();
    assert!(error.to_string().contains("there are app:1.0.0"), "{error}");
}

/// As Docker saves since version 25, and since it stores in containerd.
#[test]
#[expect(clippy::too_many_lines, reason = "most of it is the archive")]
fn a_layout_inside_the_tar_counts_before_the_docker_archive() {
    let descriptor = |kind: &str, bytes: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": Digest::of(bytes),
            "size": bytes.len(),
        })
    };
    let config = config(&[b"base"]).to_string();
    let manifest = json!({
        "schemaVersion": 2,
        "config": descriptor("config.v1+json", config.as_bytes()),
        "layers": [descriptor("layer.v1.tar", b"base")],
    })
    .to_string();
    let mut entry = descriptor("manifest.v1+json", manifest.as_bytes());
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    // Engines name platforms that they never pulled.
    let mut absent = descriptor("manifest.v1+json", b"absent");
    absent["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let platforms = json!({"schemaVersion": 2, "manifests": [absent, entry]}).to_string();
    let mut root = descriptor("index.v1+json", platforms.as_bytes());
    root["annotations"] = json!({"io.containerd.image.name": NAME});
    let index = json!({"schemaVersion": 2, "manifests": [root]}).to_string();
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let files = [
        (path(b"base"), b"base".as_slice()),
        (path(config.as_bytes()), config.as_bytes()),
        (path(manifest.as_bytes()), manifest.as_bytes()),
        (path(platforms.as_bytes()), platforms.as_bytes()),
        ("index.json".to_owned(), index.as_bytes()),
        ("manifest.json".to_owned(), b"[]"),
    ];
    let mut files: Vec<_> = files
        .iter()
        .map(|(path, bytes)| (path.as_str(), *bytes))
        .collect();
    let saved = survey(&tar(&files)).unwrap();
    assert_eq!(saved.image(&WANTED).unwrap().manifest, manifest.as_bytes());
    let pinned = Wanted {
        pinned: Some(Digest::of(platforms.as_bytes())),
        ..WANTED
    };
    saved.image(&pinned).unwrap();
    let arm = Wanted {
        architecture: "arm64",
        ..WANTED
    };
    assert!(matches!(saved.image(&arm), Err(LocalError::NoBlob { .. })));
    let risc = Wanted {
        architecture: "riscv64",
        ..WANTED
    };
    let error = saved.image(&risc).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it is for linux/amd64, linux/arm64"),
        "{error}"
    );

    files.remove(0);
    let saved = survey(&tar(&files)).unwrap();
    assert!(matches!(
        saved.image(&WANTED),
        Err(LocalError::NoBlob { .. })
    ));
}

#[test]
fn what_is_cut_off_is_no_image() {
    let tar = tar(&[("a", b"aaaa"), ("b", b"b")]);
    for end in [100, 513, 515] {
        survey(&tar[..end]).unwrap_err();
    }
    let saved = survey(&tar).unwrap();
    assert!(matches!(
        saved.image(&WANTED),
        Err(LocalError::Document { .. })
    ));
}

#[test]
fn documents_are_held_only_so_far() {
    let large = [b"{".as_slice(), &vec![b' '; 8 << 20]].concat();
    let saved = survey(&tar(&[("large.json", &large), ("layer", &large[1..])])).unwrap();
    assert_eq!((saved.files.len(), saved.documents.len()), (2, 0));
    let nearly = &large[..8 << 20];
    let many = [("1", nearly), ("2", nearly), ("3", nearly)];
    survey(&tar(&many[..2])).unwrap();
    let error = survey(&tar(&many)).unwrap_err();
    assert!(
        format!("{error:?}").contains("documents are too large"),
        "{error:?}"
    );
}
