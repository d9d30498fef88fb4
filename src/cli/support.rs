//! `lfctl support-bundle`: what somebody needs who is to help, without
//! secrets, in one file.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::HumanBytes;
use serde::Serialize;
use serde_json::json;

use super::args::NameArg;
use super::failure::{Failure, Kind};
use super::{Context, appliance_engine, logs};
use crate::appliance::Appliance;
use crate::appliance::state::State;
use crate::check;
use crate::engine::docker::Docker;
use crate::engine::{ContainerEngine as _, Containers as _, ExecAndLogs as _, LABEL_PART};
use crate::facts::{self, Subject};
use crate::report::event::{Level, notice};
use crate::stack::secret::{Redactor, Secret};
use crate::sys::fs::{check_replaceable, read_optional, write_atomically};
use crate::sys::host::Host;
use crate::sys::text::chain;
use crate::sys::versioned::VERSION;

/// Lines of each service.
const LINES: usize = 5_000;
/// Bytes of each entry; the end of a longer one is kept.
const LIMIT: usize = 2 << 20;
/// Bytes of the longest journal that is read.
const JOURNAL: u64 = 64 << 20;
/// Lines of the audit log.
const AUDITED: usize = 200;

/// Arguments of `lfctl support-bundle`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    name: NameArg,
    /// File to write, a `.tar.gz`
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// List what it would hold, and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written {
    /// The file; none with `--dry-run`.
    file: Option<PathBuf>,
    /// What it holds.
    entries: Vec<Entry>,
}

/// One entry of the tar.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
struct Entry {
    /// Its path.
    name: String,
    /// Its bytes.
    bytes: usize,
    /// What it is.
    what: &'static str,
    #[serde(skip)]
    text: String,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = self.name.appliance(context)?;
        let state = appliance.state()?.ok_or_else(|| {
            let name = appliance.name();
            Failure::new(
                Kind::Failed,
                format!("there is no appliance `{name}` on this host"),
            )
            .hint("`lfctl status` lists those that are")
        })?;
        // Before minutes of looking whose end it is.
        if !self.dry_run {
            check_replaceable(&self.output)?;
        }
        let mut collected = Collected::new(&appliance)?;
        collected.files(&appliance, &state)?;
        collected.engine(context, &appliance, state).await;
        let entries = collected.entries;
        for entry in &entries {
            let bytes = HumanBytes(entry.bytes as u64);
            let text = format!("{:<24} {bytes:>10}  {}", entry.name, entry.what);
            notice(
                context.reporter.as_ref(),
                Level::Info,
                "support.entry",
                text,
            );
        }
        let mut text =
            "left out: site.toml, secrets.toml, keys, and all data of Langfuse".to_owned();
        let file = if self.dry_run {
            None
        } else {
            write_atomically(&self.output, &pack(&entries)?, 0o600)?;
            text = format!(
                "{text}\nwritten to {}; names of hosts and people are in it: read it before you \
                 pass it on",
                self.output.display()
            );
            Some(self.output)
        };
        context.print(&Written { file, entries }, &text)
    }
}

/// The entries so far, all without secrets.
struct Collected {
    redactors: [Redactor; 2],
    entries: Vec<Entry>,
}

impl Collected {
    fn new(appliance: &Appliance) -> Result<Self, Failure> {
        let password = appliance.backup_password()?;
        let password = password.map(|password| {
            let words = password.words();
            let words =
                words.map(|words| Secret::new(secrecy::ExposeSecret::expose_secret(&words)));
            (Secret::new(password.expose()), words)
        });
        let mut kept = Vec::new();
        if let Some((password, words)) = &password {
            kept.push(("backup-password", password));
            kept.extend(words.iter().map(|words| ("backup-password", words)));
        }
        Ok(Self {
            redactors: [logs::redactor(appliance)?, Redactor::new(kept.into_iter())],
            entries: Vec::new(),
        })
    }

    /// The one way in: what is added has no secrets.
    fn add(&mut self, name: &str, what: &'static str, text: &str) {
        let clean = self
            .redactors
            .iter()
            .fold(text.to_owned(), |text, redactor| redactor.redact(&text));
        let text = end_of(&clean, LIMIT).to_owned();
        self.entries.push(Entry {
            name: name.to_owned(),
            bytes: text.len(),
            what,
            text,
        });
    }

    fn add_json(&mut self, name: &str, what: &'static str, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value)
            .unwrap_or_else(|error| format!("cannot be shown: {error}"));
        self.add(name, what, &text);
    }

    /// What lies on disk.
    fn files(&mut self, appliance: &Appliance, state: &State) -> Result<(), Failure> {
        let host = Host::read().ok();
        let host = host.map(|host| {
            json!({
                "kernel": host.kernel,
                "machine": host.machine,
                "memory": host.memory.total,
                "memory-available": host.memory.available,
                "cpus": host.cpu.count,
            })
        });
        let about = json!({
            "lfctl": VERSION,
            "appliance": appliance.name(),
            "release": state.current.release,
            "at": jiff::Timestamp::now(),
            "host": host,
        });
        self.add_json("about.json", "versions, memory and processors", &about);
        self.add_json("state.json", "what is installed", &state.record);
        let generations = appliance.generations()?;
        self.add_json("history.json", "the generations", &generations);
        let journal = read_optional(appliance.journal().path(), JOURNAL)?.unwrap_or_default();
        let journal = String::from_utf8_lossy(&journal).into_owned();
        self.add("journal.jsonl", "the steps of the last changes", &journal);
        let log = appliance.audit_log().read()?;
        let skipped = log.entries.len().saturating_sub(AUDITED);
        let audit = json!({
            "lines": log.lines,
            "head": log.head,
            "problem": log.problem.as_ref().map(ToString::to_string),
            "last": log.entries[skipped..],
        });
        self.add_json("audit.json", "the end of the audit log", &audit);
        Ok(())
    }

    /// What only a running engine can tell, or why it could not.
    async fn engine(&mut self, context: &Context, appliance: &Appliance, state: State) {
        let engine = match Docker::connect(&context.engine).await {
            Ok(engine) => engine,
            Err(error) => {
                let text = format!("no engine answers: {}", chain(&error));
                return self.add("engine.txt", "why there is nothing of the engine", &text);
            }
        };
        if let Err(failure) = appliance_engine::check(appliance.name(), &state, &engine).await {
            let text = failure.first_line();
            return self.add("engine.txt", "why there is nothing of the engine", &text);
        }
        match engine.facts().await {
            Ok(facts) => self.add_json("engine.json", "the container engine", &facts),
            Err(error) => self.add("engine.txt", "the container engine", &chain(&error)),
        }
        self.doctor(&engine, appliance, state).await;
        self.logs(&engine, appliance).await;
    }

    async fn doctor(&mut self, engine: &Docker, appliance: &Appliance, state: State) {
        let what = "what doctor found";
        let subject = match Subject::installed(appliance, state) {
            Ok(subject) => subject,
            Err(error) => return self.add("doctor.txt", what, &chain(&error)),
        };
        let checks = match check::select(&[]) {
            Ok(checks) => checks,
            Err(error) => return self.add("doctor.txt", what, &chain(&error)),
        };
        let probes = check::probes(&checks);
        let facts = Box::pin(facts::gather(engine, subject, &probes)).await;
        let examination = check::examine(&facts, &checks);
        self.add("doctor.txt", what, &examination.text(true));
        self.add_json("doctor.json", "the same for programs", &examination);
    }

    async fn logs(&mut self, engine: &Docker, appliance: &Appliance) {
        let what = "the end of its log";
        let containers = match engine.containers(appliance.name()).await {
            Ok(containers) => containers,
            Err(error) => return self.add("logs.txt", what, &chain(&error)),
        };
        let services: BTreeMap<_, _> = containers
            .iter()
            .filter_map(|one| Some((one.labels.get(LABEL_PART)?, &one.name)))
            .collect();
        for (service, container) in services {
            let text = match engine.timed_logs(container, LINES, None).await {
                Ok(text) => text,
                Err(error) => chain(&error),
            };
            self.add(&format!("logs/{service}.txt"), what, &text);
        }
    }
}

/// The last whole lines that have `limit` bytes at most.
fn end_of(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let from = text.ceil_char_boundary(text.len() - limit);
    let end = &text[from..];
    end.split_once('\n').map_or(end, |(_, whole)| whole)
}

/// A tar of the entries, compressed.
fn pack(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(entry.bytes as u64);
        tar.append_data(&mut header, &entry.name, entry.text.as_bytes())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use flate2::read::GzDecoder;

    use super::*;
    use crate::repository::Password;
    use crate::stack::secret::SecretStore;
    use crate::sys::paths::Paths;

    fn unpacked(packed: &[u8]) -> String {
        let mut text = String::new();
        let mut tar = tar::Archive::new(GzDecoder::new(packed));
        for entry in tar.entries().unwrap() {
            entry.unwrap().read_to_string(&mut text).unwrap();
        }
        text
    }

    #[test]
    fn no_secret_gets_in_however_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        let mut secrets = SecretStore::default();
        let given = [("salt", "s+lt/of 32 characters%here12345")];
        let given = given.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        secrets.merge(&given.into(), &BTreeMap::new()).unwrap();
        appliance.write_secrets(&secrets).unwrap();
        let password = Password::generate().unwrap();
        appliance.keep_backup_password(&password).unwrap();

        let mut collected = Collected::new(&appliance).unwrap();
        let words = password.words().unwrap();
        let words = secrecy::ExposeSecret::expose_secret(&words).to_owned();
        let values = [given_text(&secrets), password.expose().to_owned(), words];
        for value in &values {
            let encoded =
                percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            let text = format!(
                "kept {value} {} {} {}",
                STANDARD.encode(value),
                URL_SAFE.encode(format!("user:{value}")),
                encoded
            );
            collected.add("a.txt", "", &text);
            collected.add_json("a.json", "", &json!({ "x": value }));
        }
        let text = unpacked(&pack(&collected.entries).unwrap());
        assert_eq!(text.matches("kept").count(), 3, "{text}");
        for value in values {
            let core = STANDARD.encode(&value);
            for spelling in [value.as_str(), &core[..core.len() - 4]] {
                assert!(!text.contains(spelling), "{text}");
            }
        }
    }

    fn given_text(secrets: &SecretStore) -> String {
        secrets.get("salt").unwrap().expose().to_owned()
    }

    #[test]
    fn without_the_secrets_nothing_is_collected() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        assert!(Collected::new(&appliance).is_err());
    }

    #[test]
    fn of_a_long_text_the_last_whole_lines_are_kept() {
        assert_eq!(end_of("one\ntwo\nthree\n", 9), "three\n");
        assert_eq!(end_of("one\n", 9), "one\n");
        assert_eq!(end_of("ééé", 3), "é");
    }
}
