//! Relations between issues, and categories.

use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{AtIssue, Ids, Member};
use super::moment;
use super::query::{Query, cursor};
use crate::domain::id::Owner;
use crate::triage::category::{self, CategoryShown};
use crate::triage::relation::NewRelation;
use crate::triage::ties::{RelationPlace, RelationSeen};

/// `GET /issues/{id}/relations`
pub(super) async fn list(at: AtIssue, mut sent: Query) -> Result<Answer, Error> {
    let issue = at.issue.id;
    let list = ("relations", issue);
    let after: Option<RelationPlace> = sent.cursor(&list);
    let limit = sent.limit();
    let after = sent.done(after)?;
    let (relations, next) = at.board().relations(issue, after, limit).await?;
    let items = relations.iter().map(|seen| body(at.org(), issue, seen)).collect();
    Ok(envelope::page(items, next.map(|place| cursor(&list, &place))))
}

/// `POST /issues/{id}/relations`
pub(super) async fn create(at: AtIssue, Body(sent): Body) -> Result<Answer, Error> {
    let new = NewRelation::read(&sent)?;
    let (made, is_new) = at.board().relate(at.issue.id, new, &at.actor()).await?;
    Ok(envelope::made(body(at.org(), at.issue.id, &made), is_new))
}

/// `DELETE /issues/{id}/relations/{relation_id}`
pub(super) async fn delete(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let relation = ids.uuid("relation_id", "Relation")?;
    at.board().unrelate(at.issue.id, relation, &at.actor()).await?;
    Ok(envelope::gone())
}

/// A relation as the listed issue sees it.
fn body(org: &Owner, issue: Uuid, RelationSeen { relation, other }: &RelationSeen) -> Value {
    json!({
        "id": relation.id,
        "org_id": org,
        "issue_id": issue,
        "related_issue_id": other.id,
        "related_triage_id": other.triage_id(),
        "related_title": other.title,
        "relation_type": relation.kind,
        "direction": if relation.from == issue { "outgoing" } else { "incoming" },
        "created_by_id": relation.author,
        "created_at": moment(relation.created),
    })
}

/// `GET /categories`
pub(super) async fn categories(member: Member, mut sent: Query) -> Result<Answer, Error> {
    let limit = sent.limit();
    // Here, and only here, the cursor is the name of the last item.
    let after = sent.text("cursor").map(ToOwned::to_owned);
    let after = sent.done(after)?;
    let mut found = member.board.categories(after.as_deref(), limit.saturating_add(1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.name.clone());
    Ok(envelope::page(found.iter().map(|category| category_body(member.org(), category)).collect(), next))
}

/// `POST /categories`
pub(super) async fn create_category(member: Member, Body(sent): Body) -> Result<Answer, Error> {
    let name = category::read_name(&sent)?;
    let (category, is_new) = member.board.create_category(&name).await?;
    Ok(envelope::made(category_body(member.org(), &category), is_new))
}

fn category_body(org: &Owner, CategoryShown { id, name, created }: &CategoryShown) -> Value {
    json!({ "id": id, "org_id": org, "name": name, "created_at": moment(*created) })
}
