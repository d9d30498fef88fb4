//! Takes secrets out of text that leaves the host.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::value::Secret;

/// Replaces secrets in text that leaves the host.
#[derive(Clone)]
pub struct Redactor {
    /// `None` when the automaton could not be built: then nothing is let out.
    automaton: Option<AhoCorasick>,
    labels: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor for these names and secrets.
    pub fn new<'a>(secrets: impl Iterator<Item = (&'a str, &'a Secret)>) -> Self {
        let mut patterns = Vec::new();
        let mut labels = Vec::new();
        for (name, secret) in secrets {
            for spelling in spellings(secret.expose()) {
                patterns.push(spelling);
                labels.push(format!("[{name}]"));
            }
        }
        Self {
            automaton: AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&patterns)
                .ok(),
            labels,
        }
    }

    /// `text` with every secret replaced by `[NAME]`. Whole lines should be
    /// given: a secret cut in two is not recognised.
    pub fn redact(&self, text: &str) -> String {
        self.automaton.as_ref().map_or_else(
            || "[withheld, since secrets in it could not be looked for]".to_owned(),
            |automaton| automaton.replace_all(text, &self.labels),
        )
    }
}

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The forms in which a value turns up in logs, addresses and headers.
fn spellings(value: &str) -> Vec<String> {
    if value.is_empty() {
        return Vec::new();
    }
    let percent = utf8_percent_encode(value, ENCODED).to_string();
    let json = serde_json::Value::from(value).to_string();
    let mut all = vec![
        value.to_owned(),
        lower_hex(&percent),
        percent,
        json[1..json.len() - 1].to_owned(),
    ];
    for alphabet in [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE] {
        all.extend(base64_cores(value, alphabet));
    }
    all.sort();
    all.dedup();
    all
}

/// `%2B` as `%2b`.
fn lower_hex(percent: &str) -> String {
    let mut text = String::new();
    let mut hex_digits = 0;
    for c in percent.chars() {
        if c == '%' {
            hex_digits = 2;
            text.push(c);
        } else if hex_digits > 0 {
            hex_digits -= 1;
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

/// The part of a value's base64 form that does not depend on its neighbours,
/// for each of the three ways it can lie in a longer text (`user:password`).
fn base64_cores(value: &str, alphabet: &Alphabet) -> Vec<String> {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    (0..3)
        .filter_map(|offset: usize| {
            let mut bytes = vec![0; offset];
            bytes.extend_from_slice(value.as_bytes());
            let text = engine.encode(&bytes);
            let core = text.get((offset * 8).div_ceil(6)..bytes.len() * 8 / 6)?;
            // Shorter ones turn up by chance.
            (core.len() >= 8).then(|| core.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(pairs: &[(&str, &str)]) -> Redactor {
        let secrets: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (*name, Secret::new(*value)))
            .collect();
        Redactor::new(secrets.iter().map(|(name, secret)| (*name, secret)))
    }

    #[test]
    fn redacts_the_password_that_migrate_prints() {
        let redactor = redactor(&[("clickhouse-password", "s3cr3tS3cr3t")]);
        let line = "dial clickhouse://clickhouse:9000?username=x&password=s3cr3tS3cr3t&y";
        assert_eq!(
            redactor.redact(line),
            "dial clickhouse://clickhouse:9000?username=x&password=[clickhouse-password]&y"
        );
    }

    #[test]
    fn a_label_is_not_redacted_again() {
        let redactor = redactor(&[("a", "password"), ("minio-password", "password-of-minio")]);
        assert_eq!(
            redactor.redact("password-of-minio password"),
            "[minio-password] [a]"
        );
    }

    proptest! {
        #[test]
        fn no_encoding_of_a_secret_survives(
            value in "[!-~]{12,40}",
            before in "[a-z:]{0,5}",
            after in "[a-z:]{0,5}",
        ) {
            use base64::engine::general_purpose::{STANDARD, URL_SAFE};
            let redactor = redactor(&[("name", &value)]);
            let whole = format!("{before}{value}{after}");
            for text in [
                whole.clone(),
                utf8_percent_encode(&whole, ENCODED).to_string(),
                utf8_percent_encode(&whole, NON_ALPHANUMERIC).to_string().replace("%2D", "-")
                    .replace("%2E", ".").replace("%5F", "_").replace("%7E", "~"),
                serde_json::Value::from(whole.as_str()).to_string(),
                STANDARD.encode(&whole),
                URL_SAFE.encode(&whole),
            ] {
                let redacted = redactor.redact(&text);
                prop_assert!(redacted.contains("[name]"), "{} stayed {}", text, redacted);
            }
        }
    }
}
