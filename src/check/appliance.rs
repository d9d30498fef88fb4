//! The appliance on record: whether a change broke off, and whether a bundle
//! may be installed over what is there. What is refused here could not be
//! undone later.

use super::change::change;
use super::outcome::{Cause, Outcome, Unknown, want};
use crate::appliance::journal::{OnBreak, Unfinished};
use crate::appliance::state::{State, Status};
use crate::facts::{Change, Facts};
use crate::report::finding::Remedy;

pub(super) fn unfinished(facts: &Facts) -> Result<Outcome, Unknown> {
    let subject = &facts.subject;
    Ok(match (want(&subject.unfinished)?, &facts.change) {
        (Some(run), Some(change)) => before_another(facts, run, change),
        (Some(run), None) => broken_off(facts, run),
        (None, None) if subject.status == Some(Status::Installing) => Outcome::blocking(
            "the install has not reached its end",
            format!("{} is recorded as being installed", subject.release),
            install(facts),
        ),
        (None, _) => Outcome::pass("no change broke off"),
    })
}

fn broken_off(facts: &Facts, run: &Unfinished) -> Outcome {
    let what = release(run);
    let step = match &run.step {
        Some(step) => format!("at step `{step}`"),
        None => "between two steps".to_owned(),
    };
    let evidence = format!("begun {:.0}, {step}", run.at);
    if facts.subject.busy {
        return Outcome::warning(
            format!("another lfctl is at work: {} of {what}", run.command),
            evidence,
            Remedy::command(
                "wait until it has ended, then look again",
                format!("lfctl doctor --name {}", facts.subject.name),
            ),
        );
    }
    if run.committed {
        return Outcome::warning(
            format!(
                "the {} of {what} is done, but not everything is cleared up",
                run.command
            ),
            evidence,
            Remedy::text("the next command that changes the appliance clears up the rest"),
        );
    }
    Outcome::blocking(
        format!("the {} of {what} broke off", run.command),
        evidence,
        finish(facts, run),
    )
}

/// The command that finishes what broke off, or undoes it.
fn finish(facts: &Facts, run: &Unfinished) -> Remedy {
    let name = &facts.subject.name;
    match run.command.as_str() {
        _ if run.on_break == OnBreak::Undo => Remedy::command(
            "undo it: what ran before runs again",
            format!("lfctl recover --name {name}"),
        ),
        "uninstall" => Remedy::command(
            "run it again: it removes what is left",
            format!("lfctl uninstall --name {name}"),
        ),
        "restore" => Remedy::command(
            "run it again with the same bundle: until then the data is not whole",
            format!("lfctl restore --from DIR --name {name} BUNDLE"),
        ),
        "start" | "stop" => Remedy::command(
            "run it again: it continues where it stopped",
            format!("lfctl {} --name {name}", run.command),
        ),
        // Nothing that serves was touched.
        "upgrade" => Remedy::command(
            "run it again: it continues loading where it stopped",
            format!("lfctl upgrade --offline --stage --name {name} BUNDLE"),
        ),
        _ => install(facts),
    }
}

fn install(facts: &Facts) -> Remedy {
    super::remedy::install_again(
        facts,
        "finish it with the bundle it was begun with: it continues where it stopped",
    )
}

fn release(run: &Unfinished) -> String {
    run.release
        .as_ref()
        .map_or_else(|| "another bundle".to_owned(), ToString::to_string)
}

fn before_another(facts: &Facts, run: &Unfinished, change: &Change) -> Outcome {
    if run.command != "install" || run.bundle.is_none_or(|bundle| bundle == change.bundle) {
        return Outcome::pass(format!(
            "the {} begun {:.0} is taken up",
            run.command, run.at
        ));
    }
    Outcome::blocking(
        format!(
            "an unfinished {} of {} is in the way",
            run.command,
            release(run)
        ),
        format!("begun {}", run.at),
        Remedy::command(
            "finish it with the bundle it was begun with, or remove what it made",
            format!("lfctl uninstall --name {}", facts.subject.name),
        ),
    )
}

pub(super) fn not_recorded(facts: &Facts) -> Result<Outcome, Unknown> {
    if !change(facts)?.existing.unrecorded {
        return Ok(Outcome::pass("what the engine holds of it is on record"));
    }
    let name = &facts.subject.name;
    Ok(Outcome::blocking(
        format!("the engine holds parts of an appliance `{name}` that lfctl has no record of"),
        "objects with its label, and no state.json",
        Remedy::text(
            "run lfctl as the user, and with the `--root`, that installed it, or choose another \
             name with `--name`",
        ),
    ))
}

/// What is recorded, where a comparison with what is there makes sense.
pub(super) fn recorded(facts: &Facts) -> Result<Option<&State>, Unknown> {
    let change = change(facts)?;
    let beneath = |what: &str, told_by| {
        let what = what.to_owned();
        Err(Unknown::Beneath(Cause { what, told_by }))
    };
    if change.existing.unrecorded {
        return beneath("lfctl has no record of it", "appliance.not-recorded");
    }
    match &change.recorded {
        // What is missing here is not lost.
        Some(state) if lives_elsewhere(facts, change, state).is_some() => beneath(
            "the appliance lives in another engine",
            "appliance.other-engine",
        ),
        recorded => Ok(recorded.as_ref()),
    }
}

pub(super) fn other_engine(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let Some(state) = &change.recorded else {
        return Ok(Outcome::pass("nothing is on record"));
    };
    want(&facts.engine)?;
    Ok(lives_elsewhere(facts, change, state)
        .unwrap_or_else(|| Outcome::pass(format!("it lives in this {}", state.engine))))
}

fn lives_elsewhere(facts: &Facts, change: &Change, state: &State) -> Option<Outcome> {
    let name = &facts.subject.name;
    let engine = facts.engine.known()?;
    if state.engine != engine.kind {
        return Some(Outcome::blocking(
            format!(
                "`{name}` lives in {}, and this is {}",
                state.engine, engine.kind
            ),
            format!("socket {}", engine.socket),
            Remedy::text(format!(
                "start {0} and run again with `--engine {0}`",
                state.engine
            )),
        ));
    }
    let place = state
        .elsewhere(engine)
        .filter(|_| !change.existing.holds_any())?;
    Some(Outcome::blocking(
        format!("`{name}` lives in another {}", state.engine),
        format!(
            "that keeps its data in {}, this one in {}, and holds nothing of `{name}`",
            place.data_root, engine.data_root
        ),
        Remedy::text(format!(
            "run again with `--engine unix://{}`; if that engine is gone for good, forget the \
             appliance with `lfctl uninstall --name {name} --purge --without-record`",
            place.socket
        )),
    ))
}

pub(super) fn already_installed(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let installed = change.recorded.as_ref().filter(|state| {
        let is_another = state.current.bundle != change.bundle;
        state.status == Status::Installed && is_another && !change.is_upgrade
    });
    let Some(state) = installed else {
        return Ok(Outcome::pass(
            "no other bundle is installed under this name",
        ));
    };
    Ok(Outcome::blocking(
        format!(
            "appliance `{}` is installed from another bundle",
            facts.subject.name
        ),
        format!(
            "installed {} from {}, this bundle holds {} and is {}",
            state.current.release, state.current.bundle, change.manifest.release, change.bundle
        ),
        Remedy::command(
            "upgrade it, or install the bundle beside it with another `--name`",
            format!(
                "lfctl upgrade --offline --name {} BUNDLE",
                facts.subject.name
            ),
        ),
    ))
}

pub(super) fn upgrade_path(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let installed = change
        .recorded
        .as_ref()
        .filter(|state| change.is_upgrade && state.status == Status::Installed);
    let Some(state) = installed else {
        return Ok(Outcome::pass("nothing is replaced"));
    };
    let (before, after) = (&state.current.release, &change.manifest.release);
    let rules = &change.manifest.upgrade;
    // The same release from another bundle changes no database.
    if before.version != after.version && !rules.allow(&before.version) {
        let ranges: Vec<_> = rules.from.iter().map(ToString::to_string).collect();
        let from = match ranges.as_slice() {
            [] => "no release".to_owned(),
            ranges => ranges.join(" or "),
        };
        return Ok(Outcome::blocking(
            format!("{after} cannot replace {before}"),
            format!("the bundle upgrades from {from}"),
            Remedy::text("use the bundle of a release between them, and upgrade to that first"),
        ));
    }
    Ok(match &change.cold {
        None => Outcome::pass(format!(
            "from {} to {}: the old release serves while the databases are migrated",
            before.version, after.version
        )),
        Some(Ok(())) => Outcome::pass(format!(
            "from {} to {}: clients get 503 with Retry-After while the databases are migrated",
            before.version, after.version
        )),
        Some(Err(why)) => Outcome::blocking(
            format!("{before} must stand still while its databases become those of {after}"),
            why.clone(),
            Remedy::text("run it as root beside an engine of this host that runs as root"),
        ),
    })
}

pub(super) fn other_release_line(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let wanted = &change.manifest.release;
    let Some(state) = &change.recorded else {
        return Ok(Outcome::pass("nothing is on record"));
    };
    if state.current.release.name == wanted.name || !change.existing.holds_data() {
        return Ok(Outcome::pass(format!("release line `{}`", wanted.name)));
    }
    Ok(Outcome::blocking(
        format!(
            "the data of `{}` belongs to release line `{}`",
            facts.subject.name, state.current.release.name
        ),
        format!("this bundle holds {wanted}"),
        Remedy::text("install under another name with `--name`"),
    ))
}

pub(super) fn downgrade(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    let wanted = &change.manifest.release;
    let highest = change
        .recorded
        .as_ref()
        .and_then(|state| state.highest_counters.get(&wanted.name).copied());
    let evidence = |highest: u64| {
        format!(
            "counter {} in the bundle, {highest} seen on this host",
            wanted.counter
        )
    };
    // After a rollback the older release runs, and its bundle repairs it.
    let is_running = change.recorded.as_ref().is_some_and(|state| {
        state.status == Status::Installed && state.current.bundle == change.bundle
    });
    match highest {
        None => Ok(Outcome::pass("it has run no release before")),
        Some(_) if is_running => Ok(Outcome::pass("it is the release that runs")),
        Some(highest) if highest <= wanted.counter => Ok(Outcome::pass(evidence(highest))),
        Some(highest) => Ok(Outcome::blocking(
            format!(
                "the bundle is older than what `{}` has run before",
                facts.subject.name
            ),
            evidence(highest),
            Remedy::text(
                "bring the bundle of the newer release; its databases cannot be read by an older \
                 one",
            ),
        )),
    }
}

pub(super) fn data_of_other_release(facts: &Facts) -> Result<Outcome, Unknown> {
    let (recorded, change) = (recorded(facts)?, change(facts)?);
    let wanted = &change.manifest.release;
    let other = recorded.filter(|state| {
        state.current.release.version != wanted.version
            && state.status != Status::Installed
            && change.existing.holds_data()
    });
    let Some(state) = other else {
        return Ok(Outcome::pass("there is no data of another release"));
    };
    Ok(Outcome::blocking(
        format!(
            "the data of `{}` belongs to {}",
            facts.subject.name, state.current.release
        ),
        format!("this bundle holds {wanted}, whose migrations could not be undone"),
        Remedy::text(format!("install the bundle of {}", state.current.release)),
    ))
}
