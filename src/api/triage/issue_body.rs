//! An issue as it is shown; nothing is ever left out.

use serde_json::{Value, json};

use super::moment;
use crate::domain::id::Owner;
use crate::triage::issue::{ExternalLink, Issue};
use crate::triage::stats::Stats;
use crate::triage::views::IssueSeen;

/// An issue as its viewer sees it.
pub fn seen(org: &Owner, IssueSeen { issue, is_unread }: &IssueSeen) -> Value {
    body(org, issue, *is_unread)
}

/// An issue.
pub fn body(org: &Owner, issue: &Issue, is_unread: bool) -> Value {
    json!({
        "id": issue.id,
        "triage_id": issue.triage_id(),
        "org_id": org,
        "number": issue.number,
        "title": issue.title,
        "description": issue.description,
        "status": issue.status,
        "severity": issue.severity,
        "source": issue.source,
        "category": issue.category,
        "owner_id": issue.owner,
        "assignee_id": issue.assignee,
        "author_id": issue.author,
        "external_link": issue.external_link.as_ref().map(external_link),
        "created_at": moment(issue.created),
        "updated_at": moment(issue.updated),
        "last_activity_at": moment(issue.last_activity),
        "resource_count": issue.links.total(),
        "flag_count": issue.flags,
        "relation_count": issue.relations,
        "latest_agent_session": issue.agent.latest_session,
        "is_processing": issue.agent.is_processing,
        "has_unread_activity": is_unread,
    })
}

fn external_link(ExternalLink { provider, url, external_id, label }: &ExternalLink) -> Value {
    json!({ "provider": provider, "url": url, "external_id": external_id, "label": label })
}

/// Counts of issues.
pub fn stats(stats: &Stats) -> Value {
    let by_status: Vec<_> = stats.by_status.iter().map(|(status, count)| (status.as_str(), *count)).collect();
    let by_severity: Vec<_> =
        stats.by_severity.iter().map(|(level, count)| (level.as_str(), *count)).collect();
    let by_category = stats.by_category.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    json!({
        "total": stats.total,
        "open": stats.open,
        "processing": stats.processing,
        "awaiting_input": stats.awaiting_input,
        "by_status": counts(by_status),
        "by_severity": counts(by_severity),
        "by_category": counts(by_category),
    })
}

fn counts(counts: Vec<(&str, u64)>) -> Value {
    counts.into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect()
}
