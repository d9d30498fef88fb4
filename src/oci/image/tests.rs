use super::*;

fn documents(layer_type: &str, diff_ids: &str) -> (Vec<u8>, Vec<u8>) {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    )
    .into_bytes();
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"{layer_type}","digest":"{}","size":3}}]}}"#,
        Digest::of(&config),
        config.len(),
        Digest::of(b"abc"),
    )
    .into_bytes();
    (manifest, config)
}

#[test]
fn pairs_layers_with_their_diff_ids() {
    let diff_id = Digest::of(b"inflated");
    let (manifest, config) = documents(
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        &format!("\"{diff_id}\""),
    );
    let image = Image::parse(manifest, config).unwrap();
    assert_eq!(image.layers[0].diff_id, diff_id);
    assert_eq!(image.layers[0].compression, Compression::Gzip);
    assert_eq!(image.created.unwrap().to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(
        (image.os.as_str(), image.architecture.as_str()),
        ("linux", "amd64")
    );
}

#[test]
fn refuses_what_does_not_belong_together() {
    let (manifest, config) = documents("application/vnd.oci.image.layer.v1.tar", "");
    assert!(matches!(
        Image::parse(manifest.clone(), config.clone()),
        Err(ImageError::LayerCount {
            manifest: 1,
            config: 0
        })
    ));
    let mut other = config;
    other.push(b' ');
    assert!(matches!(
        Image::parse(manifest, other),
        Err(ImageError::OtherConfig { .. })
    ));
}

#[test]
fn refuses_layers_that_old_engines_cannot_inflate() {
    let diff_id = format!("\"{}\"", Digest::of(b""));
    for (bad, word) in [
        ("application/vnd.oci.image.layer.v1.tar+zstd", "zstd"),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "not be distributed",
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "not be distributed",
        ),
        ("application/vnd.oci.image.layer.v1.tar+xz", "v1.tar+xz"),
    ] {
        let (manifest, config) = documents(bad, &diff_id);
        let error = Image::parse(manifest, config).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

fn made_of(config: &str, layers: &str) -> Result<Image, ImageError> {
    let manifest = format!(
        r#"{{"schemaVersion":2,"annotations":null,"config":{{"digest":"{}","size":{},"urls":null}},"layers":{layers}}}"#,
        Digest::of(config.as_bytes()),
        config.len(),
    );
    Image::parse(manifest.into_bytes(), config.as_bytes().to_vec())
}

#[test]
fn only_what_is_used_of_a_config_has_to_make_sense() {
    let image = made_of(
        r#"{"architecture":"x86_64","created":7,"rootfs":{"diff_ids":null},"config":{"Entrypoint":"/bin/sh","ExposedPorts":null,"Volumes":null,"Labels":null},"history":7}"#,
        "null",
    )
    .unwrap();
    assert_eq!(
        (image.os.as_str(), image.architecture.as_str()),
        ("", "amd64")
    );
    assert_eq!((image.layers.len(), image.created), (0, None));
    assert!(image.is_for("linux", "amd64") && !image.is_for("linux", "arm64"));
    assert_eq!(image.media_type, MANIFEST_TYPE);
    for config in [
        r#"{"os":"linux","architecture":"amd64"}"#,
        r#"{"rootfs":null}"#,
        r#"{"rootfs":{}}"#,
    ] {
        assert!(
            made_of(config, "[]").unwrap().is_for("linux", "amd64"),
            "{config}"
        );
    }
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    let config = |kind: &str| {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{kind}","digest":"sha256:{}","size":2}},"layers":[]}}"#,
            "0".repeat(64)
        )
    };
    for (document, words) in [
        (
            r#"{"schemaVersion":1,"name":"a","fsLayers":[],"history":[]}"#.to_owned(),
            "schema 1",
        ),
        (" <!DOCTYPE html><html>".to_owned(), "a web page"),
        (
            config("application/vnd.cncf.helm.config.v1+json"),
            "a Helm chart (`application/vnd.cncf.helm.config.v1+json`)",
        ),
        (
            config("application/vnd.oci.empty.v1+json"),
            "an artifact (`application/vnd.oci.empty.v1+json`)",
        ),
        (
            r#"{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}"#
                .to_owned(),
            "an artifact",
        ),
        (r#"{"errors":[]}"#.to_owned(), "without config"),
    ] {
        let error = config_of(document.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("not an image"),
            "{error}"
        );
    }
    let config = r#"{"rootfs":{"diff_ids":[]}}"#;
    for (kind, words) in [
        (
            "application/vnd.dev.cosign.simplesigning.v1+json",
            "a signature",
        ),
        ("application/vnd.in-toto+json", "an attestation"),
    ] {
        let layers = format!(
            r#"[{{"mediaType":"{kind}","digest":"{}","size":1}}]"#,
            Digest::of(b"")
        );
        let error = made_of(config, &layers).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
