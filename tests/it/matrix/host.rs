//! Hosts, and what each command does to them behind its questions.

use std::path::Path;

use lfctl::appliance::Appliance;
use lfctl::appliance::state::Status;
use lfctl::bundle::open::Bundle;
use lfctl::change::plan::Plan;
use lfctl::change::recover::{self, Recovery};
use lfctl::change::runner::{Interrupt, Purpose, Runner};
use lfctl::change::uninstall::{self, Uninstall};
use lfctl::change::upgrade;
use lfctl::change::{Blueprint, BringUp, ChangeError, SiteInput, Step, install, observe};
use lfctl::engine::{ContainerEngine, EngineFacts};
use lfctl::fake::bundle::{Fake, FakeImage, FakeLayer};
use lfctl::fake::engine::{Contents, FakeEngine, Fault};
use lfctl::fake::langfuse::FakeLangfuse;
use lfctl::report::event::Silent;
use lfctl::sign::SecretKey;
use lfctl::stack::release::SchemaChange;
use lfctl::stack::secret::SecretStore;
use lfctl::sys::paths::Paths;
use lfctl::transfer::plan as images;

use crate::support::bundle::{key, store};

/// A host, an engine and a Langfuse that answers.
pub(super) struct Host {
    _dir: tempfile::TempDir,
    pub(super) paths: Paths,
    pub(super) appliance: Appliance,
    pub(super) engine: FakeEngine,
}

/// What all hosts share.
pub(super) struct Rig {
    pub(super) bundle: Bundle,
    /// The release behind it, with another image and another service.
    pub(super) newer: Bundle,
    pub(super) site_text: String,
    pub(super) langfuse: FakeLangfuse,
    _dir: tempfile::TempDir,
}

pub(super) fn release(dir: &Path, key: &SecretKey, version: &str, counter: u64) -> Bundle {
    let path = dir.join(format!("{version}.tar"));
    let mut fake = Fake::small().unwrap();
    fake.release.version = version.parse().unwrap();
    fake.release.counter = counter;
    let worker = fake.stack.service("worker").unwrap().clone();
    let mut another = |name: &str| {
        let mut service = worker.clone();
        name.clone_into(&mut service.name);
        fake.stack.services.push(service);
    };
    another(if counter > 1 { "extra" } else { "retired" });
    if counter > 1 {
        fake.upgrade.from = vec![">=1.0.0".parse().unwrap()];
        fake.stack.langfuse.version = "3.226.0".to_owned();
        let layer = FakeLayer::files(&[("bin/app", version.as_bytes())]);
        let image = FakeImage::new(vec![layer]);
        fake = fake.image("app", "docker.io/rehearsal/app:1.1.0", image);
    }
    fake.write(&path, key).unwrap();
    let untrusted = lfctl::bundle::UntrustedBundle::open(&path).unwrap();
    untrusted.verify(&store(key)).unwrap()
}

pub(super) fn memory_dir() -> tempfile::TempDir {
    // Thousands of journal lines are synchronised: on a disk that takes minutes.
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        tempfile::tempdir_in(shm).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let dir = memory_dir();
        let key = key();
        let bundle = release(dir.path(), &key, "1.0.0", 1);
        let newer = release(dir.path(), &key, "1.1.0", 2);
        let langfuse = FakeLangfuse::start(&bundle.stack().langfuse.version).unwrap();
        let site_text = format!(
            "schema = 1\nurl = \"http://{0}\"\nlisten = \"{0}\"\n\n[admin]\nemail = \"a@b.example\"\nname = \"A\"\n",
            langfuse.address()
        );
        Self {
            bundle,
            newer,
            site_text,
            langfuse,
            _dir: dir,
        }
    }

    pub(super) fn site(&self) -> SiteInput {
        let text = self.site_text.clone();
        SiteInput::parse(Path::new("site.toml"), text, self.bundle.stack()).unwrap()
    }

    pub(super) fn host(&self) -> Host {
        let dir = memory_dir();
        let paths = Paths::below(dir.path());
        Host {
            appliance: Appliance::named(&paths, "langfuse").unwrap(),
            engine: FakeEngine::new(self.bundle.stack().schemas.clone()),
            paths,
            _dir: dir,
        }
    }
}

impl Host {
    /// What `lfctl install` does behind its questions.
    pub(super) async fn install(&self, rig: &Rig) -> Result<Plan<Step>, ChangeError> {
        let facts = self.engine.facts().await?;
        let mut change = self.bring_up(rig, &facts).await?;
        let existing = observe::existing(&change).await?;
        assert_eq!(existing.foreign, Vec::<String>::new());
        let observed = observe::observe(&change, &existing).await?;
        let plan = install::plan(rig.bundle.stack(), &observed);
        if !plan.is_done() {
            self.run(&plan, &mut change).await?;
        }
        Ok(plan)
    }

    /// What `lfctl install` works with.
    pub(super) async fn bring_up<'a>(
        &'a self,
        rig: &'a Rig,
        facts: &'a EngineFacts,
    ) -> Result<BringUp<'a, FakeEngine>, ChangeError> {
        let before = self.appliance.state()?;
        let site = rig.site();
        let mut secrets: SecretStore = self.appliance.secrets()?.unwrap_or_default();
        secrets
            .generate_missing(&rig.bundle.stack().secrets)
            .unwrap();
        let known = images::known(&self.engine, &rig.bundle, facts, before.as_ref());
        Ok(BringUp {
            engine: &self.engine,
            facts,
            appliance: &self.appliance,
            paths: &self.paths,
            command: "install",
            bundle: Some(&rig.bundle),
            bases: &[],
            target: Blueprint::of_bundle(self.appliance.name(), &rig.bundle, site, known.await?),
            previous: None,
            cold: false,
            schema_change: SchemaChange::Additive,
            before,
            secrets,
            reporter: &Silent,
        })
    }

    /// What the commands that replace what runs work with.
    pub(super) async fn change<'a>(
        &'a self,
        rig: &'a Rig,
        facts: &'a EngineFacts,
        bundle: Option<&'a Bundle>,
    ) -> Result<BringUp<'a, FakeEngine>, ChangeError> {
        let before = self.appliance.state()?.unwrap();
        let previous = Blueprint::of_generation(&self.appliance, &before.current)?;
        let name = self.appliance.name();
        let target = match (bundle, &before.previous) {
            (Some(bundle), _) => {
                let known = images::known(&self.engine, bundle, facts, Some(&before));
                Blueprint::of_bundle(name, bundle, rig.site(), known.await?)
            }
            (None, Some(wanted)) => Blueprint::of_generation(&self.appliance, wanted)?,
            (None, None) => previous.clone(),
        };
        let mut secrets: SecretStore = self.appliance.secrets()?.unwrap_or_default();
        secrets.generate_missing(&target.stack.secrets).unwrap();
        Ok(BringUp {
            engine: &self.engine,
            facts,
            appliance: &self.appliance,
            paths: &self.paths,
            command: if bundle.is_some() {
                "upgrade"
            } else {
                "rollback"
            },
            bundle,
            bases: &[],
            target,
            previous: Some(previous),
            cold: false,
            schema_change: SchemaChange::Additive,
            before: Some(before),
            secrets,
            reporter: &Silent,
        })
    }

    /// What `lfctl upgrade` does, and without a bundle what `lfctl rollback` does.
    pub(super) async fn replace(
        &self,
        rig: &Rig,
        bundle: Option<&Bundle>,
    ) -> Result<(), ChangeError> {
        let facts = self.engine.facts().await?;
        self.recover(rig, &facts).await?;
        let mut change = self.change(rig, &facts, bundle).await?;
        if bundle
            .is_some_and(|bundle| change.before.as_ref().unwrap().current.bundle == bundle.digest())
        {
            return Ok(());
        }
        let existing = observe::existing(&change).await?;
        let observed = observe::observe(&change, &existing).await?;
        let leftovers = change.leftovers()?;
        let plan = match bundle {
            Some(_) => upgrade::plan(&change.target.stack, &observed, &leftovers, None),
            None => upgrade::rollback(&change.target.stack, &observed, &leftovers),
        };
        self.run(&plan, &mut change).await
    }

    /// What `lfctl recover` does with an upgrade that broke off.
    pub(super) async fn recover(&self, rig: &Rig, facts: &EngineFacts) -> Result<(), ChangeError> {
        let state = self.appliance.state()?.unwrap();
        let recovery = recover::decide(&self.appliance, &state)?;
        let mut change = self.change(rig, facts, None).await?;
        change.target = change.previous.clone().unwrap();
        match recovery {
            Recovery::Nothing => Ok(()),
            Recovery::ClearUp { plan, previous, .. } => {
                change.previous = previous.map(|previous| *previous);
                self.run(&plan, &mut change).await
            }
            Recovery::Undo(run) => {
                let (journal, interrupt) = (self.appliance.journal(), Interrupt::default());
                let runner = Runner {
                    journal: &journal,
                    reporter: &Silent,
                    interrupt: &interrupt,
                };
                runner.undo_unfinished(&run, &mut change).await
            }
            Recovery::UndoBackup(run) => panic!("nobody began a backup: {run:?}"),
        }
    }

    /// What `lfctl uninstall` does behind its question.
    pub(super) async fn uninstall(&self, purge: bool) -> Result<(), ChangeError> {
        let state = self.appliance.state()?;
        let removal = uninstall::find(&self.engine, &self.appliance, state.as_ref(), purge).await?;
        let plan = uninstall::plan(&removal, state.is_some());
        let mut actions = Uninstall {
            engine: &self.engine,
            appliance: &self.appliance,
            state,
        };
        self.run(&plan, &mut actions).await
    }

    pub(super) async fn run<A: lfctl::change::runner::Actions>(
        &self,
        plan: &Plan<A::Step>,
        actions: &mut A,
    ) -> Result<(), ChangeError> {
        let (journal, interrupt) = (self.appliance.journal(), Interrupt::default());
        let runner = Runner {
            journal: &journal,
            reporter: &Silent,
            interrupt: &interrupt,
        };
        runner.run(plan, Purpose::default(), actions).await
    }

    /// Lets a fault befall one call of `work`, and kills it if that hangs.
    pub(super) async fn hit<T>(&self, number: usize, fault: Fault, work: impl Future<Output = T>) {
        self.engine.fail_call(number, fault);
        let hangs = async {
            while !self.engine.hangs() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = work => {}
            () = hangs => {}
        }
        self.engine.heal();
    }

    pub(super) fn assert_installed(&self, wanted: &Contents, case: &str) {
        assert_eq!(self.engine.contents(), *wanted, "{case}");
        let state = self.appliance.state().unwrap().unwrap();
        assert_eq!(state.status, Status::Installed, "{case}");
        let unfinished = self.appliance.journal().unfinished().unwrap();
        assert_eq!(unfinished, None, "{case}");
    }
}
