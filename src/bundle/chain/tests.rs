//! Chains over made-up bundles.

use std::collections::BTreeMap;

use super::*;
use crate::bundle::manifest::UpgradePath;

/// A release of a version: its counter follows from it.
fn release(version: &str) -> Release {
    let version: semver::Version = version.parse().unwrap();
    Release {
        name: "langfuse".to_owned(),
        counter: (version.major * 1000 + version.minor) * 1000 + version.patch,
        version,
        sdk: BTreeMap::new(),
    }
}

fn rules(from: &[&str], paths: &[(&str, UpgradeWay, SchemaChange)]) -> UpgradeRules {
    UpgradeRules {
        from: from.iter().map(|range| range.parse().unwrap()).collect(),
        paths: paths
            .iter()
            .map(|(from, way, schema)| UpgradePath {
                from: from.parse().unwrap(),
                way: *way,
                schema: *schema,
            })
            .collect(),
    }
}

/// Each bundle by version and the versions it upgrades from; the chain as
/// versions, `!` behind those for which everything stands still.
fn chain(running: &str, offers: &[(&str, &str)], to: Option<&str>) -> Result<String, NoChain> {
    let made: Vec<_> = offers
        .iter()
        .map(|(version, from)| {
            let from: Vec<_> = from.split('|').filter(|range| !range.is_empty()).collect();
            (release(version), rules(&from, &[]))
        })
        .collect();
    let offers: Vec<_> = made
        .iter()
        .map(|(release, rules)| Offer { release, rules })
        .collect();
    let to = to.map(|version| version.parse().unwrap());
    let hops = shortest(&release(running), &offers, to.as_ref())?;
    let shown = hops.iter().map(|hop| {
        let mark = if hop.way == UpgradeWay::Cold { "!" } else { "" };
        format!("{}{mark}", hop.release.version)
    });
    Ok(shown.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_shortest_chain_is_found() {
    let straight = ("3.3.0", ">=3.0.0, <3.3.0");
    for (running, offers, to, wanted) in [
        ("3.1.0", &[straight][..], None, "3.3.0"),
        // What is not needed is left out.
        ("3.1.0", &[("3.2.0", ">=3.0.0"), straight], None, "3.3.0"),
        // A required stop.
        (
            "3.1.0",
            &[("4.0.0", ">=3.2.0, <4.0.0"), ("3.2.0", ">=3.0.0, <3.2.0")],
            None,
            "3.2.0 4.0.0!",
        ),
        // Two stops of which either does; the later one keeps the way short.
        (
            "1.0.0",
            &[
                ("1.1.0", "<1.1.0"),
                ("1.2.0", "<1.2.0"),
                ("1.3.0", ">=1.1.0, <1.2.0"),
                ("1.4.0", ">=1.2.0"),
            ],
            None,
            "1.2.0 1.4.0",
        ),
        (
            "3.1.0",
            &[("3.2.0", "<3.2.0"), straight],
            Some("3.2.0"),
            "3.2.0",
        ),
        ("3.3.0", &[straight], None, ""),
    ] {
        let found = chain(running, offers, to);
        assert_eq!(found.as_deref(), Ok(wanted), "{running} {offers:?}");
    }
}

#[test]
fn of_two_chains_as_short_the_one_that_stands_still_less_is_taken() {
    let (way, additive) = (UpgradeWay::Cold, SchemaChange::Additive);
    let stops = [release("1.1.0"), release("1.2.0")];
    let goal = release("1.3.0");
    let cold = rules(&["=1.0.0"], &[("*", way, additive)]);
    let rolling = rules(&["=1.0.0"], &[]);
    let last = rules(&["=1.1.0", "=1.2.0"], &[]);
    for (first, second, wanted) in [(&cold, &rolling, "1.2.0"), (&rolling, &cold, "1.1.0")] {
        let offers = [(&stops[0], first), (&stops[1], second), (&goal, &last)]
            .map(|(release, rules)| Offer { release, rules });
        let hops = shortest(&release("1.0.0"), &offers, None).unwrap();
        assert_eq!(hops.len(), 2);
        assert_eq!(hops[0].release.version.to_string(), wanted);
    }
}

#[test]
fn a_stop_says_why_and_destruction_stands_still() {
    let (old, stop, new) = (release("3.1.0"), release("3.2.0"), release("3.3.0"));
    let to_stop = rules(&["<3.2.0"], &[]);
    let destructive = ("*", UpgradeWay::Rolling, SchemaChange::Destructive);
    let to_new = rules(&["=3.2.0"], &[destructive]);
    let offers =
        [(&stop, &to_stop), (&new, &to_new)].map(|(release, rules)| Offer { release, rules });
    let hops = shortest(&old, &offers, None).unwrap();
    let why = "3.3.0 upgrades from =3.2.0, and 3.1.0 is not among them";
    assert_eq!(hops[0].stop.as_deref(), Some(why));
    assert_eq!(
        (hops[0].way, hops[0].schema),
        (UpgradeWay::Rolling, SchemaChange::Additive)
    );
    assert_eq!(hops[1].stop, None);
    assert_eq!(
        (hops[1].way, hops[1].schema),
        (UpgradeWay::Cold, SchemaChange::Destructive)
    );
}

#[test]
fn where_no_chain_is_the_gap_is_named() {
    let text =
        |running, offers: &[(&str, &str)], to| chain(running, offers, to).unwrap_err().to_string();
    assert_eq!(
        text("3.1.0", &[("3.2.0", "<3.2.0"), ("4.0.0", "=3.9.0")], None),
        "these bundles do not lead from langfuse 3.2.0 to langfuse 4.0.0: 4.0.0 upgrades from \
         =3.9.0, and 3.2.0 is not among them"
    );
    assert!(text("3.1.0", &[("4.0.0", "")], None).contains("upgrades from no release"));
    assert!(text("4.0.0", &[("3.2.0", "*")], None).contains("is older than"));
    assert!(text("3.1.0", &[("3.2.0", "*")], Some("3.3.0")).contains("version 3.3.0"));
    let other = Release {
        name: "other".to_owned(),
        ..release("9.0.0")
    };
    let rules = rules(&["*"], &[]);
    let offers = [Offer {
        release: &other,
        rules: &rules,
    }];
    let error = shortest(&release("3.1.0"), &offers, None).unwrap_err();
    assert_eq!(error, NoChain::OtherName("langfuse".to_owned()));
}

#[test]
fn the_same_version_made_anew_needs_no_rule() {
    let again = Release {
        counter: release("3.1.0").counter + 1,
        ..release("3.1.0")
    };
    let rules = rules(&[], &[]);
    let offers = [Offer {
        release: &again,
        rules: &rules,
    }];
    let hops = shortest(&release("3.1.0"), &offers, None).unwrap();
    assert_eq!(hops.len(), 1);
}
