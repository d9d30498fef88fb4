//! `lfctl logs`: what a service wrote, with secrets taken out.

use super::Context;
use super::args::NameArg;
use super::failure::{Failure, Kind};
use crate::appliance::Appliance;
use crate::engine::docker::Docker;
use crate::engine::{Containers, ExecAndLogs, LABEL_PART};

/// Arguments of `lfctl logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, such as `web`
    service: String,
    #[command(flatten)]
    name: NameArg,
    /// Number of lines
    #[arg(long, short = 'n', default_value_t = 200, value_name = "LINES")]
    tail: usize,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let appliance = Appliance::named(&context.paths, &self.name.name)?;
        let engine = Docker::connect(&context.engine).await?;
        let containers = engine.containers(appliance.name()).await?;
        let services: Vec<_> = containers
            .iter()
            .filter_map(|container| container.labels.get(LABEL_PART))
            .map(String::as_str)
            .collect();
        let container = containers
            .iter()
            .find(|container| container.labels.get(LABEL_PART) == Some(&self.service))
            .ok_or_else(|| {
                let failure = Failure::new(
                    Kind::Failed,
                    format!(
                        "appliance `{}` has no service `{}`",
                        appliance.name(),
                        self.service
                    ),
                );
                if services.is_empty() {
                    failure.hint("`lfctl status` lists the appliances of this host")
                } else {
                    failure.hint(format!("its services are {}", services.join(", ")))
                }
            })?;
        // Before anything is read: without them they could not be taken out.
        let secrets = appliance.secrets()?.ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                format!(
                    "the secrets of `{}` are missing, so they could not be kept out of its logs",
                    appliance.name()
                ),
            )
            .hint(format!(
                "put {} back from your backup; the engine's own `logs {}` shows everything",
                appliance.secrets_path().display(),
                container.name
            ))
        })?;
        let text = engine.logs(&container.name, self.tail, None).await?;
        let text = match appliance.site()? {
            Some(site) => site.redactor(&secrets).redact(&text),
            None => secrets.redactor().redact(&text),
        };
        let lines: Vec<_> = text.lines().collect();
        context.print(&lines, &text)
    }
}
