//! `lfctl doctor --prove-airgap`: a signed report on whether anything leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::Context;
use super::failure::{Failure, Kind};
use crate::check::airgap::{About, Proof, Verdict, judge};
use crate::engine::docker::Docker;
use crate::engine::{Container, ContainerEngine as _, Containers as _, LABEL_PART};
use crate::facts::airgap::{Canary, Seen, Watch, see, targets};
use crate::facts::{self, Fact, Facts, Probe, Subject};
use crate::report::event::{Step, StepStatus};
use crate::sign::{SecretKey, generate};
use crate::stack::{EGRESS, JOB};
use crate::sys::fs::{read_optional, with_suffix, write_atomically, write_new};
use crate::sys::host::Host;

/// Largest key file that is read.
const KEY_LIMIT: u64 = 4096;
/// Seconds between two uses of the appliance while it is watched.
const PAUSE: Duration = Duration::from_secs(10);

/// Options of the proof.
#[derive(Debug, clap::Args)]
pub(super) struct ProveArgs {
    /// Prove that nothing leaves: try from every container, watch what each tries by itself while
    /// the appliance is used, and write a signed report
    #[arg(long, conflicts_with_all = ["only", "all", "list"])]
    pub(super) prove_airgap: bool,
    /// Watch for N minutes
    #[arg(long, value_name = "N", default_value_t = 1, requires = "prove_airgap",
          value_parser = clap::value_parser!(u64).range(0..=1440))]
    minutes: u64,
    /// Write FILE.json and FILE.html, each with its signature
    #[arg(long, short, value_name = "FILE", requires = "prove_airgap")]
    output: Option<PathBuf>,
}

impl ProveArgs {
    pub(super) async fn run(
        &self,
        context: &Context,
        engine: &Docker,
        subject: Subject,
        bundle: (String, Option<String>),
    ) -> Result<(), Failure> {
        let key = host_key(context)?;
        let engine_facts = engine.facts().await?;
        let began = Timestamp::now();
        let containers = containers(engine, &subject.name).await?;
        let step = Step::start(
            context.reporter.as_ref(),
            "try",
            "trying to leave each container",
        );
        let seen = try_all(&subject, &containers).await?;
        step.finish(StepStatus::Done, None);
        let step = Step::start(
            context.reporter.as_ref(),
            "watch",
            "watching while it is used",
        );
        let watch = Watch::begin(&containers);
        let used = self.use_it(engine, &subject).await;
        let sightings = watch.end();
        step.finish(StepStatus::Done, None);
        let about = About {
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
            host: Host::read().map(|host| host.hostname).unwrap_or_default(),
            appliance: subject.name.clone(),
            release: subject.release.to_string(),
            bundle: bundle.0,
            bundle_key: bundle.1,
            key: key.public().id().to_string(),
            engine: format!("{} {}", engine_facts.kind, engine_facts.version),
            began,
            ended: Timestamp::now(),
            used: used.done,
        };
        let mut proof = judge(&subject, seen, sightings, about);
        proof.not_used(used.failed);
        let base = self.output.clone();
        let base = base.unwrap_or_else(|| format!("airgap-{}", subject.name).into());
        write_report(&base, &proof, &key)?;
        context.print(
            &proof,
            &format!("{}{}", proof.text(), how_to_check(&base, &key)),
        )?;
        verdict(&proof)
    }

    /// Uses the appliance as its clients and people do, for as long as asked.
    async fn use_it(&self, engine: &Docker, subject: &Subject) -> Used {
        let end = Instant::now() + Duration::from_secs(self.minutes * 60);
        let mut used = Used::default();
        let (mut events, mut checks) = (0_u32, 0_u32);
        loop {
            let probes = [Probe::Health, Probe::Event, Probe::Update].into();
            let facts = Box::pin(facts::gather(engine, subject.clone(), &probes)).await;
            used.failed.extend(failures(&facts));
            events += u32::from(matches!(&facts.event, Fact::Known(Ok(_))));
            checks += u32::from(facts.update.known().is_some());
            if Instant::now() >= end {
                break;
            }
            tokio::time::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
        }
        used.failed.sort();
        used.failed.dedup();
        used.done = vec![
            format!("{events} events sent with a project's key and read back"),
            format!("{checks} update checks asked for"),
        ];
        used
    }
}

/// How an appliance was used while it was watched.
#[derive(Default)]
struct Used {
    done: Vec<String>,
    failed: Vec<String>,
}

fn failures(facts: &Facts) -> Vec<String> {
    let mut failed = Vec::new();
    match &facts.event {
        Fact::Known(Ok(_)) => {}
        Fact::Known(Err(error)) => failed.push(format!("no event came back: {error}")),
        Fact::Unknown(why) => failed.push(format!("no event was sent: {why}")),
    }
    if let Fact::Unknown(why) = &facts.update {
        failed.push(format!("no update check was made: {why}"));
    }
    failed
}

async fn containers(
    engine: &Docker,
    appliance: &str,
) -> Result<BTreeMap<String, Container>, Failure> {
    let found = engine.containers(appliance).await?;
    let named = found.into_iter().map(|container| {
        let part = container.labels.get(LABEL_PART).cloned();
        (part.unwrap_or_else(|| container.name.clone()), container)
    });
    // The migration is over.
    Ok(named.filter(|(part, _)| part != JOB).collect())
}

async fn try_all(
    subject: &Subject,
    containers: &BTreeMap<String, Container>,
) -> Result<Vec<Seen>, Failure> {
    let canary = Canary::new()?;
    let all = targets(&subject.stack.call_home, &canary)?;
    let containers = containers.clone();
    let trying = tokio::task::spawn_blocking(move || {
        let seen = containers.iter().map(|(service, container)| {
            // It has a way out, as site.toml says: what is tried would leave.
            let targets = if service == EGRESS {
                &[]
            } else {
                all.as_slice()
            };
            see(service, container, targets)
        });
        let seen = seen.collect();
        drop(canary);
        seen
    });
    trying
        .await
        .map_err(|error| Failure::from_error(Kind::Bug, &error))
}

/// The key that this host signs its reports with; made the first time.
fn host_key(context: &Context) -> Result<SecretKey, Failure> {
    let file = context.paths.host_key();
    if let Some(bytes) = read_optional(&file, KEY_LIMIT)? {
        return Ok(SecretKey::parse(&String::from_utf8_lossy(&bytes), None)?);
    }
    let new = generate(None)?;
    if let Some(dir) = file.parent() {
        crate::sys::fs::make_dirs(dir)?;
    }
    let public = file.with_extension("pub");
    write_atomically(&public, new.public.to_text().as_bytes(), 0o644)?;
    write_new(&file, new.secret.expose_secret().as_bytes(), 0o600)?;
    Ok(SecretKey::parse(new.secret.expose_secret(), None)?)
}

fn write_report(base: &Path, proof: &Proof, key: &SecretKey) -> Result<(), Failure> {
    let about = &proof.about;
    let comment = format!(
        "lfctl air-gap report appliance={} bundle={} host={} began={:.0} ended={:.0}",
        about.appliance, about.bundle, about.host, about.began, about.ended
    );
    let json = serde_json::to_string_pretty(proof)
        .map_err(|error| Failure::from_error(Kind::Bug, &error))?;
    for (suffix, text) in [(".json", json), (".html", proof.html())] {
        let file = with_suffix(base, suffix);
        write_atomically(&file, text.as_bytes(), 0o644)?;
        let signature = key.sign(text.as_bytes(), &comment)?;
        write_atomically(&with_suffix(&file, ".minisig"), signature.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn how_to_check(base: &Path, key: &SecretKey) -> String {
    let (json, html) = (with_suffix(base, ".json"), with_suffix(base, ".html"));
    format!(
        "written to {} and {}; to check:\n  minisign -Vm {} -P {}\n",
        json.display(),
        html.display(),
        html.display(),
        key.public().to_base64()
    )
}

fn verdict(proof: &Proof) -> Result<(), Failure> {
    let failure = match proof.verdict {
        Verdict::Proven => return Ok(()),
        Verdict::NotProven => Failure::new(Kind::NotProven, proof.verdict.to_string()),
        Verdict::Open => {
            let count = proof.findings.len();
            Failure::new(Kind::Blocked, format!("not sealed: {count} ways out"))
        }
    };
    Err(failure.already_shown())
}
