//! Runs: started, cancelled, read and listed, for agents, teams and workflows alike.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use bytes::Bytes;
use futures::future::ready;
use futures::{Stream, StreamExt};
use serde_json::json;

use crate::api::ApiState;
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::Form;
use crate::api::once::{self, OnceHeader};
use crate::api::problem::Problem;
use crate::api::sse::{self, Seat};
use crate::domain::fact::{Entry, Fact, Seq};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::run::{Command, Run, Started, Status};
use crate::domain::spec::{ComponentKind, OnDisconnect, Spec};
use crate::domain::view::RunView;
use crate::runtime::{self, MadeRun, Runtime};

use super::component::{Component, ComponentRun};
use super::error::{self, Error};
use super::events::{Event, Name};
use super::resume::until_let_go;
use super::run_body::{self, AnyRun};
use super::run_events::RunEvents;
use super::run_form::{self, RunForm};
use super::session_run_body::with_nulls;
use super::session_runs;
use super::tree::Tree;

/// A plain stream that says nothing for so long sends a comment.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// `POST /{kind}/{id}/runs`. A client that sent a key will come back: its run goes on without it meanwhile.
pub(super) async fn start(
    component: Component,
    caller: Caller,
    state: Data<ApiState>,
    form: Form<RunForm>,
    key: OnceHeader,
) -> Result<HttpResponse, Error> {
    let (stream, background, all) = (form.fields.stream, form.fields.background, form.fields.stream_events);
    let order = run_form::order(component.kind, component.id, form)?;
    let seat = if stream { Some(sse::seat(&state)?) } else { None };
    let runtime = &state.runtime;
    let claim = key.claim(runtime, &caller).await?;
    let (again, has_key) = (claim.is_done(), claim.has_key());
    let started = runtime.start_once(caller.owner(), order, claim).await?;
    let wanted = Wanted { stream, background, all };
    let response = respond(runtime, &component.spec, &started, wanted, (again, has_key), seat).await?;
    Ok(once::marked(response, again))
}

/// How a client wants to be told of its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// As events.
    pub(super) stream: bool,
    /// It goes on without its client.
    pub(super) background: bool,
    /// All events, and not the answer's pieces alone.
    pub(super) all: bool,
}

/// The answer to whoever started a run: now or, under the same key, again.
pub(super) async fn respond(
    runtime: &Runtime,
    spec: &Spec,
    started: &Started,
    wanted: Wanted,
    (again, has_key): (bool, bool),
    seat: Option<Seat>,
) -> Result<HttpResponse, Error> {
    // Whoever joined a run did not start it: it goes on without them.
    let bound = !has_key && started.joined.is_none() && ends_with_its_client(spec);
    let hangup = (!wanted.background && bound).then(|| Hangup::new(runtime, started));
    Ok(match (wanted.stream, wanted.background) {
        (true, _) => sse::response(events(runtime, started, wanted.all, hangup), Some(SILENCE), seat),
        (false, true) => accepted(started.run, &started.session, Status::Pending),
        (false, false) => answer(runtime, started, again, hangup).await?,
    })
}

/// `POST /{kind}/{id}/runs/{run_id}/cancel`. Runs that are unknown or over are no error; nothing is kept about
/// them, so that naming many costs nothing.
pub(super) async fn cancel(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<InSession>,
) -> Result<HttpResponse, Error> {
    let done = || Ok(HttpResponse::Ok().json(json!({})));
    let runtime = &state.runtime;
    let Some(run) = find(runtime, caller.owner(), &target, query.0.session.as_ref()).await? else {
        return done();
    };
    let command = Command::Cancel { reason: "cancelled by the client".into() };
    match runtime.tell(caller.owner(), run.id, command).await {
        Ok(()) | Err(runtime::Error::NoRun(_) | runtime::Error::Conflict(_)) => done(),
        Err(error) => Err(error.into()),
    }
}

/// `GET /{kind}/{id}/runs/{run_id}?session_id=`.
pub(super) async fn read(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<OfSession>,
) -> Result<HttpResponse, Error> {
    let run = find(&state.runtime, caller.owner(), &target, query.0.session.as_ref()).await?;
    let run = run.ok_or_else(|| Error::not_found("Run not found"))?;
    let tree = tree(&state.runtime, caller.owner(), &run).await?;
    Ok(HttpResponse::Ok().json(AnyRun::stored(tree.root())))
}

/// `GET /{kind}/{id}/runs?session_id=&status=`, oldest first.
pub(super) async fn list(
    component: Component,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<OfSession>,
) -> Result<HttpResponse, Error> {
    let Some(session) = &query.0.session else { return Err(Error::not_found("Session not found")) };
    let mut runs = match state.runtime.runs(caller.owner(), session).await {
        Err(runtime::Error::NoSession(_)) => return Err(Error::not_found("Session not found")),
        runs => runs?,
    };
    runs.retain(|run| component.owns(run) && query.0.status.admits(run.status));
    let entries = session_runs::entries(&state.runtime, caller.owner(), &runs).await?;
    Ok(HttpResponse::Ok().json(entries.iter().map(with_nulls).collect::<Vec<_>>()))
}

/// The run a path names, if it is one of the path's component and of the session, where one is given.
pub(super) async fn find(
    runtime: &Runtime,
    owner: &Owner,
    target: &ComponentRun,
    session: Option<&SessionId>,
) -> Result<Option<Run>, Error> {
    let Some(id) = target.run else { return Ok(None) };
    match runtime.run(owner, id).await {
        Ok(run) if !target.component.owns(&run) => Ok(None),
        Ok(run) if session.is_some_and(|session| *session != run.session) => Ok(None),
        Ok(run) => Ok(Some(run)),
        Err(runtime::Error::NoRun(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The answer to whoever does not wait for a run.
pub(super) fn accepted(run: RunId, session: &SessionId, status: Status) -> HttpResponse {
    let status = run_body::status(status);
    HttpResponse::Accepted().json(json!({"run_id": run, "session_id": session, "status": status}))
}

/// The run as events. Events have the numbers of the whole projection, whether all are shown or not.
fn events(
    runtime: &Runtime,
    started: &Started,
    all: bool,
    hangup: Option<Hangup>,
) -> impl Stream<Item = Bytes> + use<> {
    let events = RunEvents::watch(runtime, &started.owner, &started.session, (started.run, started.first), 0);
    let events = events.from(started.joined.unwrap_or_default());
    let mut hangup = hangup;
    let frames = events.filter_map(move |event| {
        if event.ends_stream() {
            hangup.iter_mut().for_each(Hangup::disarm);
        }
        ready((all || is_essential(&event)).then(|| event.frame()))
    });
    until_let_go(runtime, started.run, frames)
}

/// What `stream_events=false` leaves.
fn is_essential(event: &Event) -> bool {
    event.name == Name::RunContent || event.ends_stream()
}

/// The run as one object. That it failed is in there; the status is 200 all the same.
async fn answer(
    runtime: &Runtime,
    started: &Started,
    again: bool,
    hangup: Option<Hangup>,
) -> Result<HttpResponse, Error> {
    let mut hangup = hangup;
    let since = again.then(|| started.joined.unwrap_or(started.first));
    let view = match since {
        Some(since) => runtime.rested(&started.owner, MadeRun { run: started.run, since }).await,
        None => runtime.finished(&started.owner, started.run).await,
    };
    hangup.iter_mut().for_each(Hangup::disarm);
    match view {
        Ok(view) => as_object(runtime, &started.owner, &view, since).await,
        Err(error) => Ok(without_end(error, started.run, &started.session)),
    }
}

/// A run at rest, with what runs below it did and the earlier runs its model was shown; as it was when it first came to
/// rest after an entry, where one is named.
pub(super) async fn as_object(
    runtime: &Runtime,
    owner: &Owner,
    view: &RunView,
    since: Option<Seq>,
) -> Result<HttpResponse, Error> {
    let history = history(runtime, owner, view).await?;
    let tree = match view.spec.kind() {
        ComponentKind::Agent => Tree::from(view.clone()),
        ComponentKind::Team | ComponentKind::Workflow => {
            let run = runtime.run(owner, view.run).await?;
            let mut entries = runtime.entries_of_tree(owner, &run).await?;
            if let Some(since) = since {
                entries.truncate(first_rest(&entries, run.id, since));
            }
            Tree::of(run.id, &entries).ok_or_else(|| Error::not_found("Run not found"))?
        }
    };
    Ok(HttpResponse::Ok().json(AnyRun::direct(tree.root(), &history)))
}

/// How many entries there are until the run first comes to rest after one.
fn first_rest(entries: &[Entry], run: RunId, since: Seq) -> usize {
    let rests = |entry: &Entry| {
        let is_rest = matches!(entry.fact, Fact::Paused { .. } | Fact::RunFinished { .. });
        entry.run == run && entry.seq >= since && is_rest
    };
    entries.iter().position(rests).map_or(entries.len(), |rest| rest.saturating_add(1))
}

/// A run and those below it, as of now.
pub(super) async fn tree(runtime: &Runtime, owner: &Owner, run: &Run) -> Result<Tree, Error> {
    let entries = runtime.entries_of_tree(owner, run).await?;
    let mut tree = Tree::of(run.id, &entries).ok_or_else(|| Error::not_found("Run not found"))?;
    tree.root_mut().stands(run.status);
    Ok(tree)
}

/// The answer to whoever waited for a run whose end is not seen here: why, and which run to come back for.
pub(super) fn without_end(error: runtime::Error, run: RunId, session: &SessionId) -> HttpResponse {
    let problem = Problem::from(error);
    let mut body = error::body(&problem);
    if let Some(members) = body.as_object_mut() {
        members.insert("run_id".into(), json!(run));
        members.insert("session_id".into(), json!(session));
    }
    problem.dressed(&body)
}

/// What the model was shown of earlier runs, and of those this one comes from; runs that are gone by now are left out.
async fn history(runtime: &Runtime, owner: &Owner, view: &RunView) -> Result<Vec<RunView>, Error> {
    let mut history = Vec::with_capacity(view.history.len());
    for id in &view.history {
        match runtime.run(owner, *id).await {
            Ok(run) => match runtime.view(owner, &run).await {
                Err(runtime::Error::Damaged) => {}
                view => history.push(view?),
            },
            Err(runtime::Error::NoRun(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    history.extend(runtime.origins(owner, view).await?);
    Ok(history)
}

fn ends_with_its_client(spec: &Spec) -> bool {
    let setting = match spec {
        Spec::Agent(agent) => agent.on_disconnect,
        Spec::Team(team) => team.leader.on_disconnect,
        Spec::Workflow(_) => OnDisconnect::default(),
    };
    setting == OnDisconnect::Cancel
}

/// Cancels a run when it is dropped before the run came to an end: its client left.
struct Hangup {
    runtime: Runtime,
    owner: Owner,
    run: RunId,
    armed: bool,
}

impl Hangup {
    fn new(runtime: &Runtime, started: &Started) -> Self {
        Self { runtime: runtime.clone(), owner: started.owner.clone(), run: started.run, armed: true }
    }

    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        // Without a runtime of tokio's the whole process ends; recovery knows what to do with the run.
        let Ok(tokio) = tokio::runtime::Handle::try_current() else { return };
        if !self.armed {
            return;
        }
        let (runtime, owner, run) = (self.runtime.clone(), self.owner.clone(), self.run);
        tokio.spawn(async move {
            let command = Command::Cancel { reason: "client disconnected".into() };
            match runtime.tell(&owner, run, command).await {
                Ok(()) | Err(runtime::Error::NoRun(_) | runtime::Error::Conflict(_)) => {}
                Err(error) => {
                    tracing::warn!(run.id = %run, %error, "run {run} outlives its client: it was not cancelled");
                }
            }
        });
    }
}

/// `?session_id=`, which may be absent.
#[derive(Debug)]
pub(super) struct InSession {
    session: Option<SessionId>,
}

impl FromFields for InSession {
    fn from_fields(fields: &mut Fields) -> Self {
        Self { session: fields.id("session_id") }
    }
}

/// `?session_id=`, which must be there, and `&status=`, which may be repeated.
#[derive(Debug)]
pub(super) struct OfSession {
    session: Option<SessionId>,
    status: session_runs::Statuses,
}

impl OfSession {
    /// The session, if that is what was given.
    pub(super) fn session(&self) -> Option<&SessionId> {
        self.session.as_ref()
    }
}

impl FromFields for OfSession {
    fn from_fields(fields: &mut Fields) -> Self {
        if fields.value("session_id").is_none() {
            fields.missing("session_id");
        }
        Self {
            session: fields.text("session_id").and_then(|id| id.parse().ok()),
            status: FromFields::from_fields(fields),
        }
    }
}
