//! Proxies of the environment.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Proxy, Url};

/// Hosts that are asked without a proxy. The matcher behind `reqwest` does not
/// hold `*` against an address, and knows no ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Exceptions {
    all: bool,
    /// With a port.
    hosts: Vec<(String, u16)>,
    /// For the matcher.
    rest: String,
}

impl Exceptions {
    fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut rest = Vec::new();
        for entry in text.split(',').map(str::trim) {
            let port = entry.rsplit_once(':').and_then(|(host, port)| {
                let is_address = host.contains(':') && !host.ends_with(']');
                Some((host, port.parse().ok()?)).filter(|_| !is_address)
            });
            match port {
                _ if entry == "*" => found.all = true,
                Some((host, port)) => found.hosts.push((host.to_lowercase(), port)),
                None => rest.push(entry.strip_prefix('*').unwrap_or(entry)),
            }
        }
        found.rest = rest.join(",");
        found
    }

    fn hold(&self, url: &Url) -> bool {
        let (host, port) = (url.host_str(), url.port_or_known_default());
        let (Some(host), Some(port)) = (host, port) else {
            return self.all;
        };
        self.all
            || self.hosts.iter().any(|(wanted, its_port)| {
                let domain = wanted.trim_start_matches(['*', '.']);
                let is_below = host
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                *its_port == port && is_below
            })
    }
}

/// The proxy for every request; `None` where the environment names none.
pub(super) fn from_environment() -> Option<Proxy> {
    let first = |names: [&str; 2]| {
        let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
        values.find(|value| !value.is_empty())
    };
    of(first)
}

fn of(first: impl Fn([&str; 2]) -> Option<String>) -> Option<Proxy> {
    let all = first(["ALL_PROXY", "all_proxy"]);
    let proxy = |names| {
        let text = first(names).or_else(|| all.clone())?;
        let has_scheme = text.contains("://");
        let text = if has_scheme {
            text
        } else {
            format!("http://{text}")
        };
        text.parse::<Url>().ok()
    };
    let (http, https) = (
        proxy(["HTTP_PROXY", "http_proxy"]),
        proxy(["HTTPS_PROXY", "https_proxy"]),
    );
    if http.is_none() && https.is_none() {
        return None;
    }
    let exceptions = Exceptions::read(&first(["NO_PROXY", "no_proxy"]).unwrap_or_default());
    // It is only asked whether it would take a proxy, whichever.
    let others = Matcher::builder()
        .all("http://proxy.invalid")
        .no(exceptions.rest.clone())
        .build();
    Some(Proxy::custom(move |url| {
        let uri = url.as_str().parse().ok()?;
        if exceptions.hold(url) || others.intercept(&uri).is_none() {
            return None;
        }
        match url.scheme() {
            "https" => https.clone(),
            _ => http.clone(),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_every_host_and_a_port_only_its_own() {
        let held = |list: &str, url: &str| Exceptions::read(list).hold(&url.parse().unwrap());
        for url in [
            "http://127.0.0.1:5000/v2/",
            "https://r.example/",
            "http://[::1]/",
        ] {
            assert!(held("a, *", url), "{url}");
            assert!(!held("a,b:1", url), "{url}");
        }
        for (list, url, wanted) in [
            ("127.0.0.1:5000", "http://127.0.0.1:5000/", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/", false),
            ("R.example:443", "https://r.example/", true),
            ("r.example:443", "https://a.r.example/", true),
            (".r.example:443", "https://a.r.example/", true),
            ("r.example:443", "https://other.example/", false),
            ("r.example:443", "https://notr.example/", false),
            ("[::1]:5000", "http://[::1]:5000/", true),
        ] {
            assert_eq!(held(list, url), wanted, "{list} {url}");
        }
        let list = "r.example, *.b.example,10.0.0.0/8,::1,fe80::7";
        assert_eq!(
            Exceptions::read(list).rest,
            "r.example,.b.example,10.0.0.0/8,::1,fe80::7"
        );
    }
}
