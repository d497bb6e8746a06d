//! Issues: opened, read, listed, changed, looked at, counted and taken away.

use serde_json::json;

use super::body::Body;
use super::envelope::Answer;
use super::error::Error;
use super::member::{AtIssue, Member};
use super::query::{Query, cursor};
use super::{envelope, issue_body, moment};
use crate::api::once::OnceHeader;
use crate::triage::form::Faults;
use crate::triage::index::{DateField, IssuePlace, IssueQuery, Order, Sort};
use crate::triage::issue::{IssuePatch, NewIssue};

/// `POST /issues`
pub(super) async fn create(member: Member, Body(sent): Body, key: OnceHeader) -> Result<Answer, Error> {
    let board = &member.board;
    let new = NewIssue::read(&board.with_run(sent).await?)?;
    let claim = member.claim(&key).await?;
    let made = board.create_issue(new, member.name(), &claim).await?;
    // Who opens an issue has seen it.
    Ok(envelope::created(issue_body::body(member.org(), &made, false)).again(claim.is_done()))
}

/// `GET /issues/{id}`
pub(super) async fn read(at: AtIssue) -> Result<Answer, Error> {
    Ok(envelope::ok(at.shown(at.issue.clone()).await?))
}

/// `GET /issues`
pub(super) async fn list(member: Member, query: Query) -> Result<Answer, Error> {
    let (query, after, limit) = listing(query)?;
    let page = member.board.issues(&query, after, limit, member.name()).await?;
    let items = page.issues.iter().map(|seen| issue_body::seen(member.org(), seen)).collect();
    Ok(envelope::page(items, page.next.map(|place| cursor(&query, &place))))
}

/// Which issues are asked for.
pub(super) fn listing(mut sent: Query) -> Result<(IssueQuery, Option<IssuePlace>, usize), Faults> {
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
pub(super) async fn change(at: AtIssue, Body(sent): Body) -> Result<Answer, Error> {
    let patch = IssuePatch::read(&sent)?;
    let changed = at.board().change_issue(at.issue.id, patch, &at.actor()).await?;
    Ok(envelope::ok(at.shown(changed).await?))
}

/// `DELETE /issues/{id}`
pub(super) async fn delete(at: AtIssue) -> Result<Answer, Error> {
    at.board().delete_issue(at.issue.id, &at.actor()).await?;
    Ok(envelope::gone())
}

/// `PUT /issues/{id}/view`
pub(super) async fn view(AtIssue { member, issue }: AtIssue) -> Result<Answer, Error> {
    let at = member.board.view_issue(issue.id, member.name()).await?;
    Ok(envelope::ok(json!({ "issue_id": issue.id, "last_viewed_at": moment(at) })))
}

/// `GET /stats`
pub(super) async fn stats(member: Member) -> Result<Answer, Error> {
    Ok(envelope::ok(issue_body::stats(&member.board.stats().await?)))
}
