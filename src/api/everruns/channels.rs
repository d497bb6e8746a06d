//! The agent execution API, `/v1/channels/{agent}`: what the application of an agent needs, and of no other.
//!
//! The agent is told by its id or its name. Sessions are those of the agent, and where the header `End-User` names
//! somebody, his: [`belonging`] lets nobody reach another, so that what lies below it needs no eyes of its own.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use super::agent_body::Found;
use super::body::Body;
use super::error::Error;
use super::page::Query;
use super::schemas::JSON;
use super::session_body::{NewSessionForm, SessionBody};
use super::{agents, event_routes, ids, messages, models, place, sessions, turns};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::{self, Endpoint, Parameter, ParameterKind, verb};
use crate::api::fields::{Fields, FromFields, path_text};
use crate::api::once::{self, OnceHeader};
use crate::domain::id::{Owner, UserId};
use crate::domain::run::Standing;
use crate::runtime::{SessionFilter, SessionPage, SessionSort};

/// Who uses the application.
const END_USER: &str = "end-user";

/// Where an agent is, and a session of it.
const AGENT: &str = "/channels/{agent}";
const OF_AGENT: &str = "/sessions/{session_id}";

/// The group of its operations, in documents.
const TAG: &str = "Channels";

/// Mounts it.
pub(super) fn configure(routes: &mut ServiceConfig) {
    let session = web::scope(&format!("{AGENT}{OF_AGENT}"))
        .configure(|routes| endpoint::mount(session_table(), routes))
        .wrap(from_fn(belonging));
    // The deeper one first: the other would take its requests.
    routes.service(session);
    routes.service(web::scope(AGENT).configure(|routes| endpoint::mount(agent_table(), routes)));
}

/// All of it, for documents.
pub(super) fn described() -> impl Iterator<Item = Endpoint> {
    let about = "Who uses the application: sessions are his, and no others are found";
    let of_session = session_table().into_iter().map(|mut endpoint| {
        endpoint.path.insert_str(0, OF_AGENT);
        endpoint
    });
    let all = agent_table().into_iter().chain(of_session);
    all.map(move |endpoint| endpoint.below(AGENT).header(END_USER, about))
}

/// Below an agent.
fn agent_table() -> Vec<Endpoint> {
    vec![
        Endpoint::get("", card)
            .named("get_channel", TAG, "What an agent is called, and what it takes")
            .tells("200", "The card", "ChannelCard")
            .fails("404", "There is no such agent"),
        Endpoint::get("/sessions", list)
            .named("list_channel_sessions", TAG, "Sessions of an agent, those that changed last first")
            .query(&[
                Parameter::new("limit", ParameterKind::Number(1), "At most as many; default 20, at most 100"),
                Parameter::new("page_token", ParameterKind::Text, "Where the page before ended"),
            ])
            .tells("200", "A page of sessions", "ChannelSessionPage")
            .fails("404", "There is no such agent"),
        Endpoint::post("/sessions", create)
            .named("create_channel_session", TAG, "Create a session of an agent")
            .once()
            .takes([(JSON, "NewChannelSession")], false)
            .tells("201", "The session", "ChannelSession")
            .fails("404", "There is no such agent"),
        Endpoint::post("/runtime-auth", not_built)
            .named("authorize_channel", TAG, "No tokens for runtimes are made here")
            .fails("501", "Not on this server"),
    ]
}

/// Below a session of an agent.
fn session_table() -> Vec<Endpoint> {
    let refused = |path: &str, name: &str| {
        Endpoint::post(format!("{OF_AGENT}{path}"), not_built)
            .named(name, TAG, "Nothing of this kind waits for an answer here")
            .fails("501", "Not on this server")
    };
    let mut table = vec![
        Endpoint::get(OF_AGENT, read)
            .named("get_channel_session", TAG, "Read a session of an agent")
            .tells("200", "The session", "ChannelSession")
            .fails("404", "There is no such session"),
        refused("/question-answers", "answer_channel_questions"),
        refused("/tool-approvals", "approve_channel_tools"),
        refused("/runtime-auth", "authorize_channel_runtime"),
    ];
    let shared = [messages::table(), event_routes::table(), turns::table()].into_iter().flatten();
    table.extend(shared.map(|endpoint| {
        let path = endpoint.path.strip_prefix(OF_AGENT).unwrap_or_default().replace(['/', '-'], "_");
        let name = format!("{}_channel{path}", verb(&endpoint.method)).to_lowercase();
        endpoint.renamed(&name, TAG)
    }));
    table
        .into_iter()
        .filter_map(|mut endpoint| {
            endpoint.path = endpoint.path.strip_prefix(OF_AGENT)?.to_owned();
            Some(endpoint)
        })
        .collect()
}

/// A session, with what waits for a person: nothing does here.
#[derive(Serialize)]
struct ChannelSession {
    #[serde(flatten)]
    session: SessionBody,
    pending_questions: [(); 0],
    pending_approvals: [(); 0],
}

impl From<SessionBody> for ChannelSession {
    fn from(session: SessionBody) -> Self {
        Self { session, pending_questions: [], pending_approvals: [] }
    }
}

/// `GET /channels/{agent}`
async fn card(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let spec = agent(&state, caller.owner(), &request).await?.spec();
    let mut card = json!({
        "name": spec.name(),
        "streaming": true,
        "input": { "text": true, "images": true, "files": false },
        "auth": [],
        "links": { "sessions": format!("{}{}/sessions", state.server.prefix, request.path()) },
    });
    let description = models::leader(&spec).and_then(|agent| agent.description.clone());
    if let (Some(fields), Some(description)) = (card.as_object_mut(), description) {
        fields.insert("description".into(), description.into());
    }
    Ok(HttpResponse::Ok().json(card))
}

/// A new session's name.
struct Titled(Option<String>);

impl FromFields for Titled {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.text("title"))
    }
}

/// `POST /channels/{agent}/sessions`
async fn create(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(Titled(title)): Body<Titled>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let agent = agent(&state, caller.owner(), &request).await?;
    let form = NewSessionForm { title, ..NewSessionForm::default() };
    let made = sessions::make(&state, &caller, &agent, form, end_user(&request)?, &key).await?;
    let body = ChannelSession::from(SessionBody::new(made.0, Standing::New));
    Ok(once::marked(HttpResponse::Created().json(body), made.1))
}

/// `GET /channels/{agent}/sessions`
async fn list(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    query: Query,
) -> Result<HttpResponse, Error> {
    let spec = agent(&state, caller.owner(), &request).await?.spec();
    let limit = query.page()?.limit;
    let skip = match query.text("page_token") {
        Some(token) => token.parse().map_err(|_| Error::bad_request("Invalid page token"))?,
        None => 0_usize,
    };
    let filter = SessionFilter {
        kind: Some(spec.kind()),
        component: Some(spec.id().clone()),
        user: end_user(&request)?,
        sort: SessionSort::Updated,
        newest_first: true,
        skip,
        limit,
        ..SessionFilter::default()
    };
    let SessionPage { sessions, total } = state.runtime.sessions(caller.owner(), filter).await?;
    let next = skip.saturating_add(sessions.len());
    let data = sessions::shown_all(&state, caller.owner(), sessions).await?;
    let data: Vec<ChannelSession> = data.into_iter().map(ChannelSession::from).collect();
    let mut page = json!({ "data": data });
    if let Some(fields) = page.as_object_mut().filter(|_| (next as u64) < total) {
        fields.insert("next_page_token".into(), next.to_string().into());
    }
    Ok(HttpResponse::Ok().json(page))
}

/// `GET /channels/{agent}/sessions/{session_id}`
async fn read(state: Data<ApiState>, caller: Caller, request: HttpRequest) -> Result<HttpResponse, Error> {
    let detail = place::detail(&state, caller.owner(), &request).await?;
    let shown = sessions::shown(&state, caller.owner(), detail).await?;
    Ok(HttpResponse::Ok().json(ChannelSession::from(shown)))
}

async fn not_built() -> Result<HttpResponse, Error> {
    Err(Error::bad_request("Nothing of this kind waits for an answer here")
        .with_status(StatusCode::NOT_IMPLEMENTED))
}

/// Lets nobody reach a session of another agent or another end user.
async fn belonging(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (head, payload) = request.parts_mut();
    let caller = Caller::from_request(head, payload).await?;
    let state =
        head.app_data::<Data<ApiState>>().cloned().ok_or_else(crate::api::problem::Problem::internal)?;
    check(&state, caller.owner(), head).await?;
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

async fn check(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<(), Error> {
    let spec = agent(state, owner, request).await?.spec();
    let session = place::session(state, owner, request).await?;
    let user = end_user(request)?;
    let its_own = session.kind == spec.kind() && session.component.as_ref() == Some(spec.id());
    let his_own = user.is_none() || session.user == user;
    if its_own && his_own { Ok(()) } else { Err(Error::not_found("Session not found")) }
}

/// The end user a request speaks for.
fn end_user(request: &HttpRequest) -> Result<Option<UserId>, Error> {
    let Some(value) = request.headers().get(END_USER) else { return Ok(None) };
    let wrong = || Error::bad_request("End-User must be 1 to 128 bytes of visible characters");
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| wrong())?;
    text.parse().map(Some).map_err(|_| wrong())
}

/// The agent of the address, by its id or its name.
async fn agent(state: &ApiState, owner: &Owner, request: &HttpRequest) -> Result<Found, Error> {
    called(state, owner, &path_text(request, "agent")).await
}

/// The agent of this id or name.
pub(super) async fn called(state: &ApiState, owner: &Owner, text: &str) -> Result<Found, Error> {
    let workspace = state.runtime.workspace(owner).await?;
    let id = match ids::read(ids::AGENT, text) {
        Some(id) => Some(id),
        None => {
            let catalog = &workspace.catalog;
            let mut all = catalog.agents().chain(catalog.teams()).chain(catalog.workflows());
            let named = all.find(|spec| spec.name() == text || spec.id().as_str() == text);
            named.map(|spec| ids::agent(spec.kind(), spec.id()).1)
        }
    };
    let found = match id {
        Some(id) => agents::find(state, owner, &workspace, id).await?,
        None => None,
    };
    found.ok_or_else(|| Error::not_found("Agent not found"))
}
