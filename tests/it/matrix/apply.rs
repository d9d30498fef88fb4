//! Another site.toml for the release that runs, with a fault at each call.

use std::path::Path;

use lfctl::appliance::generation::Comparison;
use lfctl::change::plan::Plan;
use lfctl::change::upgrade;
use lfctl::change::{Blueprint, ChangeError, SiteInput, Step, observe};
use lfctl::engine::ContainerEngine;
use lfctl::fake::engine::Fault;
use lfctl::render::egress::with_egress;

use super::host::{Host, Rig};

/// What `lfctl apply --site FILE` does.
async fn apply(host: &Host, rig: &Rig, text: &str) -> Result<Plan<Step>, ChangeError> {
    Box::pin(apply_site(host, rig, text)).await
}

async fn apply_site(host: &Host, rig: &Rig, text: &str) -> Result<Plan<Step>, ChangeError> {
    let facts = host.engine.facts().await?;
    host.recover(rig, &facts).await?;
    let mut change = host.change(rig, &facts, None).await?;
    let current = change.previous.clone().unwrap();
    let site = SiteInput::parse(Path::new("site.toml"), text.to_owned(), &current.stack)?;
    let stack = with_egress(&current.stack, &site.config);
    let generation = change.before.as_ref().unwrap().current.clone();
    change.target = Blueprint::of_record(host.appliance.name(), &generation, &stack, site);
    change.command = "apply";
    let existing = observe::existing(&change).await?;
    let observed = observe::observe(&change, &existing).await?;
    let leftovers = change.leftovers()?;
    let plan = upgrade::apply(&stack, &observed, &leftovers);
    if !plan.is_done() {
        host.run(&plan, &mut change).await?;
    }
    Ok(plan)
}

fn other_site(rig: &Rig) -> String {
    let text = &rig.site_text;
    format!("{text}\n[env.web]\nLANGFUSE_LOG_LEVEL = \"debug\"\n")
}

fn site_on_disk(host: &Host) -> String {
    std::fs::read_to_string(host.appliance.site_path()).unwrap()
}

#[tokio::test]
async fn another_site_is_a_generation_of_its_own_and_touches_what_it_changes_alone() {
    let rig = Rig::new();
    let host = rig.host();
    host.install(&rig).await.unwrap();
    let running = host.engine.contents();
    assert!(apply(&host, &rig, &rig.site_text).await.unwrap().is_done());
    let text = other_site(&rig);
    let plan = apply(&host, &rig, &text).await.unwrap();
    let started = plan.steps.iter().filter(|one| !one.done);
    let started: Vec<_> = started
        .filter_map(|one| match &one.step {
            Step::StartService(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(started, ["web"]);
    assert_eq!(host.engine.contents(), running);
    assert_eq!(site_on_disk(&host), text);
    let state = host.appliance.state().unwrap().unwrap();
    let (current, previous) = (&state.current, state.previous.as_ref().unwrap());
    assert_eq!((current.number, current.made_by.as_str()), (2, "apply"));
    assert_eq!(current.compared_to(Some(previous)), Comparison::Changed);
    let head = |one| host.appliance.head_of(one).unwrap().unwrap();
    assert_eq!(head(current), head(previous));
    assert!(apply(&host, &rig, &text).await.unwrap().is_done());
    host.replace(&rig, None).await.unwrap();
    assert_eq!(site_on_disk(&host), rig.site_text);
    let state = host.appliance.state().unwrap().unwrap();
    assert_eq!(state.current.number, 3);
}

#[tokio::test]
async fn an_apply_ends_on_either_site_whatever_befalls_any_of_its_calls() {
    let rig = Rig::new();
    let text = other_site(&rig);
    let ready = async || {
        let host = rig.host();
        host.install(&rig).await.unwrap();
        host.engine.heal();
        host
    };
    let host = ready().await;
    apply(&host, &rig, &text).await.unwrap();
    let (calls, wanted) = (host.engine.calls(), host.engine.contents());
    let faults = Fault::ALL.into_iter().flat_map(|fault| {
        let calls = calls.iter().enumerate();
        calls.map(move |(number, call)| (fault, number, call))
    });
    // Side by side, for stopping a service takes time.
    let tried = faults.map(async |(fault, number, call)| {
        let case = format!("{fault:?} at call {number}, {call}");
        let host = ready().await;
        host.hit(number, fault, Box::pin(apply(&host, &rig, &text)))
            .await;
        let facts = host.engine.facts().await.unwrap();
        host.recover(&rig, &facts)
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        host.assert_installed(&wanted, &case);
        let number = host.appliance.state().unwrap().unwrap().current.number;
        let now = [&rig.site_text, &text][usize::from(number == 2)];
        assert_eq!(site_on_disk(&host), *now, "{case}");
        apply(&host, &rig, &text)
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        host.assert_installed(&wanted, &case);
        assert_eq!(site_on_disk(&host), text, "{case}");
    });
    let cases = futures_util::future::join_all(tried).await.len();
    println!("apply: {cases} faults");
    assert!(cases > 60, "{cases} cases are too few to be all");
}

#[tokio::test]
async fn images_of_an_upgrade_that_was_undone_go_with_the_next_change() {
    let rig = Rig::new();
    let host = rig.host();
    host.install(&rig).await.unwrap();
    let before = host.engine.contents().tags;
    rig.langfuse.become_version("0.0.1");
    let upgrade = Box::pin(host.replace(&rig, Some(&rig.newer)));
    upgrade.await.unwrap_err();
    rig.langfuse
        .become_version(&rig.bundle.stack().langfuse.version);
    assert_ne!(host.engine.contents().tags, before);
    let site = other_site(&rig);
    Box::pin(apply_site(&host, &rig, &site)).await.unwrap();
    assert_eq!(host.engine.contents().tags, before);
}
