//! What each step of a plan does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::observe::fits;
use super::plan::Step;
use super::{InstallError, JobLog};
use crate::appliance::Appliance;
use crate::appliance::state::{EnginePlace, InstalledImage, SCHEMA, State, Status};
use crate::bundle::open::Bundle;
use crate::engine::{Container, ContainerEngine, ContainerState, EngineFacts, HealthState};
use crate::render::{self, Context, Names, Rendered};
use crate::report::event::{Outcome, Reporter};
use crate::stack::Service;
use crate::stack::secret::SecretStore;
use crate::stack::site::{SiteConfig, TlsMaterial};
use crate::transfer::load::{self, Loaded};
use crate::transfer::plan as images;

const POLL: Duration = Duration::from_millis(300);
const LOG_LINES: usize = 25;

/// Everything that steps work with.
pub struct Steps<'a, E> {
    /// The engine.
    pub engine: &'a E,
    /// What the engine is.
    pub facts: &'a EngineFacts,
    /// The appliance.
    pub appliance: &'a Appliance,
    /// The verified bundle.
    pub bundle: &'a Bundle,
    /// Bundles that have what it leaves out.
    pub bases: &'a [Bundle],
    /// What the operator decided.
    pub site: &'a SiteConfig,
    /// The same as it is written to disk.
    pub site_text: &'a str,
    /// Content of the gateway's certificate and key, where the site has them.
    pub tls: Option<&'a TlsMaterial>,
    /// What was recorded before.
    pub before: Option<State>,
    /// The secrets, once they exist.
    pub secrets: SecretStore,
    /// Images by key, as they will be or are.
    pub images: BTreeMap<String, InstalledImage>,
    /// Where events go.
    pub reporter: &'a dyn Reporter,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Whether anything was done.
    pub outcome: Outcome,
    /// What there is to say about it.
    pub detail: Option<String>,
}

impl Done {
    fn now() -> Self {
        Self {
            outcome: Outcome::Done,
            detail: None,
        }
    }

    fn saying(detail: String) -> Self {
        Self {
            outcome: Outcome::Done,
            detail: Some(detail),
        }
    }

    fn already() -> Self {
        Self {
            outcome: Outcome::AlreadyDone,
            detail: None,
        }
    }
}

impl<E> std::fmt::Debug for Steps<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps")
            .field("appliance", &self.appliance.name())
            .finish_non_exhaustive()
    }
}

impl<E: ContainerEngine> Steps<'_, E> {
    /// Carries out one step.
    pub async fn run(&mut self, step: &Step) -> Result<Done, InstallError> {
        let result = self.take(step).await;
        result.map_err(|error| match error {
            // They quote what a server answered.
            InstallError::Probe { what, why } => InstallError::Probe {
                what,
                why: self.redact(&why),
            },
            error => error,
        })
    }

    async fn take(&mut self, step: &Step) -> Result<Done, InstallError> {
        match step {
            Step::Intend => self.intend(),
            Step::LoadImages => self.load_images().await,
            Step::WriteSite => {
                self.appliance.write_site(self.site_text)?;
                Ok(Done::now())
            }
            Step::WriteSecrets => self.write_secrets(),
            Step::CreateNetwork(name) => self.create_network(name).await,
            Step::CreateVolume(name) => self.create_volume(name).await,
            Step::StartService(name) => self.start_service(name).await,
            Step::AwaitHealthy(name) => self.await_healthy(name).await,
            Step::Migrate => self.migrate().await,
            Step::CheckSchemas => self.check_schemas().await,
            Step::ProbeVersion => self.probe_version().await,
            Step::ProbeEvent => self.probe_event().await,
            Step::Commit => self.commit(),
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            appliance: self.appliance.name(),
        }
    }

    fn context<'c>(&'c self, ids: &'c BTreeMap<String, String>) -> Context<'c> {
        Context {
            appliance: self.appliance.name(),
            site: self.site,
            tls: self.tls,
            secrets: &self.secrets,
            images: ids,
        }
    }

    fn image_ids(&self) -> BTreeMap<String, String> {
        self.images
            .iter()
            .map(|(key, image)| (key.clone(), image.id.clone()))
            .collect()
    }

    fn service(&self, name: &str) -> Result<&Service, InstallError> {
        self.bundle
            .stack()
            .service(name)
            .ok_or_else(|| InstallError::Probe {
                what: format!("looking for service `{name}`"),
                why: "the stack does not define it".to_owned(),
            })
    }

    fn state(&self, status: Status) -> State {
        let manifest = self.bundle.manifest();
        let before = self.before.as_ref();
        let mut highest_counters = before
            .map(|state| state.highest_counters.clone())
            .unwrap_or_default();
        // Raised before anything runs: an install that breaks off after its
        // migration has already changed the data.
        let highest = highest_counters
            .entry(manifest.release.name.clone())
            .or_default();
        *highest = manifest.release.counter.max(*highest);
        State {
            schema: SCHEMA,
            lfctl: env!("CARGO_PKG_VERSION").to_owned(),
            status,
            release: manifest.release.clone(),
            highest_counters,
            bundle: self.bundle.digest(),
            key: self.bundle.key_id().map(|key| key.to_string()),
            engine: self.facts.kind,
            engine_at: Some(EnginePlace::of(self.facts)),
            images: self.images.clone(),
            stack: self.bundle.stack().clone(),
            listen: self.site.listen,
            holds_data: status == Status::Installed || before.is_some_and(|one| one.holds_data),
            fingerprints: self.fingerprints(),
            updated: Timestamp::now(),
        }
    }

    /// Short hashes of the secrets whose change loses data.
    pub fn fingerprints(&self) -> BTreeMap<String, String> {
        self.bundle
            .stack()
            .secrets
            .iter()
            .filter(|(_, rule)| rule.immutable)
            .filter_map(|(name, _)| Some((name.clone(), self.secrets.fingerprint(name)?)))
            .collect()
    }

    fn intend(&mut self) -> Result<Done, InstallError> {
        self.appliance
            .write_state(&self.state(Status::Installing))?;
        Ok(Done::now())
    }

    fn commit(&mut self) -> Result<Done, InstallError> {
        self.appliance.write_state(&self.state(Status::Installed))?;
        Ok(Done::now())
    }

    /// Writes anew when the appliance was last changed, if that was by a clock
    /// that went ahead.
    ///
    /// # Errors
    ///
    /// Another lfctl is at work, or the file cannot be written.
    pub fn mend_time(&mut self) -> Result<(), InstallError> {
        let before = self.before.as_ref();
        if before.is_some_and(|before| before.updated > Timestamp::now()) {
            let _lock = self.appliance.lock()?;
            self.commit()?;
        }
        Ok(())
    }

    async fn load_images(&mut self) -> Result<Done, InstallError> {
        let sources = images::sources(self.bundle, self.bases)?;
        let loaded = load::load_images(self.engine, self.facts, sources, self.reporter).await?;
        for image in &loaded {
            self.record(image);
        }
        // What the engine calls an image is known only now.
        self.appliance
            .write_state(&self.state(Status::Installing))?;
        Ok(Done::now())
    }

    fn record(&mut self, image: &Loaded) {
        for key in &image.keys {
            let known = self.images.get(key).map(|known| known.tags.as_slice());
            let is_ours = |tag: &&String| known.is_none_or(|tags| tags.contains(tag));
            let installed = InstalledImage {
                reference: image.reference.clone(),
                id: image.id.clone(),
                tags: image.tags.iter().filter(is_ours).cloned().collect(),
            };
            self.images.insert(key.clone(), installed);
        }
    }

    fn write_secrets(&mut self) -> Result<Done, InstallError> {
        self.appliance.write_secrets(&self.secrets)?;
        Ok(Done::saying(format!(
            "in {}: keep a copy of it apart from the backups",
            self.appliance.secrets_path().display()
        )))
    }

    async fn create_network(&mut self, name: &str) -> Result<Done, InstallError> {
        if self.engine.network(name).await?.is_some() {
            return Ok(Done::already());
        }
        let networks = render::networks(self.appliance.name());
        if let Some(spec) = networks.iter().find(|spec| spec.name == name) {
            self.engine.create_network(spec).await?;
        }
        Ok(Done::now())
    }

    async fn create_volume(&mut self, name: &str) -> Result<Done, InstallError> {
        if self.engine.volume(name).await?.is_some() {
            return Ok(Done::already());
        }
        let volumes = render::volumes(self.bundle.stack(), self.appliance.name());
        if let Some((name, owner)) = volumes.iter().find(|(volume, _)| volume == name) {
            self.engine.create_volume(name, owner).await?;
        }
        Ok(Done::now())
    }

    /// What the container of a service must be, files included.
    pub fn render(&self, service: &Service) -> Result<Rendered, InstallError> {
        let ids = self.image_ids();
        Ok(render::render_service(
            self.bundle.stack(),
            service,
            &self.context(&ids),
        )?)
    }

    async fn start_service(&mut self, name: &str) -> Result<Done, InstallError> {
        let service = self.service(name)?;
        let rendered = self.render(service)?;
        if let Some(container) = self.engine.container(&rendered.spec.name).await? {
            if fits(&container, &rendered.spec) {
                return Ok(Done::already());
            }
            if container.state == ContainerState::Running {
                // A migration that an interrupted run left behind may be at
                // work on it.
                self.await_job().await?;
            }
            super::stop::stop(self.engine, &container, &service.stop).await?;
            self.engine.remove(&container.name).await?;
        }
        self.launch(&rendered).await?;
        Ok(Done::now())
    }

    async fn launch(&self, rendered: &Rendered) -> Result<(), InstallError> {
        let name = &rendered.spec.name;
        self.engine.create(&rendered.spec).await?;
        if !rendered.files.is_empty() {
            let tar = render::files_tar(&rendered.files)?;
            self.engine.upload(name, tar).await?;
        }
        Ok(self.engine.start(name).await?)
    }

    async fn await_healthy(&mut self, name: &str) -> Result<Done, InstallError> {
        let service = self.service(name)?;
        let container = self.names().container(name);
        let limit = Duration::from_secs(service.health.wait_seconds);
        let begun = Instant::now();
        let mut restarts_before = None;
        loop {
            let seen = self.engine.container(&container).await?;
            let restarts = seen.as_ref().map_or(0, |container| container.restarts);
            let fresh = restarts.saturating_sub(*restarts_before.get_or_insert(restarts));
            match verdict(seen.as_ref(), fresh) {
                Verdict::Healthy => return Ok(Done::now()),
                Verdict::Waiting if begun.elapsed() < limit => tokio::time::sleep(POLL).await,
                verdict => {
                    let why = self.explain(seen.as_ref(), verdict, limit).await;
                    return Err(InstallError::Unhealthy {
                        service: name.to_owned(),
                        why,
                    });
                }
            }
        }
    }

    /// `text` without secrets, those of `site.toml` included.
    fn redact(&self, text: &str) -> String {
        self.site.redactor(&self.secrets).redact(text)
    }

    async fn explain(
        &self,
        container: Option<&Container>,
        verdict: Verdict,
        limit: Duration,
    ) -> String {
        let Some(container) = container else {
            return "its container is gone".to_owned();
        };
        let mut why = match verdict {
            Verdict::Dead if container.oom_killed => {
                "the kernel killed it for want of memory".to_owned()
            }
            Verdict::Dead => format!(
                "it ends again and again, last with exit code {}",
                container.exit_code.unwrap_or_default()
            ),
            _ => format!("its health check did not hold within {} s", limit.as_secs()),
        };
        if let Some(output) = container.health_output.as_deref().map(str::trim)
            && !output.is_empty()
        {
            why.push_str("\nhealth check: ");
            why.push_str(output);
        }
        if let Ok(logs) = self.engine.logs(&container.name, LOG_LINES, None).await {
            why.push_str("\nlast lines of its log:\n");
            why.push_str(logs.trim_end());
        }
        self.redact(&why)
    }

    /// Waits for the end of a migration that runs; tells whether there is one.
    async fn await_job(&self) -> Result<bool, InstallError> {
        let name = self.names().job();
        let left = self.engine.container(&name).await?;
        if left
            .as_ref()
            .is_some_and(|left| left.state == ContainerState::Running)
        {
            self.engine.wait(&name).await?;
        }
        Ok(left.is_some())
    }

    async fn migrate(&mut self) -> Result<Done, InstallError> {
        let ids = self.image_ids();
        let job = render::render_job(self.bundle.stack(), &self.context(&ids))?;
        let name = job.spec.name.clone();
        // Exactly one migrator: whatever an interrupted run left behind ends first.
        if self.await_job().await? {
            self.engine.remove(&name).await?;
        }
        self.launch(&job).await?;
        let code = self.engine.wait(&name).await?;
        let log = self.engine.logs(&name, LOG_LINES, None).await?;
        if code != 0 {
            return Err(InstallError::Migration {
                code,
                log: JobLog(self.redact(log.trim_end())),
            });
        }
        self.engine.remove(&name).await?;
        Ok(Done::now())
    }
}

/// How a container stands on its way to being healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Healthy,
    Waiting,
    Dead,
}

/// Restarts after which a container is taken for one that cannot start.
const RESTARTS_THAT_ARE_A_LOOP: u64 = 3;

fn verdict(container: Option<&Container>, fresh_restarts: u64) -> Verdict {
    let Some(container) = container else {
        return Verdict::Dead;
    };
    match (container.state, container.health) {
        (ContainerState::Running, Some(HealthState::Healthy)) => Verdict::Healthy,
        _ if fresh_restarts >= RESTARTS_THAT_ARE_A_LOOP => Verdict::Dead,
        (ContainerState::Exited | ContainerState::Other, _) => Verdict::Dead,
        _ => Verdict::Waiting,
    }
}
