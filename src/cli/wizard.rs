//! The questions of a first install, on a terminal only. Nothing is asked
//! that has one right answer; the rest stands in `site.toml` with comments.

use std::net::SocketAddr;

use dialoguer::{Confirm, Input};

use super::failure::Failure;
use super::uninstall::prompt_failure;
use crate::stack::site::{Admin, Answers, Named, Origin, SiteConfig, TlsFiles};

/// Asks, and returns the text of the `site.toml` that follows.
pub(super) fn ask(host: &str) -> Result<String, Failure> {
    let url: String = Input::new()
        .with_prompt("Address under which people reach Langfuse")
        .default(format!("http://{host}:3000"))
        .validate_with(|text: &String| Origin::check(text))
        .interact_text()
        .map_err(prompt_failure)?;
    let secure = url.starts_with("https://");
    // The ports must be equal, unless something in front maps them.
    let port = Origin::port_of(&url).unwrap_or(3000);
    let listen: SocketAddr = Input::new()
        .with_prompt("Address and port of this host to listen on")
        .default(([0, 0, 0, 0], port).into())
        .interact_text()
        .map_err(prompt_failure)?;
    let tls = if secure { ask_tls()? } else { None };
    let email: String = Input::new()
        .with_prompt("E-mail address of the first administrator")
        .validate_with(|text: &String| {
            if text.contains('@') {
                Ok(())
            } else {
                Err("an e-mail address has an @")
            }
        })
        .interact_text()
        .map_err(prompt_failure)?;
    let organization: String = Input::new()
        .with_prompt("Name of the first organization")
        .default("Default".to_owned())
        .interact_text()
        .map_err(prompt_failure)?;
    Ok(SiteConfig::template(&Answers {
        url,
        listen,
        behind_proxy: secure && tls.is_none(),
        tls,
        admin: Admin {
            email,
            name: "Admin".to_owned(),
        },
        organization: named("default", &organization),
        project: named("default", "Default"),
    }))
}

fn named(id: &str, name: &str) -> Named {
    Named {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

fn ask_tls() -> Result<Option<TlsFiles>, Failure> {
    let own = Confirm::new()
        .with_prompt(
            "Does the gateway itself carry the certificate (no: a load balancer in front does)?",
        )
        .default(true)
        .interact()
        .map_err(prompt_failure)?;
    if !own {
        return Ok(None);
    }
    let file = |prompt: &str| -> Result<std::path::PathBuf, Failure> {
        let path: String = Input::new()
            .with_prompt(prompt)
            .validate_with(|path: &String| {
                if std::path::Path::new(path).is_file() {
                    Ok(())
                } else {
                    Err("no such file")
                }
            })
            .interact_text()
            .map_err(prompt_failure)?;
        Ok(path.into())
    };
    Ok(Some(TlsFiles {
        certificate: file("Certificate file (PEM)")?,
        key: file("Key file (PEM)")?,
    }))
}
