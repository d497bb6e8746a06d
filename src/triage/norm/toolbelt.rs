//! Which tools there are, what each does to the world, and what a run of an intent may use.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::tool::{ASK_USER, Effect, Gate, ToolSpec};
use crate::triage::intent::Intent;

/// What a tool does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Nothing.
    Read,
    /// It says something in the feed.
    Report,
    /// It changes something.
    Write,
}

impl Intent {
    /// Whether a run of this intent may use such a tool.
    pub(super) fn allows(self, class: Class) -> bool {
        match self {
            Self::Fix => true,
            Self::Verify => matches!(class, Class::Read | Class::Report),
            Self::Status => class == Class::Read,
        }
    }

    /// What the run is for, for Norm.
    pub(super) fn paragraph(self) -> &'static str {
        match self {
            Self::Fix => {
                "You are asked to mend this issue. Find the cause, report your diagnosis, and edit the draft of the \
                 document that is to blame. Do not verify your own draft: that is asked for by itself."
            }
            Self::Verify => {
                "You are asked to verify the draft. Replay the turns of the evidence that went wrong against it with \
                 `replay_turn`, compare what was said with what would be said, and report with \
                 `report_verification`. You change nothing."
            }
            Self::Status => {
                "You are asked how things stand: the state of the issue, the leading diagnosis, the draft and its \
                 verification. You change nothing."
            }
        }
    }
}

/// A tool takes no longer than this; one that asks a model may.
const PATIENCE: Duration = Duration::from_mins(1);
const MODEL_PATIENCE: Duration = Duration::from_mins(3);

/// A tool: its class and how models are told of it.
pub(super) struct Listed {
    pub(super) class: Class,
    pub(super) spec: ToolSpec,
}

/// All of them.
pub(super) fn all() -> Vec<Listed> {
    let mut all = reading();
    all.extend(talking());
    all.extend(writing());
    all
}

fn tool(class: Class, name: &str, description: &str, properties: Value, required: &[&str]) -> Listed {
    let effect = if class == Class::Read { Effect::Pure } else { Effect::Idempotent };
    let parameters = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    let timeout = if name == "replay_turn" { MODEL_PATIENCE } else { PATIENCE };
    let (name, description) = (name.to_owned(), description.to_owned());
    let gate = Gate { last: name == ASK_USER, ..Gate::default() };
    Listed { class, spec: ToolSpec { name, description, parameters, effect, timeout, gate } }
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn number(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

fn version(about: &str) -> Value {
    json!({ "type": ["string", "integer"], "description": format!("{about}: a number, `production` or `draft`") })
}

#[expect(clippy::too_many_lines, reason = "a list, one entry a tool")]
fn reading() -> Vec<Listed> {
    use Class::Read;
    let document = || text("Which document");
    vec![
        tool(Read, "get_issue", "The issue as it is now.", json!({}), &[]),
        tool(Read, "list_evidence", "What is attached to the issue.", json!({}), &[]),
        tool(
            Read,
            "read_evidence",
            "The turns of a conversation, or the lines of a text file, in order.",
            json!({
                "resource_link_id": text("Which evidence"), "offset": number("Where to begin; default 0"),
                "limit": number("At most as many; default 100"),
            }),
            &["resource_link_id"],
        ),
        tool(
            Read,
            "search_evidence",
            "Finds a text in all evidence of the issue, in any case.",
            json!({ "query": text("The text") }),
            &["query"],
        ),
        tool(
            Read,
            "list_activity",
            "What happened to the issue, newest first.",
            json!({ "limit": number("At most as many; default 50") }),
            &[],
        ),
        tool(
            Read,
            "search_issues",
            "Other issues whose title or description has all these words.",
            json!({ "query": text("Words"), "status": text("Only of this status") }),
            &["query"],
        ),
        tool(Read, "list_documents", "The documents the issue is about.", json!({}), &[]),
        tool(
            Read,
            "read_document",
            "What a version of a document says.",
            json!({ "document_id": document(), "version": version("Which version; default production") }),
            &["document_id"],
        ),
        tool(
            Read,
            "diff_document",
            "What leads from one version of a document to another.",
            json!({ "document_id": document(), "from": version("From"), "to": version("To") }),
            &["document_id", "from", "to"],
        ),
        tool(
            Read,
            "replay_turn",
            "Puts a recorded turn to the agent as a version of its document defines it: what was said then, and what \
             would be said now. No tool is called: a call that was recorded has its recorded result, another is \
             refused and marked. Nothing is stored.",
            json!({
                "document_id": document(), "version": version("Which version"),
                "resource_link_id": text("The conversation"), "message_index": number("The turn, from 0"),
                "runs": number("How often; default 1, at most 5"),
            }),
            &["document_id", "version", "resource_link_id", "message_index"],
        ),
    ]
}

fn talking() -> Vec<Listed> {
    use Class::{Read, Report};
    let objects =
        |about: &str| json!({ "type": "array", "items": { "type": "object" }, "description": about });
    vec![
        tool(
            Read,
            ASK_USER,
            "Asks the people who work on the issue something only they can decide. Your run ends with it: say \
             nothing more; their answer is your next message.",
            json!({
                "question": { "type": "string", "minLength": 1, "description": "The question" },
                "options": { "type": "array", "items": { "type": "string" }, "description": "Answers to choose from" },
            }),
            &["question"],
        ),
        tool(
            Report,
            "report_verification",
            "Says whether the issue's draft does what it should. It counts for the draft as it is now.",
            json!({
                "document_id": text("Which document"),
                "verdict": { "type": "string", "enum": ["pass", "fail", "inconclusive"], "description": "What you found" },
                "summary": text("Why, for people"),
                "checks": objects("What was checked: {name, verdict, evidence: [{resource_link_id, message_index, quote}]}"),
            }),
            &["document_id", "verdict", "summary"],
        ),
        tool(
            Report,
            "report_diagnosis",
            "Says what the cause is.",
            json!({
                "root_cause": text("The cause"),
                "confidence": { "type": "number", "minimum": 0, "maximum": 1, "description": "How sure you are" },
                "suggestions": objects("{type, target, description, suggested_change, confidence}"),
            }),
            &["root_cause"],
        ),
    ]
}

fn writing() -> Vec<Listed> {
    use Class::Write;
    let document = || text("Which document");
    let ops = json!({
        "type": "array", "minItems": 1, "items": { "type": "object" },
        "description": "JSON Patch `add`, `replace`, `remove`, `test`, and {\"op\": \"replace_text\", \"path\", \"old\", \
                        \"new\"}, whose `old` must occur exactly once. All are done or none",
    });
    vec![
        tool(
            Write,
            "edit_draft",
            "Edits the issue's draft of a document; the first edit makes one of what is live.",
            json!({ "document_id": document(), "ops": ops, "summary": text("What it changes, for people") }),
            &["document_id", "ops"],
        ),
        tool(
            Write,
            "discard_draft",
            "Gives the issue's draft up.",
            json!({ "document_id": document() }),
            &["document_id"],
        ),
        tool(
            Write,
            "update_issue",
            "Changes the issue.",
            json!({
                "status": { "type": "string", "enum": ["backlog", "todo", "in_progress", "in_review"], "description": "Where it stands" },
                "severity": { "type": "string", "enum": ["critical", "high", "medium", "low"], "description": "How bad it is" },
                "category": text("1 to 64 characters"),
            }),
            &[],
        ),
        tool(
            Write,
            "add_flag",
            "Marks a moment of an attached call.",
            json!({
                "call_id": text("The call"), "type": text("What sort of moment"), "note": text("Why"),
                "message_index": number("The turn, from 0"), "message_text": text("What was said"),
                "node_id": text("Where in a flow"), "node_name": text("What that place is called"),
            }),
            &["call_id", "type"],
        ),
        tool(
            Write,
            "link_issue",
            "Ties the issue to another.",
            json!({
                "related_issue_id": text("The other"),
                "relation_type": { "type": "string", "enum": ["related_to", "blocks", "duplicate_of"], "description": "How" },
            }),
            &["related_issue_id", "relation_type"],
        ),
    ]
}
