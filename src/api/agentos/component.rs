//! What a path names: the agent, team or workflow, and the run of it.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::api::ApiState;
use crate::domain::id::{ComponentId, RunId};
use crate::domain::run::Run;
use crate::domain::spec::{ComponentKind, Spec};

use super::error::Error;

/// The component of `/{kind}/{id}/…`, as the catalog has it.
#[derive(Debug, Clone)]
pub struct Component {
    /// Agent, team or workflow.
    pub kind: ComponentKind,
    /// Which.
    pub id: ComponentId,
    /// What it is.
    pub spec: Arc<Spec>,
}

/// The component and the run of `/{kind}/{id}/runs/{run_id}…`.
#[derive(Debug, Clone)]
pub struct ComponentRun {
    /// Whose run it should be.
    pub component: Component,
    /// As the client wrote it.
    pub name: String,
    /// `None` if it is no name of a run.
    pub run: Option<RunId>,
}

impl Component {
    /// Whether a run is one of this component.
    pub fn owns(&self, run: &Run) -> bool {
        run.kind == self.kind && run.component == self.id
    }

    fn of(request: &HttpRequest) -> Result<Self, Error> {
        let mut parts = request.path().split('/').skip(1);
        let (kind, missing) = match parts.next() {
            Some("agents") => (ComponentKind::Agent, "Agent not found"),
            Some("teams") => (ComponentKind::Team, "Team not found"),
            _ => (ComponentKind::Workflow, "Workflow not found"),
        };
        let mut found = || {
            let id: ComponentId = parts.next()?.parse().ok()?;
            let state = request.app_data::<web::Data<ApiState>>()?;
            let spec = state.runtime.catalog().get(kind, &id)?;
            Some(Self { kind, id, spec })
        };
        found().ok_or_else(|| Error::not_found(missing))
    }
}

impl FromRequest for Component {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl FromRequest for ComponentRun {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let name = request.path().split('/').nth(4).unwrap_or_default().to_owned();
        let run = name.parse().ok();
        ready(Component::of(request).map(|component| Self { component, name, run }))
    }
}
