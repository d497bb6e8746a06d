//! Sessions: made, listed, read, changed and taken away.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::error::Error;
use super::message_body;
use super::session_body::{PageMeta, SessionBody, SessionPage, SessionRow, none_free};
use super::session_query::{Changes, Listing, Naming, NewQuery, NewSessionBody, Selection, Which, Whose};
use crate::api::ApiState;
use crate::api::body::{Json, OptionalJson, Query};
use crate::api::caller::Caller;
use crate::api::fields::{path_id, path_text};
use crate::api::once::{self, OnceHeader};
use crate::domain::id::SessionId;
use crate::domain::run::{NewSession, SessionData, SessionPatch};
use crate::domain::spec::ComponentKind;
use crate::domain::view::RunView;
use crate::runtime::{self, SessionDetail};

/// Runs whose messages are read at the same time.
const READS_AT_ONCE: usize = 4;

/// `POST /sessions`
pub(super) async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Query(query): Query<NewQuery>,
    OptionalJson(body): OptionalJson<NewSessionBody>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    query.database.check()?;
    let component = match query.kind {
        ComponentKind::Agent => body.agent,
        ComponentKind::Team => body.team,
        ComponentKind::Workflow => body.workflow,
    };
    let new = NewSession {
        id: body.id,
        kind: query.kind,
        component,
        user: body.user,
        title: body.name,
        tags: Vec::new(),
        data: SessionData {
            state: body.state,
            metadata: body.metadata,
            summary: None,
            ..SessionData::default()
        },
    };
    let claim = key.claim(&state.runtime, &caller).await?;
    let again = claim.is_done();
    let made = state.runtime.create_session_once(caller.owner(), new, claim).await.map_err(taken)?;
    let body = SessionBody::new(made, state.runtime.catalog(), Vec::new());
    Ok(once::marked(HttpResponse::build(StatusCode::CREATED).json(none_free(body)), again))
}

fn taken(error: runtime::Error) -> Error {
    if let runtime::Error::SessionExists(id) = &error {
        let way_out = format!("Use PATCH /sessions/{id} to update it.");
        return Error::conflict(format!("Session with id '{id}' already exists. {way_out}"));
    }
    error.into()
}

/// `GET /sessions`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    Query(query): Query<Listing>,
) -> Result<HttpResponse, Error> {
    query.database.check_for_list()?;
    let page = state.runtime.sessions(caller.owner(), query.filter()).await?;
    let rows: Vec<Value> = page.sessions.into_iter().map(|row| none_free(SessionRow::from(row))).collect();
    let meta = PageMeta {
        page: query.page,
        limit: query.limit,
        total_pages: page.total.div_ceil(query.limit),
        total_count: page.total,
        search_time_ms: 0.0,
    };
    Ok(HttpResponse::Ok().json(SessionPage { data: rows, meta }))
}

/// `GET /sessions/{session_id}`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Query(which): Query<Which>,
) -> Result<HttpResponse, Error> {
    let detail = find(&state, &caller, &request, &which).await?;
    Ok(HttpResponse::Ok().json(none_free(shown(&state, &caller, detail).await?)))
}

/// `PATCH /sessions/{session_id}`
pub(super) async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Query(which): Query<Which>,
    Json(changes): Json<Changes>,
) -> Result<HttpResponse, Error> {
    let Changes { name, state: session_state, metadata, summary } = changes;
    let patch = SessionPatch { title: name, state: session_state, metadata, summary, tags: None };
    apply(&state, &caller, &request, &which, patch).await
}

/// `POST /sessions/{session_id}/rename`
pub(super) async fn rename(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Query(which): Query<Which>,
    Json(naming): Json<Naming>,
) -> Result<HttpResponse, Error> {
    let patch = SessionPatch { title: Some(naming.name), ..SessionPatch::default() };
    apply(&state, &caller, &request, &which, patch).await
}

async fn apply(
    state: &ApiState,
    caller: &Caller,
    request: &HttpRequest,
    which: &Which,
    patch: SessionPatch,
) -> Result<HttpResponse, Error> {
    let found = find(state, caller, request, which).await?;
    let changed = state.runtime.change_session(caller.owner(), &found.session.id, patch).await;
    let detail = changed.map_err(|error| gone(error, request, which))?;
    Ok(HttpResponse::Ok().json(shown(state, caller, detail).await?))
}

/// `DELETE /sessions/{session_id}`
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Query(whose): Query<Whose>,
) -> Result<HttpResponse, Error> {
    whose.database.check()?;
    if let Some(id) = path_id(&request, "session_id") {
        state.runtime.delete_session(caller.owner(), &id, whose.user.as_ref()).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /sessions`
pub(super) async fn delete_many(
    state: Data<ApiState>,
    caller: Caller,
    Query(whose): Query<Whose>,
    Json(selection): Json<Selection>,
) -> Result<HttpResponse, Error> {
    if selection.ids.len() != selection.kinds.len() {
        return Err(Error::bad_request("Session IDs and session types must have the same length"));
    }
    whose.database.check()?;
    for id in selection.ids.iter().filter_map(|id| id.parse::<SessionId>().ok()) {
        state.runtime.delete_session(caller.owner(), &id, whose.user.as_ref()).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The session the address and the query name.
async fn find(
    state: &ApiState,
    caller: &Caller,
    request: &HttpRequest,
    which: &Which,
) -> Result<SessionDetail, Error> {
    which.database.check()?;
    let Some(id) = path_id::<SessionId>(request, "session_id") else {
        return Err(missing(request, which));
    };
    let found = state.runtime.session(caller.owner(), &id).await;
    let detail = found.map_err(|error| gone(error, request, which))?;
    let fits = which.kind.is_none_or(|kind| kind == detail.session.kind)
        && which.user.as_ref().is_none_or(|user| detail.session.user.as_ref() == Some(user));
    if fits { Ok(detail) } else { Err(missing(request, which)) }
}

fn gone(error: runtime::Error, request: &HttpRequest, which: &Which) -> Error {
    if matches!(error, runtime::Error::NoSession(_)) { missing(request, which) } else { error.into() }
}

/// 404 in Agno's words.
fn missing(request: &HttpRequest, which: &Which) -> Error {
    let kind = match which.kind {
        None => "",
        Some(ComponentKind::Agent) => "Agent ",
        Some(ComponentKind::Team) => "Team ",
        Some(ComponentKind::Workflow) => "Workflow ",
    };
    Error::not_found(format!("{kind}Session with id '{}' not found", path_text(request, "session_id")))
}

/// The session with what was said in it; workflows say nothing.
async fn shown(state: &ApiState, caller: &Caller, detail: SessionDetail) -> Result<SessionBody, Error> {
    let session = &detail.session;
    let chat_history = if session.runs == 0 || session.kind == ComponentKind::Workflow {
        Vec::new()
    } else {
        chat_history(state, caller, &session.id).await?
    };
    Ok(SessionBody::new(detail, state.runtime.catalog(), chat_history))
}

/// What was said in the session's own runs, oldest first.
async fn chat_history(state: &ApiState, caller: &Caller, id: &SessionId) -> Result<Vec<Value>, Error> {
    let runs = state.runtime.runs(caller.owner(), id).await?;
    let views = stream::iter(runs.iter().filter(|run| run.parent.is_none()))
        .map(|run| state.runtime.view(caller.owner(), run))
        .buffered(READS_AT_ONCE);
    let said = |view: &RunView| message_body::chat(view).iter().map(none_free).collect::<Vec<Value>>();
    Ok(views.map_ok(|view| said(&view)).try_concat().await?)
}
