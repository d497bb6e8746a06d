//! Evidence of an issue and flags on its calls.

use serde_json::{Value, json};

use super::body::Body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{AtIssue, Ids, Member};
use super::query::{Query, cursor};
use super::{entry_body, moment};
use crate::domain::document::Place;
use crate::domain::id::Owner;
use crate::triage;
use crate::triage::evidence::ResourceType;
use crate::triage::flag::{Flag, FlagType, Mark};
use crate::triage::issue::ResourceRef;

/// `GET /issues/{id}/resources`
pub(super) async fn list(at: AtIssue, sent: Query) -> Result<Answer, Error> {
    let list = ("resources", at.issue.id);
    let (after, limit) = part(sent, &list)?;
    let part = at.board().links(at.issue.id, after, limit).await?;
    let items = part.items.iter().map(|shown| entry_body::link(at.org(), shown)).collect();
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
pub(super) async fn attach(at: AtIssue, Body(sent): Body) -> Result<Answer, Error> {
    let evidence = ResourceRef::read(&sent)?;
    let (link, _, is_new) = at.board().attach(at.issue.id, &evidence, &at.actor()).await?;
    Ok(envelope::made(entry_body::link(at.org(), &link), is_new))
}

/// `DELETE /issues/{id}/resources/{resource_link_id}`
pub(super) async fn detach(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let link = ids.uuid("resource_link_id", "Resource")?;
    at.board().detach(at.issue.id, link, &at.actor()).await?;
    Ok(envelope::gone())
}

/// `PUT /issues/{id}/calls/{call_id}`
pub(super) async fn attach_call(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let evidence = ResourceRef { kind: ResourceType::Call, id: ids.text("call_id") };
    let (_, issue, _) = at.board().attach(at.issue.id, &evidence, &at.actor()).await?;
    Ok(envelope::ok(at.shown(issue).await?))
}

/// `DELETE /issues/{id}/calls/{call_id}`
pub(super) async fn detach_call(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let link = at.board().call_link(at.issue.id, &ids.text("call_id")).await?;
    let link = link.ok_or(triage::error::Error::NotFound("Resource"))?;
    at.board().detach(at.issue.id, link.id, &at.actor()).await?;
    Ok(envelope::gone())
}

/// `GET /issues/{id}/flags`
pub(super) async fn flags(at: AtIssue, sent: Query) -> Result<Answer, Error> {
    let list = ("flags", at.issue.id);
    let (after, limit) = part(sent, &list)?;
    let part = at.board().flags(at.issue.id, after, limit).await?;
    let items = part.items.iter().map(|flag| flag_body(at.org(), flag)).collect();
    Ok(envelope::page(items, part.next.map(|Place { sort, id }| cursor(&list, &(sort, id)))))
}

/// `POST /issues/{id}/flags`
pub(super) async fn flag(at: AtIssue, Body(sent): Body) -> Result<Answer, Error> {
    let mark = Mark::read(&sent)?;
    let flag = at.board().flag(at.issue.id, mark, &at.actor()).await?;
    Ok(envelope::created(flag_body(at.org(), &flag)))
}

/// `DELETE /issues/{id}/flags/{flag_id}`
pub(super) async fn unflag(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let flag = ids.uuid("flag_id", "Flag")?;
    at.board().unflag(at.issue.id, flag, &at.actor()).await?;
    Ok(envelope::gone())
}

/// `GET /flag-types`
pub(super) async fn flag_types(member: Member, mut sent: Query) -> Result<Answer, Error> {
    let after: Option<(u64, String)> = sent.cursor(&"flag-types");
    let limit = sent.limit();
    let after = sent.done(after)?.map(|(usage, name)| (std::cmp::Reverse(usage), name));
    let mut types = member.board.flag_types().await?;
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
