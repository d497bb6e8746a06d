//! Going on with a run that waits: decisions about its tool calls, as the client filled them in.
//!
//! What was shown is what runs: of a tool object that comes back, only the decision is read; the arguments are
//! the ones in the log.

use actix_web::HttpResponse;
use actix_web::web::Data;
use futures::StreamExt;
use futures::future::ready;
use serde_json::Value;

use crate::api::ApiState;
use crate::api::body;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::Form;
use crate::api::once::{self, OnceHeader};
use crate::api::sse;
use crate::domain::Object;
use crate::domain::fact::{Answer, Decision};
use crate::domain::id::SessionId;
use crate::domain::run::{Command, Status};
use crate::domain::tool::Gate;
use crate::domain::view::RunView;
use crate::runtime::{self, MadeRun};

use super::component::ComponentRun;
use super::error::Error;
use super::events::Projector;
use super::resume::until_let_go;
use super::run_events::RunEvents;
use super::{runs, tool_body};

/// `POST /agents/{id}/runs/{run_id}/continue`.
pub(super) async fn go_on(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    form: Form<ContinueForm>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let (runtime, owner, form) = (&state.runtime, caller.owner(), form.fields);
    let session = form.session.ok_or_else(|| Error::bad_request("session_id is required for this action"))?;
    let tools = tools(form.tools.as_deref())?;
    let run = runs::find(runtime, owner, &target, Some(&session)).await?;
    let run = run.ok_or_else(|| Error::not_found("Run not found"))?;
    // From here on nobody else goes on with this run under the same key.
    let claim = key.claim(runtime, owner).await?;
    let made: Option<MadeRun> = claim.made()?;
    let entries = runtime.entries(owner, &run).await?;
    let mut before =
        entries.first().and_then(Projector::new).ok_or_else(|| Error::not_found("Run not found"))?;
    for entry in entries.iter().take_while(|entry| made.is_none_or(|made| entry.seq < made.since)) {
        before.project(entry);
    }
    let seat = if form.stream { Some(sse::seat(&state)?) } else { None };
    if made.is_none() {
        refuse_unless_waiting(before.view())?;
        let answers = answers(before.view(), &tools)?;
        runtime.tell_once(owner, run.id, Command::Answer(answers), claim).await?;
    }
    let response = match (form.stream, form.background) {
        (true, _) => {
            let shown = before.count();
            let events = RunEvents::watch(runtime, owner, &session, (run.id, run.first), shown);
            let frames = events.filter_map(move |event| ready((event.index >= shown).then(|| event.frame())));
            sse::response(until_let_go(runtime, run.id, frames), Some(runs::SILENCE), seat)
        }
        (false, true) => runs::accepted(run.id, &session, Status::Running),
        (false, false) => {
            let view = match made {
                Some(made) => runtime.rested(owner, made).await,
                None => runtime.finished(owner, run.id).await,
            };
            match view {
                Ok(view) => runs::as_object(runtime, owner, &view).await?,
                Err(error) => runs::without_end(error, run.id, &session),
            }
        }
    };
    Ok(once::marked(response, made.is_some()))
}

/// What a client may say when it goes on.
#[derive(Debug)]
pub(super) struct ContinueForm {
    stream: bool,
    background: bool,
    session: Option<SessionId>,
    tools: Option<String>,
}

impl FromFields for ContinueForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let tools = match fields.value("tools") {
            Some(Value::String(text)) => Some(text),
            other => other.filter(|tools| !tools.is_null()).map(|tools| tools.to_string()),
        };
        Self {
            stream: fields.flag("stream").unwrap_or(true),
            background: fields.flag("background").unwrap_or(false),
            session: fields.id("session_id"),
            tools,
        }
    }
}

fn refuse_unless_waiting(view: &RunView) -> Result<(), Error> {
    let reason = match view.status {
        Status::Paused => return Ok(()),
        Status::Pending | Status::Running => "run is already running",
        Status::Completed => "run is already completed",
        Status::Failed => "run has errored",
        Status::Cancelled => "run is already cancelled",
    };
    Err(runtime::Error::Conflict(reason.into()).into())
}

fn tools(text: Option<&str>) -> Result<Vec<Object>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let tools: Value =
        serde_json::from_str(text).map_err(|_| Error::bad_request("Invalid JSON in tools field"))?;
    if body::check(&tools).is_err() {
        let most = body::MAX_DEPTH;
        return Err(wrong(&format!("must not hold the NUL character or be nested deeper than {most}")));
    }
    let Value::Array(tools) = tools else { return Err(wrong("must be a list")) };
    let tool = |tool: Value| {
        let object = tool.as_object().filter(|tool| tool.get("tool_call_id").is_some_and(Value::is_string));
        object.cloned().ok_or_else(|| wrong("each tool must be an object with a tool_call_id"))
    };
    tools.into_iter().map(tool).collect()
}

fn wrong(why: &str) -> Error {
    Error::bad_request(format!("Invalid structure or content for tools: {why}"))
}

/// The decisions among these tools. A call nobody decided goes on waiting; that none is decided is an error.
fn answers(view: &RunView, tools: &[Object]) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    for id in &view.waiting {
        let named = |tool: &&Object| tool.get("tool_call_id").and_then(Value::as_str) == Some(id.as_str());
        let Some((tool, call)) = tools.iter().find(named).zip(view.call(id)) else { continue };
        if let Some(decision) = decision(&tool_body::gate(view, call), tool, call.doubted) {
            answers.push(Answer { call: id.clone(), decision });
        }
    }
    if answers.is_empty() {
        let waiting: Vec<&str> = view.waiting.iter().map(|call| call.as_str()).collect();
        let why = format!("no decision about any of the calls that wait: {}", waiting.join(", "));
        return Err(wrong(&why));
    }
    Ok(answers)
}

/// What was decided, by what the call waits for; `None` if it is not decided yet.
fn decision(gate: &Gate, tool: &Object, doubted: bool) -> Option<Decision> {
    let note = || tool.get("confirmation_note").and_then(Value::as_str).map(Into::into);
    let confirmed = tool.get("confirmed").and_then(Value::as_bool);
    if confirmed == Some(false) {
        return Some(Decision::Rejected { note: note() });
    }
    let is_told = doubted && tool.get("result").is_some_and(|result| !result.is_null());
    if gate.external || is_told {
        return match tool.get("result")? {
            Value::Null => None,
            Value::String(result) => Some(Decision::Executed { result: result.clone() }),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Some(Decision::Executed { result: other.to_string() })
            }
        };
    }
    if gate.confirmation && confirmed.is_none() {
        return None;
    }
    Some(Decision::Approved { values: values(gate, tool)? })
}

/// What a person gave for the arguments asked for; `None` while one is missing.
fn values(gate: &Gate, tool: &Object) -> Option<Object> {
    let fields = tool.get("user_input_schema").and_then(Value::as_array);
    let given = |name: &String| {
        let named = |field: &&Value| field.get("name").and_then(Value::as_str) == Some(name);
        let value = fields?.iter().find(named)?.get("value")?;
        (!value.is_null()).then(|| (name.clone(), value.clone()))
    };
    gate.user_input.iter().map(given).collect()
}
