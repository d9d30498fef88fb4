//! `lfctl apply`: a changed site.toml, certificate or list of what may be
//! reached, brought about in the release that runs.

use std::path::PathBuf;

use super::args::ChangeArgs;
use super::failure::{Failure, Kind};
use super::install::{read_site, say_where};
use super::standing::{Standing, require_port};
use super::survey::{print_plan, survey};
use super::{Context, changing};
use crate::appliance::Appliance;
use crate::change::plan::Plan;
use crate::change::upgrade;
use crate::change::{Blueprint, SiteInput, Step};
use crate::render::egress::with_egress;
use crate::report::event::{Level, notice};
use crate::stack::site::SiteConfig;

/// Arguments of `lfctl apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    change: ChangeArgs,
    /// Use this site.toml, and keep it as the appliance's own
    #[arg(long, value_name = "FILE")]
    site: Option<PathBuf>,
}

impl Args {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let here = Standing::of(&self.change, context).await?;
        let current = here.current()?;
        let path = self.site.unwrap_or_else(|| here.appliance.site_path());
        let site = SiteInput::parse(&path, read_site(&path)?, &current.stack)?;
        refuse_fixed(&here.appliance, &current.site, &site.config)?;
        let stack = with_egress(&current.stack, &site.config);
        let name = here.appliance.name();
        let target = Blueprint::of_record(name, &here.before.current, &stack, site);
        let mut change = here.change(context, "apply", target)?;
        here.require_images(change.target.images.values()).await?;
        require_port(&change).await?;
        let leftovers = change.leftovers()?;
        let found = survey(&change, |change, observed| {
            upgrade::apply(&change.target.stack, observed, &leftovers)
        })
        .await?;
        if self.change.dry_run {
            return print_plan(context, &found);
        }
        require_volumes(&found.plan)?;
        if found.plan.is_done() {
            let text = "what runs matches site.toml: nothing to do";
            notice(
                context.reporter.as_ref(),
                Level::Info,
                "apply.unchanged",
                text,
            );
            return Ok(());
        }
        let (purpose, entry) = here.purpose("apply".to_owned());
        let plan = &found.plan;
        changing::run_audited(context, &here.appliance, plan, purpose, &mut change, entry).await?;
        say_where(context, &change);
        Ok(())
    }
}

/// Refuses what another site.toml cannot change any more.
fn refuse_fixed(
    appliance: &Appliance,
    current: &SiteConfig,
    wanted: &SiteConfig,
) -> Result<(), Failure> {
    let fixed = [
        ("admin.email", &current.admin.email, &wanted.admin.email),
        (
            "organization.id",
            &current.organization.id,
            &wanted.organization.id,
        ),
        ("project.id", &current.project.id, &wanted.project.id),
    ];
    if let Some((key, is, _)) = fixed.iter().find(|(_, is, wanted)| is != wanted) {
        return Err(Failure::new(
            Kind::Config,
            format!("`{key}` of site.toml cannot change: Langfuse made it when it was installed"),
        )
        .hint(format!(
            "put `{is}` back, and change it in Langfuse's own settings"
        )));
    }
    let stored = appliance.secrets()?.unwrap_or_default();
    let mut given = wanted.secrets.iter();
    match given.find(|(name, secret)| stored.get(name) != Some(*secret)) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::new(
            Kind::Config,
            format!("secret `{name}` of site.toml is not the one in use, and `apply` changes none"),
        )
        .hint("take it out of `[secrets]`")),
    }
}

/// Fails where a volume is gone: a store without its data would come up empty.
fn require_volumes(plan: &Plan<Step>) -> Result<(), Failure> {
    let gone = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::CreateVolume(name) if !planned.done => Some(name),
        _ => None,
    });
    gone.map_or(Ok(()), |name| Err(super::standing::lost(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::paths::Paths;

    #[test]
    fn what_langfuse_made_once_and_secrets_do_not_change() {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Appliance::named(&Paths::below(dir.path()), "a").unwrap();
        let site = |email: &str, rest: &str| {
            let text = format!(
                "schema = 1\nurl = \"http://localhost:3000\"\n{rest}\n[admin]\nemail = \"{email}\"\nname = \"A\"\n"
            );
            SiteConfig::parse(&text).unwrap()
        };
        let current = site("a@b.example", "");
        let judge = |wanted: &SiteConfig| {
            refuse_fixed(&appliance, &current, wanted)
                .map_err(|failure| failure.report().message.clone())
        };
        assert_eq!(judge(&site("a@b.example", "behind-proxy = true")), Ok(()));
        let refused = judge(&site("c@d.example", "")).unwrap_err();
        assert!(refused.starts_with("`admin.email`"), "{refused}");
        let other = "[secrets]\nredis-password = \"0123456789abcdef0123456789abcdef\"\n";
        let refused = judge(&site("a@b.example", other)).unwrap_err();
        assert!(refused.contains("`redis-password`"), "{refused}");
    }
}
