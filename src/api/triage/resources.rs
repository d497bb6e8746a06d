//! Evidence of an issue and flags on its calls.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::query::{Query, cursor};
use super::{board, entry_body, envelope, issue_body, moment, path_issue, path_uuid};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::domain::document::Place;
use crate::domain::id::Owner;
use crate::triage;
use crate::triage::entry::Actor;
use crate::triage::evidence::ResourceType;
use crate::triage::flag::{Flag, FlagType, Mark};
use crate::triage::issue::ResourceRef;

/// `GET /issues/{id}/resources`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    sent: Query,
) -> Result<HttpResponse, Error> {
    let issue = path_issue(&request)?;
    let board = board(&state, &caller);
    board.issue(issue).await?;
    let list = ("resources", issue);
    let (after, limit) = part(sent, &list)?;
    let part = board.links(issue, after, limit).await?;
    let items = part.items.iter().map(|shown| entry_body::link(caller.owner(), shown)).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// Where a part of a list that the store keeps begins, and how long it is.
fn part(mut sent: Query, list: &impl serde::Serialize) -> Result<(Option<Place>, usize), Error> {
    let after: Option<(u64, String)> = sent.cursor(list);
    let limit = sent.limit();
    let after = after.map(|(sort, id)| Place { sort, id });
    Ok(sent.done((after, limit))?)
}

/// `POST /issues/{id}/resources`
pub(super) async fn attach(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let evidence = ResourceRef::read(&sent)?;
    let (link, _, is_new) = board.attach(issue, &evidence, &Actor::user(caller.name())).await?;
    Ok(envelope::made(entry_body::link(caller.owner(), &link), is_new))
}

/// `DELETE /issues/{id}/resources/{resource_link_id}`
pub(super) async fn detach(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let link = path_uuid(&request, "resource_link_id", "Resource")?;
    board.detach(issue, link, &Actor::user(caller.name())).await?;
    Ok(envelope::gone())
}

/// `PUT /issues/{id}/calls/{call_id}`
pub(super) async fn attach_call(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    let evidence = ResourceRef { kind: ResourceType::Call, id: path_text(&request, "call_id") };
    let (_, issue, _) = board.attach(issue, &evidence, &Actor::user(caller.name())).await?;
    let seen = board.seen_by(issue, caller.name()).await?;
    Ok(envelope::ok(issue_body::seen(caller.owner(), &seen)))
}

/// `DELETE /issues/{id}/calls/{call_id}`
pub(super) async fn detach_call(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let link = board.call_link(issue, &path_text(&request, "call_id")).await?;
    let link = link.ok_or(triage::error::Error::NotFound("Resource"))?;
    board.detach(issue, link.id, &Actor::user(caller.name())).await?;
    Ok(envelope::gone())
}

/// `GET /issues/{id}/flags`
pub(super) async fn flags(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    sent: Query,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let list = ("flags", issue);
    let (after, limit) = part(sent, &list)?;
    let part = board.flags(issue, after, limit).await?;
    let items = part.items.iter().map(|flag| flag_body(caller.owner(), flag)).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// `POST /issues/{id}/flags`
pub(super) async fn flag(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(sent): Body,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let mark = Mark::read(&sent)?;
    let flag = board.flag(issue, mark, &Actor::user(caller.name())).await?;
    Ok(envelope::created(flag_body(caller.owner(), &flag)))
}

/// `DELETE /issues/{id}/flags/{flag_id}`
pub(super) async fn unflag(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let flag = path_uuid(&request, "flag_id", "Flag")?;
    board.unflag(issue, flag, &Actor::user(caller.name())).await?;
    Ok(envelope::gone())
}

/// `GET /flag-types`
pub(super) async fn flag_types(
    state: Data<ApiState>,
    caller: Caller,
    mut sent: Query,
) -> Result<HttpResponse, Error> {
    let after: Option<(u64, String)> = sent.cursor(&"flag-types");
    let limit = sent.limit();
    let after = sent.done(after)?.map(|(usage, name)| (std::cmp::Reverse(usage), name));
    let mut types = board(&state, &caller).flag_types().await?;
    types.retain(|it| after.as_ref().is_none_or(|(usage, name)| it.place() > (*usage, name.as_str())));
    let more = types.len() > limit;
    types.truncate(limit);
    let last = types.last().filter(|_| more);
    let next = last.map(|last| cursor(&"flag-types", &(last.usage, &last.name)));
    Ok(envelope::page(types.iter().map(flag_type_body).collect(), next))
}

fn flag_type_body(FlagType { name, description, usage, last_used }: &FlagType) -> Value {
    json!({
        "type": name,
        "description": description,
        "usage_count": usage,
        "last_used_at": moment(*last_used),
    })
}

fn flag_body(org: &Owner, flag: &Flag) -> Value {
    let Mark { call_id, kind, note, node_id, node_name, message_index, message_text } = &flag.mark;
    json!({
        "id": flag.id,
        "org_id": org,
        "issue_id": flag.issue,
        "call_id": call_id,
        "type": kind,
        "note": note,
        "node_id": node_id,
        "node_name": node_name,
        "message_index": message_index,
        "message_text": message_text,
        "author_id": flag.author,
        "created_at": moment(flag.created),
    })
}
