//! Every call that install and uninstall make to the engine is refused once,
//! is done once with its answer lost, and hangs once until lfctl is killed. Each
//! time the next run reaches the goal, and nothing is left over.

use std::path::Path;

use lfctl::appliance::Appliance;
use lfctl::appliance::state::Status;
use lfctl::bundle::open::Bundle;
use lfctl::change::plan::Plan;
use lfctl::change::runner::{Interrupt, Purpose, Runner};
use lfctl::change::uninstall::{self, Uninstall};
use lfctl::change::{Blueprint, BringUp, ChangeError, Step, install, observe};
use lfctl::engine::ContainerEngine;
use lfctl::fake::bundle::Fake;
use lfctl::fake::engine::{Contents, FakeEngine, Fault};
use lfctl::fake::langfuse::FakeLangfuse;
use lfctl::report::event::Silent;
use lfctl::sign::SecretKey;
use lfctl::stack::secret::SecretStore;
use lfctl::stack::site::SiteConfig;
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
    site_text: String,
    _langfuse: FakeLangfuse,
    _dir: tempfile::TempDir,
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
        let path = dir.path().join("bundle.tar");
        let key: SecretKey = key();
        Fake::small().unwrap().write(&path, &key).unwrap();
        let untrusted = lfctl::bundle::UntrustedBundle::open(&path).unwrap();
        let bundle = untrusted.verify(&store(&key)).unwrap();
        let version = &bundle.stack().langfuse.version;
        let langfuse = FakeLangfuse::start(version).unwrap();
        let site_text = format!(
            "schema = 1\nurl = \"http://{0}\"\nlisten = \"{0}\"\n\n[admin]\nemail = \"a@b.example\"\nname = \"A\"\n",
            langfuse.address()
        );
        Self {
            bundle,
            site_text,
            _langfuse: langfuse,
            _dir: dir,
        }
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
        let site = SiteConfig::parse_for(&rig.site_text, rig.bundle.stack()).unwrap();
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
            bundle: &rig.bundle,
            bases: &[],
            target: Blueprint {
                appliance: self.appliance.name().to_owned(),
                stack: rig.bundle.stack().clone(),
                site,
                site_text: rig.site_text.clone(),
                tls: None,
                images: known.await?,
            },
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
            host.hit(number, fault, host.install(&rig)).await;
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
