//! `/documents`: what is drafted, verified and published.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::body::Body;
use super::error::Error;
use super::paging::Page;
use super::query::Query;
use super::{board, document_body, envelope, path_uuid};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::triage::document::TriageDocument;
use crate::triage::documents::WhichVersion;
use crate::triage::entry::Actor;
use crate::triage::error;

/// `POST /documents`
pub(super) async fn create(
    state: Data<ApiState>,
    caller: Caller,
    Body(fields): Body,
) -> Result<HttpResponse, Error> {
    let new = document_body::new_document(&fields)?;
    let made = board(&state, &caller).create_document(new, Actor::user(caller.name())).await?;
    Ok(envelope::created(document_body::document(caller.owner(), &made)))
}

/// `GET /documents`
pub(super) async fn list(
    state: Data<ApiState>,
    caller: Caller,
    mut query: Query,
) -> Result<HttpResponse, Error> {
    let kind = query.word("kind");
    let page = Page::of(&mut query, ("documents", kind));
    query.done(())?;
    let found = board(&state, &caller).documents_of(kind, page.listing()).await?;
    Ok(page.answer(&found, |found| document_body::document(caller.owner(), found)))
}

/// `GET /documents/{document_id}`
pub(super) async fn read(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let found = find(&state, &caller, &request).await?;
    Ok(envelope::ok(document_body::document(caller.owner(), &found)))
}

/// `GET /documents/{document_id}/versions`
pub(super) async fn versions(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    mut query: Query,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let page = Page::of(&mut query, ("versions", document.id.clone()));
    query.done(())?;
    let found = board(&state, &caller).versions(&document.id, page.listing()).await?;
    Ok(page.answer(&found, |version| document_body::version(&document, version)))
}

/// `POST /documents/{document_id}/versions`
pub(super) async fn draft(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(fields): Body,
) -> Result<HttpResponse, Error> {
    let id = find(&state, &caller, &request).await?.id;
    let new = document_body::new_draft(&fields)?;
    let content = new.content.clone();
    let board = board(&state, &caller);
    let made = board.draft(&id, new, Actor::user(caller.name())).await?;
    let document = board.document(&id).await?;
    Ok(envelope::created(document_body::whole_version(&document, &made, &content)))
}

/// `GET /documents/{document_id}/versions/{version}`
pub(super) async fn version(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let (found, content) = board(&state, &caller).version_with_content(&document, which(&request)?).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &found, &content)))
}

/// `PATCH /documents/{document_id}/versions/{version}`
pub(super) async fn change(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(fields): Body,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let (which, patch) = (which(&request)?, document_body::draft_patch(&fields)?);
    let (changed, content) = board(&state, &caller).change_draft(&document.id, which, patch).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &changed, &content)))
}

/// `GET /documents/{document_id}/versions/{version}/diff`
pub(super) async fn diff(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    mut query: Query,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let which = which(&request)?;
    let against = query.text("against").map(WhichVersion::read);
    if against == Some(None) {
        query.fault("against", "must be a version number, production or draft");
    }
    query.done(())?;
    let (from, to, changes) = board(&state, &caller).difference(&document, which, against.flatten()).await?;
    Ok(envelope::ok(json!({ "from": from, "to": to, "changes": changes })))
}

/// `POST /documents/{document_id}/versions/{version}/publish`
pub(super) async fn publish(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
    Body(fields): Body,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let (which, force) = (which(&request)?, document_body::force(&fields)?);
    let live = board(&state, &caller).publish(&document.id, which, force).await?;
    Ok(envelope::ok(document_body::document(caller.owner(), &live)))
}

/// `POST /documents/{document_id}/versions/{version}/discard`
pub(super) async fn discard(
    state: Data<ApiState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let document = find(&state, &caller, &request).await?;
    let board = board(&state, &caller);
    let given_up = board.discard(&document.id, which(&request)?).await?;
    let content = board.content(&given_up).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &given_up, &content)))
}

async fn find(state: &ApiState, caller: &Caller, request: &HttpRequest) -> Result<TriageDocument, Error> {
    let id = path_uuid(request, "document_id", "Document")?;
    Ok(board(state, caller).document(&id.to_string()).await?.value)
}

/// The version the address names.
fn which(request: &HttpRequest) -> Result<WhichVersion, Error> {
    let found = WhichVersion::read(&path_text(request, "version"));
    found.ok_or_else(|| error::Error::NotFound("Version").into())
}
