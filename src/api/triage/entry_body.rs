//! Entries of feeds and what they hold, as they are shown.

use serde_json::{Value, json};

use super::moment;
use crate::domain::id::Owner;
use crate::triage::entry::{Actor, AgentPart, Entry, IssueShown, LinkShown, Saying};
use crate::triage::issue::Issue;
use crate::triage::norm;

/// An entry of an issue's feed. Where an agent wrote it, its session is shown as it stands now.
pub fn entry(org: &Owner, issue: &Issue, entry: &Entry) -> Value {
    let Entry { id, issue: issue_id, seq, created, saying } = entry;
    let Saying { kind, actor, detail, metadata, statuses, resources, issues, agent } = saying;
    let mut metadata = metadata.clone();
    if agent.is_some() {
        metadata.get_or_insert_default().insert("seq".into(), (*seq).into());
    }
    let mut body = json!({
        "entry_kind": entry.kind(),
        "id": id,
        "issue_id": issue_id,
        "type": kind,
        "actor": actor.as_ref().map(self::actor),
        "detail": detail,
        "metadata": metadata,
        "created_at": moment(*created),
    });
    let more = match agent {
        Some(part) => of_agent(issue, part),
        None => json!({
            "from_status": statuses.map(|(from, _)| from),
            "to_status": statuses.map(|(_, to)| to),
            "resources": resources.iter().map(|shown| link(org, shown)).collect::<Vec<_>>(),
            "referenced_issues": issues.iter().map(referenced).collect::<Vec<_>>(),
        }),
    };
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// What an agent's entry has besides.
fn of_agent(issue: &Issue, part: &AgentPart) -> Value {
    let known = issue.agent.statuses.iter().find(|(id, _)| *id == part.session);
    json!({
        "agent_session": {
            "id": part.session,
            "agent_profile_id": norm::profile_id(),
            "agent_name": norm::NAME,
            "status": known.map(|(_, status)| *status),
        },
        "artifact": part.artifact,
    })
}

pub(super) fn actor(Actor { kind, id, label }: &Actor) -> Value {
    json!({ "kind": kind, "id": id, "label": label, "avatar_url": null })
}

fn referenced(IssueShown { id, triage_id, title, status }: &IssueShown) -> Value {
    json!({ "id": id, "triage_id": triage_id, "title": title, "status": status })
}

/// A link to evidence.
pub fn link(org: &Owner, LinkShown { link, available }: &LinkShown) -> Value {
    json!({
        "id": link.id,
        "issue_id": link.issue,
        "org_id": org,
        "resource_type": link.resource_type,
        "resource_id": link.resource_id,
        "title": link.title,
        "status": if *available { "available" } else { "unavailable" },
        "metadata": link.metadata,
        "attached_by_id": link.attached_by,
        "created_at": moment(link.created),
    })
}
