//! What in a definition does not fit the images, as far as their configs show.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::stack::Stack;

/// Where images say which release they are.
const VERSION_LABEL: &str = "org.opencontainers.image.version";

/// What is looked at of an image's config. Of any other type it says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Runs {
    entrypoint: serde_json::Value,
    cmd: serde_json::Value,
    labels: serde_json::Value,
}

impl Runs {
    fn of(config: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Config {
            config: Option<Runs>,
        }
        serde_json::from_slice::<Config>(config)
            .ok()
            .and_then(|config| config.config)
            .unwrap_or_default()
    }

    fn has_entrypoint(&self) -> bool {
        names_a_program(&self.entrypoint)
    }

    fn runs_something(&self) -> bool {
        self.has_entrypoint() || names_a_program(&self.cmd)
    }

    fn version(&self) -> Option<&str> {
        let version = self.labels.get(VERSION_LABEL)?.as_str()?;
        Some(version.strip_prefix('v').unwrap_or(version))
    }
}

/// A list of words, or a line as some tools write it.
fn names_a_program(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(words) => !words.is_empty(),
        serde_json::Value::String(line) => !line.is_empty(),
        _ => false,
    }
}

/// Compares a definition with the configs of its images, by key.
pub fn misfits(stack: &Stack, configs: &BTreeMap<&str, &[u8]>) -> Vec<String> {
    let images: BTreeMap<_, _> = configs
        .iter()
        .map(|(key, config)| (*key, Runs::of(config)))
        .collect();
    let mut misfits = Vec::new();
    let idle = stack.services.iter().filter(|service| {
        let image = images.get(service.image.as_str());
        service.command.is_none()
            && service.entrypoint.is_none()
            && image.is_some_and(|image| !image.runs_something())
    });
    misfits.extend(idle.map(|service| {
        format!(
            "service `{}` names no command, and neither does its image `{}`",
            service.name, service.image
        )
    }));
    let job = stack.migration.image.as_str();
    if images.get(job).is_some_and(|image| !image.has_entrypoint()) {
        misfits.push(format!(
            "image `{job}` has no entrypoint, and it is the entrypoint that migrates"
        ));
    }
    let langfuse = &stack.langfuse;
    for name in [&langfuse.web, &langfuse.worker] {
        let image = stack.service(name).map(|service| service.image.as_str());
        let found = image.and_then(|image| images.get(image)?.version());
        if let Some(found) = found.filter(|found| **found != langfuse.version) {
            misfits.push(format!(
                "image of `{name}` is version {found}, but the definition is for {}",
                langfuse.version
            ));
        }
    }
    misfits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(web: &str) -> Vec<String> {
        let stack = crate::stack::testing::stack();
        let config = format!(r#"{{"config":{web}}}"#);
        misfits(&stack, &[("web", config.as_bytes())].into())
    }

    #[test]
    fn what_an_image_shows_is_held_against_the_definition() {
        let entrypoint = r#""Entrypoint":["dumb-init","--"]"#;
        let label = |version: &str| {
            format!(
                r#"{{{entrypoint},"Labels":{{"org.opencontainers.image.version":"{version}"}}}}"#
            )
        };
        assert_eq!(found(&label("v4.16.0")), Vec::<String>::new());
        assert_eq!(found(&format!("{{{entrypoint}}}")), Vec::<String>::new());
        let other = found(&label("4.15.0"));
        assert!(
            other[0].contains("4.15.0") && other[0].contains("4.16.0"),
            "{other:?}"
        );
        let bare = found(r#"{"Cmd":["node"],"Labels":[7]}"#);
        assert!(bare[0].contains("no entrypoint"), "{bare:?}");
        // Nothing to migrate with, and nothing to run either.
        assert_eq!(found("null").len(), 2);
    }
}
