//! Documents and their versions, as clients send them and as they are shown.

use serde_json::{Value, json};

use super::{entry_body, moment};
use crate::domain::Object;
use crate::domain::id::Owner;
use crate::triage::document::{DocumentKind, TriageDocument, Verification, Version};
use crate::triage::documents::NewDocument;
use crate::triage::drafts::{DraftPatch, NewDraft};
use crate::triage::form::{Faults, Form};

const SUMMARY: std::ops::RangeInclusive<usize> = 0..=10_000;

/// A document that is to be made.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn new_document(fields: &Object) -> Result<NewDocument, Faults> {
    let mut form = Form::of(fields);
    let name = form.required("name", |form| form.trimmed("name", 1..=200));
    let kind = form.required("kind", |form| form.word("kind").map(Some));
    let content = form.required("content", |form| form.value("content").cloned());
    let bound = form.value("bound_to").and_then(|sent| form.within("bound_to", sent, bound));
    if let (Some(kind), Some(content)) = (kind, fields.get("content").filter(|content| !content.is_null())) {
        let faults = DocumentKind::faults(kind, content);
        faults.into_iter().for_each(|fault| form.fault(&fault.path, fault.message));
    }
    let kind = kind.unwrap_or(DocumentKind::Prompt);
    form.done(NewDocument { name, kind, content, agent: bound.flatten() })
}

fn bound(form: &mut Form<'_>) -> Option<String> {
    let kind = form.required("type", |form| form.string("type").map(ToOwned::to_owned));
    if !kind.is_empty() && kind != "agent" {
        form.fault("type", "must be one of agent");
    }
    Some(form.required("id", |form| form.text("id", 1..=128)))
}

/// A draft that is to be made.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn new_draft(fields: &Object) -> Result<NewDraft, Faults> {
    let mut form = Form::of(fields);
    let content = form.required("content", |form| form.value("content").cloned());
    let summary = form.text("summary", SUMMARY).unwrap_or_default();
    let base = form.number("base_version_number", 1..=u64::from(u32::MAX));
    form.done(NewDraft { content, summary, base: base.and_then(|base| u32::try_from(base).ok()) })
}

/// Changes of a draft.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn draft_patch(fields: &Object) -> Result<DraftPatch, Faults> {
    let mut form = Form::of(fields);
    let content = form.value("content").cloned();
    let summary = form.text("summary", SUMMARY);
    let label = form.given("label", |form| form.trimmed("label", 1..=200));
    form.done(DraftPatch { content, summary, label })
}

/// Whether a publication is forced.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn force(fields: &Object) -> Result<bool, Faults> {
    let mut form = Form::of(fields);
    let force = match form.value("force") {
        None => Some(false),
        Some(sent) => sent.as_bool(),
    };
    if force.is_none() {
        form.fault("force", "must be a boolean");
    }
    form.done(force.unwrap_or_default())
}

/// A document as it is shown.
pub(super) fn document(owner: &Owner, document: &TriageDocument) -> Value {
    json!({
        "id": document.id,
        "org_id": owner,
        "name": document.name,
        "kind": document.kind,
        "bound_to": document.agent.as_ref().map(|id| json!({ "type": "agent", "id": id })),
        "production_version_number": document.production(),
        "latest_version_number": document.latest,
        "created_at": moment(document.created),
        "updated_at": moment(document.updated),
    })
}

/// A version as it is shown, without what it says.
pub(super) fn version(document: &TriageDocument, version: &Version) -> Value {
    json!({
        "id": version.id,
        "document_id": version.document,
        "version_number": version.number,
        "status": version.status,
        "is_production": version.number == document.production(),
        "base_version_number": version.base,
        "content_hash": version.content_hash,
        "summary": version.summary,
        "label": version.label,
        "issue_id": version.issue,
        "session_id": version.session,
        "created_by": entry_body::actor(&version.created_by),
        "verification": version.verification.as_ref().map(verification),
        "created_at": moment(version.created),
        "updated_at": moment(version.updated),
        "published_at": version.published.map(moment),
    })
}

/// The same with what it says.
pub(super) fn whole_version(document: &TriageDocument, found: &Version, content: &Value) -> Value {
    let mut body = version(document, found);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("content".into(), content.clone());
    }
    body
}

/// What came of a verification, as it is shown.
pub(super) fn verification(verification: &Verification) -> Value {
    json!({
        "verdict": verification.verdict,
        "run_id": verification.run_id,
        "content_hash": verification.content_hash,
        "at": moment(verification.at),
    })
}
