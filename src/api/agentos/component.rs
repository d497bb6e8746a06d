//! What a path names: the agent, team or workflow, and the run of it.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::api::ApiState;
use crate::api::caller::Caller;
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

    async fn of(request: HttpRequest) -> Result<Self, Error> {
        let mut parts = request.path().split('/').skip(1);
        let (kind, missing) = match parts.next() {
            Some("agents") => (ComponentKind::Agent, "Agent not found"),
            Some("teams") => (ComponentKind::Team, "Team not found"),
            _ => (ComponentKind::Workflow, "Workflow not found"),
        };
        let id: Option<ComponentId> = parts.next().and_then(|id| id.parse().ok());
        let caller = request.extensions().get::<Caller>().cloned();
        let state = request.app_data::<web::Data<ApiState>>();
        let (Some(id), Some(caller), Some(state)) = (id, caller, state) else {
            return Err(Error::not_found(missing));
        };
        let workspace = state.runtime.workspace(caller.owner()).await?;
        let spec = workspace.catalog.get(kind, &id).ok_or_else(|| Error::not_found(missing))?;
        Ok(Self { kind, id, spec })
    }
}

impl FromRequest for Component {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Self::of(request.clone()).boxed_local()
    }
}

impl FromRequest for ComponentRun {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let name = request.path().split('/').nth(4).unwrap_or_default().to_owned();
        let run = name.parse().ok();
        let component = Component::of(request.clone());
        async move { Ok(Self { component: component.await?, name, run }) }.boxed_local()
    }
}
