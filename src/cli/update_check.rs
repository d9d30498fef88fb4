//! The update check of what was just brought up.

use super::failure::{Failure, Kind};
use crate::change::{BringUp, update_check};
use crate::engine::ContainerEngine;
use crate::langfuse::UpdateVerdict;
use crate::report::event::{Level, Step, StepStatus, notice};

/// The mission's own question, asked of what was just installed.
pub(super) async fn judge_update_check<E: ContainerEngine>(
    change: &BringUp<'_, E>,
) -> Result<(), Failure> {
    let step = Step::start(
        change.reporter,
        "probe:update-check",
        "let web call its update check",
    );
    let check = update_check(change).await?;
    let detail = format!("{}, {} ms", check.verdict, check.elapsed_ms);
    if check.verdict == UpdateVerdict::Graceful {
        step.finish(StepStatus::Done, Some(detail));
        return Ok(());
    }
    step.finish(StepStatus::Failed, Some(detail));
    if let UpdateVerdict::Slow | UpdateVerdict::Unproven = check.verdict {
        notice(
            change.reporter,
            Level::Warning,
            "install.update-check",
            format!(
                "the update check does not fail as it should: {}",
                check.verdict
            ),
        );
        return Ok(());
    }
    Err(Failure::new(
        Kind::Blocked,
        format!(
            "{} is installed and runs, but its update check does not fail as it must: {}",
            change.target.release, check.verdict
        ),
    )
    .hint("see what answers it: `lfctl doctor --only egress.update-check`"))
}
