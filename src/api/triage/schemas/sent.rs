//! What clients send.

use serde_json::{Value, json};

use super::{about, flagged, maybe, number, object, sized, some_object, text, time, uuid, word};
use crate::triage::document::DocumentKind;
use crate::triage::evidence::{ConversationKind, ResourceType, Speaker};
use crate::triage::issue::{Severity, Source, Status};
use crate::triage::relation::RelationType;

/// All of them.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("NewIssue", issue()),
        ("IssuePatch", issue_patch()),
        ("NewComment", comment()),
        ("NewResourceLink", resource()),
        ("NewFlag", flag()),
        ("NewRelation", relation()),
        ("NewCategory", object(&[("name", sized(1..=64))], &["name"])),
        ("NewAgentSession", some_object()),
        ("NewPrompt", prompt()),
        ("Cancel", object(&[("run_id", about(uuid(), "Only this run"))], &[])),
        ("NewConversation", conversation()),
        ("NewFile", file()),
        ("FileForm", file_form()),
        ("NewDocument", document()),
        ("NewDraft", draft()),
        ("DraftPatch", draft_patch()),
        ("Publish", publish()),
        ("McpMessage", mcp_message()),
    ]
}

/// An issue that is to be opened.
pub(in crate::api::triage) fn issue() -> Value {
    let links = json!({ "type": "array", "maxItems": 100, "items": resource() });
    let links = about(links, "Evidence it is about; what this server does not know is linked as unavailable");
    let fields = [
        ("title", about(sized(1..=200), "What is wrong, in one line")),
        ("severity", word::<Severity>()),
        ("category", about(sized(1..=64), "Any text; Bug, Dialogue, Latency, Routing, Speech, … are there")),
        ("description", about(sized(0..=10_000), "What is wrong, at length")),
        ("status", about(word::<Status>(), "Default: todo")),
        ("source", about(word::<Source>(), "Default: manual")),
        ("owner_id", about(sized(1..=128), "Who answers for it")),
        ("assignee_id", about(sized(1..=128), "Who works on it")),
        ("resource_links", links),
        ("run_id", about(text(), "A run of this server: fills in what it tells, and links its session")),
    ];
    object(&fields, &["title", "severity", "category"])
}

/// Changes of an issue.
pub(in crate::api::triage) fn issue_patch() -> Value {
    let link = [
        ("provider", sized(1..=64)),
        ("url", about(sized(1..=2048), "http or https")),
        ("external_id", sized(1..=256)),
        ("label", sized(1..=200)),
    ];
    let fields = [
        ("title", sized(1..=200)),
        ("description", sized(0..=10_000)),
        ("status", word::<Status>()),
        ("severity", word::<Severity>()),
        ("category", sized(1..=64)),
        ("owner_id", about(maybe(sized(1..=128)), "Who answers for it; null: nobody")),
        ("assignee_id", about(maybe(sized(1..=128)), "Who works on it; null: nobody")),
        ("external_link", about(maybe(object(&link, &["url"])), "The same in another system; null: none")),
    ];
    object(&fields, &[])
}

/// A comment.
pub(in crate::api::triage) fn comment() -> Value {
    let links = json!({ "type": "array", "maxItems": 50, "items": uuid() });
    let fields = [
        ("detail", about(sized(1..=4000), "What is said; a mention of @norm sets Norm to work on it")),
        ("resource_link_ids", about(links, "Links of this issue that it is about")),
    ];
    object(&fields, &["detail"])
}

/// Evidence that is to be attached.
pub(in crate::api::triage) fn resource() -> Value {
    let fields = [
        ("resource_type", word::<ResourceType>()),
        ("resource_id", about(sized(1..=256), "The evidence's own id")),
    ];
    object(&fields, &["resource_type", "resource_id"])
}

/// A mark on a moment of a call.
pub(in crate::api::triage) fn flag() -> Value {
    let fields = [
        ("call_id", about(sized(1..=256), "A call that is attached to the issue")),
        ("type", about(text(), "Any words; kept as lower_snake_case of 1-64 characters")),
        ("note", sized(1..=4000)),
        ("node_id", text()),
        ("node_name", text()),
        ("message_index", about(number(0), "The turn of the transcript, from 0")),
        ("message_text", about(text(), "What was said then")),
    ];
    object(&fields, &["call_id", "type"])
}

/// A tie to another issue.
pub(in crate::api::triage) fn relation() -> Value {
    let fields =
        [("related_issue_id", about(uuid(), "The other issue")), ("relation_type", word::<RelationType>())];
    object(&fields, &["related_issue_id", "relation_type"])
}

fn prompt() -> Value {
    let words = "What Norm is asked. The first word may be /fix, /debug, /verify or /status";
    object(&[("detail", about(sized(1..=4000), words))], &["detail"])
}

fn conversation() -> Value {
    let said = [
        ("role", word::<Speaker>()),
        ("text", text()),
        ("created_at", time()),
        ("node_id", sized(0..=256)),
        ("node_name", sized(0..=256)),
    ];
    let messages = json!({ "type": "array", "maxItems": 5000, "items": object(&said, &["role", "text"]) });
    let persona = [("id", sized(1..=256)), ("name", sized(1..=256))];
    let fields = [
        ("kind", word::<ConversationKind>()),
        ("id", about(sized(1..=256), "Your own id of it; default: a UUID")),
        ("title", sized(1..=500)),
        ("summary", sized(1..=10_000)),
        ("started_at", time()),
        ("ended_at", time()),
        ("messages", messages),
        ("document_id", about(sized(1..=256), "The document it ran on")),
        ("document_version_number", number(1)),
        ("persona", object(&persona, &["id", "name"])),
        ("metadata", some_object()),
    ];
    object(&fields, &["kind", "messages"])
}

fn file() -> Value {
    let fields = [
        ("name", sized(1..=256)),
        ("mime_type", sized(1..=256)),
        ("content", about(text(), "A text; either this or content_base64")),
        ("content_base64", json!({ "type": "string", "contentEncoding": "base64" })),
    ];
    object(&fields, &["name"])
}

fn file_form() -> Value {
    let bytes = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
    object(&[("file", bytes)], &["file"])
}

fn document() -> Value {
    let bound = [("type", json!({ "type": "string", "enum": ["agent"] })), ("id", sized(1..=128))];
    let fields = [
        ("name", sized(1..=200)),
        ("kind", word::<DocumentKind>()),
        ("content", content()),
        ("bound_to", about(object(&bound, &["type", "id"]), "The agent that publishing changes")),
    ];
    object(&fields, &["name", "kind", "content"])
}

fn content() -> Value {
    let kinds = json!({ "anyOf": [{ "type": "object" }, { "type": "string" }] });
    about(kinds, "An object; of a prompt also a text")
}

fn draft() -> Value {
    let fields = [("content", content()), ("summary", sized(0..=10_000)), ("base_version_number", number(1))];
    object(&fields, &["content"])
}

fn draft_patch() -> Value {
    let fields = [("content", content()), ("summary", sized(0..=10_000)), ("label", maybe(sized(1..=200)))];
    object(&fields, &[])
}

fn publish() -> Value {
    object(&[("force", about(flagged(), "Also without a verification that passed"))], &[])
}

fn mcp_message() -> Value {
    let one = object(&[("jsonrpc", json!({ "type": "string", "enum": ["2.0"] }))], &["jsonrpc"]);
    let several = json!({ "type": "array", "items": one, "minItems": 1 });
    about(json!({ "anyOf": [one, several] }), "JSON-RPC; several at once in protocol version 2025-03-26 only")
}
