//! Credential helpers, by Docker's protocol: the registry in, JSON out.

use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::login::Login;
use crate::sys::text::one_line;

/// The name that says: the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What a helper says when it simply has no login.
const NOT_FOUND: &str = "credentials not found";
/// Time for a helper; some ask a person.
const HELPER_TIME: Duration = Duration::from_secs(60);
/// Bytes of a helper's longest answer.
const HELPER_LIMIT: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: SecretString,
}

/// The login that a helper keeps for a registry.
///
/// # Errors
///
/// Why it gives none.
pub(super) async fn ask(name: &str, registry: &str) -> Result<Option<Login>, String> {
    if name.contains('/') {
        return Err("that is not a name of a helper".to_owned());
    }
    let asked = tokio::time::timeout(HELPER_TIME, converse(name, registry)).await;
    let (succeeded, output) = asked
        .map_err(|_| format!("no answer within {} s", HELPER_TIME.as_secs()))?
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such program in the PATH".to_owned(),
            _ => error.to_string(),
        })?;
    if !succeeded {
        // The helpers of Docker print their errors where answers go.
        let said = String::from_utf8_lossy(&output);
        if said.contains(NOT_FOUND) {
            return Ok(None);
        }
        let first = said.trim().lines().next().unwrap_or("it fails");
        return Err(one_line(&first.replace(char::is_control, " ")));
    }
    // Its text would be in the error of the parser.
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| "its answer is not what Docker's helpers say".to_owned())?;
    Ok(if answer.secret.expose_secret().is_empty() {
        None
    } else if answer.username == TOKEN_USER {
        Some(Login::Identity(answer.secret))
    } else {
        Some(Login::Password(answer.username, answer.secret))
    })
}

async fn converse(name: &str, registry: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its question may still answer.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(HELPER_LIMIT).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}
