//! Walks the TOML of `site.toml` and collects every problem on the way.
//!
//! By hand instead of by derive: a derived reader stops at the first unknown
//! key, and the operator then learns of the second one in the next run.

mod backup;
mod egress;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::error::{Problem, SCHEMA, SiteError};
use super::model::{Admin, Named, SiteConfig, TlsFiles};
use super::origin::{Origin, Scheme};
use super::refusal::Refusal;
use super::rules;
use super::section::Section;
use super::similar::similar;
use crate::stack::secret::Secret;
use crate::sys::versioned::line_of;

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 3000);

/// The configuration and what is wrong with it. With problems, the
/// configuration holds stand-ins and is only good for finding more of them.
pub(super) fn read(text: &str) -> Result<(SiteConfig, Vec<Problem>), SiteError> {
    let document = DeTable::parse(text).map_err(|error| SiteError::Syntax {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut reader = Reader {
        text,
        problems: Vec::new(),
        lines: BTreeMap::new(),
        meant: BTreeSet::new(),
    };
    let root = Section {
        path: String::new(),
        table: Some(document.get_ref()),
    };
    reader.schema(&root)?;
    reader.only(
        &root,
        &[
            "schema",
            "url",
            "listen",
            "behind-proxy",
            "tls",
            "admin",
            "organization",
            "project",
            "secrets",
            "env",
            "egress",
            "ca",
            "backup",
        ],
    );
    let site = reader.site(&root);
    let mut problems = std::mem::take(&mut reader.problems);
    if reader.meant.is_empty() {
        // Otherwise they might speak of stand-ins for what is misspelt.
        problems.extend(rules::within(&site));
        problems.extend(super::egress::within(&site));
    }
    // In the order of the file; what is missing comes last.
    problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    Ok((site, problems))
}

struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    lines: BTreeMap<String, usize>,
    /// Keys that are misspelt, as they should be.
    meant: BTreeSet<String>,
}

impl Reader<'_> {
    fn problem(&mut self, key: String, reason: impl Into<String>, remedy: impl Into<String>) {
        let line = self.lines.get(&key).copied();
        self.problems.push(Problem {
            key,
            line,
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }

    fn schema(&mut self, root: &Section<'_>) -> Result<(), SiteError> {
        let value = self.find(root, "schema");
        let found = value.and_then(|value| {
            let integer = value.as_integer()?;
            u32::from_str_radix(integer.as_str(), integer.radix()).ok()
        });
        match found {
            Some(found) if found > SCHEMA => Err(SiteError::NewerSchema { found }),
            Some(SCHEMA) => Ok(()),
            _ => {
                self.problem(
                    "schema".to_owned(),
                    "is not a schema of this file",
                    format!("write `schema = {SCHEMA}`"),
                );
                Ok(())
            }
        }
    }

    /// Reports keys that mean nothing here, and notes where the others stand.
    fn only(&mut self, section: &Section<'_>, known: &[&str]) {
        for (key, _) in section.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            let path = section.path_of(name);
            self.record_line(&path, key.span().start);
            if known.contains(&name) {
                continue;
            }
            let remedy = match similar(name, known) {
                Some(meant) => {
                    self.meant.insert(section.path_of(meant));
                    format!("did you mean `{meant}`?")
                }
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            self.problem(path, "is not a key of this file", remedy);
        }
    }

    fn record_line(&mut self, path: &str, offset: usize) {
        self.lines
            .insert(path.to_owned(), line_of(self.text, offset));
    }

    fn find<'a>(&mut self, section: &Section<'a>, key: &str) -> Option<&'a DeValue<'a>> {
        let (name, value) = section.table?.get_key_value(key)?;
        self.record_line(&section.path_of(key), name.span().start);
        Some(value.get_ref())
    }

    fn section<'a>(&mut self, root: &Section<'a>, path: &str) -> Section<'a> {
        let key = path.rsplit('.').next().unwrap_or(path);
        let found = self.find(root, key);
        if let Some(value) = found
            && !value.is_table()
        {
            self.problem(
                path.to_owned(),
                "is not a table",
                format!("write `[{path}]` and its keys below"),
            );
        }
        Section {
            path: path.to_owned(),
            table: found.and_then(DeValue::as_table),
        }
    }

    fn string(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let value = self.find(section, key)?;
        if let Some(text) = value.as_str() {
            return Some(text.to_owned());
        }
        self.problem(
            section.path_of(key),
            format!("is of type {}", value.type_str()),
            "write it as text in double quotes",
        );
        None
    }

    fn boolean(&mut self, section: &Section<'_>, key: &str) -> bool {
        let Some(value) = self.find(section, key) else {
            return false;
        };
        value.as_bool().unwrap_or_else(|| {
            self.problem(
                section.path_of(key),
                format!("is of type {}", value.type_str()),
                "write `true` or `false` without quotes",
            );
            false
        })
    }

    /// A text that `check` accepts, or `stand_in` after reporting a problem.
    fn checked<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        stand_in: T,
        check: impl Fn(&str) -> Result<T, Refusal>,
    ) -> T {
        let Some(text) = self.string(section, key) else {
            return stand_in;
        };
        check(&text).unwrap_or_else(|refusal| {
            self.problem(section.path_of(key), refusal.reason, refusal.remedy);
            stand_in
        })
    }

    fn required(&mut self, section: &Section<'_>, key: &str, remedy: &str) {
        let path = section.path_of(key);
        let is_there = section.table.is_some_and(|table| table.contains_key(key));
        // A misspelt one was reported already.
        if !is_there && !self.meant.contains(&path) {
            self.problem(path, "is missing", remedy);
        }
    }

    fn site(&mut self, root: &Section<'_>) -> SiteConfig {
        self.required(
            root,
            "url",
            "write the address that people will type, such as `url = \"https://langfuse.example.com\"`",
        );
        let url = self.checked(root, "url", None, |text| Origin::parse(text).map(Some));
        let listen = self.checked(root, "listen", DEFAULT_LISTEN, rules::listen);
        let behind_proxy = self.boolean(root, "behind-proxy");
        let tls = self.tls(root);
        let admin = self.admin(root);
        let organization = self.named(root, "organization");
        let project = self.named(root, "project");
        let secrets = self.section(root, "secrets");
        let secrets = self.texts(&secrets);
        let env = self.section(root, "env");
        self.only(&env, &["web", "worker"]);
        let web = self.section(&env, "env.web");
        let worker = self.section(&env, "env.worker");
        let (env_web, env_worker) = (self.texts(&web), self.texts(&worker));
        let (ca, egress) = (self.ca(root), self.egress(root));
        SiteConfig {
            // A stand-in that raises no second problem.
            url: url.unwrap_or_else(|| Origin {
                scheme: if tls.is_some() {
                    Scheme::Https
                } else {
                    Scheme::Http
                },
                host: String::new(),
                port: listen.port(),
            }),
            listen,
            behind_proxy,
            tls,
            admin,
            organization,
            project,
            secrets,
            env_web,
            env_worker,
            ca,
            egress,
            backup: self.backup(root),
            lines: self.lines.clone(),
        }
    }

    fn tls(&mut self, root: &Section<'_>) -> Option<TlsFiles> {
        let section = self.section(root, "tls");
        section.table?;
        self.only(&section, &["certificate", "key"]);
        let mut file = |key| {
            self.required(&section, key, "write the absolute path of a PEM file");
            self.checked(&section, key, PathBuf::new(), rules::absolute_path)
        };
        Some(TlsFiles {
            certificate: file("certificate"),
            key: file("key"),
        })
    }

    fn ca(&mut self, root: &Section<'_>) -> Option<PathBuf> {
        let section = self.section(root, "ca");
        section.table?;
        self.only(&section, &["bundle"]);
        self.required(&section, "bundle", "write the absolute path of a PEM file");
        let path = self.checked(&section, "bundle", PathBuf::new(), rules::absolute_path);
        Some(path)
    }

    fn admin(&mut self, root: &Section<'_>) -> Admin {
        let section = self.section(root, "admin");
        self.only(&section, &["email", "name"]);
        self.required(
            &section,
            "email",
            "write `[admin]` and below it `email = \"you@example.com\"`",
        );
        Admin {
            email: self.checked(&section, "email", String::new(), rules::email),
            name: self.checked(&section, "name", "Administrator".to_owned(), rules::name),
        }
    }

    fn named(&mut self, root: &Section<'_>, path: &str) -> Named {
        let section = self.section(root, path);
        self.only(&section, &["id", "name"]);
        Named {
            id: self.checked(&section, "id", "default".to_owned(), rules::id),
            name: self.checked(&section, "name", "Default".to_owned(), rules::name),
        }
    }

    /// All texts of a table with free keys.
    fn texts(&mut self, section: &Section<'_>) -> BTreeMap<String, Secret> {
        let mut texts = BTreeMap::new();
        for (key, _) in section.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if let Some(text) = self.string(section, name) {
                texts.insert(name.to_owned(), Secret::new(text));
            }
        }
        texts
    }
}
