//! Settings of the datastores that only the running server can tell.

use std::time::Duration;

use crate::engine::ContainerEngine;
use crate::langfuse::query::{QueryError, exec};
use crate::stack::{Service, Stack};
use crate::sys::text::one_line;

const LIMIT: Duration = Duration::from_secs(5);
/// `redis-cli` takes the password from here, so none is in an argument.
const REDIS_PASSWORD: &str = "REDISCLI_AUTH";
const CRASH_REPORTS: &str = "send_crash_reports";

/// The service whose Redis can be asked without a password in an argument.
pub fn redis(stack: &Stack) -> Option<&Service> {
    stack
        .services
        .iter()
        .find(|service| service.env.contains_key(REDIS_PASSWORD))
}

/// What Redis does when its memory is full. Anything but `noeviction` loses
/// queued events.
pub async fn eviction_policy(
    engine: &impl ContainerEngine,
    container: &str,
) -> Result<String, QueryError> {
    let command = ["redis-cli", "CONFIG", "GET", "maxmemory-policy"].map(str::to_owned);
    let output = exec(engine, container, &command, LIMIT).await?;
    parse_policy(&output).ok_or_else(|| QueryError::Format {
        what: format!("eviction policy of {container}"),
        text: one_line(&output),
    })
}

/// `redis-cli` exits 0 on errors too, so the answer itself must have the form.
fn parse_policy(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    (lines.next()? == "maxmemory-policy").then(|| lines.next().map(str::to_owned))?
}

/// Files of the stack that switch crash reports off, as service and path.
pub fn crash_report_files(stack: &Stack) -> Vec<(&str, &str)> {
    let switches = |content: String| content.contains(CRASH_REPORTS);
    stack
        .services
        .iter()
        .flat_map(|service| service.files.iter().map(move |file| (service, file)))
        .filter(|(_, file)| switches(file.content.to_string()))
        .map(|(service, file)| (service.name.as_str(), file.path.as_str()))
        .collect()
}

/// Whether the file in the running container has crash reports off.
pub async fn crash_reports_off(
    engine: &impl ContainerEngine,
    container: &str,
    path: &str,
) -> Result<bool, QueryError> {
    let command = ["cat", path].map(str::to_owned);
    let text = exec(engine, container, &command, LIMIT).await?;
    Ok(parse_crash_reports_off(&text))
}

fn parse_crash_reports_off(text: &str) -> bool {
    let inside = |name: &str, text: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(inner.trim().to_owned())
    };
    inside(CRASH_REPORTS, text)
        .and_then(|block| inside("enabled", &block))
        .is_some_and(|value| value == "false" || value == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_no_policy() {
        assert_eq!(
            parse_policy("maxmemory-policy\nnoeviction\n").as_deref(),
            Some("noeviction")
        );
        assert_eq!(parse_policy("NOAUTH Authentication required.\n"), None);
        assert_eq!(parse_policy("maxmemory-policy\n"), None);
        assert_eq!(parse_policy(""), None);
    }

    #[test]
    fn crash_reports() {
        let file = |value: &str| {
            format!(
                "<x>\n <send_crash_reports>\n  <enabled>{value}</enabled>\n </send_crash_reports>\n</x>"
            )
        };
        assert!(parse_crash_reports_off(&file("false")));
        assert!(!parse_crash_reports_off(&file("true")));
        assert!(!parse_crash_reports_off("<enabled>false</enabled>"));
    }
}
