//! The public address: scheme, host and port, nothing more.

use std::fmt;

use url::Url;

use super::refusal::{Refusal, refuse};

/// How people reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// With TLS, by the gateway or by something in front of it.
    Https,
}

/// The origin under which people and SDKs reach Langfuse.
///
/// Displayed as browsers send it: lower case, without a default port and
/// without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub scheme: Scheme,
    /// Host name or address; an IPv6 address in brackets.
    pub host: String,
    /// The port, also when it is the scheme's default.
    pub port: u16,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

impl Origin {
    /// Says what is wrong with an address that is typed in, if anything is.
    ///
    /// # Errors
    ///
    /// The reason, and what to write instead.
    pub fn check(text: &str) -> Result<(), String> {
        match Self::parse(text) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(format!("{}; {}", refusal.reason, refusal.remedy)),
        }
    }

    /// The port of an address that is typed in.
    pub fn port_of(text: &str) -> Option<u16> {
        Self::parse(text).ok().map(|origin| origin.port)
    }

    /// Host and, where it is not the scheme's own, port: a `Host` header.
    pub fn authority(&self) -> String {
        let text = self.to_string();
        text.split_once("://")
            .map_or(text.clone(), |(_, authority)| authority.to_owned())
    }

    /// Reads an address that holds nothing but an origin.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        const EXAMPLE: &str = "write it like `https://langfuse.example.com`";
        let url =
            Url::parse(text).map_err(|error| refuse(format!("is not a URL ({error})"), EXAMPLE))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(refuse(format!("has the scheme `{other}`"), EXAMPLE)),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user name or password", EXAMPLE));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse(
                "has a path, and the base path is built into Langfuse's images",
                "give Langfuse a host name of its own and leave out what comes after it",
            ));
        }
        // The host also goes into the gateway's configuration.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        if !url
            .host_str()
            .is_some_and(|host| host.bytes().all(is_plain))
        {
            return Err(refuse("has a host that is not a host name", EXAMPLE));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(refuse("has no host or port", EXAMPLE));
        };
        if matches!(host, "0.0.0.0" | "[::]") || port == 0 {
            return Err(refuse(
                "is not an address that a browser can reach",
                "write the name or address of this host as others see it",
            ));
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_browsers_send_it() {
        for (text, shown) in [
            (
                "https://Langfuse.Example.com/",
                "https://langfuse.example.com",
            ),
            ("https://a.b:443", "https://a.b"),
            ("http://10.0.0.7:3000", "http://10.0.0.7:3000"),
            ("http://[fd00::1]:80", "http://[fd00::1]"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_more_and_less_than_an_origin() {
        for bad in [
            "",
            "langfuse.example.com",
            "ftp://a.b",
            "https://",
            "https://u:p@a.b",
            "https://a.b/langfuse",
            "https://a.b?x",
            "https://a.b/#x",
            "http://0.0.0.0:3000",
            "http://a.b:0",
            "http://a.b:70000",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad} was accepted");
        }
    }
}
