//! `lfctl completions`: a script that asks lfctl itself at each Tab, so that a
//! shell offers what is on this host.

use clap::Command;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use super::Context;
use super::failure::{Failure, Kind};

/// Where it is set, a shell asks.
const VARIABLE: &str = "LFCTL_COMPLETE";

/// Arguments of `lfctl completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let shells = Shells::builtins();
        let name = self.shell.to_string();
        let missing = || Failure::new(Kind::Usage, format!("there is no script for `{name}`"));
        let shell = shells.completer(&name).ok_or_else(missing)?;
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, "lfctl", "lfctl", "lfctl", &mut script)?;
        let script = String::from_utf8_lossy(&script);
        context.print(&script, &script)
    }
}

/// Answers the shell and ends the process, if a shell asks.
pub(super) fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}
