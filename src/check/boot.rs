//! Whether the stack comes back after a reboot.

use super::outcome::{Outcome, Unknown, want};
use super::remedy::install_again;
use crate::engine::EngineKind;
use crate::facts::{Boot, Facts};
use crate::report::finding::Remedy;

pub(super) fn comes_back(facts: &Facts) -> Result<Outcome, Unknown> {
    let engine = want(&facts.engine)?;
    let Some(boot) = want(&facts.boot)? else {
        return Ok(Outcome::not_applicable(format!(
            "systemd does not run this host: see yourself that {} starts with it",
            engine.kind
        )));
    };
    let missing = missing(boot);
    if !missing.is_empty() {
        return Ok(Outcome::warning(
            "after a reboot of the host the stack stays down",
            missing.join(", "),
            Remedy::command("have it started at boot", commands(boot).join(" && ")),
        ));
    }
    if engine.kind == EngineKind::Podman && facts.change.is_none() {
        let left = left_down(facts)?;
        if !left.is_empty() {
            return Ok(Outcome::warning(
                "after a reboot of the host a part of the stack stays down",
                format!("Podman does not start {} again", left.join(", ")),
                install_again(
                    facts,
                    "run install again with the bundle: it recreates them",
                ),
            ));
        }
    }
    let units: Vec<_> = boot.units.keys().copied().collect();
    let lingers = boot
        .user
        .as_ref()
        .map(|(user, _)| format!(", and {user} lingers"));
    Ok(Outcome::pass(format!(
        "{} enabled{}",
        units.join(" and "),
        lingers.unwrap_or_default()
    )))
}

fn disabled(boot: &Boot) -> impl Iterator<Item = &'static str> {
    let units = boot.units.iter();
    units
        .filter(|(_, enabled)| !**enabled)
        .map(|(unit, _)| *unit)
}

fn missing(boot: &Boot) -> Vec<String> {
    let units = disabled(boot).map(|unit| format!("{unit} is not enabled"));
    let user = boot.user.iter().filter(|(_, lingers)| !lingers);
    let user = user.map(|(user, _)| format!("nothing of {user} runs before a login"));
    units.chain(user).collect()
}

fn commands(boot: &Boot) -> Vec<String> {
    let scope = if boot.user.is_some() { "--user " } else { "" };
    let units: Vec<_> = disabled(boot).collect();
    let enable =
        (!units.is_empty()).then(|| format!("systemctl {scope}enable --now {}", units.join(" ")));
    let user = boot.user.iter().filter(|(_, lingers)| !lingers);
    let linger = user.map(|(user, _)| format!("loginctl enable-linger {user}"));
    enable.into_iter().chain(linger).collect()
}

/// Services that a restart policy of an older lfctl leaves down.
fn left_down(facts: &Facts) -> Result<Vec<&str>, Unknown> {
    let containers = want(&facts.containers)?.iter();
    let services = &facts.subject.stack.services;
    let is_service = |name: &String| services.iter().any(|service| service.name == *name);
    Ok(containers
        .filter(|(name, container)| {
            is_service(name)
                && container.restart_policy.as_deref() != Some(EngineKind::Podman.restart_policy())
        })
        .map(|(name, _)| name.as_str())
        .collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::check::fixture::healthy;
    use crate::facts::Fact;

    #[test]
    fn the_command_enables_just_what_is_missing() {
        let boot = Boot {
            units: BTreeMap::from([("podman-restart.service", false), ("podman.socket", true)]),
            user: Some(("op".to_owned(), false)),
        };
        assert_eq!(
            commands(&boot),
            [
                "systemctl --user enable --now podman-restart.service",
                "loginctl enable-linger op"
            ]
        );
        let system = Boot { user: None, ..boot };
        let enable = "systemctl enable --now podman-restart.service";
        assert_eq!(commands(&system), [enable]);
    }

    #[test]
    fn podman_starts_only_what_restarts_always() {
        let mut facts = healthy();
        let Fact::Known(engine) = &mut facts.engine else {
            panic!("no engine");
        };
        engine.kind = EngineKind::Podman;
        let old = comes_back(&facts).unwrap();
        assert!(matches!(old, Outcome::Finding(_)), "{old:?}");
        let Fact::Known(containers) = &mut facts.containers else {
            panic!("no containers");
        };
        for container in containers.values_mut() {
            container.restart_policy = Some("always".to_owned());
        }
        let new = comes_back(&facts).unwrap();
        assert!(matches!(new, Outcome::Pass { .. }), "{new:?}");
    }

    #[test]
    fn without_systemd_nothing_is_claimed() {
        let mut facts = healthy();
        facts.boot = Fact::Known(None);
        let outcome = comes_back(&facts).unwrap();
        assert!(
            matches!(outcome, Outcome::NotApplicable { .. }),
            "{outcome:?}"
        );
    }
}
