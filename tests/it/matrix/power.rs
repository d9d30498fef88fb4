//! Stop, start and restart, with a fault at each call that they make.

use std::collections::BTreeSet;

use lfctl::change::plan::Plan;
use lfctl::change::power::{Power, standing};
use lfctl::change::{ChangeError, Step, observe};
use lfctl::engine::ContainerEngine;
use lfctl::fake::engine::Fault;

use super::host::{Host, Rig};

type Verb = fn(&Power<'_>) -> Plan<Step>;

async fn run(host: &Host, rig: &Rig, verb: Verb) -> Result<(), ChangeError> {
    let facts = host.engine.facts().await?;
    host.recover(rig, &facts).await?;
    let mut change = host.change(rig, &facts, None).await?;
    let existing = observe::existing(&change).await?;
    let plan = verb(&Power {
        stack: &change.target.stack,
        networks: &existing.networks,
        firewall_closed: true,
        standing: &standing(&existing),
        named: &BTreeSet::new(),
        stopped: &change.before.as_ref().unwrap().stopped,
    });
    if plan.is_done() {
        return Ok(());
    }
    host.run(&plan, &mut change).await
}

fn stop(power: &Power<'_>) -> Plan<Step> {
    power.stop()
}

fn start(power: &Power<'_>) -> Plan<Step> {
    power.start()
}

fn restart(power: &Power<'_>) -> Plan<Step> {
    power.restart()
}

#[tokio::test]
async fn what_is_stopped_stays_and_starts_as_it_was() {
    let rig = Rig::new();
    let host = rig.host();
    host.install(&rig).await.unwrap();
    let running = host.engine.contents();
    host.engine.heal();
    run(&host, &rig, stop).await.unwrap();
    let stopped = host.engine.contents();
    assert!(stopped.containers.values().all(|runs| !runs), "{stopped:?}");
    assert!(stopped.containers.keys().eq(running.containers.keys()));
    let on_record = host.appliance.state().unwrap().unwrap().stopped.clone();
    let services = &rig.bundle.stack().services;
    assert_eq!(
        on_record,
        services.iter().map(|one| one.name.clone()).collect()
    );
    host.engine.heal();
    run(&host, &rig, start).await.unwrap();
    assert_eq!(host.engine.contents(), running);
    let calls = host.engine.calls();
    assert!(!calls.contains(&"create"), "made anew: {calls:?}");
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!(state.stopped, BTreeSet::new());
}

#[tokio::test]
async fn a_start_makes_anew_what_was_removed_meanwhile() {
    let rig = Rig::new();
    let host = rig.host();
    host.install(&rig).await.unwrap();
    let running = host.engine.contents();
    run(&host, &rig, stop).await.unwrap();
    // As `docker system prune` does.
    for container in host.engine.contents().containers.keys() {
        lfctl::engine::Containers::remove(&host.engine, container)
            .await
            .unwrap();
    }
    for network in host.engine.contents().networks {
        lfctl::engine::NetworksAndVolumes::remove_network(&host.engine, &network)
            .await
            .unwrap();
    }
    run(&host, &rig, start).await.unwrap();
    assert_eq!(host.engine.contents(), running);
}

#[tokio::test]
async fn stop_start_and_restart_converge_whatever_befalls_any_of_their_calls() {
    let rig = Rig::new();
    let mut cases = 0;
    for (name, verb, runs) in [
        ("stop", stop as Verb, false),
        ("start", start, true),
        ("restart", restart, true),
    ] {
        let ready = async || {
            let host = rig.host();
            host.install(&rig).await.unwrap();
            if name == "start" {
                run(&host, &rig, stop).await.unwrap();
            }
            host.engine.heal();
            host
        };
        let host = ready().await;
        run(&host, &rig, verb).await.unwrap();
        let calls = host.engine.calls();
        let faults = Fault::ALL.into_iter().flat_map(|fault| {
            let calls = calls.iter().enumerate();
            calls.map(move |(number, call)| (fault, number, call))
        });
        // Side by side, for stopping a service takes time.
        let tried = faults.map(async |(fault, number, call)| {
            let case = format!("{name}: {fault:?} at call {number}, {call}");
            let host = ready().await;
            host.hit(number, fault, Box::pin(run(&host, &rig, verb)))
                .await;
            run(&host, &rig, verb)
                .await
                .unwrap_or_else(|error| panic!("{case}: {error:?}"));
            let contents = host.engine.contents();
            let as_wanted = contents.containers.values().all(|one| *one == runs);
            assert!(as_wanted, "{case}: {contents:?}");
            let state = host.appliance.state().unwrap().unwrap();
            assert_eq!(state.stopped.is_empty(), runs, "{case}");
            let unfinished = host.appliance.journal().unfinished().unwrap();
            assert_eq!(unfinished, None, "{case}");
        });
        cases += futures_util::future::join_all(tried).await.len();
    }
    println!("stop, start and restart: {cases} faults");
    assert!(cases > 100, "{cases} cases are too few to be all");
}
