//! Whether the SDKs in use fit the release.

use std::collections::BTreeMap;

use semver::Version;

use super::outcome::{Outcome, Unknown, want};
use crate::facts::Facts;
use crate::langfuse::sdk::SdkCalls;
use crate::report::finding::Remedy;
use crate::stack::release::Release;

/// Fewer refused calls than this are somebody's mistake.
const MANY: u64 = 10;
/// One refused call in this many is too much.
const SHARE: u64 = 20;
/// What web answers to a wrong key, to too many calls, and what the gateway
/// writes for a caller who went away: no matter of the SDK's version.
const OTHER_REASONS: [u16; 6] = [401, 403, 408, 413, 429, 499];
/// Also what a read of something answers that is not there.
const NOT_FOUND: u16 = 404;

pub(super) fn sdks(facts: &Facts) -> Result<Outcome, Unknown> {
    let calls = want(&facts.sdks)?;
    let release = &facts.subject.release;
    if calls.is_empty() {
        return Ok(Outcome::not_applicable("no SDK called in the last day"));
    }
    let refused: Vec<_> = calls
        .iter()
        .filter_map(|sdk| refused(sdk, release))
        .collect();
    if !refused.is_empty() {
        return Ok(Outcome::warning(
            "web refuses the calls of an SDK, and what they carried is lost",
            refused.join("; "),
            Remedy::text(match release.sdks() {
                Some(fitting) => format!("use SDKs that fit {release}: {fitting}"),
                None => "read what web answers, and use an SDK of the time of this release".into(),
            }),
        ));
    }
    let seen: Vec<_> = calls.iter().map(shown).collect();
    Ok(Outcome::pass(seen.join(", ")))
}

fn shown(sdk: &SdkCalls) -> String {
    format!("{} {}: {} calls", sdk.name, sdk.version, sdk.calls)
}

/// What is wrong with the calls of this SDK, if they were refused in numbers.
fn refused(sdk: &SdkCalls, release: &Release) -> Option<String> {
    let fits = fits(sdk, release);
    let counts: BTreeMap<_, _> = sdk
        .statuses
        .iter()
        .filter(|(status, _)| (400..500).contains(*status))
        .filter(|(status, _)| !OTHER_REASONS.contains(status))
        .filter(|(status, _)| **status != NOT_FOUND || fits == Some(false))
        .collect();
    let refused: u64 = counts.values().copied().sum();
    if refused < MANY || refused * SHARE < sdk.calls {
        return None;
    }
    let (status, _) = counts.into_iter().max_by_key(|(_, count)| **count)?;
    let (path, _) = sdk.errors.iter().max_by_key(|(_, count)| **count)?;
    let verdict = match fits {
        Some(false) => ", which does not fit",
        Some(true) | None => "",
    };
    Some(format!(
        "{} {}{verdict}: {refused} of {} calls, mostly {status} at {path}",
        sdk.name, sdk.version, sdk.calls
    ))
}

/// `None` where the release names no versions of this SDK.
fn fits(sdk: &SdkCalls, release: &Release) -> Option<bool> {
    let wanted = release.sdk.get(&sdk.name)?;
    let version = sdk.version.parse::<Version>().ok()?;
    Some(wanted.matches(&version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fixture::healthy;
    use crate::facts::Fact;

    fn judged(version: &str, statuses: &[(u16, u64)]) -> Outcome {
        let mut facts = healthy();
        let fitting = [("python".to_owned(), ">=4.0.0, <5.0.0".parse().unwrap())];
        facts.subject.release.sdk = fitting.into();
        facts.sdks = Fact::Known(vec![SdkCalls {
            name: "python".to_owned(),
            version: version.to_owned(),
            calls: statuses.iter().map(|(_, count)| count).sum(),
            statuses: statuses.iter().copied().collect(),
            errors: [("/api/public/scores".to_owned(), 1)].into(),
        }]);
        sdks(&facts).unwrap()
    }

    #[test]
    fn an_sdk_that_does_not_fit_is_named_with_those_that_do() {
        let Outcome::Finding(finding) = judged("5.0.1", &[(200, 40), (400, 37)]) else {
            panic!("no finding");
        };
        assert_eq!(
            finding.evidence,
            "python 5.0.1, which does not fit: 37 of 77 calls, mostly 400 at /api/public/scores"
        );
        let remedy = finding.remedy.text;
        assert!(remedy.contains("python >=4.0.0, <5.0.0"), "{remedy}");
    }

    #[test]
    fn what_has_other_reasons_is_no_matter_of_the_sdk() {
        for (version, statuses) in [
            ("4.7.0", &[(200, 9), (401, 100), (429, 100)][..]),
            ("4.7.0", &[(200, 9), (404, 100)]),
            ("5.0.1", &[(200, 9), (400, 9)]),
            ("5.0.1", &[(200, 9000), (400, 11)]),
        ] {
            let outcome = judged(version, statuses);
            assert!(matches!(outcome, Outcome::Pass { .. }), "{outcome:?}");
        }
        let old = judged("2.60.0", &[(207, 9), (404, 100)]);
        assert!(matches!(old, Outcome::Finding(_)), "{old:?}");
    }
}
