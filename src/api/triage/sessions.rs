//! Norm: who he is, his sessions on issues, and what he is asked.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::body::Body;
use super::error::Error;
use super::query::{Query, cursor};
use super::{board, envelope, path_issue, path_uuid, session_body};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::api::once::{self, OnceHeader};
use crate::domain::document::Place;
use crate::triage::comments;
use crate::triage::entry::Actor;
use crate::triage::form::Form;
use crate::triage::intent::Asked;
use crate::triage::norm::{self, NewPrompt, Via, WhichSession};

/// In place of a session's id: the newest, or a new one.
const LATEST: &str = "latest";

/// `GET /agents`
pub(super) async fn agents(
    state: Data<ApiState>,
    caller: Caller,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let after: Option<String> = sent.cursor(&"agents");
    let limit = sent.limit();
    sent.done((after, limit))?;
    let (description, is_active) = match board(&state, &caller).norm_profile().await {
        Ok(profile) => (profile.spec.description, profile.is_active),
        Err(crate::triage::error::Error::Conflict { .. }) => (None, false),
        Err(error) => return Err(error.into()),
    };
    let norm = json!({
        "id": norm::profile_id(),
        "provider_type": "blandcode",
        "display_name": norm::NAME,
        "description": description,
        "is_active": is_active,
    });
    Ok(envelope::page(vec![norm], None))
}

/// `POST /issues/{id}/agent-sessions`
pub(super) async fn create(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    _: Body,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let issue = path_issue(&request)?;
    let claim = key.claim(&state.runtime, &caller).await?;
    let made = board(&state, &caller).create_agent_session(issue, &claim).await?;
    Ok(once::marked(envelope::created(session_body::summary(&made)), claim.is_done()))
}

/// `GET /issues/{id}/agent-sessions`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let issue = path_issue(&request)?;
    let list = (issue, "agent-sessions");
    let after: Option<(u64, String)> = sent.cursor(&list);
    let limit = sent.limit();
    let after = sent.done(after)?.map(|(sort, id)| Place { sort, id });
    let part = board(&state, &caller).agent_sessions(issue, after, limit).await?;
    let items = part.items.iter().map(session_body::listed).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// `GET /issues/{id}/agent-sessions/{session_id}`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let found = board.agent_session(issue, path_uuid(&request, "session_id", "Session")?).await?;
    Ok(envelope::ok(session_body::whole(&found)))
}

/// `POST /issues/{id}/agent-sessions/{session_id}/prompts`
pub(super) async fn prompt(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let which = match path_text(&request, "session_id").as_str() {
        LATEST => WhichSession::Latest,
        _ => WhichSession::Id(path_uuid(&request, "session_id", "Session")?),
    };
    if let WhichSession::Id(id) = which {
        board.agent_session(issue, id).await?;
    }
    let mut form = Form::of(&sent);
    let raw: String = form.required("detail", comments::detail);
    let raw = form.done(raw)?;
    let claim = key.claim(&state.runtime, &caller).await?;
    let by = Actor::user(caller.name());
    let new = NewPrompt { asked: Asked::read(&raw), raw, via: Via::Prompt, by };
    let made = board.prompt(issue, which, new, &claim).await?;
    let answer = json!({ "session_id": made.session, "run_id": made.run, "intent": made.intent });
    Ok(once::marked(envelope::accepted(answer), claim.is_done()))
}

/// `POST /issues/{id}/agent-sessions/{session_id}/cancel`
pub(super) async fn cancel(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let session = path_uuid(&request, "session_id", "Session")?;
    board.agent_session(issue, session).await?;
    let mut form = Form::of(&sent);
    let only = form.uuid("run_id");
    let only = form.done(only)?;
    let by = Actor::user(caller.name());
    let done = board.cancel_runs(issue, session, only, &by).await?;
    let answer = json!({ "session_id": session, "cancelled_run_ids": done.runs, "status": done.status });
    Ok(envelope::ok(answer))
}
