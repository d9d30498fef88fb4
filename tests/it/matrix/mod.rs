//! Every call that install and uninstall make to the engine is refused once,
//! is done once with its answer lost, and hangs once until lfctl is killed. Each
//! time the next run reaches the goal, and nothing is left over.

mod apply;
mod host;
mod power;
mod steps;

use lfctl::appliance::state::Status;
use lfctl::change::ChangeError;
use lfctl::engine::ContainerEngine;
use lfctl::fake::engine::{Contents, Fault};

use host::{Host, Rig};

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
