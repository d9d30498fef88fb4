//! Registries that are asked instead of those that references name.

use oci_spec::distribution::Reference;

/// Who is asked instead of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry, as references name it.
    registry: String,
    /// Host, perhaps with a port.
    host: String,
    /// Path that its repositories are below, with a slash behind; or empty.
    prefix: String,
}

impl Mirror {
    /// Reads an address such as `harbor.lan:8443/proxy`.
    ///
    /// # Errors
    ///
    /// What is wrong with it and what to write instead.
    pub fn new(registry: &str, address: &str) -> Result<Self, String> {
        if let Some((scheme, rest)) = address.split_once("://") {
            return Err(format!(
                "leave out `{scheme}://` and write `{registry}={rest}`; TLS is spoken unless \
                 `--plain-http` is given"
            ));
        }
        let (host, path) = address
            .trim_end_matches('/')
            .split_once('/')
            .unwrap_or((address.trim_end_matches('/'), ""));
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(format!("`{host}` is not a host, such as harbor.lan:8443"));
        }
        let is_path = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(is_path)
        };
        if !path.is_empty() && !path.split('/').all(is_part) {
            return Err(format!("`{path}` cannot be the beginning of a repository"));
        }
        if registry.is_empty() || registry.contains('/') {
            return Err(format!("`{registry}` is not a registry, such as docker.io"));
        }
        Ok(Self {
            registry: registry.to_owned(),
            host: host.to_owned(),
            prefix: match path {
                "" => String::new(),
                path => format!("{path}/"),
            },
        })
    }

    /// Host, perhaps with a port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// What to ask for instead of `reference`, if this is its mirror.
    pub(super) fn route(&self, reference: &Reference) -> Option<Reference> {
        if self.registry != reference.registry() {
            return None;
        }
        let registry = reference.registry().to_owned();
        let repository = format!("{}{}", self.prefix, reference.repository());
        let tag = reference.tag().map(str::to_owned);
        let mut routed = match (tag, reference.digest().map(str::to_owned)) {
            (Some(tag), Some(digest)) => {
                Reference::with_tag_and_digest(registry, repository, tag, digest)
            }
            (None, Some(digest)) => Reference::with_digest(registry, repository, digest),
            (tag, None) => Reference::with_tag(registry, repository, tag.unwrap_or_default()),
        };
        routed.set_mirror_registry(self.host.clone());
        Some(routed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(address: &str, reference: &str) -> Option<String> {
        let mirror = Mirror::new("docker.io", address).unwrap();
        let routed = mirror.route(&reference.parse().unwrap())?;
        let name = routed.digest().or(routed.tag()).unwrap();
        let host = routed.resolve_registry();
        Some(format!("{host} {} {name}", routed.repository()))
    }

    #[test]
    fn a_path_of_the_address_is_where_repositories_begin() {
        let redis = "docker.io/library/redis:7.2.11";
        for (address, asked) in [
            ("harbor.lan", "harbor.lan library/redis 7.2.11"),
            ("harbor.lan/", "harbor.lan library/redis 7.2.11"),
            (
                "harbor.lan:8443/proxy",
                "harbor.lan:8443 proxy/library/redis 7.2.11",
            ),
            ("[::1]:5000/a/b-c/", "[::1]:5000 a/b-c/library/redis 7.2.11"),
        ] {
            assert_eq!(routed(address, redis).as_deref(), Some(asked));
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        for tag in ["", ":1.0"] {
            let pinned = format!("docker.io/a/b{tag}@{digest}");
            let asked = format!("h p/a/b {digest}");
            assert_eq!(routed("h/p", &pinned), Some(asked));
        }
        assert_eq!(routed("h/p", "quay.io/a/b:1.0"), None);
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (address, word) in [
            ("http://harbor.lan/proxy", "`docker.io=harbor.lan/proxy`"),
            ("http://harbor.lan", "`--plain-http`"),
            ("https://harbor.lan", "`docker.io=harbor.lan`"),
            ("", "is not a host"),
            ("/proxy", "is not a host"),
            ("user@harbor.lan", "is not a host"),
            ("harbor.lan?x", "is not a host"),
            ("harbor.lan/Proxy", "beginning of a repository"),
            ("harbor.lan/a//b", "beginning of a repository"),
            ("harbor.lan/../b", "beginning of a repository"),
            ("harbor.lan/a?b", "beginning of a repository"),
        ] {
            let problem = Mirror::new("docker.io", address).unwrap_err();
            assert!(problem.contains(word), "{address}: {problem}");
        }
        for registry in ["", "docker.io/library"] {
            Mirror::new(registry, "harbor.lan").unwrap_err();
        }
    }
}
