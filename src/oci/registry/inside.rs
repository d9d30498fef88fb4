//! Where a registry may not send requests: to this machine and to its link.

use std::net::IpAddr;

use reqwest::Url;
use url::Host;

/// Whether a server sends requests without TLS to this machine or to its link,
/// where services answer that trust who can reach them, such as a cloud's
/// metadata. One that is there itself may name its neighbours.
pub(super) fn leads_inside(asked: &Url, to: &Url) -> bool {
    let is_there = matches!(
        (place(asked), place(to)),
        (_, Place::Elsewhere) | (Place::Here, Place::Here) | (Place::Link, Place::Link)
    );
    to.scheme() != "https" && !is_there
}

/// Where a URL leads, as far as it says.
#[derive(PartialEq, Eq)]
enum Place {
    /// This machine.
    Here,
    /// An address that only the same link knows.
    Link,
    Elsewhere,
}

fn place(url: &Url) -> Place {
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let is_local = name == "localhost" || name.ends_with(".localhost");
            return if is_local {
                Place::Here
            } else {
                Place::Elsewhere
            };
        }
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical(),
        None => return Place::Elsewhere,
    };
    let is_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if is_link {
        Place::Link
    } else if address.is_loopback() || address.is_unspecified() {
        Place::Here
    } else {
        Place::Elsewhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_sends_requests_to_this_machine_or_its_link() {
        let leads =
            |asked: &str, to: &str| leads_inside(&asked.parse().unwrap(), &to.parse().unwrap());
        let registry = "http://r.example/v2/";
        for inside in [
            "http://127.0.0.1/",
            "http://127.9.9.9:2375/",
            "http://2130706433/",
            "http://0.0.0.0/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::]/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
        ] {
            assert!(leads(registry, inside), "{inside}");
            assert!(leads("https://r.example/v2/", inside), "{inside}");
        }
        assert!(leads("http://127.0.0.1:5000/", "http://169.254.169.254/"));
        assert!(leads("http://169.254.0.1/", "http://127.0.0.1/"));
        for (asked, to) in [
            (registry, "http://blobs.example/a"),
            (registry, "http://10.0.0.7/a"),
            ("http://127.0.0.1:5000/", "http://localhost:5001/a"),
            ("http://169.254.0.1/", "http://169.254.0.2/"),
            ("https://r.example/", "https://127.0.0.1/"),
        ] {
            assert!(!leads(asked, to), "{asked} {to}");
        }
    }
}
