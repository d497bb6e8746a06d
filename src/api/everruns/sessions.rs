//! Sessions: made, listed, read, changed and taken away. They are the same sessions that every other surface has.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::agent_body::Found;
use super::body::{Body, FileBody};
use super::error::Error;
use super::ids::{self, AGENT};
use super::page::{self, Query};
use super::schemas::{JSON, page_of};
use super::session_body::{NewSessionForm, SessionBody, SessionChanges};
use super::{agents, assignment, channels, models, place, session_body};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind};
use crate::api::once::{self, OnceHeader};
use crate::capability::Mount;
use crate::domain::id::{ComponentId, Owner, UserId};
use crate::domain::run::{NewSession, SessionData, SessionPatch, Standing};
use crate::domain::spec::{Additions, AgentSpec, ComponentKind, Spec};
use crate::runtime::workspace::Workspace;
use crate::runtime::{self, SessionDetail, SessionFilter, SessionPage, SessionSort};

const NO_SUCH: &str = "There is no such session";

/// The words of `status`.
const STANDINGS: [(&str, Standing); 4] = [
    ("started", Standing::New),
    ("active", Standing::Active),
    ("idle", Standing::Idle),
    ("waitingfortoolresults", Standing::Waiting),
];
const STATUSES: [&str; 4] = ["started", "active", "idle", "waitingfortoolresults"];

/// The words of `sort`.
const SORTS: [(&str, SessionSort); 3] = [
    ("created_at", SessionSort::Created),
    ("updated_at", SessionSort::Updated),
    ("title", SessionSort::Title),
];
const SORTED: [&str; 6] = ["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"];

pub(super) fn table() -> Vec<Endpoint> {
    use ParameterKind::{Choice, Flag, Number, Text};
    vec![
        Endpoint::post("/sessions", create)
            .named("create_session", "Sessions", "Create a session")
            .once()
            .takes([(JSON, "NewSession")], true)
            .tells("201", "The session", "Session")
            .fails("404", "There is no such agent or model"),
        Endpoint::get("/sessions", list)
            .named("list_sessions", "Sessions", "List sessions, newest first")
            .query(&[
                Parameter::new("agent_id", Text, "Of this agent"),
                Parameter::new("search", Text, "With this in their title"),
                Parameter::new("tags", Text, "With this tag; may be repeated"),
                Parameter::new("status", Choice(&STATUSES), "With this status now"),
                Parameter::new("pinned", Flag, "Pinned ones; there are none"),
                Parameter::new("sort", Choice(&SORTED), "By this; with `-` before it, largest first"),
                Parameter::new("offset", Number(0), "Passes over as many"),
                Parameter::new("limit", Number(1), "At most as many; default 20, at most 100"),
            ])
            .tells("200", "A page of sessions", &page_of("Session")),
        Endpoint::get("/sessions/{session_id}", read)
            .named("get_session", "Sessions", "Read a session")
            .tells("200", "The session", "Session")
            .fails("404", NO_SUCH),
        Endpoint::patch("/sessions/{session_id}", change)
            .named("update_session", "Sessions", "Replace a session's title or tags")
            .takes([(JSON, "SessionPatch")], false)
            .tells("200", "The session, changed", "Session")
            .fails("404", NO_SUCH),
        Endpoint::delete("/sessions/{session_id}", delete)
            .named("delete_session", "Sessions", "Delete a session with all it holds")
            .gives("204", "It is gone", &[])
            .fails("404", NO_SUCH),
    ]
}

/// `POST /sessions`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    FileBody(form): FileBody<NewSessionForm>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let found = match (&form.agent_id, &form.agent_name) {
        (Some(id), _) => agents::named(&state, caller.owner(), id).await?,
        (None, name) => channels::called(&state, caller.owner(), name.as_deref().unwrap_or_default()).await?,
    };
    let (detail, again) = make(&state, &caller, &found, form, None, &key).await?;
    let body = SessionBody::new(detail, Standing::New);
    Ok(once::marked(HttpResponse::Created().json(body), again))
}

/// Makes a session of an agent, or finds the one that was made of the same request before.
pub(super) async fn make(
    state: &ApiState,
    caller: &Caller,
    agent: &Found,
    mut form: NewSessionForm,
    user: Option<UserId>,
    key: &OnceHeader,
) -> Result<(SessionDetail, bool), Error> {
    let owner = caller.owner();
    session_body::check(form.title.as_deref(), &form.tags)?;
    let workspace = state.runtime.workspace(owner).await?;
    assignment::patiently(&mut form.tools, state.everruns.client_patience);
    assignment::check(&workspace.registry, &form.capabilities, &form.tools)?;
    assignment::may_assign(caller, &workspace.registry, &form.capabilities, &[])?;
    let model = match form.model_id.as_deref() {
        Some(id) => Some(models::wanted(&workspace, id)?),
        None => agent.default_model(),
    };
    let additions = Additions { model, capabilities: form.capabilities, tools: form.tools };
    let spec = agent.spec();
    let mounts = mounts(&workspace, &spec, &additions, form.initial_files);
    let new = NewSession {
        id: None,
        kind: spec.kind(),
        component: Some(spec.id().clone()),
        user,
        title: form.title,
        tags: form.tags,
        data: SessionData { additions, ..SessionData::default() },
    };
    let claim = key.claim(&state.runtime, caller).await?;
    let again = claim.is_done();
    if !again && agent.is_archived() {
        return Err(Error::bad_request("The agent is archived"));
    }
    let detail = state.runtime.create_session_once(owner, new, claim).await?;
    if !again {
        state.runtime.mount(owner, &detail.session.id, &mounts).await;
    }
    Ok((detail, again))
}

/// The files it begins with: the client's before those of capabilities, since the first one of a path stays.
fn mounts(workspace: &Workspace, spec: &Spec, additions: &Additions, mut files: Vec<Mount>) -> Vec<Mount> {
    if let Some(agent) = models::leader(spec) {
        let agent = AgentSpec { additions: additions.clone(), ..agent.clone() };
        files.extend(workspace.toolbox_of(&agent).mounts.iter().cloned());
    }
    files
}

/// `GET /sessions`
async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let part = query.page()?;
    let component = match query.text("agent_id") {
        Some(id) => Some(component(&state, caller.owner(), id).await?),
        None => None,
    };
    let nothing_is_pinned = query.flag("pinned")?;
    let (sort, newest_first) = query.sort(&SORTS)?.unwrap_or((SessionSort::Created, true));
    let filter = SessionFilter {
        kind: component.as_ref().map(|(kind, _)| *kind),
        component: component.map(|(_, id)| id),
        text: query.text("search").map(str::to_owned),
        tags: query.texts("tags").map(str::to_owned).collect(),
        standing: query.choice("status", &STANDINGS)?,
        sort,
        newest_first,
        skip: part.offset,
        limit: part.limit,
        ..SessionFilter::default()
    };
    if nothing_is_pinned {
        return Ok(page::page(Vec::<SessionBody>::new(), 0, part));
    }
    let SessionPage { sessions, total } = state.runtime.sessions(caller.owner(), filter).await?;
    let data = shown_all(&state, caller.owner(), sessions).await?;
    Ok(page::page(data, total, part))
}

/// What sessions of an agent belong to; of one that is not there, to nothing.
async fn component(state: &ApiState, owner: &Owner, id: &str) -> Result<(ComponentKind, ComponentId), Error> {
    let id = ids::parse(AGENT, id)?;
    let workspace = state.runtime.workspace(owner).await?;
    match agents::find(state, owner, &workspace, id).await? {
        Some(found) => Ok((found.spec().kind(), found.spec().id().clone())),
        None => Ok((ComponentKind::Agent, ids::component(id)?)),
    }
}

/// `GET /sessions/{session_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let detail = place::detail(&state, caller.owner(), &request).await?;
    Ok(HttpResponse::Ok().json(shown(&state, caller.owner(), detail).await?))
}

/// `PATCH /sessions/{session_id}`
async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(SessionChanges { title, tags }): Body<SessionChanges>,
) -> Result<HttpResponse, Error> {
    session_body::check(title.as_deref(), tags.as_deref().unwrap_or_default())?;
    let detail = place::detail(&state, caller.owner(), &request).await?;
    let patch = SessionPatch { title, tags, ..SessionPatch::default() };
    let detail = if patch.title.is_some() || patch.tags.is_some() {
        state.runtime.change_session(caller.owner(), &detail.session.id, patch).await?
    } else {
        detail
    };
    Ok(HttpResponse::Ok().json(shown(&state, caller.owner(), detail).await?))
}

/// `DELETE /sessions/{session_id}`
async fn delete(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let detail = place::detail(&state, caller.owner(), &request).await?;
    state.runtime.delete_session(caller.owner(), &detail.session.id, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A session as it is now.
pub(super) async fn shown(
    state: &ApiState,
    owner: &Owner,
    detail: SessionDetail,
) -> Result<SessionBody, runtime::Error> {
    let standing = state.runtime.standing(owner, &detail.session).await?;
    Ok(SessionBody::new(detail, standing))
}

/// Sessions as they are now; by the ids they are shown under they are found again.
pub(super) async fn shown_all(
    state: &ApiState,
    owner: &Owner,
    sessions: Vec<SessionDetail>,
) -> Result<Vec<SessionBody>, Error> {
    ids::remember(state, owner, sessions.iter().map(|detail| &detail.session.id)).await?;
    let mut all = Vec::with_capacity(sessions.len());
    for detail in sessions {
        all.push(shown(state, owner, detail).await?);
    }
    Ok(all)
}
