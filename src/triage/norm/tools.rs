//! Norm's tools as the runtime calls them: checked against the run's record, then done with what its intent gives hold
//! of.

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::capability::Desks;
use super::hands::{Reading, Reporting, Writing};
use super::run::NormRun;
use super::toolbelt::{Class, Listed};
use crate::capability::{Invocation, Tool};
use crate::domain::Object;
use crate::domain::tool::{ASK_USER, NOT_ANSWERED, ToolResult, ToolSpec};
use crate::triage::Board;
use crate::triage::error::Error;
use crate::triage::intent::Intent;

/// What the model reads of a call its run may not make.
pub(super) const DENIED: &str = "permission_denied";

/// A tool of a run on an issue.
pub(super) struct NormTool {
    pub(super) listed: Listed,
    pub(super) issue: Uuid,
    pub(super) intent: Intent,
    pub(super) desks: Desks,
}

#[async_trait]
impl Tool for NormTool {
    fn spec(&self) -> &ToolSpec {
        &self.listed.spec
    }

    fn is_offered(&self) -> bool {
        self.intent.allows(self.listed.class)
    }

    fn class(&self) -> Option<&'static str> {
        (self.listed.class == Class::Write).then_some("triage")
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let name = self.listed.spec.name.as_str();
        let scene = call.host.scene();
        let Some(triage) = self.desks.triage().await else {
            return ToolResult::failed("the triage board is closed");
        };
        let board = triage.of(&scene.owner);
        // The record of the run says what it may, whatever the settings of an agent say.
        let run = match board.norm_run(scene.run.0).await {
            Ok(run) => run.filter(|run| run.issue == self.issue && run.intent == self.intent),
            Err(error) => return ToolResult::failed(error.to_string()),
        };
        let Some(run) = run.filter(|run| run.intent.allows(self.listed.class)) else {
            return self.denied();
        };
        let done = match self.listed.class {
            Class::Read => read(name, &Reading::of(board, run), call.arguments).await,
            Class::Report => report(name, board, run, call.arguments).await,
            Class::Write => write(name, board, run, &call).await,
        };
        match done {
            Ok(Some(_)) if name == ASK_USER => ToolResult::done(NOT_ANSWERED),
            Ok(Some(made)) => ToolResult::done(made.to_string()),
            Ok(None) => self.denied(),
            Err(error) => {
                ToolResult::failed(json!({ "error": code(&error), "message": error.to_string() }).to_string())
            }
        }
    }
}

impl NormTool {
    fn denied(&self) -> ToolResult {
        let message = format!("`{}` is not for a run that is to {}", self.listed.spec.name, self.intent);
        // It is no mistake of the kind that ends a run when it comes again and again.
        ToolResult::failed(json!({ "error": DENIED, "message": message }).to_string())
    }
}

/// What the model reads that calls a tool there is not.
pub(super) fn unknown(name: &str) -> String {
    json!({ "error": DENIED, "message": format!("there is no tool `{name}`") }).to_string()
}

fn code(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "not_found",
        Error::Invalid(_) => "bad_request",
        Error::Conflict { code, .. } => code,
        Error::Runtime(_) => "internal_error",
    }
}

/// Arguments, which were checked against the schema.
struct Given<'a>(&'a Object);

impl<'a> Given<'a> {
    fn text(&self, name: &str) -> &'a str {
        self.optional(name).unwrap_or_default()
    }

    fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    fn value(&self, name: &str) -> Value {
        self.0.get(name).cloned().unwrap_or(Value::Null)
    }

    /// A list; none is an empty one.
    fn list(&self, name: &str) -> Value {
        self.0.get(name).filter(|list| list.is_array()).cloned().unwrap_or_else(|| json!([]))
    }

    /// A version, by number or word.
    fn version(&self, name: &str) -> String {
        match self.0.get(name) {
            None | Some(Value::Null) => "production".into(),
            Some(Value::String(word)) => word.clone(),
            Some(other) => other.to_string(),
        }
    }
}

async fn read(name: &str, hands: &Reading, arguments: &Object) -> Result<Option<Value>, Error> {
    let given = Given(arguments);
    let made = match name {
        "get_issue" => hands.get_issue().await?,
        "list_evidence" => hands.list_evidence().await?,
        "read_evidence" => {
            let offset = given.number("offset").unwrap_or_default();
            hands.read_evidence(given.text("resource_link_id"), offset, given.number("limit")).await?
        }
        "search_evidence" => hands.search_evidence(given.text("query")).await?,
        "list_activity" => hands.list_activity(given.number("limit")).await?,
        "search_issues" => hands.search_issues(given.text("query"), given.optional("status")).await?,
        "list_documents" => hands.list_documents().await?,
        "read_document" => hands.read_document(given.text("document_id"), &given.version("version")).await?,
        "diff_document" => {
            hands
                .diff_document(given.text("document_id"), &given.version("from"), &given.version("to"))
                .await?
        }
        "replay_turn" => {
            let index = given.number("message_index").unwrap_or_default();
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let (document, version) = (given.text("document_id"), given.version("version"));
            let times = given.number("runs").unwrap_or(1);
            hands.replay_turn(document, &version, given.text("resource_link_id"), index, times).await?
        }
        ASK_USER => Value::Null,
        _ => return Ok(None),
    };
    Ok(Some(made))
}

async fn report(name: &str, board: Board, run: NormRun, arguments: &Object) -> Result<Option<Value>, Error> {
    let Some(hands) = Reporting::of(board, run) else { return Ok(None) };
    let given = Given(arguments);
    let made = match name {
        "report_verification" => {
            let (document, verdict) = (given.text("document_id"), given.text("verdict"));
            hands.verification(document, verdict, given.text("summary"), given.list("checks")).await?
        }
        "report_diagnosis" => {
            let (confidence, suggestions) = (given.value("confidence"), given.list("suggestions"));
            Reporting::diagnosis(given.text("root_cause"), confidence, suggestions)
        }
        _ => return Ok(None),
    };
    Ok(Some(made))
}

async fn write(
    name: &str,
    board: Board,
    run: NormRun,
    call: &Invocation<'_>,
) -> Result<Option<Value>, Error> {
    let Some(hands) = Writing::of(board, run, call.key) else { return Ok(None) };
    let given = Given(call.arguments);
    let made = match name {
        "edit_draft" => {
            let ops = given.value("ops");
            hands.edit_draft(given.text("document_id"), &ops, given.optional("summary")).await?
        }
        "discard_draft" => hands.discard_draft(given.text("document_id")).await?,
        "update_issue" => hands.update_issue(call.arguments).await?,
        "add_flag" => hands.add_flag(call.arguments).await?,
        "link_issue" => hands.link_issue(call.arguments).await?,
        _ => return Ok(None),
    };
    Ok(Some(made))
}
