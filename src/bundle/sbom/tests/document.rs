use super::*;

/// A hundred packages that share one file of licences write it a hundred
/// times.
#[test]
fn a_document_that_no_reader_takes_is_not_made() {
    let (manifest, mut layers) = bundle();
    let paths: Vec<_> = (1..100)
        .map(|at| format!("usr/share/doc/lib{at}"))
        .collect();
    let (databases, copyright) = (status(100, "1"), many_licences());
    let mut entries = vec![
        File("var/lib/dpkg/status", &databases),
        File("usr/share/doc/lib0/copyright", &copyright),
    ];
    entries.extend(paths.iter().map(|path| Link(path, "lib0")));
    let content = layer(&entries);
    for layer in layers.values_mut() {
        *layer = content.clone();
    }
    let error = Bom::of(&manifest, &layers).unwrap_err();
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
}

fn bundle() -> (BundleManifest, BTreeMap<Digest, LayerContent>) {
    let files: &[(&str, &[u8])] = &[
        ("etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
        ("var/lib/dpkg/status", STATUS.as_bytes()),
        ("usr/share/doc/base-files/copyright", DEP5.as_bytes()),
    ];
    let base = FakeLayer::plain(files);
    let mut fake = Fake::small().unwrap();
    for (key, mark) in [("app", "1"), ("gateway", "2")] {
        let image = FakeImage::new(vec![base.clone(), FakeLayer::plain(&[(mark, b"")])]);
        fake = fake.image(key, &format!("docker.io/rehearsal/{key}:1.0.0"), image);
    }
    let layers = fake
        .images
        .values()
        .flat_map(|(_, image)| &image.layers)
        .map(|layer| (layer.digest(), scan(&mut layer.bytes.as_slice()).unwrap()))
        .collect();
    let manifest = manifest_of(fake);
    (manifest, layers)
}

fn manifest_of(fake: Fake) -> BundleManifest {
    let dir = tempfile::tempdir().unwrap();
    let pair = crate::sign::generate(None).unwrap();
    let key =
        crate::sign::SecretKey::parse(secrecy::ExposeSecret::expose_secret(&pair.secret), None)
            .unwrap();
    fake.write(&dir.path().join("a.tar"), &key).unwrap()
}

#[test]
fn the_document_names_each_package_once_and_every_image_that_has_it() {
    let (manifest, layers) = bundle();
    let bom = Bom::of(&manifest, &layers).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bom.to_json().unwrap()).unwrap();
    assert_eq!(json["specVersion"], "1.5");
    assert_eq!(json["metadata"]["timestamp"], "2026-01-02T03:04:05Z");
    let packages: Vec<_> = json["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["type"] == "library")
        .collect();
    assert_eq!(packages.len(), 1);
    assert_eq!(
        packages[0]["purl"],
        "pkg:deb/debian/base-files@12.4?arch=amd64&distro=debian-12"
    );
    assert_eq!(
        packages[0]["licenses"],
        serde_json::json!([{"license": {"id": "GPL-2.0-or-later"}}])
    );
    let dependencies = json["dependencies"].as_array().unwrap();
    assert_eq!(dependencies.len(), 3);
    assert_eq!(dependencies[0]["dependsOn"].as_array().unwrap().len(), 2);
    for image in &dependencies[1..] {
        assert_eq!(
            image["dependsOn"],
            serde_json::json!([packages[0]["bom-ref"]])
        );
    }
    let uuid = json["serialNumber"]
        .as_str()
        .unwrap()
        .strip_prefix("urn:uuid:")
        .unwrap();
    assert_eq!(
        uuid.split('-').map(str::len).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
    assert_eq!(Bom::parse(&bom.to_json().unwrap()).unwrap(), bom);
    assert_eq!(Bom::of(&manifest, &layers).unwrap(), bom);
}

#[test]
fn packages_of_an_image_are_read_back() {
    let (manifest, layers) = bundle();
    let bom = Bom::of(&manifest, &layers).unwrap();
    let packages = bom.packages(&manifest.images["app"].manifest);
    let key = PackageKey {
        kind: "deb".to_owned(),
        name: "base-files".to_owned(),
        architecture: "amd64".to_owned(),
    };
    assert_eq!(
        packages,
        BTreeMap::from([(key, BTreeSet::from(["12.4".to_owned()]))])
    );
    assert!(bom.packages(&Digest::of(b"other")).is_empty());
}

#[test]
fn the_document_says_of_which_images_the_list_is_short() {
    let (manifest, mut layers) = bundle();
    let app = manifest.images["app"].layers[1].digest;
    layers.insert(app, layer(&[File("var/lib/rpm/Packages", "")]));
    let bom = Bom::of(&manifest, &layers).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bom.to_json().unwrap()).unwrap();
    let image = format!("image:{}", manifest.images["app"].manifest);
    assert_eq!(
        json["compositions"],
        serde_json::json!([{"aggregate": "incomplete", "assemblies": [image]}])
    );
    let said: Vec<_> = unread(&manifest, &layers).into_iter().collect();
    assert_eq!(
        said,
        [
            "`docker.io/rehearsal/app:1.0.0` in `var/lib/rpm/Packages`: lfctl does not read the database of rpm"
        ]
    );
    // Nothing is known of an image in which no database lies.
    let bom = Bom::of(&manifest, &BTreeMap::new()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&bom.to_json().unwrap()).unwrap();
    assert_eq!(json["compositions"][0]["aggregate"], "unknown");
}
