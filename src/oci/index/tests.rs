use super::*;

fn index(entries: &str) -> Index {
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
    parse(text.as_bytes()).unwrap().unwrap()
}

fn entry(digit: char, platform: &str, annotations: &str) -> String {
    let digest = digit.to_string().repeat(64);
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}","size":2{platform},"annotations":{{{annotations}}}}}"#
    )
}

const AMD: &str = r#","platform":{"os":"linux","architecture":"amd64"}"#;
const ARM: &str = r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#;
const PROOF: &str = r#","platform":{"os":"unknown","architecture":"unknown"}"#;

/// Digits of the documents that are looked at, in their order.
fn order(index: &Index, architecture: &str) -> (String, Vec<String>) {
    let mut search = Search::new("linux", architecture);
    search.enter(index, None);
    let mut digits = String::new();
    while let Some(candidate) = search.step() {
        digits.extend(candidate.digest.chars().next_back());
    }
    (digits, search.offered())
}

#[test]
fn an_attestation_is_no_platform() {
    let proof = r#""vnd.docker.reference.type":"attestation-manifest""#;
    let entries = [
        entry('0', PROOF, ""),
        entry('1', AMD, ""),
        entry('2', ARM, ""),
        entry('3', "", proof),
    ];
    let index = index(&entries.join(","));
    let arm = vec!["linux/arm64".to_owned()];
    assert_eq!(order(&index, "amd64"), ("1".to_owned(), arm));
    assert_eq!(order(&index, "arm64").0, "2");
    let (found, offered) = order(&index, "riscv64");
    assert_eq!(
        (found.as_str(), offered),
        ("", vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()])
    );
}

#[test]
fn what_fits_every_machine_comes_first_and_what_is_unknown_never() {
    let v3 = r#","platform":{"os":"Linux","architecture":"x86_64","variant":"v3"}"#;
    let null = r#","platform":null,"artifactType":null,"annotations":null,"urls":null"#;
    let odd = |digit, kind: &str| {
        entry(digit, AMD, "").replace("application/vnd.oci.image.manifest.v1+json", kind)
    };
    let signature = entry('5', AMD, "").replace(
        "\"size\"",
        "\"artifactType\":\"application/vnd.cosign\",\"size\"",
    );
    let entries = [
        odd('0', "application/vnd.example.thing+json"),
        entry('1', null, "").replace(r#","annotations":{}"#, ""),
        entry('2', v3, ""),
        entry('3', AMD, ""),
        odd('4', ""),
        signature,
    ];
    assert_eq!(order(&index(&entries.join(",")), "amd64").0, "3421");
}

#[test]
fn a_walk_through_indexes_comes_to_an_end() {
    let many = vec![entry('1', "", ""); 3].join(",");
    let mut search = Search::new("linux", "amd64");
    search.enter(&index(&many), None);
    let mut steps = 0;
    while let Some(candidate) = search.step() {
        steps += 1;
        search.enter(&index(&many), Some(&candidate));
    }
    assert_eq!(steps, DOCUMENTS);
    let one = index(&entry('1', "", ""));
    let mut search = Search::new("linux", "amd64");
    search.enter(&one, None);
    let mut steps = 0;
    while let Some(candidate) = search.step() {
        steps += 1;
        search.enter(&one, Some(&candidate));
    }
    assert_eq!(steps, DEPTH);
}

#[test]
fn an_image_is_asked_where_its_entry_says_nothing() {
    let one = index(&entry('1', "", ""));
    let mut search = Search::new("linux", "amd64");
    search.enter(&one, None);
    let candidate = search.step().unwrap();
    assert!(!search.accepts(&candidate, "linux", "arm64"));
    assert_eq!(search.offered(), ["linux/arm64"]);
    assert!(search.accepts(&candidate, "", "amd64"));
}

#[test]
fn a_name_may_leave_out_what_docker_adds() {
    let short = r#""org.opencontainers.image.ref.name":"redis:7.2.11""#;
    let both =
        r#""org.opencontainers.image.ref.name":"1.0","io.containerd.image.name":"quay.io/a/b:1.0""#;
    let index = index(
        &[
            entry('1', AMD, short),
            entry('2', "", both),
            entry('3', "", ""),
        ]
        .join(","),
    );
    let digests = |name| -> Vec<_> {
        let found = named(&index, name);
        found
            .iter()
            .map(|entry| entry.digest.chars().next_back())
            .collect()
    };
    assert_eq!(digests("docker.io/library/redis:7.2.11"), [Some('1')]);
    assert_eq!(digests("quay.io/a/b:1.0"), [Some('2')]);
    assert!(digests("docker.io/library/redis:7.2").is_empty());
    assert_eq!(all_names(&index), ["quay.io/a/b:1.0", "redis:7.2.11"]);
}

#[test]
fn a_manifest_is_no_index() {
    assert!(
        parse(br#"{"schemaVersion":2,"layers":[]}"#)
            .unwrap()
            .is_none()
    );
    assert!(parse(b"[").is_err());
    assert!(parse(br#"{"manifests":7}"#).is_err());
    assert!(parse(br#"{"manifests":null}"#).unwrap().is_none());
}
