//! Arguments that several commands share.

use clap_complete::ArgValueCandidates;

use super::Context;
use super::candidates::appliances;
use super::failure::{Failure, Kind};
use crate::appliance::Appliance;

/// The name of an appliance that is given none.
const DEFAULT_NAME: &str = "langfuse";

/// Which appliance.
#[derive(Debug, clap::Args)]
pub struct NameArg {
    /// Name of the appliance; without it the only one of this host, or `langfuse`
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(appliances))]
    name: Option<String>,
}

impl NameArg {
    /// The appliance that is there.
    ///
    /// # Errors
    ///
    /// The name is none, or several appliances are there and none was named.
    pub(super) fn appliance(&self, context: &Context) -> Result<Appliance, Failure> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => only(Appliance::all(&context.paths)?)?,
        };
        Ok(Appliance::named(&context.paths, &name)?)
    }

    /// The appliance that is to be installed.
    ///
    /// # Errors
    ///
    /// The name is none.
    pub(super) fn to_install(&self, context: &Context) -> Result<Appliance, Failure> {
        let name = self.name.as_deref().unwrap_or(DEFAULT_NAME);
        Ok(Appliance::named(&context.paths, name)?)
    }
}

/// The only appliance, or the one of the usual name.
pub(super) fn only(mut names: Vec<String>) -> Result<String, Failure> {
    if names.is_empty() || names.iter().any(|name| name == DEFAULT_NAME) {
        return Ok(DEFAULT_NAME.to_owned());
    }
    if names.len() == 1 {
        return Ok(names.remove(0));
    }
    let count = names.len();
    let message = format!("this host has {count} appliances, and none was named");
    Err(Failure::new(Kind::Usage, message)
        .hint(format!("add `--name` with one of {}", names.join(", "))))
}

/// A change to what is installed, with nothing new brought in.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    #[command(flatten)]
    pub(super) name: NameArg,
    /// Print the plan and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The promise that a change needs no network.
#[derive(Debug, clap::Args)]
pub struct OfflineArg {
    /// Connect to nothing but the engine's socket and this host; required, since there is no other
    /// way
    #[arg(long)]
    offline: bool,
}

impl OfflineArg {
    /// # Errors
    ///
    /// It was left out: somebody may expect a download.
    pub(super) fn require(&self, command: &str) -> Result<(), Failure> {
        if self.offline {
            return Ok(());
        }
        let message = format!("`{command}` works offline only, from a bundle");
        Err(Failure::new(Kind::Usage, message)
            .hint(format!("say so: `lfctl {command} --offline BUNDLE`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_appliance_need_not_be_named() {
        let of = |names: &[&str]| only(names.iter().map(ToString::to_string).collect());
        assert_eq!(of(&[]).unwrap(), "langfuse");
        assert_eq!(of(&["prod"]).unwrap(), "prod");
        assert_eq!(of(&["langfuse", "prod"]).unwrap(), "langfuse");
        let failure = of(&["prod", "test"]).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(failure.report().hints[0].contains("prod, test"));
    }
}
