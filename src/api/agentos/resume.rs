//! Taking up a run's events again, after any of them: from the log, so that it works after a restart too.
//!
//! Frames about the stream itself come in another dress than events: JSON with spaces, without a number.

use std::future::Future;
use std::task::{Poll, ready};
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures::future;
use futures::{Stream, StreamExt, stream};
use serde_json::Value;

use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields};
use crate::api::form::Form;
use crate::api::sse;
use crate::domain::fact::Entry;
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::run::{Run, Status};
use crate::domain::spec::ComponentKind;
use crate::runtime::{self, Runtime};

use super::component::ComponentRun;
use super::error::Error;
use super::events::{Event, Projector};
use super::run_body;
use super::run_events::RunEvents;
use super::runs;

/// A stream that says nothing for so long sends a comment.
const SILENCE: Duration = Duration::from_secs(30);

/// `POST /{kind}/{id}/runs/{run_id}/resume`.
pub async fn resume(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    request: HttpRequest,
    form: Form<ResumeForm>,
) -> Result<HttpResponse, Error> {
    let (runtime, owner) = (&state.runtime, caller.owner());
    let last = form.fields.last.or_else(|| last_event_id(&request));
    let run = runs::find(runtime, owner, &target, form.fields.session.as_ref()).await?;
    let Some(run) = run else { return Ok(unknown(&target.name)) };
    let Some(standing) = Standing::read(runtime, owner, &run, last).await? else {
        return Ok(unknown(&target.name));
    };
    let seat = sse::seat(&state)?;
    let place = (run.id, run.first);
    let events = RunEvents::watch(runtime, owner, &run.session, place, standing.settled());
    let frames = until_let_go(runtime, run.id, standing.frames(events));
    Ok(sse::response(frames, Some(SILENCE), Some(seat)))
}

/// What a client may say about where it stands.
#[derive(Debug)]
pub struct ResumeForm {
    last: Option<u64>,
    session: Option<SessionId>,
}

impl FromFields for ResumeForm {
    fn from_fields(fields: &mut Fields) -> Self {
        let text = fields.value("last_event_index").map(|value| match value {
            Value::String(text) => text,
            other
            @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        });
        let last = match text.as_deref().map(str::trim) {
            // A client that has nothing yet may say so.
            None | Some("" | "-1") => None,
            Some(_) => fields.number("last_event_index", 0),
        };
        Self { last, session: fields.id("session_id") }
    }
}

fn last_event_id(request: &HttpRequest) -> Option<u64> {
    request.headers().get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// Where a run and a client of it stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    run: RunId,
    status: Status,
    is_workflow: bool,
    /// Events there are already.
    count: u64,
    /// How many of them the client has.
    has: u64,
    /// The number of the last of those, if the client named one.
    asked: Option<u64>,
}

impl Standing {
    /// As the log tells it, read a few entries at a time; `None` if it does not know the run.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn read(
        runtime: &Runtime,
        owner: &Owner,
        run: &Run,
        last: Option<u64>,
    ) -> Result<Option<Self>, runtime::Error> {
        let mut projector = None;
        runtime.walk_tree(owner, run, |entry| count(&mut projector, run.id, &entry)).await?;
        Ok(projector.map(|projector| Self::at(&projector, last)))
    }

    /// By the entries so far of the run and of those below it, and the number of the last event the client has.
    /// `None` without entries.
    pub fn of(run: RunId, entries: &[Entry], last: Option<u64>) -> Option<Self> {
        let mut projector = None;
        entries.iter().for_each(|entry| count(&mut projector, run, entry));
        projector.map(|projector| Self::at(&projector, last))
    }

    fn at(projector: &Projector, last: Option<u64>) -> Self {
        let (view, count) = (projector.view(), projector.count());
        Self {
            run: view.run,
            status: view.status,
            is_workflow: view.spec.kind() == ComponentKind::Workflow,
            count,
            has: last.map_or(0, |last| last.saturating_add(1)).min(count),
            asked: last,
        }
    }

    /// How many events may hold pauses that are over. Of a run that waits, the pause it waits in ends the stream.
    pub fn settled(&self) -> u64 {
        if self.is_going() { self.count } else { self.count.saturating_sub(1) }
    }

    /// Control frames, what was missed, and what is still to come; `events` are the run's from its first.
    pub fn frames(self, events: impl Stream<Item = Event>) -> impl Stream<Item = Bytes> {
        let is_workflow = self.is_workflow;
        self.told(events).filter_map(move |told| {
            future::ready(match told {
                // Of a workflow nobody says where what is missed ends.
                Told::Note(note) if is_workflow && note.name == "subscribed" => None,
                Told::Note(note) => Some(note.frame()),
                Told::Missed(event) | Told::Live(event) => Some(event.frame()),
            })
        })
    }

    /// The same, not yet written as frames.
    pub(super) fn told(self, events: impl Stream<Item = Event>) -> impl Stream<Item = Told> {
        let (going, missed, has, count) = (self.is_going(), self.missed(), self.has, self.count);
        let subscribed = going.then(|| self.subscribed());
        let head = match (going, missed) {
            (false, _) => Some(self.replay()),
            (true, 0) => subscribed.clone(),
            (true, _) => Some(self.catch_up()),
        };
        // After the last event there was when the client asked. Numbers may have been lost in a power cut; then it
        // comes before the next event that has one.
        let mut between = subscribed.filter(|_| missed > 0);
        let rest = events.filter(move |event| future::ready(event.index >= has)).flat_map(move |event| {
            let note = between.take_if(|_| event.index.saturating_add(1) >= count).map(Told::Note);
            let is_missed = event.index < count;
            let event = if is_missed { Told::Missed(event) } else { Told::Live(event) };
            let told = if is_missed { [Some(event), note] } else { [note, Some(event)] };
            stream::iter(told.into_iter().flatten())
        });
        stream::iter(head.map(Told::Note)).chain(rest)
    }

    fn missed(&self) -> u64 {
        self.count - self.has
    }

    fn is_going(&self) -> bool {
        match self.status {
            Status::Pending | Status::Running => true,
            Status::Paused | Status::Completed | Status::Cancelled | Status::Failed | Status::Replaced => {
                false
            }
        }
    }

    fn catch_up(&self) -> Note {
        let message = format!("Catching up on {} missed events", self.missed());
        control(
            "catch_up",
            &[
                ("run_id", quoted(&self.run.to_string())),
                ("status", quoted("running")),
                ("missed_events", self.missed().to_string()),
                ("current_event_count", self.count.to_string()),
                ("message", quoted(&message)),
            ],
        )
    }

    fn subscribed(&self) -> Note {
        control(
            "subscribed",
            &[
                ("run_id", quoted(&self.run.to_string())),
                ("status", quoted("running")),
                ("current_event_count", self.count.to_string()),
                ("message", quoted("Subscribed to the run; events follow as they happen")),
            ],
        )
    }

    fn replay(&self) -> Note {
        let status = run_body::status(self.status);
        let message = format!("The run is {}; replaying {} events", status.to_lowercase(), self.missed());
        control(
            "replay",
            &[
                ("run_id", quoted(&self.run.to_string())),
                ("status", quoted(status)),
                ("total_events", self.missed().to_string()),
                ("total_buffered", self.count.to_string()),
                ("last_event_index_requested", self.asked.map_or("-1".into(), |last| last.to_string())),
                ("message", quoted(&message)),
            ],
        )
    }
}

/// Takes in the next entry of a log, from the first of the run on.
fn count(projector: &mut Option<Projector>, run: RunId, entry: &Entry) {
    if projector.is_none() && entry.run == run {
        *projector = Projector::forgetful(entry);
    }
    if let Some(projector) = projector {
        projector.pass(entry);
    }
}

fn unknown(name: &str) -> HttpResponse {
    let error = quoted(&format!("Run {name} not found in buffer or database"));
    sse::response(stream::iter([control("error", &[("error", error)]).frame()]), None, None)
}

/// The same frames; if the server lets go of the run before they end, a last one says that the run goes on.
pub(super) fn until_let_go<S: Stream<Item = Bytes>>(
    runtime: &Runtime,
    run: RunId,
    frames: S,
) -> impl Stream<Item = Bytes> + use<S> {
    told_until_let_go(runtime, run, frames, |last| last.frame())
}

/// The same for whatever is told, with what is to be said last.
pub(super) fn told_until_let_go<T, S: Stream<Item = T>>(
    runtime: &Runtime,
    run: RunId,
    told: S,
    last: fn(Note) -> T,
) -> impl Stream<Item = T> + use<T, S> {
    let mut told = Box::pin(told);
    let mut let_go = Some(Box::pin(runtime.let_go()));
    stream::poll_fn(move |context| {
        let Some(waiting) = &mut let_go else { return Poll::Ready(None) };
        // What there is to be told comes first.
        if let Poll::Ready(next) = told.as_mut().poll_next(context) {
            return Poll::Ready(next);
        }
        ready!(waiting.as_mut().poll(context));
        let_go = None;
        let error = format!("The server is stopping; run {run} goes on at its next start and can be resumed");
        let members =
            [("run_id", quoted(&run.to_string())), ("status", quoted("running")), ("error", quoted(&error))];
        Poll::Ready(Some(last(control("error", &members))))
    })
}

/// Something about the stream, or an event of it.
#[derive(Debug)]
pub(super) enum Told {
    /// Where the client stands.
    Note(Note),
    /// An event it did not have when it asked.
    Missed(Event),
    /// An event that came since.
    Live(Event),
}

/// Where a client stands: JSON with spaces.
#[derive(Debug, Clone)]
pub(super) struct Note {
    name: &'static str,
    /// The object.
    pub(super) json: String,
}

impl Note {
    fn frame(&self) -> Bytes {
        format!("event: {}\ndata: {}\n\n", self.name, self.json).into()
    }
}

/// A note; values are JSON already.
fn control(name: &'static str, members: &[(&str, String)]) -> Note {
    let mut json = format!("{{\"event\": \"{name}\"");
    for (key, value) in members {
        json.push_str(&format!(", \"{key}\": {value}"));
    }
    json.push('}');
    Note { name, json }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
