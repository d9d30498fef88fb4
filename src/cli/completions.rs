//! `lfctl completions` and `lfctl man`: both made from the parser itself.

use clap::CommandFactory;
use clap_complete::Shell;

use super::failure::Failure;
use super::{Cli, Context};

/// Arguments of `lfctl completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

impl Args {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "lfctl", &mut script);
        let script = String::from_utf8_lossy(&script);
        context.print(&script, &script)
    }
}

/// Arguments of `lfctl man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The subcommand, such as `install`; without it, the overview
    command: Option<String>,
}

impl ManArgs {
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let mut root = Cli::command();
        root.build();
        let page = match &self.command {
            None => root,
            Some(name) => root.find_subcommand(name).cloned().ok_or_else(|| {
                Failure::new(super::Kind::Usage, format!("there is no command `{name}`"))
                    .hint("`lfctl --help` lists them")
            })?,
        };
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        context.print(&text, &text)
    }
}
