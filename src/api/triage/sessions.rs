//! Norm: who he is, his sessions on issues, and what he is asked.

use serde_json::json;

use super::body::Body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{AtIssue, Ids, Member};
use super::query::{Query, cursor};
use super::session_body;
use crate::api::once::OnceHeader;
use crate::domain::document::Place;
use crate::triage::comments;
use crate::triage::form::Form;
use crate::triage::intent::Asked;
use crate::triage::norm::{self, NewPrompt, Via, WhichSession};

/// In place of a session's id: the newest, or a new one.
const LATEST: &str = "latest";

/// `GET /agents`
pub(super) async fn agents(member: Member, mut sent: Query) -> Result<Answer, Error> {
    let after: Option<String> = sent.cursor(&"agents");
    let limit = sent.limit();
    sent.done((after, limit))?;
    let (description, is_active) = match member.board.norm_profile().await {
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
pub(super) async fn create(at: AtIssue, _: Body, key: OnceHeader) -> Result<Answer, Error> {
    let claim = at.member.claim(&key).await?;
    let made = at.board().create_agent_session(at.issue.id, &claim).await?;
    Ok(envelope::created(session_body::summary(&made)).again(claim.is_done()))
}

/// `GET /issues/{id}/agent-sessions`
pub(super) async fn list(at: AtIssue, mut sent: Query) -> Result<Answer, Error> {
    let list = (at.issue.id, "agent-sessions");
    let after: Option<(u64, String)> = sent.cursor(&list);
    let limit = sent.limit();
    let after = sent.done(after)?.map(|(sort, id)| Place { sort, id });
    let part = at.board().agent_sessions(at.issue.id, after, limit).await?;
    let items = part.items.iter().map(session_body::listed).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// `GET /issues/{id}/agent-sessions/{session_id}`
pub(super) async fn read(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let session = ids.uuid("session_id", "Session")?;
    let found = at.board().agent_session(at.issue.id, session).await?;
    Ok(envelope::ok(session_body::whole(&found)))
}

/// `POST /issues/{id}/agent-sessions/{session_id}/prompts`
pub(super) async fn prompt(
    at: AtIssue,
    ids: Ids,
    Body(sent): Body,
    key: OnceHeader,
) -> Result<Answer, Error> {
    let (board, issue) = (at.board(), at.issue.id);
    let which = match ids.text("session_id").as_str() {
        LATEST => WhichSession::Latest,
        _ => WhichSession::Id(ids.uuid("session_id", "Session")?),
    };
    if let WhichSession::Id(id) = which {
        board.agent_session(issue, id).await?;
    }
    let mut form = Form::of(&sent);
    let raw: String = form.required("detail", comments::detail);
    let raw = form.done(raw)?;
    let claim = at.member.claim(&key).await?;
    let new = NewPrompt { asked: Asked::read(&raw), raw, via: Via::Prompt, by: at.actor() };
    let made = board.prompt(issue, which, new, &claim).await?;
    let answer = json!({ "session_id": made.session, "run_id": made.run, "intent": made.intent });
    Ok(envelope::accepted(answer).again(claim.is_done()))
}

/// `POST /issues/{id}/agent-sessions/{session_id}/cancel`
pub(super) async fn cancel(at: AtIssue, ids: Ids, Body(sent): Body) -> Result<Answer, Error> {
    let (board, issue) = (at.board(), at.issue.id);
    let session = ids.uuid("session_id", "Session")?;
    board.agent_session(issue, session).await?;
    let mut form = Form::of(&sent);
    let only = form.uuid("run_id");
    let only = form.done(only)?;
    let done = board.cancel_runs(issue, session, only, &at.actor()).await?;
    let answer = json!({ "session_id": session, "cancelled_run_ids": done.runs, "status": done.status });
    Ok(envelope::ok(answer))
}
