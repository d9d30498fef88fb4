//! What is installed, for commands that change or copy it.

use super::failure::{Failure, Kind};
use super::unfinished::refuse_unfinished_restore;
use crate::appliance::Appliance;
use crate::appliance::state::{State, Status};

/// What is installed, if it is as a whole.
pub(super) fn installed(appliance: &Appliance) -> Result<State, Failure> {
    refuse_unfinished_restore(appliance)?;
    let name = appliance.name();
    match appliance.state()? {
        Some(state) if state.status == Status::Installed => Ok(state),
        Some(state) if state.status == Status::Installing => Err(Failure::new(
            Kind::Blocked,
            format!("the install of `{name}` has not reached its end"),
        )
        .hint("finish it with the bundle it was begun with: `lfctl install --offline BUNDLE`")),
        _ => Err(Failure::new(
            Kind::Blocked,
            format!("no appliance `{name}` is installed on this host"),
        )
        .hint("`lfctl status` lists those that are")),
    }
}
