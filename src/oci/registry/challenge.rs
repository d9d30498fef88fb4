//! What a registry asks for when it answers 401.

use http_auth::parse_challenges;

/// A way in that a registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Such as `Bearer`.
    scheme: String,
    params: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let mut all = self.params.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Reads the headers of a refusal.
pub(super) fn read(headers: &[String]) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for header in headers {
        match parse_challenges(header) {
            Ok(parsed) => challenges.extend(parsed.into_iter().map(|one| {
                Challenge {
                    scheme: one.scheme.to_owned(),
                    params: one
                        .params
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), value.to_unescaped()))
                        .collect(),
                }
            })),
            // Some registries leave out quotes: `Basic realm=/`.
            Err(_) => challenges.extend(unquoted(header)),
        }
    }
    challenges
}

/// Reads a header whose values need no quotes.
fn unquoted(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut is_quoted = false;
    let parts = header.split(|letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (before, value) = part.split_once('=').unwrap_or((part, ""));
        let key = match before.trim().rsplit_once(char::is_whitespace) {
            Some((scheme, key)) => {
                challenges.push(Challenge {
                    scheme: scheme.trim().to_owned(),
                    params: Vec::new(),
                });
                key
            }
            None if part.contains('=') => before.trim(),
            None => {
                challenges.push(Challenge {
                    scheme: part.to_owned(),
                    params: Vec::new(),
                });
                continue;
            }
        };
        let value = value.trim().trim_matches('"').to_owned();
        if let Some(last) = challenges.last_mut() {
            last.params.push((key.to_owned(), value));
        }
    }
    challenges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_lack_their_quotes() {
        let read = |header: &str| read(&[header.to_owned()]);
        for header in [
            "Basic realm=/",
            "basic realm=https://r.example/",
            "Basic realm=\"r\"",
            "Basic",
        ] {
            let found = read(header);
            assert!(
                found[0].is("Basic") && found.len() == 1,
                "{header}: {found:?}"
            );
        }
        for header in [
            "Bearer realm=https://r.example/token?a=b, service=r.example , scope=\"a,b\"",
            "Bearer realm=\"https://r.example/token?a=b\",service=\"r.example\",scope=\"a,b\"",
            "Basic realm=/, Bearer realm=https://r.example/token?a=b,service=r.example,scope=\"a,b\"",
        ] {
            let found = read(header);
            let bearer = found.iter().find(|one| one.is("bearer")).unwrap();
            assert_eq!(bearer.param("Realm"), Some("https://r.example/token?a=b"));
            assert_eq!(bearer.param("service"), Some("r.example"));
            assert_eq!(bearer.param("scope"), Some("a,b"));
        }
        assert!(read(" , ").is_empty());
    }
}
