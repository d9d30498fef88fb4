//! The questions of a first install, on a terminal only. Nothing is asked
//! that has one right answer; the rest is in `site.toml` with comments.
//!
//! Each answer is checked by the rules of `site.toml` itself, together with
//! the answers before it, so that none is refused later.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use console::style;

use super::failure::{Failure, Kind};
use super::prompt;
use crate::change::SiteInput;
use crate::report::human::fit;
use crate::stack::Stack;
use crate::stack::site::{Admin, Answers, Named, Origin, SiteConfig, TlsFiles};
use crate::sys::text::chain;

/// What is asked about.
pub(super) struct Wizard<'a> {
    /// Name of this host, for the address that is proposed.
    pub(super) host: &'a str,
    /// What the answers have to suit.
    pub(super) stack: &'a Stack,
    /// Where the answers are kept.
    pub(super) file: &'a Path,
}

impl Wizard<'_> {
    /// Asks, shows the answers, and returns the text of the `site.toml` that
    /// follows once they are confirmed.
    pub(super) fn ask(&self) -> Result<String, Failure> {
        self.heading()?;
        let mut answers = stand_ins();
        self.ask_url(&mut answers)?;
        if answers.url.starts_with("https://") {
            self.ask_tls(&mut answers)?;
        }
        self.ask_listen(&mut answers)?;
        let question = "E-mail address of the first administrator";
        answers.admin.email = self.valid(question, None, &answers, |answers, typed| {
            typed.clone_into(&mut answers.admin.email);
            Ok(typed.to_owned())
        })?;
        let question = "Name of the first organization";
        let organization = self.valid(question, Some("Default"), &answers, |answers, typed| {
            typed.clone_into(&mut answers.organization.name);
            Ok(typed.to_owned())
        })?;
        answers.organization.name = organization;
        self.summary(&answers)?;
        if prompt::confirm("Write this down and install?", true)? {
            return Ok(SiteConfig::template(&answers));
        }
        Err(Failure::new(
            Kind::Failed,
            "nothing was written or installed: not confirmed",
        )
        .hint("run the same command again to answer again"))
    }

    /// Asks until the answers, with this one put among them by `put`, keep
    /// every rule.
    fn valid<T>(
        &self,
        question: &str,
        default: Option<&str>,
        answers: &Answers,
        put: impl Fn(&mut Answers, &str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        prompt::ask(question, default, |typed| {
            let mut tried = answers.clone();
            let value = put(&mut tried, typed)?;
            let text = SiteConfig::template(&tried);
            match SiteInput::parse(self.file, text, self.stack) {
                Ok(_) => Ok(value),
                Err(error) => Err(why(&error)),
            }
        })
    }

    fn ask_url(&self, answers: &mut Answers) -> Result<(), Failure> {
        let proposal = format!("http://{}:3000", self.host);
        let question = "Address at which people will reach Langfuse";
        let put = |answers: &mut Answers, typed: &str| {
            Origin::check(typed)?;
            typed.clone_into(&mut answers.url);
            answers.behind_proxy = typed.starts_with("https://");
            // The ports must be equal, unless something in front maps them.
            answers
                .listen
                .set_port(Origin::port_of(typed).unwrap_or(3000));
            Ok(answers.clone())
        };
        *answers = self.valid(question, Some(&proposal), answers, put)?;
        Ok(())
    }

    fn ask_tls(&self, answers: &mut Answers) -> Result<(), Failure> {
        let question = "Will this host hold the certificate? (n: a load balancer in front does)";
        if !prompt::confirm(question, true)? {
            return Ok(());
        }
        answers.behind_proxy = false;
        loop {
            let certificate = ask_file("Certificate file (PEM)")?;
            let key = ask_file("Key file (PEM)")?;
            answers.tls = Some(TlsFiles { certificate, key });
            let text = SiteConfig::template(answers);
            match SiteInput::parse(self.file, text, self.stack) {
                Ok(_) => return Ok(()),
                Err(error) => say(&format!("  {}", why(&error)), 2)?,
            }
        }
    }

    fn ask_listen(&self, answers: &mut Answers) -> Result<(), Failure> {
        let proposal = answers.listen.to_string();
        let question = "Port, or address and port, of this host to listen on";
        answers.listen = self.valid(question, Some(&proposal), answers, |answers, typed| {
            let listen = parse_listen(typed).ok_or_else(|| {
                "write a port, or address and port, such as `3000` or `192.0.2.7:443`".to_owned()
            })?;
            answers.listen = listen;
            Ok(listen)
        })?;
        Ok(())
    }

    fn heading(&self) -> Result<(), Failure> {
        let heading = style("First install").bold().for_stderr();
        say(&format!("\n{heading}\n"), 0)?;
        say(
            &format!(
                "Enter takes the proposal in brackets. The answers go to {}, which explains every \
                 further setting.\n",
                self.file.display()
            ),
            0,
        )
    }

    fn summary(&self, answers: &Answers) -> Result<(), Failure> {
        let tls = match (&answers.tls, answers.behind_proxy) {
            (Some(files), _) => format!("by this host, with {}", files.certificate.display()),
            (None, true) => "by what is in front of this host".to_owned(),
            (None, false) => "none: what people send can be read on the way".to_owned(),
        };
        say("", 0)?;
        for (what, value) in [
            ("address", answers.url.as_str()),
            ("listens on", &answers.listen.to_string()),
            ("encryption", &tls),
            ("administrator", &answers.admin.email),
            ("organization", &answers.organization.name),
            ("written to", &self.file.display().to_string()),
        ] {
            say(&format!("  {what:14} {value}"), 17)?;
        }
        say("", 0)
    }
}

fn say(text: &str, indent: usize) -> Result<(), Failure> {
    Ok(writeln!(std::io::stderr(), "{}", fit(text, indent))?)
}

/// Answers that break no rule, for those that were not given yet.
fn stand_ins() -> Answers {
    Answers {
        url: "http://localhost:3000".to_owned(),
        listen: ([0, 0, 0, 0], 3000).into(),
        behind_proxy: false,
        tls: None,
        admin: Admin {
            email: "admin@example.com".to_owned(),
            name: "Admin".to_owned(),
        },
        organization: named("default", "Default"),
        project: named("default", "Default"),
    }
}

fn named(id: &str, name: &str) -> Named {
    Named {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

/// What is wrong with an answer, without the place in the file to come.
fn why(error: &crate::appliance::ApplianceError) -> String {
    use crate::appliance::ApplianceError;
    use crate::stack::site::SiteError;
    match error {
        ApplianceError::Site {
            source: SiteError::Invalid(problems),
            ..
        } => {
            let lines = problems
                .iter()
                .map(|one| format!("`{}` {}; {}", one.key, one.reason, one.remedy));
            lines.collect::<Vec<_>>().join("\n  ")
        }
        ApplianceError::Site { source, .. } => chain(source),
        other => chain(other),
    }
}

/// A port alone means every address of the host.
fn parse_listen(text: &str) -> Option<SocketAddr> {
    match text.trim_start_matches(':').parse::<u16>() {
        Ok(port) => Some(([0, 0, 0, 0], port).into()),
        Err(_) => text.parse().ok(),
    }
}

fn ask_file(question: &str) -> Result<PathBuf, Failure> {
    prompt::ask(question, None, |typed| {
        let path = std::path::absolute(typed).map_err(|error| error.to_string())?;
        if path.is_file() {
            Ok(path)
        } else {
            Err(format!("there is no file `{}`", path.display()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_a_place_to_listen() {
        let parsed = |text| parse_listen(text).map(|address| address.to_string());
        assert_eq!(parsed("3000").unwrap(), "0.0.0.0:3000");
        assert_eq!(parsed(":3000").unwrap(), "0.0.0.0:3000");
        assert_eq!(parsed("[::]:443").unwrap(), "[::]:443");
        assert_eq!(parsed("70000"), None);
        assert_eq!(parsed("here"), None);
    }

    #[test]
    fn what_was_not_asked_yet_breaks_no_rule() {
        SiteConfig::parse(&SiteConfig::template(&stand_ins())).unwrap();
    }
}
