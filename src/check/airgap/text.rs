//! The report as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::proof::{Class, Proof, Verdict};
use crate::facts::airgap::Seen;

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proven => "nothing leaves",
            Self::NotProven => "not proven: not all of it could be seen",
            Self::Open => "NOT SEALED",
        })
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CallHome => "known call home, kept in",
            Self::Allowed => "on the list",
            Self::Unknown => "UNKNOWN",
        })
    }
}

impl Proof {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let about = &self.about;
        let _ = writeln!(
            text,
            "{} ({}): {}",
            about.appliance, about.release, self.verdict
        );
        for finding in &self.findings {
            let _ = writeln!(text, "  OPEN     {}: {}", finding.service, finding.what);
        }
        for why in &self.unseen {
            let _ = writeln!(text, "  not seen {why}");
        }
        for seen in &self.containers {
            let _ = writeln!(text, "  {:<12} {}", seen.service, summary(seen));
        }
        for sighting in &self.watched {
            let _ = writeln!(
                text,
                "  {:<12} {} ({}, {} times)",
                sighting.service, sighting.tried, sighting.class, sighting.times.count
            );
        }
        for route in &self.routes {
            let _ = writeln!(
                text,
                "  {:<12} may reach {}:{} ({})",
                route.service, route.host, route.port, route.purpose
            );
        }
        let own = if self.own_connections.is_empty() {
            "none".to_owned()
        } else {
            self.own_connections.join(", ")
        };
        let _ = writeln!(text, "  connections of lfctl over IP: {own}");
        text
    }
}

/// How many attempts from a container ended how.
pub(super) fn summary(seen: &Seen) -> String {
    if seen.attempts.is_empty() && seen.unseen.is_none() {
        return "carries the list; nothing was tried from it".to_owned();
    }
    let mut endings: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in &seen.attempts {
        *endings.entry(attempt.ending.to_string()).or_default() += 1;
    }
    let endings: Vec<_> = endings
        .iter()
        .map(|(ending, count)| format!("{count} {ending}"))
        .collect();
    format!("{} attempts: {}", seen.attempts.len(), endings.join(", "))
}
