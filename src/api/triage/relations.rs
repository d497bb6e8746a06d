//! Relations between issues, and categories.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::Body;
use super::error::Error;
use super::query::{Query, cursor};
use super::{board, envelope, moment, path_issue, path_uuid};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::domain::id::Owner;
use crate::triage::category::{self, CategoryShown};
use crate::triage::entry::Actor;
use crate::triage::relation::NewRelation;
use crate::triage::ties::{RelationPlace, RelationSeen};

/// `GET /issues/{id}/relations`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let list = ("relations", issue);
    let after: Option<RelationPlace> = sent.cursor(&list);
    let limit = sent.limit();
    let after = sent.done(after)?;
    let (relations, next) = board.relations(issue, after, limit).await?;
    let items = relations.iter().map(|seen| body(caller.owner(), issue, seen)).collect();
    Ok(envelope::page(items, next.map(|place| cursor(&list, &place))))
}

/// `POST /issues/{id}/relations`
pub(super) async fn create(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let new = NewRelation::read(&sent)?;
    let (made, is_new) = board.relate(issue, new, &Actor::user(caller.name())).await?;
    Ok(envelope::made(body(caller.owner(), issue, &made), is_new))
}

/// `DELETE /issues/{id}/relations/{relation_id}`
pub(super) async fn delete(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let relation = path_uuid(&request, "relation_id", "Relation")?;
    board.unrelate(issue, relation, &Actor::user(caller.name())).await?;
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
pub(super) async fn categories(
    state: Data<ApiState>,
    caller: Caller,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let limit = sent.limit();
    // Here, and only here, the cursor is the name of the last item.
    let after = sent.text("cursor").map(ToOwned::to_owned);
    let after = sent.done(after)?;
    let mut found = board(&state, &caller).categories(after.as_deref(), limit.saturating_add(1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.name.clone());
    Ok(envelope::page(found.iter().map(|category| category_body(caller.owner(), category)).collect(), next))
}

/// `POST /categories`
pub(super) async fn create_category(
    state: Data<ApiState>,
    caller: Caller,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let name = category::read_name(&sent)?;
    let (category, is_new) = board(&state, &caller).create_category(&name).await?;
    Ok(envelope::made(category_body(caller.owner(), &category), is_new))
}

fn category_body(org: &Owner, CategoryShown { id, name, created }: &CategoryShown) -> Value {
    json!({ "id": id, "org_id": org, "name": name, "created_at": moment(*created) })
}
