//! Each step alone, on an engine in which one thing is not as it should be.

use std::os::unix::fs::PermissionsExt;

use lfctl::appliance::state::Status;
use lfctl::change::runner::Actions;
use lfctl::change::uninstall::{self, Uninstall};
use lfctl::change::{BringUp, ChangeError, Step};
use lfctl::engine::{ContainerEngine, ContainerState, Containers, HealthState};
use lfctl::fake::engine::FakeEngine;
use lfctl::report::event::StepStatus;
use lfctl::stack::secret::SecretStore;

use super::host::{Host, Rig};

type Change<'a> = BringUp<'a, FakeEngine>;

/// What a step comes to.
#[derive(Debug)]
enum Ends {
    Done,
    AlreadyDone,
    /// With an error that says this.
    Fails(&'static str),
}

struct Case {
    name: &'static str,
    prepare: fn(&FakeEngine, &mut Change<'_>),
    step: Step,
    ends: Ends,
}

fn web() -> String {
    "web".to_owned()
}

/// Nothing that was waited for comes about.
fn impatient(change: &mut Change<'_>) {
    for service in &mut change.target.stack.services {
        service.health.wait_seconds = 0;
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases_of_containers() -> Vec<Case> {
    let case = |name, prepare, step, ends| Case {
        name,
        prepare,
        step,
        ends,
    };
    vec![
        case(
            "a service is well",
            |_, _| {},
            Step::AwaitHealthy(web()),
            Ends::Done,
        ),
        case(
            "a service stays unhealthy",
            |engine, change| {
                impatient(change);
                engine.change_container("langfuse-web", |web| {
                    web.health = Some(HealthState::Unhealthy);
                    web.health_output = Some("connection refused".to_owned());
                });
            },
            Step::AwaitHealthy(web()),
            Ends::Fails("did not hold within 0 s\nhealth check: connection refused"),
        ),
        case(
            "a service has ended",
            |engine, _| {
                engine.change_container("langfuse-web", |web| {
                    web.state = ContainerState::Exited;
                    web.exit_code = Some(3);
                });
            },
            Step::AwaitHealthy(web()),
            Ends::Fails("last with exit code 3"),
        ),
        case(
            "the kernel killed a service",
            |engine, _| {
                engine.change_container("langfuse-web", |web| {
                    web.state = ContainerState::Exited;
                    web.oom_killed = true;
                });
            },
            Step::AwaitHealthy(web()),
            Ends::Fails("for want of memory"),
        ),
        case(
            "the container fits",
            |_, _| {},
            Step::StartService(web()),
            Ends::AlreadyDone,
        ),
        case(
            "the container has ended",
            |engine, _| {
                engine.change_container("langfuse-web", |web| web.state = ContainerState::Exited);
            },
            Step::StartService(web()),
            Ends::Done,
        ),
        case(
            "the image of another container is not there",
            |_, change| {
                let images = change.target.images.values_mut();
                images.for_each(|image| image.id = "sha256:none".to_owned());
            },
            Step::StartService(web()),
            Ends::Fails("no such image"),
        ),
        case(
            "a service that is not wanted is gone",
            |_, _| {},
            Step::RemoveService("other".to_owned()),
            Ends::AlreadyDone,
        ),
        case(
            "a service that is not wanted runs",
            |_, _| {},
            Step::RemoveService(web()),
            Ends::Done,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn other_cases() -> Vec<Case> {
    let case = |name, prepare, step, ends| Case {
        name,
        prepare,
        step,
        ends,
    };
    vec![
        case(
            "the job does its work",
            |_, _| {},
            Step::Migrate,
            Ends::Done,
        ),
        case(
            "the job fails",
            |engine, _| engine.end_jobs_with(2),
            Step::Migrate,
            Ends::Fails("ended with exit code 2"),
        ),
        case(
            "the schemas are up",
            |_, _| {},
            Step::CheckSchemas,
            Ends::Done,
        ),
        case(
            "the release brings more than was migrated",
            |_, change| change.target.stack.schemas[0].count += 1,
            Step::CheckSchemas,
            Ends::Fails("schema is not the release's"),
        ),
        case(
            "there is no bundle to load from",
            |_, change| change.bundle = None,
            Step::LoadImages,
            Ends::Fails("no bundle was given"),
        ),
        case(
            "the images are there",
            |_, _| {},
            Step::LoadImages,
            Ends::Done,
        ),
        case(
            "the network is there",
            |_, _| {},
            Step::CreateNetwork("langfuse-internal".to_owned()),
            Ends::AlreadyDone,
        ),
        case(
            "the volume is there",
            |_, _| {},
            Step::CreateVolume("langfuse-store-data".to_owned()),
            Ends::AlreadyDone,
        ),
        case(
            "another release answers",
            |_, change| "9.9.9".clone_into(&mut change.target.stack.langfuse.version),
            Step::ProbeVersion,
            Ends::Fails("9.9.9"),
        ),
        case(
            "an event comes back",
            |_, _| {},
            Step::ProbeEvent,
            Ends::Done,
        ),
        case(
            "the project's keys are gone",
            |_, change| change.secrets = SecretStore::default(),
            Step::ProbeEvent,
            Ends::Fails("there is no secret"),
        ),
    ]
}

#[tokio::test]
async fn each_step_of_an_uninstall_removes_what_it_names_and_nothing_that_others_use() {
    use uninstall::Step;
    let rig = Rig::new();
    let host = installed(&rig).await;
    let before = host.engine.contents();
    let mut removal = Uninstall {
        engine: &host.engine,
        appliance: &host.appliance,
        state: host.appliance.state().unwrap(),
    };
    let volume = before.volumes[0].clone();
    let steps = [
        (
            Step::RemoveContainer("nobody".to_owned()),
            StepStatus::AlreadyDone,
        ),
        (Step::RemoveVolume(volume.clone()), StepStatus::Done),
        (Step::RecordUninstalled, StepStatus::Done),
    ];
    for (step, outcome) in steps {
        let done = removal.run(&step, "run").await.unwrap();
        assert_eq!(done.outcome, outcome, "{step:?}");
        assert!(removal.undo(&step).await.is_err(), "{step:?}");
    }
    // With its last tag an image would go, and containers run on it.
    let mut kept = 0;
    for tag in &before.tags {
        let done = removal.run(&Step::RemoveTag(tag.clone()), "run").await;
        let detail = done.unwrap().detail;
        kept += usize::from(detail.as_deref() == Some("kept: other containers use it"));
    }
    let after = host.engine.contents();
    assert_eq!(after.containers, before.containers);
    assert!(kept > 0 && after.tags.len() == kept, "{kept}: {after:?}");
    assert!(!after.volumes.contains(&volume));
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!(state.status, Status::Uninstalled);
    removal.run(&Step::Purge, "run").await.unwrap();
    assert!(host.appliance.state().unwrap().is_none());
}

#[tokio::test]
async fn each_step_comes_to_what_the_engine_makes_of_it() {
    let rig = Rig::new();
    let cases: Vec<_> = cases_of_containers()
        .into_iter()
        .chain(other_cases())
        .collect();
    for case in &cases {
        let host = rig.host();
        host.install(&rig).await.unwrap();
        let facts = host.engine.facts().await.unwrap();
        let mut change = host.bring_up(&rig, &facts).await.unwrap();
        (case.prepare)(&host.engine, &mut change);
        let done = change.run(&case.step, "run").await;
        match (&case.ends, done) {
            (Ends::Done, Ok(done)) => assert_eq!(done.outcome, StepStatus::Done, "{}", case.name),
            (Ends::AlreadyDone, Ok(done)) => {
                assert_eq!(done.outcome, StepStatus::AlreadyDone, "{}", case.name);
            }
            (Ends::Fails(words), Err(error)) => {
                let text = error.to_string();
                assert!(text.contains(words), "{}: {text}", case.name);
            }
            (wanted, done) => panic!("{}: {wanted:?}, not {done:?}", case.name),
        }
    }
    println!("steps: {} cases", cases.len());
}

async fn installed(rig: &Rig) -> Host {
    let host = rig.host();
    host.install(rig).await.unwrap();
    host
}

#[tokio::test]
async fn a_job_that_failed_stays_to_be_looked_at_and_the_next_one_takes_its_place() {
    let rig = Rig::new();
    let host = installed(&rig).await;
    let facts = host.engine.facts().await.unwrap();
    let mut change = host.bring_up(&rig, &facts).await.unwrap();
    let job = change.names().job();
    host.engine.end_jobs_with(1);
    let error = change.run(&Step::Migrate, "run").await.unwrap_err();
    assert!(matches!(error, ChangeError::Migration { code: 1, .. }));
    assert!(host.engine.container(&job).await.unwrap().is_some());
    host.engine.end_jobs_with(0);
    change.run(&Step::Migrate, "run").await.unwrap();
    assert!(host.engine.container(&job).await.unwrap().is_none());
}

#[tokio::test]
async fn a_network_that_is_another_one_is_made_anew_with_all_containers() {
    let rig = Rig::new();
    let host = installed(&rig).await;
    let facts = host.engine.facts().await.unwrap();
    let mut change = host.bring_up(&rig, &facts).await.unwrap();
    let edge = change.names().edge();
    host.engine
        .change_network(&edge, |network| network.labels.clear());
    let done = change.run(&Step::CreateNetwork(edge), "run").await.unwrap();
    assert!(done.detail.unwrap().contains("all containers"));
    assert!(host.engine.contents().containers.is_empty());
}

#[tokio::test]
async fn undoing_a_step_takes_back_what_it_made_and_nothing_else() {
    let rig = Rig::new();
    let host = installed(&rig).await;
    let facts = host.engine.facts().await.unwrap();
    let mut change = host.bring_up(&rig, &facts).await.unwrap();
    let before = host.engine.contents();
    for step in [
        Step::LoadImages,
        Step::WriteSecrets,
        Step::AwaitHealthy(web()),
        Step::CheckSchemas,
        Step::Commit,
        Step::RecordRelease,
    ] {
        change.undo(&step).await.unwrap();
        assert_eq!(host.engine.contents(), before, "{step:?}");
    }
    change.undo(&Step::StartService(web())).await.unwrap();
    assert!(
        !host
            .engine
            .contents()
            .containers
            .contains_key("langfuse-web")
    );
    let name = change.names().volume("store-data");
    change.undo(&Step::CreateVolume(name)).await.unwrap();
    assert!(host.engine.contents().volumes.is_empty());
}

#[tokio::test]
async fn what_is_written_is_whole_and_for_root_alone() {
    let rig = Rig::new();
    let host = rig.host();
    let facts = host.engine.facts().await.unwrap();
    let mut change = host.bring_up(&rig, &facts).await.unwrap();
    for step in [Step::Intend, Step::WriteSite, Step::WriteSecrets] {
        change.run(&step, "run").await.unwrap();
    }
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!((state.status, &*state.run), (Status::Installing, "run"));
    for file in [host.appliance.site_path(), host.appliance.secrets_path()] {
        let mode = fs_err::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    change.run(&Step::StageGeneration, "run").await.unwrap();
    let kept = host.appliance.generations().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].bundle, rig.bundle.digest());
    change.run(&Step::Commit, "run").await.unwrap();
    let state = host.appliance.state().unwrap().unwrap();
    assert!(state.status == Status::Installed && state.holds_data);
}
