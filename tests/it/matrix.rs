//! Every call that install and uninstall make to the engine is refused once,
//! is done once with its answer lost, and hangs once until lfctl is killed. Each
//! time the next run reaches the goal, and nothing is left over.

use std::path::Path;

use lfctl::appliance::Appliance;
use lfctl::appliance::journal::{COMMIT, OnBreak};
use lfctl::appliance::state::Status;
use lfctl::bundle::open::Bundle;
use lfctl::change::plan::Plan;
use lfctl::change::runner::{Interrupt, Purpose, Runner};
use lfctl::change::uninstall::{self, Uninstall};
use lfctl::change::upgrade::{self, Leftovers};
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
struct Host {
    _dir: tempfile::TempDir,
    paths: Paths,
    appliance: Appliance,
    engine: FakeEngine,
}

/// What all hosts share.
struct Rig {
    bundle: Bundle,
    /// The release behind it, with another image and another service.
    newer: Bundle,
    site_text: String,
    langfuse: FakeLangfuse,
    _dir: tempfile::TempDir,
}

fn release(dir: &Path, key: &SecretKey, version: &str, counter: u64) -> Bundle {
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

fn memory_dir() -> tempfile::TempDir {
    // Thousands of journal lines are synchronised: on a disk that takes minutes.
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        tempfile::tempdir_in(shm).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

impl Rig {
    fn new() -> Self {
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

    fn site(&self) -> SiteInput {
        let text = self.site_text.clone();
        SiteInput::parse(Path::new("site.toml"), text, self.bundle.stack()).unwrap()
    }

    fn host(&self) -> Host {
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
    async fn install(&self, rig: &Rig) -> Result<Plan<Step>, ChangeError> {
        let facts = self.engine.facts().await?;
        let before = self.appliance.state()?;
        let site = rig.site();
        let mut secrets: SecretStore = self.appliance.secrets()?.unwrap_or_default();
        secrets
            .generate_missing(&rig.bundle.stack().secrets)
            .unwrap();
        let known = images::known(&self.engine, &rig.bundle, &facts, before.as_ref());
        let mut change = BringUp {
            engine: &self.engine,
            facts: &facts,
            appliance: &self.appliance,
            paths: &self.paths,
            command: "install",
            bundle: Some(&rig.bundle),
            bases: &[],
            target: Blueprint::of_bundle(self.appliance.name(), &rig.bundle, site, known.await?),
            previous: None,
            schema_change: SchemaChange::Additive,
            before,
            secrets,
            reporter: &Silent,
        };
        let existing = observe::existing(&change).await?;
        assert_eq!(existing.foreign, Vec::<String>::new());
        let observed = observe::observe(&change, &existing).await?;
        let plan = install::plan(rig.bundle.stack(), &observed);
        if !plan.is_done() {
            self.run(&plan, &mut change).await?;
        }
        Ok(plan)
    }

    /// What the commands that replace what runs work with.
    async fn change<'a>(
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
            schema_change: SchemaChange::Additive,
            before: Some(before),
            secrets,
            reporter: &Silent,
        })
    }

    /// What `lfctl upgrade` does, and without a bundle what `lfctl rollback` does.
    async fn replace(&self, rig: &Rig, bundle: Option<&Bundle>) -> Result<(), ChangeError> {
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
        let previous = change.previous.as_ref().unwrap();
        let kept = [&previous.images, &change.target.images];
        let leftovers = Leftovers::of(&previous.stack, &change.target.stack, kept, &[]);
        let plan = match bundle {
            Some(_) => upgrade::plan(&change.target.stack, &observed, &leftovers),
            None => upgrade::rollback(&change.target.stack, &observed, &leftovers),
        };
        self.run(&plan, &mut change).await
    }

    /// What `lfctl recover` does with an upgrade that broke off.
    async fn recover(&self, rig: &Rig, facts: &EngineFacts) -> Result<(), ChangeError> {
        let Some(run) = self.appliance.journal().unfinished()? else {
            return Ok(());
        };
        let state = self.appliance.state()?.unwrap();
        let is_commit = run.step.as_deref() == Some(COMMIT) && state.run == run.run;
        let mut change = self.change(rig, facts, None).await?;
        change.target = change.previous.clone().unwrap();
        if run.committed || is_commit {
            let mut plan = Plan::new("recover", OnBreak::Resume);
            if let Some(before) = &state.previous {
                let stack = self.appliance.stack_of(before)?;
                let kept = [&before.images, &state.current.images];
                Leftovers::of(&stack, &state.stack, kept, &[]).push(&mut plan);
            }
            plan.push(Step::RecordRelease, false);
            return self.run(&plan, &mut change).await;
        }
        let (journal, interrupt) = (self.appliance.journal(), Interrupt::default());
        let runner = Runner {
            journal: &journal,
            reporter: &Silent,
            interrupt: &interrupt,
        };
        runner.undo_unfinished(&run, &mut change).await
    }

    /// What `lfctl uninstall` does behind its question.
    async fn uninstall(&self, purge: bool) -> Result<(), ChangeError> {
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

    async fn run<A: lfctl::change::runner::Actions>(
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
    async fn hit<T>(&self, number: usize, fault: Fault, work: impl Future<Output = T>) {
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

    fn assert_installed(&self, wanted: &Contents, case: &str) {
        assert_eq!(self.engine.contents(), *wanted, "{case}");
        let state = self.appliance.state().unwrap().unwrap();
        assert_eq!(state.status, Status::Installed, "{case}");
        let unfinished = self.appliance.journal().unfinished().unwrap();
        assert_eq!(unfinished, None, "{case}");
    }
}

#[tokio::test]
async fn an_install_converges_whatever_befalls_any_of_its_calls() {
    let rig = Rig::new();
    let host = rig.host();
    host.install(&rig).await.unwrap();
    let (calls, wanted) = (host.engine.calls(), host.engine.contents());
    assert!(host.install(&rig).await.unwrap().is_done());
    assert!(wanted.containers.values().all(|runs| *runs), "{wanted:?}");
    let mut cases = 0;
    for fault in Fault::ALL {
        for (number, call) in calls.iter().enumerate() {
            let case = format!("{fault:?} at call {number}, {call}");
            let host = rig.host();
            host.hit(number, fault, Box::pin(host.install(&rig))).await;
            let secrets = host.appliance.secrets().unwrap();
            host.install(&rig)
                .await
                .unwrap_or_else(|error| panic!("{case}: {error:?}"));
            host.assert_installed(&wanted, &case);
            if let Some(secrets) = secrets {
                let now = host.appliance.secrets().unwrap();
                assert_eq!(now, Some(secrets), "{case}: secrets were made anew");
            }
            let again = host.install(&rig).await.unwrap();
            assert!(again.is_done(), "{case}: {again:?}");
            cases += 1;
        }
    }
    println!("install: {cases} faults, {} calls", calls.len());
    assert!(cases > 200, "{cases} cases are too few to be all");
}

#[tokio::test]
async fn an_uninstall_converges_whatever_befalls_any_of_its_calls() {
    let rig = Rig::new();
    let mut cases = 0;
    for purge in [false, true] {
        let host = rig.host();
        host.install(&rig).await.unwrap();
        let volumes = host.engine.contents().volumes;
        host.engine.heal();
        host.uninstall(purge).await.unwrap();
        let calls = host.engine.calls();
        let wanted = Contents {
            volumes: if purge { Vec::new() } else { volumes },
            ..Contents::default()
        };
        assert_eq!(host.engine.contents(), wanted);
        for fault in Fault::ALL {
            for (number, call) in calls.iter().enumerate() {
                let case = format!("purge {purge}: {fault:?} at call {number}, {call}");
                let host = rig.host();
                host.install(&rig).await.unwrap();
                host.hit(number, fault, host.uninstall(purge)).await;
                host.uninstall(purge)
                    .await
                    .unwrap_or_else(|error| panic!("{case}: {error:?}"));
                assert_eq!(host.engine.contents(), wanted, "{case}");
                let status = host.appliance.state().unwrap().map(|state| state.status);
                let left = (!purge).then_some(Status::Uninstalled);
                assert_eq!(status, left, "{case}");
                assert_eq!(host.appliance.dir().exists(), !purge, "{case}");
                if !purge {
                    let unfinished = host.appliance.journal().unfinished().unwrap();
                    assert_eq!(unfinished, None, "{case}");
                    host.install(&rig).await.unwrap();
                }
                cases += 1;
            }
        }
    }
    println!("uninstall: {cases} faults");
    assert!(cases > 80, "{cases} cases are too few to be all");
}

/// A host on which the older release runs, and what its engine holds then.
async fn with_release(rig: &Rig) -> (Host, Contents) {
    let host = rig.host();
    rig.langfuse
        .become_version(&rig.bundle.stack().langfuse.version);
    host.install(rig).await.unwrap();
    rig.langfuse
        .become_version(&rig.newer.stack().langfuse.version);
    let contents = host.engine.contents();
    host.engine.heal();
    (host, contents)
}

#[tokio::test]
async fn an_upgrade_ends_on_either_release_whatever_befalls_any_of_its_calls() {
    let rig = Rig::new();
    let (host, old) = with_release(&rig).await;
    host.replace(&rig, Some(&rig.newer)).await.unwrap();
    let (calls, wanted) = (host.engine.calls(), host.engine.contents());
    assert!(wanted.containers.contains_key("langfuse-extra"));
    assert!(!wanted.containers.contains_key("langfuse-retired"));
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!(
        (
            state.current.number,
            state.previous.as_ref().unwrap().number
        ),
        (2, 1)
    );
    let (mut cases, mut back) = (0, 0);
    for fault in Fault::ALL {
        for (number, call) in calls.iter().enumerate() {
            let case = format!("{fault:?} at call {number}, {call}");
            let (host, _) = with_release(&rig).await;
            host.hit(
                number,
                fault,
                Box::pin(host.replace(&rig, Some(&rig.newer))),
            )
            .await;
            // The command itself went back, or the next one does.
            let facts = host.engine.facts().await.unwrap();
            let recovered = host.recover(&rig, &facts).await;
            recovered.unwrap_or_else(|error| panic!("{case}: {error:?}"));
            let state = host.appliance.state().unwrap().unwrap();
            if state.current.number == 1 {
                back += 1;
                let now = host.engine.contents();
                assert_eq!(now.containers, old.containers, "{case}");
                assert_eq!(
                    (now.networks, now.volumes),
                    (old.networks.clone(), old.volumes.clone()),
                    "{case}"
                );
            }
            host.replace(&rig, Some(&rig.newer))
                .await
                .unwrap_or_else(|error| panic!("{case}: {error:?}"));
            host.assert_installed(&wanted, &case);
            cases += 1;
        }
    }
    println!(
        "upgrade: {cases} faults, {} calls, {back} ended on the old release",
        calls.len()
    );
    assert!(cases > 200 && back > 100 && back < cases, "{cases} {back}");
}

#[tokio::test]
async fn a_release_that_does_not_prove_itself_is_taken_back() {
    let rig = Rig::new();
    let (host, old) = with_release(&rig).await;
    // What answers is not the release that was installed.
    rig.langfuse.become_version("0.0.1");
    let error = host.replace(&rig, Some(&rig.newer)).await.unwrap_err();
    assert!(matches!(error, ChangeError::RolledBack { .. }), "{error:?}");
    assert_eq!(host.engine.contents().containers, old.containers);
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!((state.current.number, state.status), (1, Status::Installed));
    assert_eq!(host.appliance.journal().unfinished().unwrap(), None);
    let site = fs_err::read_to_string(host.appliance.site_path()).unwrap();
    assert_eq!(site, rig.site_text);
}

#[tokio::test]
async fn a_rollback_brings_the_generation_before_and_makes_one_more() {
    let rig = Rig::new();
    let (host, old) = with_release(&rig).await;
    host.replace(&rig, Some(&rig.newer)).await.unwrap();
    rig.langfuse
        .become_version(&rig.bundle.stack().langfuse.version);
    host.replace(&rig, None).await.unwrap();
    assert_eq!(host.engine.contents().containers, old.containers);
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!(state.current.number, 3);
    assert_eq!(state.current.release, rig.bundle.manifest().release);
    assert_eq!(state.previous.as_ref().unwrap().number, 2);
    let made: Vec<_> = host.appliance.generations().unwrap();
    let made: Vec<_> = made.iter().map(|one| one.made_by.as_str()).collect();
    assert_eq!(made, ["install", "upgrade", "rollback"]);
    host.uninstall(true).await.unwrap();
    assert_eq!(host.engine.contents(), Contents::default());
}
