//! Going on with a run that waits: decisions about its calls and steps, as the client filled them in.

use actix_web::HttpResponse;
use actix_web::web::Data;
use futures::StreamExt;
use futures::future::ready;
use serde_json::Value;

use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::Form;
use crate::api::once::{self, OnceHeader};
use crate::api::sse;
use crate::domain::Object;
use crate::domain::id::{Owner, SessionId};
use crate::domain::run::{Command, Run, Status};
use crate::domain::view::RunView;
use crate::runtime::{self, Claim, MadeRun, Runtime};

use super::component::ComponentRun;
use super::decisions::{self, Sent};
use super::error::Error;
use super::events::Projector;
use super::fork_run::{self, ForkForm};
use super::resume::until_let_go;
use super::run_events::RunEvents;
use super::runs::{self, Wanted};

/// `POST /{kind}/{id}/runs/{run_id}/continue`.
pub(super) async fn go_on(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    form: Form<ContinueForm>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let (runtime, owner, form) = (&state.runtime, caller.owner(), form.fields);
    let session = form.session.ok_or_else(|| Error::bad_request("session_id is required for this action"))?;
    form.fork.check()?;
    let mut sent = Sent {
        tools: objects("tools", form.tools.as_deref())?,
        requirements: objects("requirements", form.requirements.as_deref())?,
        steps: objects("error_requirements", form.errors.as_deref())?,
    };
    sent.steps.extend(objects("step_requirements", form.steps.as_deref())?);
    let run = runs::find(runtime, owner, &target, Some(&session)).await?;
    let run = run.ok_or_else(|| Error::not_found("Run not found"))?;
    // From here on nobody else goes on with this run under the same key.
    let claim = key.claim(runtime, &caller).await?;
    let made: Option<MadeRun> = claim.made()?;
    let seat = if form.stream { Some(sse::seat(&state)?) } else { None };
    if form.fork.is_meant(&run, !sent.is_empty(), made) {
        let wanted = Wanted { stream: form.stream, background: form.background, all: form.all };
        let from = (target.component, run);
        return fork_run::fork(runtime, owner, from, form.fork, (wanted, seat), claim).await;
    }
    let shown = wake(runtime, owner, &run, &sent, claim).await?;
    let response = match (form.stream, form.background) {
        (true, _) => {
            let events = RunEvents::watch(runtime, owner, &session, (run.id, run.first), shown);
            let frames = events.filter_map(move |event| ready((event.index >= shown).then(|| event.frame())));
            sse::response(until_let_go(runtime, run.id, frames), Some(runs::SILENCE), seat)
        }
        (false, true) => runs::accepted(run.id, &session, Status::Running),
        (false, false) => {
            let view = match made {
                Some(made) => runtime.rested(owner, MadeRun { run: run.id, ..made }).await,
                None => runtime.finished(owner, run.id).await,
            };
            match view {
                Ok(view) => runs::as_object(runtime, owner, &view, made.map(|made| made.since)).await?,
                Err(error) => runs::without_end(error, run.id, &session),
            }
        }
    };
    Ok(once::marked(response, made.is_some()))
}

/// Tells a run what was decided about it and about the runs below it, unless that was done before under the same
/// claim; how many events it had until then.
///
/// # Errors
/// 409 if it does not wait, 400 if nothing was decided.
pub(super) async fn wake(
    runtime: &Runtime,
    owner: &Owner,
    run: &Run,
    sent: &Sent,
    claim: Claim,
) -> Result<u64, Error> {
    let made: Option<MadeRun> = claim.made()?;
    let entries = runtime.entries_of_tree(owner, run).await?;
    let mut before =
        entries.first().and_then(Projector::new).ok_or_else(|| Error::not_found("Run not found"))?;
    for entry in entries.iter().take_while(|entry| made.is_none_or(|made| entry.seq < made.since)) {
        before.project(entry);
    }
    if made.is_none() {
        refuse_unless_waiting(before.view())?;
        let answers = decisions::answers(before.tree().root(), sent)?;
        let root = run.root.unwrap_or(run.id);
        runtime.tell_once(owner, root, Command::Answer(answers), claim).await?;
    }
    Ok(before.count())
}

/// What a client may say when it goes on.
#[derive(Debug)]
pub(super) struct ContinueForm {
    stream: bool,
    background: bool,
    all: bool,
    session: Option<SessionId>,
    tools: Option<String>,
    requirements: Option<String>,
    steps: Option<String>,
    errors: Option<String>,
    fork: ForkForm,
}

impl FromFields for ContinueForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let json = |name: &str| match fields.value(name) {
            Some(Value::String(text)) => Some(text),
            other => other.filter(|value| !value.is_null()).map(|value| value.to_string()),
        };
        let (tools, requirements) = (json("tools"), json("requirements"));
        let (steps, errors) = (json("step_requirements"), json("error_requirements"));
        Self {
            stream: fields.flag("stream").unwrap_or(true),
            background: fields.flag("background").unwrap_or(false),
            all: fields.flag("stream_events").unwrap_or(true),
            session: fields.id("session_id"),
            tools,
            requirements,
            steps,
            errors,
            fork: ForkForm::from_fields(fields),
        }
    }
}

fn refuse_unless_waiting(view: &RunView) -> Result<(), Error> {
    let reason = match view.status {
        Status::Paused => return Ok(()),
        Status::Pending | Status::Running => "run is already running",
        Status::Completed | Status::Replaced => "run is already completed",
        Status::Failed => "run has errored",
        Status::Cancelled => "run is already cancelled",
    };
    Err(runtime::Error::Conflict(reason.into()).into())
}

/// The objects of a list written as JSON; empty text is none.
fn objects(field: &str, text: Option<&str>) -> Result<Vec<Object>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let list: Value = serde_json::from_str(text)
        .map_err(|_| Error::bad_request(format!("Invalid JSON in {field} field")))?;
    decisions::objects(field, list)
}
