//! Values with typed references, as the stack definition writes them.
//!
//! A template is text in which `${secret:NAME}`, `${site:KEY}` and
//! `${service:NAME}` stand for a generated secret, a value the operator
//! decided, and the address of a sibling service; `${next:WEB}` for the web
//! that is to be proven, and `${closed:until}` for the time until which the
//! gateway is closed. It is parsed when the
//! definition is read, so a reference to nothing is found before anything
//! starts. `$$` is a dollar sign.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::site_key::SiteKey;

/// One piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Literal(String),
    /// The secret of this name from `secrets.toml`.
    Secret(String),
    /// A value from `site.toml`.
    Site(SiteKey),
    /// The host name under which siblings reach this service.
    Service(String),
    /// The same of the one that is to be proven before it serves.
    Next(String),
    /// What the gateway tells while it is closed, such as `until`.
    Closed(String),
}

/// What `${closed:…}` can name: the time at which the gateway is expected to
/// open again.
pub const UNTIL: &str = "until";

/// A text with typed references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(Vec<Part>);

/// A `${…}` that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${` without its `}`.
    #[error("`${{` without a closing `}}` in `{0}`")]
    Unclosed(String),
    /// A `$` that is neither `$$` nor `${`.
    #[error("a lone `$` in `{0}`; write `$$` for a dollar sign")]
    LoneDollar(String),
    /// A reference of an unknown kind.
    #[error("`${{{0}}}` is not a reference; use secret:, site:, service:, next: or closed:")]
    UnknownReference(String),
    /// A key that `site.toml` does not have.
    #[error("`${{site:{0}}}`: there is no site value `{0}`")]
    UnknownSiteKey(String),
}

/// Where the values behind references come from.
pub trait Values {
    /// The value a reference stands for, or `None` when there is none.
    fn lookup(&self, part: &Part) -> Option<String>;
}

impl Template {
    /// A template without references.
    pub fn literal(text: impl Into<String>) -> Self {
        Self(vec![Part::Literal(text.into())])
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether any piece is a secret, so that the result must not be shown.
    pub fn is_secret(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Secret(_)))
    }

    /// The text with every reference replaced.
    ///
    /// # Errors
    ///
    /// The first reference that `values` does not know.
    pub fn render(&self, values: &impl Values) -> Result<String, Part> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                reference => {
                    text.push_str(&values.lookup(reference).ok_or_else(|| reference.clone())?);
                }
            }
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            if let Some(tail) = after.strip_prefix('$') {
                literal.push('$');
                rest = tail;
            } else if let Some(tail) = after.strip_prefix('{') {
                let end = tail
                    .find('}')
                    .ok_or_else(|| TemplateError::Unclosed(text.to_owned()))?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(reference(&tail[..end])?);
                rest = &tail[end + 1..];
            } else {
                return Err(TemplateError::LoneDollar(text.to_owned()));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }
}

fn reference(text: &str) -> Result<Part, TemplateError> {
    let unknown = || TemplateError::UnknownReference(text.to_owned());
    let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
    let name_is_plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match kind {
        _ if !name_is_plain => Err(unknown()),
        "secret" => Ok(Part::Secret(name.to_owned())),
        "site" => match name.parse() {
            Ok(key) => Ok(Part::Site(key)),
            Err(()) => Err(TemplateError::UnknownSiteKey(name.to_owned())),
        },
        "service" => Ok(Part::Service(name.to_owned())),
        "next" => Ok(Part::Next(name.to_owned())),
        "closed" => Ok(Part::Closed(name.to_owned())),
        _ => Err(unknown()),
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(&text.replace('$', "$$")),
            Self::Secret(name) => write!(f, "${{secret:{name}}}"),
            Self::Site(name) => write!(f, "${{site:{name}}}"),
            Self::Service(name) => write!(f, "${{service:{name}}}"),
            Self::Next(name) => write!(f, "${{next:{name}}}"),
            Self::Closed(name) => write!(f, "${{closed:{name}}}"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Names;
    impl Values for Names {
        fn lookup(&self, part: &Part) -> Option<String> {
            match part {
                Part::Literal(_) => None,
                Part::Site(key) => Some(format!("<{key}>")),
                Part::Secret(name)
                | Part::Service(name)
                | Part::Next(name)
                | Part::Closed(name) => (name != "missing").then(|| format!("<{name}>")),
            }
        }
    }

    #[test]
    fn replaces_each_kind_of_reference() {
        let template: Template = "postgres://u:${secret:pw}@${service:postgres}/${site:host}?a=$$1"
            .parse()
            .unwrap();
        assert!(template.is_secret());
        assert_eq!(
            template.render(&Names).unwrap(),
            "postgres://u:<pw>@<postgres>/<host>?a=$1"
        );
    }

    #[test]
    fn names_the_reference_that_has_no_value() {
        let template: Template = "${secret:missing}".parse().unwrap();
        assert_eq!(
            template.render(&Names),
            Err(Part::Secret("missing".to_owned()))
        );
    }

    #[test]
    fn refuses_what_is_not_in_the_grammar() {
        for bad in [
            "$x",
            "${secret:a",
            "${other:a}",
            "${secret:}",
            "${secret:A}",
            "${}",
            "${site:colour}",
        ] {
            assert!(bad.parse::<Template>().is_err(), "{bad} was accepted");
        }
    }

    proptest! {
        #[test]
        fn display_parses_back(text in "[a-z$]{0,20}") {
            let template = Template::literal(&text);
            let back: Template = template.to_string().parse().unwrap();
            prop_assert_eq!(back.render(&Names).unwrap(), text);
        }
    }
}
