//! Room for what an upgrade runs beside what serves.

use indicatif::HumanBytes;

use super::change::change;
use super::outcome::{Outcome, Unknown, want};
use crate::facts::Facts;
use crate::report::finding::Remedy;

const MIB: u64 = 1024 * 1024;

/// A rolling upgrade runs two web servers for some minutes.
pub(super) fn memory(facts: &Facts) -> Result<Outcome, Unknown> {
    let change = change(facts)?;
    if !change.is_upgrade || change.cold.is_some() {
        return Ok(Outcome::not_applicable(
            "only a rolling upgrade runs two web servers",
        ));
    }
    let available = want(&facts.host)?.memory.available;
    let stack = &facts.subject.stack;
    let web = stack.service(&stack.langfuse.web);
    let needed = web.map_or(0, |web| web.memory_mib.saturating_mul(MIB));
    let evidence = format!(
        "{} available; a web server may take {}",
        HumanBytes(available),
        HumanBytes(needed)
    );
    if available >= needed {
        return Ok(Outcome::pass(evidence));
    }
    Ok(Outcome::blocking(
        "there is too little memory for a second web server",
        evidence,
        Remedy::command(
            "stop other programs of the host meanwhile, or let Langfuse stand still, which takes no second one",
            format!(
                "lfctl upgrade --offline --cold --name {} BUNDLE",
                facts.subject.name
            ),
        ),
    ))
}
