//! What an issue is about: what it affects, and the documents it was linked with.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::Error;
use super::{board, envelope, issue_body, moment, path_issue, path_uuid};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::triage::affected::{AffectedCall, Pathway};
use crate::triage::evidence::Persona;

/// `GET /issues/{id}/affected`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let issue = path_issue(&request)?;
    let found = board(&state, &caller).affected(issue).await?;
    Ok(envelope::ok(json!({
        "issue_id": issue,
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
pub(super) async fn link_document(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let document = path_uuid(&request, "document_id", "Document")?;
    board.concern(issue, &document.to_string()).await?;
    let seen = board.issue_seen_by(issue, caller.name()).await?;
    Ok(envelope::ok(issue_body::seen(caller.owner(), &seen)))
}

/// `DELETE /issues/{id}/documents/{document_id}`
pub(super) async fn unlink_document(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let (board, issue) = (board(&state, &caller), path_issue(&request)?);
    board.issue(issue).await?;
    let document = path_uuid(&request, "document_id", "Document")?;
    board.unconcern(issue, &document.to_string()).await?;
    Ok(envelope::gone())
}
