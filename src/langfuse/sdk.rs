//! Which of Langfuse's SDKs call, and what web answers, from the gateway's
//! access log.

use std::collections::BTreeMap;

use serde::Serialize;

/// The longest name or version that is taken for one.
const WORD: usize = 40;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SdkCalls {
    /// Such as `python` or `js`.
    pub name: String,
    /// As it says.
    pub version: String,
    /// How many calls.
    pub calls: u64,
    /// How many of them had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// How many were answered with an error, by path.
    pub errors: BTreeMap<String, u64>,
}

/// Reads an access log: each line has the request in quotes, the status behind
/// it, and at its end in quotes the name and the version that the SDK sent.
/// Lines of anything else are left out.
pub fn calls(log: &str) -> Vec<SdkCalls> {
    let mut found: BTreeMap<(String, String), SdkCalls> = BTreeMap::new();
    for line in log.lines() {
        let Some(call) = call(line) else { continue };
        let (name, version) = (name(call.name).to_owned(), call.version.to_owned());
        let sdk = found
            .entry((name.clone(), version.clone()))
            .or_insert_with(|| SdkCalls {
                name,
                version,
                ..SdkCalls::default()
            });
        sdk.calls += 1;
        *sdk.statuses.entry(call.status).or_default() += 1;
        if call.status >= 400 {
            *sdk.errors.entry(call.path.to_owned()).or_default() += 1;
        }
    }
    found.into_values().collect()
}

struct Call<'a> {
    path: &'a str,
    status: u16,
    name: &'a str,
    version: &'a str,
}

fn call(line: &str) -> Option<Call<'_>> {
    let mut quoted = line.split('"').skip(1);
    let (request, numbers) = (quoted.next()?, quoted.next()?);
    let (name, version) = (quoted.next()?, quoted.nth(1)?);
    if !is_word(name) || !is_word(version) {
        return None;
    }
    let path = request.split(' ').nth(1)?;
    Some(Call {
        path: known_path(path),
        status: numbers.split_whitespace().next()?.parse().ok()?,
        name,
        version,
    })
}

/// What an SDK says of itself is sent by anybody who likes.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    text != "-" && !text.is_empty() && text.len() <= WORD && text.chars().all(plain)
}

/// The part of a path that names no object.
fn known_path(path: &str) -> &str {
    let end = path
        .match_indices('/')
        .nth(4)
        .map_or(path.len(), |(at, _)| at);
    &path[..end]
}

/// JavaScript's has had three names.
fn name(sent: &str) -> &str {
    match sent {
        "langfuse-js" | "javascript" | "typescript" => "js",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_the_sdk_says_of_itself() {
        let line = |request: &str, status: u16, sdk: &str| {
            format!("10.0.0.7 [2026-11-27T10:00:00+00:00] \"{request}\" {status} 51 0.004 {sdk}\n")
        };
        let log = [
            line("POST /api/public/scores", 400, r#""python" "5.0.1""#),
            line("POST /api/public/scores", 400, r#""python" "5.0.1""#),
            line(
                "POST /api/public/otel/v1/traces",
                200,
                r#""python" "5.0.1""#,
            ),
            line(
                "GET /api/public/v2/prompts/secret-name",
                404,
                r#""javascript" "5.4.0""#,
            ),
            line("GET /", 404, r#""-" "-""#),
            line("GET /", 404, r#""\x22; rm" "1""#),
            "10.0.0.7 [2026-11-27T10:00:00+00:00] \"GET /\" 404 51 0.004\n".to_owned(),
            "nginx: [warn] something \"quoted\"\n".to_owned(),
        ];
        let found = calls(&log.concat());
        let [js, python] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((js.name.as_str(), js.version.as_str()), ("js", "5.4.0"));
        let path = js.errors.keys().next().map(String::as_str);
        assert_eq!(path, Some("/api/public/v2/prompts"));
        assert_eq!((python.calls, python.statuses[&400]), (3, 2));
        assert_eq!(python.errors["/api/public/scores"], 2);
    }
}
