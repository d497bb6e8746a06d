//! What a call of Norm's tools means to people: a line for the feed, and what it made.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::tool::{ASK_USER, Verdict};
use crate::domain::view::{Call, RunView};

/// A line that says what a call does.
pub(super) fn headline(tool: &str, arguments: &Value) -> String {
    let short = |name: &str| -> String { arguments[name].as_str().unwrap_or("?").chars().take(8).collect() };
    let text = |name: &str| -> String { arguments[name].as_str().unwrap_or("?").chars().take(120).collect() };
    match tool {
        "get_issue" => "Read the issue".into(),
        "list_evidence" => "Listed the evidence".into(),
        "read_evidence" => format!("Read the evidence {}", short("resource_link_id")),
        "search_evidence" => format!("Searched the evidence for {}", text("query")),
        "list_activity" => "Read the feed".into(),
        "search_issues" => format!("Searched the issues for {}", text("query")),
        "list_documents" => "Listed the documents".into(),
        "read_document" => format!("Read the document {}", short("document_id")),
        "diff_document" => format!("Compared versions of {}", short("document_id")),
        "replay_turn" => format!("Replayed a turn of {}", short("resource_link_id")),
        ASK_USER => "Asked a question".into(),
        "report_verification" => format!("Reported a verification: {}", text("verdict")),
        "report_diagnosis" => "Reported a diagnosis".into(),
        "edit_draft" => format!("Edited the draft of {}", short("document_id")),
        "discard_draft" => format!("Gave up the draft of {}", short("document_id")),
        "update_issue" => "Changed the issue".into(),
        "add_flag" => format!("Flagged the call {}", short("call_id")),
        "link_issue" => format!("Linked the issue {}", short("related_issue_id")),
        other => format!("Called {}", other.chars().take(80).collect::<String>()),
    }
}

/// Whether a call may have made another draft of the issue's, or another verification.
pub(super) fn touches_draft(tool: &str) -> bool {
    matches!(tool, "edit_draft" | "discard_draft" | "report_verification")
}

/// What a call made: a title, and what is shown. The result of such a tool is what it made.
pub(super) fn artifact(view: &RunView, call: &Call, id: Uuid) -> Option<(String, Value)> {
    let made = done(call)?;
    let name = made.get("document_name").and_then(Value::as_str).unwrap_or("a document");
    let number = made.get("version_number").cloned().unwrap_or_default();
    let (kind, renderer, title) = match call.call.name.as_str() {
        "edit_draft" => ("draft_version", "diff", format!("Draft version {number} of {name}")),
        "report_verification" => {
            let verdict = made.get("verdict").and_then(Value::as_str).unwrap_or("?");
            let title = format!("Verification of version {number} of {name}: {verdict}");
            ("verification_report", "checklist", title)
        }
        "report_diagnosis" => ("diagnosis", "markdown", "Diagnosis".to_owned()),
        _ => return None,
    };
    let mut payload = made;
    if let (Value::Object(payload), "verification_report") = (&mut payload, kind) {
        payload.insert("replays".into(), replays(view));
    }
    let shown = json!({
        "id": id, "type": kind, "title": title, "renderer": renderer, "status": "ready", "payload": payload,
        "external_urls": [],
    });
    Some((title, shown))
}

/// The turns a run has replayed: what was said then, and what would be said now.
fn replays(view: &RunView) -> Value {
    const SHOWN: [&str; 8] = [
        "document_id",
        "version_number",
        "resource_link_id",
        "message_index",
        "asked",
        "before",
        "after",
        "tool_calls",
    ];
    let replayed = view.calls().filter(|call| call.call.name == "replay_turn").filter_map(done);
    let shown = |one: Value| -> Value {
        let field = |name: &str| (name.to_owned(), one.get(name).cloned().unwrap_or_default());
        SHOWN.into_iter().map(field).collect()
    };
    replayed.map(shown).collect()
}

/// The question a run ends with, and the answers to choose from.
pub(super) fn question(view: &RunView) -> Option<(String, Value)> {
    let asked = view.calls().filter(|call| call.call.name == ASK_USER && done(call).is_some()).last()?;
    let arguments = asked.call.parsed()?;
    let question = arguments.get("question")?.as_str()?.to_owned();
    Some((question, arguments.get("options").cloned().unwrap_or(Value::Null)))
}

/// What came of a call that did what it says.
fn done(call: &Call) -> Option<Value> {
    let result = call.result.as_ref().filter(|result| result.verdict == Verdict::Done)?;
    serde_json::from_str(&result.content).ok()
}
