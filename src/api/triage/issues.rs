//! Issues: opened, read, listed, changed, looked at, counted and taken away.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::body::Body;
use super::error::Error;
use super::query::{Query, cursor};
use super::{board, envelope, issue_body, moment, path_issue};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::once::{self, OnceHeader};
use crate::triage::entry::Actor;
use crate::triage::form::Faults;
use crate::triage::index::{DateField, IssuePlace, IssueQuery, Order, Sort};
use crate::triage::issue::{IssuePatch, NewIssue};

/// `POST /issues`
pub(super) async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(sent): Body,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let board = board(&state, &caller);
    let new = NewIssue::read(&board.with_run(sent).await?)?;
    let claim = key.claim(&state.runtime, &caller).await?;
    let made = board.create_issue(new, caller.name(), &claim).await?;
    // Who opens an issue has seen it.
    let answer = envelope::created(issue_body::body(caller.owner(), &made, false));
    Ok(once::marked(answer, claim.is_done()))
}

/// `GET /issues/{id}`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let seen = board(&state, &caller).issue_seen_by(path_issue(&request)?, caller.name()).await?;
    Ok(envelope::ok(issue_body::seen(caller.owner(), &seen)))
}

/// `GET /issues`
pub(super) async fn list(state: Data<ApiState>, caller: Caller, query: Query) -> Result<HttpResponse, Error> {
    let (query, after, limit) = listing(query)?;
    let page = board(&state, &caller).issues(&query, after, limit, caller.name()).await?;
    let items = page.issues.iter().map(|seen| issue_body::seen(caller.owner(), seen)).collect();
    Ok(envelope::page(items, page.next.map(|place| cursor(&query, &place))))
}

fn listing(mut sent: Query) -> Result<(IssueQuery, Option<IssuePlace>, usize), Faults> {
    let lower = |texts: Vec<String>| texts.iter().map(|text| text.trim().to_lowercase()).collect();
    let field = sent.word::<DateField>("date_field").unwrap_or(DateField::LastActivityAt);
    let words = sent.text("search").unwrap_or_default().to_lowercase();
    let query = IssueQuery {
        sort: sent.word("sort").unwrap_or(Sort::LastActivityAt),
        order: sent.word("order").unwrap_or(Order::Desc),
        words: words.split_whitespace().map(Into::into).collect(),
        statuses: sent.words("status"),
        severities: sent.words("severity"),
        categories: lower(sent.texts("category")),
        resource_type: sent.word("resource_type"),
        owner: sent.text("owner_id").map(Into::into),
        assignee: sent.text("assignee_id").map(Into::into),
        dates: sent.word("date_range").map(|range| (field, range)),
    };
    let (limit, after) = (sent.limit(), sent.cursor(&query));
    sent.done((query, after, limit))
}

/// `PATCH /issues/{id}`
pub(super) async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let board = board(&state, &caller);
    let id = path_issue(&request)?;
    board.issue(id).await?;
    let patch = IssuePatch::read(&sent)?;
    let changed = board.change_issue(id, patch, &Actor::user(caller.name())).await?;
    let seen = board.seen_by(changed, caller.name()).await?;
    Ok(envelope::ok(issue_body::seen(caller.owner(), &seen)))
}

/// `DELETE /issues/{id}`
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let by = Actor::user(caller.name());
    board(&state, &caller).delete_issue(path_issue(&request)?, &by).await?;
    Ok(envelope::gone())
}

/// `PUT /issues/{id}/view`
pub(super) async fn view(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let id = path_issue(&request)?;
    let at = board(&state, &caller).view_issue(id, caller.name()).await?;
    Ok(envelope::ok(json!({ "issue_id": id, "last_viewed_at": moment(at) })))
}

/// `GET /stats`
pub(super) async fn stats(state: Data<ApiState>, caller: Caller) -> Result<HttpResponse, Error> {
    Ok(envelope::ok(issue_body::stats(&board(&state, &caller).stats().await?)))
}
