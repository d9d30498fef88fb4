//! Every check finds its fault, before a change and after.

use std::collections::BTreeSet;

use super::backup::{BACKUP, ENDS, UPGRADED};
use super::before::{FIRST, KEPT};
use super::data::DATA;
use super::egress::{SWITCHES, UPDATE, WAYS};
use super::host::HOST;
use super::stack::STACK;
use super::table::{Case, check};
use super::tls::TLS;
use crate::check::fixture::healthy;
use crate::check::fixture_before::{first, kept};
use crate::check::{CHECKS, Phase, examine};
use crate::facts::Facts;
use crate::report::finding::Remedy;

#[test]
fn each_fault_of_what_is_installed_is_found_by_its_check() {
    for cases in [HOST, TLS, STACK, DATA, BACKUP, UPDATE, WAYS, SWITCHES] {
        check(healthy, cases);
    }
}

#[test]
fn each_fault_before_an_install_is_found_by_its_check() {
    check(first, FIRST);
    check(first, TLS);
    check(kept, KEPT);
    check(kept, UPGRADED);
}

/// Every remedy of the tables.
pub(crate) fn remedies() -> Vec<Remedy> {
    let installed = [HOST, TLS, STACK, DATA, BACKUP, UPDATE, WAYS, SWITCHES].concat();
    let mut remedies = Vec::new();
    for (sound, cases) in [
        (healthy as fn() -> Facts, installed),
        (first, [FIRST, TLS].concat()),
        (kept, [KEPT, UPGRADED].concat()),
    ] {
        for (spoil, id, _) in cases {
            let mut facts = sound();
            spoil(&mut facts);
            let check = CHECKS.iter().find(|check| check.id == id).unwrap();
            let mut examination = examine(&facts, &[check]);
            remedies.extend(examination.remedies_mut().map(|one| one.clone()));
        }
    }
    let commands = ENDS.iter().map(|(_, _, command)| *command);
    remedies.extend(commands.map(|command| Remedy::command("finish it", command)));
    remedies
}

#[test]
fn the_tables_leave_no_check_out() {
    for (phase, tables) in [
        (
            Phase::After,
            [HOST, TLS, STACK, DATA, BACKUP, UPDATE, WAYS, SWITCHES].concat(),
        ),
        (Phase::Before, [FIRST, TLS, KEPT, UPGRADED].concat()),
    ] {
        let ids = |cases: &[Case]| -> BTreeSet<_> { cases.iter().map(|(_, id, _)| *id).collect() };
        let wanted: BTreeSet<_> = CHECKS
            .iter()
            .filter(|check| check.when.includes(phase))
            .map(|check| check.id)
            .collect();
        assert_eq!(ids(&tables), wanted, "{phase:?}");
    }
}
