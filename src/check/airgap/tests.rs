use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::judge;
use super::known::Known;
use super::proof::{About, Class, Proof, Verdict};
use crate::check::fixture::installed;
use crate::facts::airgap::{
    Attempt, Ending, Inside, Kind, Protocol, Seen, Sightings, Target, Times, Tried, Watched,
};
use crate::render::egress::Route;
use crate::stack::EGRESS;

fn at() -> Timestamp {
    "2026-11-27T10:00:00Z".parse().unwrap()
}

fn about() -> About {
    About {
        lfctl: "0.1.0".to_owned(),
        host: "op".to_owned(),
        appliance: "lf".to_owned(),
        release: "langfuse 4.16.0".to_owned(),
        bundle: "sha256:00".to_owned(),
        bundle_key: None,
        key: "0123456789ABCDEF".to_owned(),
        engine: "docker 20.10".to_owned(),
        began: at(),
        ended: at(),
        used: vec!["1 event sent <and> read back".to_owned()],
    }
}

fn attempt(ending: Ending) -> Attempt {
    Attempt {
        target: Target {
            kind: Kind::Public,
            protocol: Protocol::Tcp,
            host: "192.0.2.1".to_owned(),
            port: 443,
        },
        ending,
        detail: None,
        at: at(),
        elapsed_ms: 3,
    }
}

fn web() -> Seen {
    Seen {
        service: "web".to_owned(),
        networks: [("lf-internal".to_owned(), "172.18.0.2".to_owned())].into(),
        inside: Some(Inside {
            addresses: ["172.18.0.2".parse().unwrap()].into(),
            default_route: None,
            resolvers: vec!["127.0.0.11".parse().unwrap()],
        }),
        attempts: vec![attempt(Ending::NoRoute)],
        unseen: None,
    }
}

fn watched(tried: Option<Tried>) -> Sightings {
    let times = Times {
        first: at(),
        last: at(),
        count: 3,
    };
    let seen: Watched = tried
        .into_iter()
        .map(|tried| (tried, times.clone()))
        .collect();
    ([("web".to_owned(), Ok(seen))].into(), Ok(BTreeSet::new()))
}

fn of(seen: Seen, sightings: Sightings) -> Proof {
    judge(&installed(), vec![seen], sightings, about())
}

#[test]
fn a_sealed_appliance_is_proven() {
    let proof = of(web(), watched(None));
    assert_eq!(proof.verdict, Verdict::Proven, "{proof:?}");
}

#[test]
fn what_is_reached_is_named_with_container_target_port_and_time() {
    for ending in [Ending::Reached, Ending::Refused] {
        let mut seen = web();
        seen.attempts.push(attempt(ending));
        let proof = of(seen, watched(None));
        assert_eq!(proof.verdict, Verdict::Open);
        let text = proof.text();
        for part in ["web", "192.0.2.1 port 443", "2026-11-27T10:00:00"] {
            assert!(text.contains(part), "{part}: {text}");
            assert!(proof.html().contains(part), "{part}");
        }
    }
    let mut seen = web();
    seen.networks
        .insert("bridge".to_owned(), "172.17.0.2".to_owned());
    assert_eq!(of(seen, watched(None)).verdict, Verdict::Open);
}

#[test]
fn a_planted_caller_is_told_from_siblings_and_known_calls() {
    let tcp = |address: &str, port| Tried::Tcp {
        address: address.parse().unwrap(),
        port,
    };
    let question = |name: &str| Tried::Question {
        name: name.to_owned(),
        server: "127.0.0.11".parse().unwrap(),
    };
    let class = |tried| {
        of(web(), watched(Some(tried)))
            .watched
            .first()
            .map(|one| one.class)
    };
    assert_eq!(class(tcp("192.0.2.7", 4444)), Some(Class::Unknown));
    assert_eq!(class(question("evil.example")), Some(Class::Unknown));
    assert_eq!(
        class(question("1.0.2.192.in-addr.arpa")),
        Some(Class::Unknown)
    );
    assert_eq!(class(tcp("172.18.0.2", 5432)), None);
    assert_eq!(class(question("postgres")), None);
    assert_eq!(class(question("web-427165bb")), None);
    assert_eq!(class(question("web-out")), Some(Class::Unknown));
    assert_eq!(class(question("2.0.18.172.in-addr.arpa")), None);
    assert_eq!(class(tcp("127.0.0.1", 443)), Some(Class::CallHome));
    assert_eq!(class(question("langfuse.com")), Some(Class::CallHome));
    // A resolver outside hears even a name that is known.
    let outside = Tried::Question {
        name: "langfuse.com".to_owned(),
        server: "192.0.2.53".parse().unwrap(),
    };
    assert_eq!(class(outside), Some(Class::Unknown));
    let planted = of(web(), watched(Some(tcp("192.0.2.7", 4444))));
    assert_eq!(planted.verdict, Verdict::Open);
    assert!(planted.findings[0].what.contains("192.0.2.7 port 4444"));
    assert_eq!(planted.findings[0].service, "web");
    assert_eq!(planted.findings[0].port, Some(4444));
    assert_eq!(planted.findings[0].at, Some(at()));
}

#[test]
fn only_the_listed_is_allowed_and_only_to_whom_it_is() {
    let mut subject = installed();
    subject.routes = vec![Route {
        service: "web".to_owned(),
        host: "llm.example.com".to_owned(),
        port: 443,
        to: "10.1.2.3:443".to_owned(),
        name: "llm".to_owned(),
        purpose: "x".to_owned(),
    }];
    let known = Known::of(&subject, &[]);
    let tcp = |address: &str| Tried::Tcp {
        address: address.parse().unwrap(),
        port: 443,
    };
    assert_eq!(known.class(EGRESS, &tcp("10.1.2.3")), Some(Class::Allowed));
    assert_eq!(known.class(EGRESS, &tcp("10.1.2.4")), Some(Class::Unknown));
    assert_eq!(known.class("web", &tcp("10.1.2.3")), Some(Class::Unknown));
    let question = Tried::Question {
        name: "llm.example.com".to_owned(),
        server: "127.0.0.11".parse().unwrap(),
    };
    assert_eq!(known.class("web", &question), Some(Class::Allowed));
    assert_eq!(known.class("worker", &question), Some(Class::Unknown));
}

#[test]
fn what_was_not_seen_is_not_proven() {
    let mut seen = web();
    seen.unseen = Some("cannot enter its network".to_owned());
    assert_eq!(of(seen, watched(None)).verdict, Verdict::NotProven);
    let lost = (
        BTreeMap::from([("web".to_owned(), Err("broke off".to_owned()))]),
        Ok(BTreeSet::new()),
    );
    assert_eq!(of(web(), lost).verdict, Verdict::NotProven);
    let own = (
        BTreeMap::new(),
        Ok([("192.0.2.9".parse().unwrap(), 443)].into()),
    );
    assert_eq!(of(web(), own).verdict, Verdict::Open);
}

#[test]
fn the_page_is_whole_and_holds_no_markup_of_others() {
    let page = of(web(), watched(None)).html();
    assert!(page.contains("sent &lt;and&gt; read back"));
    for outside in ["http://", "https://", "<script", "src="] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(outside), "{outside}");
    }
}
