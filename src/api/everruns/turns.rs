//! What a client tells a turn that is going: to stop, and the results of tools that the client executes.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::Body;
use super::error::Error;
use super::events::client_tools;
use super::place;
use super::schemas::JSON;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::endpoint::Endpoint;
use crate::api::fields::{Fields, FromFields};
use crate::domain::fact::{Answer, Decision};
use crate::domain::id::CallId;
use crate::domain::run::{Answers, Command};
use crate::domain::view::RunView;
use crate::runtime;

/// Why a turn was cancelled, as its event says.
const REASON: &str = "User requested cancellation";

/// Clients that were faster than the turn try again when they read this.
const NOT_WAITING: &str = "Session is not waiting for tool results";

pub(super) fn table() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/sessions/{session_id}/cancel", cancel)
            .named("cancel_turn", "Sessions", "Stop what goes on in a session")
            .tells("200", "It is stopped, or there was nothing", "Cancelled")
            .fails("404", "There is no such session"),
        Endpoint::post("/sessions/{session_id}/tool-results", tool_results)
            .named("submit_tool_results", "Messages", "Say what came of calls that the client executes")
            .takes([(JSON, "ToolResults")], true)
            .tells("200", "They are stored", "ToolResultsTaken")
            .fails("404", "There is no such session")
            .fails("409", "Nothing waits for results"),
    ]
}

async fn cancel(caller: Caller, state: Data<ApiState>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let session = place::session(&state, caller.owner(), &request).await?;
    let stopped = state.runtime.halt(caller.owner(), &session.id, REASON).await?;
    let (status, message) =
        if stopped { ("cancelled", "The turn was cancelled") } else { ("no_op", "No turn is running") };
    Ok(HttpResponse::Ok().json(json!({ "status": status, "message": message })))
}

/// Results of calls.
#[derive(Debug)]
struct Results(Vec<Answer>);

impl FromFields for Results {
    fn from_fields(fields: &mut Fields) -> Self {
        Self(fields.required_list("tool_results", |item| {
            result(item).map_err(|why| ("value_error", why.to_owned()))
        }))
    }
}

fn result(item: &Value) -> Result<Answer, &'static str> {
    let call = item.get("tool_call_id").and_then(Value::as_str).ok_or("`tool_call_id` must be text")?;
    let call: CallId = call.parse().map_err(|_| "`tool_call_id` must be the id of a call")?;
    let decision = match item.get("error").unwrap_or(&Value::Null) {
        Value::Null => {
            let result = item.get("result").unwrap_or(&Value::Null);
            Decision::Executed { result: result.to_string(), failed: false }
        }
        Value::String(error) => Decision::Executed { result: error.clone(), failed: true },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err("`error` must be text");
        }
    };
    Ok(Answer { call, decision })
}

async fn tool_results(
    caller: Caller,
    state: Data<ApiState>,
    request: HttpRequest,
    Body(Results(answers)): Body<Results>,
) -> Result<HttpResponse, Error> {
    let (runtime, owner) = (&state.runtime, caller.owner());
    let session = place::session(&state, owner, &request).await?;
    let not_waiting = || Error::conflict(NOT_WAITING);
    let run = runtime.run(owner, session.waiting.ok_or_else(not_waiting)?).await?;
    let view = runtime.view(owner, &run).await?;
    let waiting = client_tools::waiting(&view);
    if waiting.is_empty() {
        return Err(not_waiting());
    }
    if let Some(answer) = answers.iter().find(|answer| !is_known(&view, &waiting, &answer.call)) {
        return Err(Error::bad_request(format!("Unknown tool_call_id: {}", answer.call)));
    }
    let accepted = answers.len();
    let new: Vec<Answer> = answers.into_iter().filter(|answer| waiting.contains(&answer.call)).collect();
    let is_answered = |call: &CallId| new.iter().any(|answer| answer.call == *call);
    let status = if view.waiting.iter().all(is_answered) { "active" } else { "waitingfortoolresults" };
    if !new.is_empty() {
        let answer = Command::Answer(Answers::of_calls(run.id, new));
        match runtime.tell(owner, run.id, answer).await {
            Err(runtime::Error::Conflict(_)) => return Err(not_waiting()),
            told => told?,
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "accepted": accepted, "status": status })))
}

/// Whether a call waits for the client, or was answered before: results may be sent again.
fn is_known(view: &RunView, waiting: &[CallId], call: &CallId) -> bool {
    waiting.contains(call)
        || view.call(call).is_some_and(|call| call.answer.is_some() && call.result.is_some())
}
