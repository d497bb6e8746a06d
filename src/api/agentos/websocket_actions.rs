//! What a client may ask on a socket: start a workflow, watch a run again, go on with one that waits.
//!
//! Runs are detached: they do not end with the socket.

use futures::StreamExt;
use futures::future::ready;
use serde_json::Value;

use crate::api::fields::{Fields, Place};
use crate::api::form::Form;
use crate::api::{ApiState, sse};
use crate::domain::Object;
use crate::domain::id::{ComponentId, Owner, RunId, SessionId};
use crate::domain::run::{Run, Status};
use crate::domain::spec::ComponentKind;
use crate::runtime::{self, Claim, Runtime};

use super::continue_run;
use super::decisions::{self, Sent};
use super::error::Error;
use super::resume::{Standing, Told, told_until_let_go};
use super::run_events::RunEvents;
use super::run_form::{self, RunForm};
use super::websocket::Watched;

/// Does what is asked, and tells what comes of it.
///
/// # Errors
/// A sentence for the client.
pub(super) async fn act(
    state: &ApiState,
    owner: &Owner,
    action: &str,
    message: Object,
) -> Result<Watched, String> {
    let runtime = &state.runtime;
    // Before anything is begun for it.
    let seat = sse::seat(state).map_err(|problem| problem.message)?;
    let (run, told) = match action {
        "start-workflow" => start(runtime, owner, message).await,
        "reconnect" => reconnect(runtime, owner, &message).await,
        "continue-workflow" => go_on(runtime, owner, &message).await,
        _ => Err(format!("Unknown action: {action}")),
    }?;
    let told = told_until_let_go(runtime, run, told, |last| last.json);
    // The place is given back with the stream.
    let told = told.map(move |text| {
        let _held = &seat;
        text
    });
    Ok(told.boxed_local())
}

async fn start(runtime: &Runtime, owner: &Owner, mut message: Object) -> Result<(RunId, Watched), String> {
    let workflow = text(&message, "workflow_id").ok_or("workflow_id is required")?;
    let unknown = || format!("Workflow {workflow} not found");
    let id: ComponentId = workflow.parse().map_err(|_| unknown())?;
    if runtime.catalog().get(ComponentKind::Workflow, &id).is_none() {
        return Err(unknown());
    }
    // What is no text is given to the workflow as JSON.
    if let Some(value @ (Value::Object(_) | Value::Array(_))) = message.get("message") {
        let json = value.to_string();
        message.insert("message".into(), json.into());
    }
    let fields: RunForm =
        Fields::of_object(Place::Body, message).read().map_err(|problem| said(&Error::from(problem)))?;
    let order = run_form::order(ComponentKind::Workflow, id, Form { fields, uploads: Vec::new() });
    let order = order.map_err(|error| said(&error))?;
    let started = runtime.start(owner, order).await.map_err(|error| error.to_string())?;
    let place = (started.run, started.first);
    let events = RunEvents::watch(runtime, owner, &started.session, place, 0);
    Ok((started.run, events.map(|event| event.message()).boxed_local()))
}

async fn reconnect(runtime: &Runtime, owner: &Owner, message: &Object) -> Result<(RunId, Watched), String> {
    let name = text(message, "run_id").ok_or("run_id is required for reconnection")?;
    let missing = || format!("Run {name} not found in buffer or database");
    let run = find(runtime, owner, message).await?.ok_or_else(missing)?;
    let last = message.get("last_event_index").and_then(Value::as_u64);
    let standing = Standing::read(runtime, owner, &run, last).await.map_err(|error| error.to_string())?;
    let standing = standing.ok_or_else(missing)?;
    let place = (run.id, run.first);
    let events = RunEvents::watch(runtime, owner, &run.session, place, standing.settled());
    let told = standing.told(events).map(|told| match told {
        Told::Note(note) => note.json,
        Told::Missed(event) => event.json().to_owned(),
        Told::Live(event) => event.message(),
    });
    Ok((run.id, told.boxed_local()))
}

async fn go_on(runtime: &Runtime, owner: &Owner, message: &Object) -> Result<(RunId, Watched), String> {
    text(message, "workflow_id").ok_or("workflow_id is required")?;
    let name = text(message, "run_id").ok_or("run_id is required")?;
    text(message, "session_id").ok_or("session_id is required")?;
    let run = find(runtime, owner, message).await?.ok_or_else(|| format!("Run {name} not found"))?;
    if run.status != Status::Paused {
        let status = super::run_body::status(run.status);
        return Err(format!("Run is not paused (status={status})"));
    }
    let mut sent = Sent::default();
    for field in ["error_requirements", "step_requirements"] {
        let list = message.get(field).cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        sent.steps.extend(decisions::objects(field, list).map_err(|error| said(&error))?);
    }
    let shown =
        continue_run::wake(runtime, owner, &run, &sent, Claim::none()).await.map_err(|error| said(&error))?;
    let events = RunEvents::watch(runtime, owner, &run.session, (run.id, run.first), shown);
    let events = events.filter(move |event| ready(event.index >= shown));
    Ok((run.id, events.map(|event| event.message()).boxed_local()))
}

/// The run a message names, if it is one of the workflow and the session it names.
async fn find(runtime: &Runtime, owner: &Owner, message: &Object) -> Result<Option<Run>, String> {
    let Some(id) = text(message, "run_id").and_then(|name| name.parse::<RunId>().ok()) else {
        return Ok(None);
    };
    let run = match runtime.run(owner, id).await {
        Ok(run) => run,
        Err(runtime::Error::NoRun(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let of_workflow = text(message, "workflow_id").is_none_or(|id| run.component.as_str() == id);
    let of_session = match text(message, "session_id") {
        Some(id) => id.parse::<SessionId>().is_ok_and(|session| session == run.session),
        None => true,
    };
    Ok(Some(run).filter(|run| run.kind == ComponentKind::Workflow && of_workflow && of_session))
}

fn text<'a>(message: &'a Object, key: &str) -> Option<&'a str> {
    message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// What a client is told of an error.
fn said(error: &Error) -> String {
    let problem = error.problem();
    match problem.violations.first() {
        Some(violation) => {
            let place = violation.place.last().and_then(Value::as_str).unwrap_or("body");
            format!("{place}: {}", violation.message)
        }
        None => problem.message.clone(),
    }
}
