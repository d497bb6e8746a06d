//! What an issue is about: what it affects, and the documents it was linked with.

use serde_json::{Value, json};

use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{AtIssue, Ids};
use super::moment;
use crate::triage::affected::{AffectedCall, Pathway};
use crate::triage::evidence::Persona;

/// `GET /issues/{id}/affected`
pub(super) async fn read(at: AtIssue) -> Result<Answer, Error> {
    let found = at.board().affected(at.issue.id).await?;
    Ok(envelope::ok(json!({
        "issue_id": at.issue.id,
        "calls": found.calls.iter().map(call).collect::<Vec<Value>>(),
        "pathways": found.pathways.iter().map(pathway).collect::<Vec<Value>>(),
        "personas": found.personas.iter().map(persona).collect::<Vec<Value>>(),
    })))
}

fn call(call: &AffectedCall) -> Value {
    let pathway = call.pathway.as_ref();
    let persona = call.circumstances.persona.as_ref();
    json!({
        "call_id": call.call,
        "title": call.title,
        "started_at": call.circumstances.started.map(moment),
        "pathway_id": pathway.map(|pathway| &pathway.document),
        "pathway_name": pathway.map(name),
        "pathway_version_id": pathway.and_then(|pathway| pathway.version_id.as_ref()),
        "version_number": pathway.and_then(|pathway| pathway.version),
        "version_label": pathway.and_then(|pathway| pathway.label.as_ref()),
        "persona_id": persona.map(|persona| &persona.id),
        "persona_name": persona.map(|persona| &persona.name),
    })
}

fn pathway((pathway, calls): &(Pathway, Vec<String>)) -> Value {
    json!({
        "pathway_id": pathway.document,
        "pathway_name": name(pathway),
        "pathway_version_id": pathway.version_id,
        "version_number": pathway.version,
        "version_label": pathway.label,
        "call_count": calls.len(),
        "call_ids": calls,
    })
}

/// A document that is not here has no name but its id.
fn name(pathway: &Pathway) -> &str {
    pathway.name.as_deref().unwrap_or(&pathway.document)
}

fn persona((persona, calls): &(Persona, Vec<String>)) -> Value {
    json!({
        "persona_id": persona.id,
        "persona_name": persona.name,
        "call_count": calls.len(),
        "call_ids": calls,
    })
}

/// `PUT /issues/{id}/documents/{document_id}`
pub(super) async fn link_document(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let document = ids.uuid("document_id", "Document")?;
    at.board().concern(at.issue.id, &document.to_string()).await?;
    Ok(envelope::ok(at.shown(at.board().issue(at.issue.id).await?).await?))
}

/// `DELETE /issues/{id}/documents/{document_id}`
pub(super) async fn unlink_document(at: AtIssue, ids: Ids) -> Result<Answer, Error> {
    let document = ids.uuid("document_id", "Document")?;
    at.board().unconcern(at.issue.id, &document.to_string()).await?;
    Ok(envelope::gone())
}
