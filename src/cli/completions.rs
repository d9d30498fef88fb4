//! `lfctl completions`, made from the parser itself.

use clap_complete::Shell;

use super::Context;
use super::failure::Failure;

/// Arguments of `lfctl completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    /// Prints the script for the parser `root`.
    pub(super) fn run(self, mut root: clap::Command, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut root, "lfctl", &mut script);
        let script = String::from_utf8_lossy(&script);
        context.print(&script, &script)
    }
}
