//! What clients are shown of evidence and documents.

use serde_json::{Value, json};

use super::{
    about, anything, flagged, list, maybe, named, number, some_object, text, time, uuid, whole, word,
};
use crate::triage::document::{DocumentKind, Verdict, VersionStatus};
use crate::triage::evidence::{ConversationKind, Speaker};

/// All of them.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let mut all = of_evidence();
    all.extend(of_documents());
    all
}

fn of_evidence() -> Vec<(&'static str, Value)> {
    let said = [
        ("role", word::<Speaker>()),
        ("text", text()),
        ("created_at", maybe(time())),
        ("node_id", maybe(text())),
        ("node_name", maybe(text())),
    ];
    let file = [
        ("id", uuid()),
        ("org_id", text()),
        ("name", text()),
        ("mime_type", text()),
        ("size", number(0)),
        ("sha256", text()),
        ("created_at", time()),
    ];
    vec![
        ("ConversationListed", conversation(&[])),
        ("Conversation", conversation(&[("messages", list(&whole(&said)))])),
        ("EvidenceFile", whole(&file)),
    ]
}

fn conversation(more: &[(&str, Value)]) -> Value {
    let mut fields = vec![
        ("id", text()),
        ("org_id", text()),
        ("kind", word::<ConversationKind>()),
        ("title", maybe(text())),
        ("summary", maybe(text())),
        ("started_at", maybe(time())),
        ("ended_at", maybe(time())),
        ("document_id", maybe(text())),
        ("document_version_number", maybe(number(1))),
        ("persona", maybe(whole(&[("id", text()), ("name", text())]))),
        ("metadata", maybe(some_object())),
        ("message_count", number(0)),
        ("created_at", time()),
    ];
    fields.extend_from_slice(more);
    whole(&fields)
}

fn of_documents() -> Vec<(&'static str, Value)> {
    let bound = [("type", json!({ "type": "string", "enum": ["agent"] })), ("id", text())];
    let document = [
        ("id", uuid()),
        ("org_id", text()),
        ("name", text()),
        ("kind", word::<DocumentKind>()),
        ("bound_to", maybe(whole(&bound))),
        ("production_version_number", number(1)),
        ("latest_version_number", number(1)),
        ("created_at", time()),
        ("updated_at", time()),
    ];
    let change = [
        ("op", json!({ "type": "string", "enum": ["add", "replace", "remove"] })),
        ("path", about(text(), "A JSON Pointer")),
        ("old", anything()),
        ("new", anything()),
    ];
    let difference = [("from", number(1)), ("to", number(1)), ("changes", list(&whole(&change)))];
    let verification =
        [("verdict", word::<Verdict>()), ("run_id", text()), ("content_hash", text()), ("at", time())];
    vec![
        ("Document", whole(&document)),
        ("VersionListed", version(&[])),
        ("Version", version(&[("content", anything())])),
        ("Difference", whole(&difference)),
        ("Verification", whole(&verification)),
    ]
}

fn version(more: &[(&str, Value)]) -> Value {
    let mut fields = vec![
        ("id", text()),
        ("document_id", uuid()),
        ("version_number", number(1)),
        ("status", word::<VersionStatus>()),
        ("is_production", flagged()),
        ("base_version_number", maybe(number(1))),
        ("content_hash", text()),
        ("summary", text()),
        ("label", maybe(text())),
        ("issue_id", maybe(uuid())),
        ("session_id", maybe(text())),
        ("created_by", named("Actor")),
        ("verification", maybe(named("Verification"))),
        ("created_at", time()),
        ("updated_at", time()),
        ("published_at", maybe(time())),
    ];
    fields.extend_from_slice(more);
    whole(&fields)
}
