//! `/documents`: what is drafted, verified and published.

use serde_json::json;

use super::body::Body;
use super::document_body;
use super::envelope::{self, Answer};
use super::error::Error;
use super::member::{Ids, Member};
use super::paging::Page;
use super::query::Query;
use crate::triage::document::TriageDocument;
use crate::triage::documents::WhichVersion;
use crate::triage::error;

/// `POST /documents`
pub(super) async fn create(member: Member, Body(fields): Body) -> Result<Answer, Error> {
    let new = document_body::new_document(&fields)?;
    let made = member.board.create_document(new, member.actor()).await?;
    Ok(envelope::created(document_body::document(member.org(), &made)))
}

/// `GET /documents`
pub(super) async fn list(member: Member, mut query: Query) -> Result<Answer, Error> {
    let kind = query.word("kind");
    let page = Page::of(&mut query, ("documents", kind));
    query.done(())?;
    let found = member.board.documents_of(kind, page.listing()).await?;
    Ok(page.answer(&found, |found| document_body::document(member.org(), found)))
}

/// `GET /documents/{document_id}`
pub(super) async fn read(member: Member, ids: Ids) -> Result<Answer, Error> {
    let found = find(&member, &ids).await?;
    Ok(envelope::ok(document_body::document(member.org(), &found)))
}

/// `GET /documents/{document_id}/versions`
pub(super) async fn versions(member: Member, ids: Ids, mut query: Query) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let page = Page::of(&mut query, ("versions", document.id.clone()));
    query.done(())?;
    let found = member.board.versions(&document.id, page.listing()).await?;
    Ok(page.answer(&found, |version| document_body::version(&document, version)))
}

/// `POST /documents/{document_id}/versions`
pub(super) async fn draft(member: Member, ids: Ids, Body(fields): Body) -> Result<Answer, Error> {
    let id = find(&member, &ids).await?.id;
    let new = document_body::new_draft(&fields)?;
    let content = new.content.clone();
    let board = &member.board;
    let made = board.draft(&id, new, member.actor()).await?;
    let document = board.document(&id).await?;
    Ok(envelope::created(document_body::whole_version(&document, &made, &content)))
}

/// `GET /documents/{document_id}/versions/{version}`
pub(super) async fn version(member: Member, ids: Ids) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let (found, content) = member.board.version_with_content(&document, which(&ids)?).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &found, &content)))
}

/// `PATCH /documents/{document_id}/versions/{version}`
pub(super) async fn change(member: Member, ids: Ids, Body(fields): Body) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let (which, patch) = (which(&ids)?, document_body::draft_patch(&fields)?);
    let (changed, content) = member.board.change_draft(&document.id, which, patch).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &changed, &content)))
}

/// `GET /documents/{document_id}/versions/{version}/diff`
pub(super) async fn diff(member: Member, ids: Ids, mut query: Query) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let which = which(&ids)?;
    let against = query.text("against").map(WhichVersion::read);
    if against == Some(None) {
        query.fault("against", "must be a version number, production or draft");
    }
    query.done(())?;
    let (from, to, changes) = member.board.difference(&document, which, against.flatten()).await?;
    Ok(envelope::ok(json!({ "from": from, "to": to, "changes": changes })))
}

/// `POST /documents/{document_id}/versions/{version}/publish`
pub(super) async fn publish(member: Member, ids: Ids, Body(fields): Body) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let (which, force) = (which(&ids)?, document_body::force(&fields)?);
    let live = member.board.publish(&document.id, which, force).await?;
    Ok(envelope::ok(document_body::document(member.org(), &live)))
}

/// `POST /documents/{document_id}/versions/{version}/discard`
pub(super) async fn discard(member: Member, ids: Ids) -> Result<Answer, Error> {
    let document = find(&member, &ids).await?;
    let board = &member.board;
    let given_up = board.discard(&document.id, which(&ids)?).await?;
    let content = board.content(&given_up).await?;
    Ok(envelope::ok(document_body::whole_version(&document, &given_up, &content)))
}

async fn find(member: &Member, ids: &Ids) -> Result<TriageDocument, Error> {
    let id = ids.uuid("document_id", "Document")?;
    Ok(member.board.document(&id.to_string()).await?.value)
}

/// The version the address names.
fn which(ids: &Ids) -> Result<WhichVersion, Error> {
    let found = WhichVersion::read(&ids.text("version"));
    found.ok_or_else(|| error::Error::NotFound("Version").into())
}
