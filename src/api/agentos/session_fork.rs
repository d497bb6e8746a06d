//! `POST /agents|teams/{id}/sessions/{session_id}/fork`: a session that begins with what was said in another.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields, path_id, path_text};
use crate::api::once::{self, OnceHeader};
use crate::domain::id::{SessionId, UserId};
use crate::runtime;

use super::component::Component;
use super::error::Error;

/// The new session, and the one it was made of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionForkResponse)]
pub(super) struct Forked {
    session_id: String,
    forked_from_session_id: String,
}

/// Forks a session of the path's component.
pub(super) async fn fork(
    component: Component,
    request: HttpRequest,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<ForUser>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let missing = || {
        let name = path_text(&request, "session_id");
        Error::bad_request(format!("Session with id '{name}' not found"))
    };
    let id: SessionId = path_id(&request, "session_id").ok_or_else(missing)?;
    let claim = key.claim(&state.runtime, &caller).await?;
    let again = claim.is_done();
    // What was made stays made, whatever became of its source.
    if !again {
        let source = match state.runtime.session(caller.owner(), &id).await {
            Err(runtime::Error::NoSession(_)) => return Err(missing()),
            source => source?.session,
        };
        let other = source.kind != component.kind || source.component.is_some_and(|id| id != component.id);
        if other || (query.0.user.is_some() && query.0.user != source.user) {
            return Err(missing());
        }
    }
    let made = match state.runtime.fork_session(caller.owner(), &id, claim).await {
        Err(runtime::Error::NoSession(_)) => return Err(missing()),
        made => made?,
    };
    let body = Forked { session_id: made.to_string(), forked_from_session_id: id.to_string() };
    Ok(once::marked(HttpResponse::Ok().json(body), again))
}

/// `?user_id=`: only if it is this user's.
#[derive(Debug)]
pub(super) struct ForUser {
    user: Option<UserId>,
}

impl FromFields for ForUser {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { user: fields.id("user_id") }
    }
}
