//! Where the gateway leads: told by its files and a signal, so that its port
//! never closes and no request is cut.

use std::time::Duration;

use super::BringUp;
use crate::change::blueprint::Blueprint;
use crate::change::error::ChangeError;
use crate::change::fit::fits;
use crate::change::runner::Done;
use crate::change::step::Leads;
use crate::engine::ContainerEngine;
use crate::render::{self, Rendered, Route};
use crate::stack::{Reload, Service};

/// How long a gateway may take to judge its files.
const TEST: Duration = Duration::from_secs(30);

impl<E: ContainerEngine> BringUp<'_, E> {
    pub(super) async fn lead(&self, leads: &Leads) -> Result<Done, ChangeError> {
        let new = self.target.web_host(&self.secrets)?;
        let inner = Route {
            inner: new.as_deref(),
            closed_until: None,
        };
        match leads {
            Leads::Prove => self.route(self.before_change(), inner).await,
            Leads::Open => self.route(&self.target, Route::default()).await,
            Leads::Closed(until) => {
                let closed_until = Some(until.as_str());
                let route = Route {
                    closed_until,
                    ..inner
                };
                self.route(self.before_change(), route).await
            }
            Leads::StillClosed(until) => {
                let closed_until = Some(until.as_str());
                let route = Route {
                    closed_until,
                    ..inner
                };
                self.route(&self.target, route).await
            }
        }
    }

    /// Takes back what [`Self::lead`] did: the old web serves, or will once
    /// the gateway opens.
    pub(super) async fn lead_back(&self, leads: &Leads) -> Result<(), ChangeError> {
        let before = self.before_change();
        let route = match leads {
            Leads::StillClosed(until) => Route {
                closed_until: Some(until),
                ..Route::default()
            },
            Leads::Closed(_) => {
                self.await_app(before).await?;
                Route::default()
            }
            Leads::Prove | Leads::Open => Route::default(),
        };
        self.route(before, route).await?;
        Ok(())
    }

    /// What ran before this change, or what runs.
    pub(super) fn before_change(&self) -> &Blueprint {
        self.previous.as_ref().unwrap_or(&self.target)
    }

    /// Makes the gateway of `blueprint` lead along `route`.
    async fn route(&self, blueprint: &Blueprint, route: Route<'_>) -> Result<Done, ChangeError> {
        let gateway = blueprint.service(&blueprint.stack.langfuse.gateway)?;
        let rendered = blueprint.render_to(gateway, route, &self.secrets)?;
        let found = self.engine.container(&rendered.spec.name).await?;
        if let Some(reload) = &gateway.reload
            && found.is_some_and(|found| fits(&found, &rendered.spec, self.facts.kind))
        {
            return self.reload(gateway, reload, &rendered).await;
        }
        self.start_rendered(gateway, &rendered).await?;
        self.await_service(gateway).await?;
        Ok(Done::with("its container was recreated".to_owned()))
    }

    async fn reload(
        &self,
        service: &Service,
        reload: &Reload,
        rendered: &Rendered,
    ) -> Result<Done, ChangeError> {
        let container = &rendered.spec.name;
        let tar = render::files_tar(&rendered.files)?;
        self.engine.upload(container, tar).await?;
        let output = self.engine.exec(container, &reload.test, TEST).await?;
        if output.code != 0 {
            return Err(ChangeError::Probe {
                what: format!("giving {} new files", service.name),
                why: self.redact(output.stderr.trim()),
            });
        }
        self.engine.signal(container, &reload.signal).await?;
        Ok(Done::now())
    }
}
