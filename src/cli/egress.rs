//! `lfctl egress`: what the appliance can reach.

use comfy_table::{Table, TableStyle};
use serde::Serialize;

use super::Context;
use super::args::NameArg;
use super::failure::{Failure, Kind};
use crate::appliance::state::{State, Status};
use crate::appliance::{Appliance, TEXT_LIMIT};
use crate::render::egress::{Route, routes};
use crate::stack::site::{SiteConfig, SiteError};
use crate::sys::fs::read_text;

/// Subcommands of `lfctl egress`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List everything that the appliance can reach outside of itself
    List(ListArgs),
}

/// Arguments of `lfctl egress list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    name: NameArg,
}

/// Everything that an appliance can reach.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) struct Listed {
    /// Name of the appliance.
    name: String,
    /// One line for each service and target; nothing else is reached.
    routes: Vec<Route>,
}

impl Command {
    /// Name for events.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "egress list",
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::List(args) = self;
        let appliance = args.name.appliance(context)?;
        let state = appliance.state()?;
        let Some(state) = state.filter(|state| state.status != Status::Uninstalled) else {
            return Err(Failure::new(
                Kind::Failed,
                format!(
                    "no appliance `{}` is installed on this host",
                    appliance.name()
                ),
            )
            .hint("`lfctl status` lists what is on this host"));
        };
        let listed = Listed {
            name: appliance.name().to_owned(),
            routes: routes(&running_site(&appliance, &state)?),
        };
        context.print(&listed, &text(&listed))
    }
}

/// The `site.toml` that the containers were made from, which may differ from
/// the one that was edited since.
fn running_site(appliance: &Appliance, state: &State) -> Result<SiteConfig, Failure> {
    let path = appliance.site_path();
    let text = match appliance.site_of(&state.current)? {
        Some(text) => text,
        None => read_text(&path, TEXT_LIMIT)?,
    };
    let wrong = |source: SiteError| crate::appliance::ApplianceError::Site { path, source };
    Ok(SiteConfig::parse(&text).map_err(wrong)?)
}

fn text(listed: &Listed) -> String {
    if listed.routes.is_empty() {
        return format!("{} reaches nothing outside of itself", listed.name);
    }
    let mut table = Table::new();
    table
        .load_style(TableStyle::new())
        .set_header(["from", "reaches", "which is", "entry", "for"]);
    for route in &listed.routes {
        table.add_row([
            route.service.clone(),
            format!("{}:{}", route.host, route.port),
            route.to.clone(),
            route.name.clone(),
            route.purpose.clone(),
        ]);
    }
    format!(
        "{table}\nnothing else outside of {} is reached",
        listed.name
    )
}
