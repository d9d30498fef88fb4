//! Signatures that do not hold, and single bytes that are wrong.

use super::forge::{Names, sign};
use super::{Case, Keys};
use crate::support::bundle::Parts;

const WRONG: &str = "signature of key";
const MALFORMED: &str = "signature is malformed";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn signatures(good: &Parts, keys: &Keys) -> Vec<Case> {
    let index = || good.get("index.json").to_vec();
    let text = || String::from_utf8(good.get("index.json.minisig").to_vec()).unwrap();
    let signature = |text: String| {
        let mut parts = good.clone();
        parts.0[2].1 = text.into_bytes();
        parts
    };
    let by = |key, comment| {
        let mut parts = good.clone();
        sign(&mut parts, key, comment, index());
        parts
    };
    let mut unsigned = good.clone();
    unsigned.0.remove(2);
    // The same key, but not this bundle.
    let mut other = good.clone();
    sign(&mut other, &keys.release, None, b"another index".to_vec());
    other.0[1].1 = index();
    let lines = |change: fn(&mut Vec<String>)| {
        let mut lines: Vec<_> = text().lines().map(str::to_owned).collect();
        change(&mut lines);
        signature(lines.join("\n") + "\n")
    };
    let legacy = lines(|lines| {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let mut bytes = STANDARD.decode(&lines[1]).unwrap();
        bytes[1] = b'd';
        lines[1] = STANDARD.encode(bytes);
    });
    let newer = "name=rehearsal version=9.9.9 counter=99 created=2026-01-02T03:04:05Z";
    vec![
        Case::of(
            "unsigned",
            "no signature",
            "bundle is not signed",
            &unsigned,
        ),
        Case::of(
            "signature-empty",
            "a signature of no bytes",
            "bundle is not signed",
            &signature(String::new()),
        ),
        Case::of(
            "signature-text",
            "a signature that is none",
            MALFORMED,
            &signature("trust me\n".to_owned()),
        ),
        Case::of(
            "signature-other",
            "the signature of another index by the same key",
            WRONG,
            &other,
        ),
        Case::of(
            "signature-legacy",
            "the signature of minisign's older kind, over the bytes themselves",
            "legacy kind",
            &legacy,
        ),
        Case::of(
            "signature-longer",
            "a line behind the signature",
            MALFORMED,
            &lines(|lines| lines.push("more".to_owned())),
        ),
        Case::of(
            "signature-crlf",
            "the signature with line ends of another system",
            MALFORMED,
            &signature(text().replace('\n', "\r\n")),
        ),
        Case::of(
            "signature-comment",
            "the trusted comment says another version",
            WRONG,
            &lines(|lines| lines[2] = lines[2].replace("1.0.0", "2.0.0")),
        ),
        Case::of(
            "comment-contradicts",
            "a signed trusted comment about another release",
            "trusted comment",
            &by(&keys.release, Some(newer)),
        ),
        Case::of(
            "key-unknown",
            "signed by a key that nobody trusts",
            "is not trusted",
            &by(&keys.unknown, None),
        ),
        Case::of(
            "key-revoked",
            "signed by a key that the host revoked",
            "was revoked",
            &by(&keys.revoked, None),
        ),
    ]
}

/// One bit in each kind of content.
#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn flips(good: &Parts) -> Vec<Case> {
    let names = Names::of(good);
    let flip = |name: &str| {
        let mut bytes = good.assemble();
        bytes[usize::try_from(good.entry(name).data()).unwrap() + 25] ^= 1;
        bytes
    };
    vec![
        Case::new(
            "flip-layout",
            "a bit in `oci-layout`",
            "is not a bundle",
            flip("oci-layout"),
        ),
        Case::new(
            "flip-index",
            "a bit in `index.json`",
            "signature of key",
            flip("index.json"),
        ),
        Case::new(
            "flip-docker",
            "a bit in `manifest.json`",
            "manifest.json does not agree",
            flip("manifest.json"),
        ),
        Case::new(
            "flip-artifact",
            "a bit in the artifact manifest",
            "artifact manifest sha256:",
            flip(&names.artifact),
        ),
        Case::new(
            "flip-bundle",
            "a bit in the bundle manifest",
            "bundle manifest sha256:",
            flip(&names.bundle),
        ),
        Case::new(
            "flip-stack",
            "a bit in the stack definition",
            "stack definition sha256:",
            flip(&names.stack),
        ),
        Case::new(
            "flip-config",
            "a bit in the image config",
            "config of image",
            flip(&names.config),
        ),
        Case::new(
            "flip-image",
            "a bit in the image manifest",
            "manifest of image",
            flip(&names.image),
        ),
        Case::new(
            "flip-layer",
            "a bit in the layer",
            "layer sha256:",
            flip(&names.layer),
        ),
    ]
}
