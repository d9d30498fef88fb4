//! How old a bundle is, by the host's clock. Pure.
//!
//! Nothing stops working for it: a bundle that expired on a host without a
//! way to a newer one would be an outage. But nobody who is kept from news
//! should be kept from knowing it.

use jiff::Timestamp;

use super::finding;
use crate::report::finding::{Finding, Remedy, Severity};

/// Days after which there has long been a newer release.
const OLD: i64 = 180;
/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
/// Images that are built reproducibly say 1970 or 1980, which is no date.
const FIRST_DATE: i64 = 30 * 365 * DAY;

/// What the age of a bundle made of images `created` by then says of it, or
/// of the host's clock.
pub fn age(created: Timestamp, now: Timestamp) -> Option<Finding> {
    if created.as_second() < FIRST_DATE {
        return None;
    }
    let days = (now.as_second() - created.as_second()).div_euclid(DAY);
    let evidence = format!(
        "its newest image was made {}, this host says it is {}",
        created.strftime("%F"),
        now.strftime("%F")
    );
    if days < -1 {
        return Some(finding(
            "host.clock",
            Severity::Warning,
            "this host's clock is behind the bundle".to_owned(),
            evidence,
            Remedy::text("set the clock: certificates and events depend on it"),
        ));
    }
    (days > OLD).then(|| {
        finding(
            "bundle.old",
            Severity::Warning,
            format!("the bundle is {days} days old"),
            evidence,
            Remedy::text("ask its maker for the newest release: it has the security fixes"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_bundle_and_a_wrong_clock_are_said() {
        let created: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let after = |days: i64| {
            let seconds = created.as_second() + days * DAY;
            age(created, Timestamp::from_second(seconds).unwrap()).map(|found| found.id)
        };
        assert_eq!(after(-2).as_deref(), Some("host.clock"));
        assert_eq!(after(-1), None);
        assert_eq!(after(OLD), None);
        assert_eq!(after(OLD + 1).as_deref(), Some("bundle.old"));
        assert_eq!(age(Timestamp::UNIX_EPOCH, created), None);
    }
}
