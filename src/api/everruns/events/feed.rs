//! Events as they come: what is stored after the cursor, then what happens, without a gap.
//!
//! The log is read at the pace at which the client takes events, so that a slow one keeps nobody waiting: its deltas
//! grow longer and fewer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use actix_web::web::Data;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::deltas::Deltas;
use super::event::{Event, EventId};
use super::filter::{Cursor, Filter};
use super::fold::{Fold, Question, Sink};
use super::kind::Kind;
use super::memory::{Key, STRIDE};
use super::reading::{Story, Tools};
use crate::api::ApiState;
use crate::api::everruns::ids::PublicId;
use crate::domain::fact::{Entry, Piece, Seq};
use crate::domain::id::Owner;
use crate::domain::run::Session;
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;
use crate::runtime::{Error, Runtime};

/// When to come back, in milliseconds: while a turn is going, and while none is.
const RETRY: (u32, u32) = (100, 500);

/// A first frame: the stream is open.
const CONNECTED: &str = "event: connected\ndata: {\"status\":\"connected\"}\n\n";

type Entries = Pin<Box<dyn Stream<Item = Result<std::sync::Arc<Entry>, Error>> + Send>>;
type LetGo = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One client that follows a session.
struct Feed {
    state: Data<ApiState>,
    key: Key,
    entries: Entries,
    let_go: LetGo,
    until: Instant,
    fold: Fold,
    kept: Seq,
    told: Told,
    frames: VecDeque<Bytes>,
    over: bool,
}

/// Frames of a session's events for a client that wants these.
///
/// # Errors
/// What the store says, before the first frame.
pub async fn frames(
    state: Data<ApiState>,
    owner: &Owner,
    session: &Session,
    filter: Filter,
) -> Result<impl Stream<Item = Bytes> + use<>, Error> {
    let (fold, head) = {
        let story = Story::of(&state, owner, session);
        (story.from(filter.after), story.head().await?)
    };
    let runtime = state.runtime.clone();
    let entries = runtime.tail(owner, &session.id, fold.position());
    let deltas = Deltas::new(filter.after, head);
    let tools = Tools::of(&runtime, owner).await?;
    let feed = Feed {
        key: Key { owner: owner.clone(), session: session.id.clone(), created: session.created },
        entries: Box::pin(entries),
        let_go: Box::pin(runtime.let_go()),
        until: Instant::now() + jittered(&runtime, state.everruns.pulse.cycle),
        kept: fold.position(),
        told: Told { filter, tools, deltas, events: Vec::new() },
        frames: VecDeque::from([CONNECTED.into()]),
        over: false,
        fold,
        state,
    };
    Ok(stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) }))
}

impl Feed {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.over {
                return None;
            }
            let due = self.told.deltas.due(self.fold.position());
            tokio::select! {
                biased;
                () = sleep_until(self.until) => self.disconnect("connection_cycle", RETRY.0),
                entry = self.entries.next() => match entry {
                    Some(Ok(entry)) => self.take(&entry),
                    // The log cannot be read now; the client comes back to where it stands.
                    Some(Err(_)) => self.disconnect("unavailable", 1000),
                    None => self.over = true,
                },
                () = sleep_until(due.unwrap_or(self.until)), if due.is_some() => self.flush(),
                () = &mut self.let_go => self.disconnect("shutdown", 1000),
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        self.fold.take(entry, &mut self.told);
        let events = std::mem::take(&mut self.told.events);
        let ended = events.iter().any(|event| event.kind == Kind::SessionIdled);
        let frames: Vec<Bytes> = events.iter().map(|event| self.frame(event)).collect();
        self.frames.extend(frames);
        if self.told.deltas.due(self.fold.position()).is_some_and(|due| due <= Instant::now()) {
            self.flush();
        }
        let far = self.fold.position().saturating_sub(self.kept) >= STRIDE;
        if (ended || far) && self.fold.is_between() {
            self.kept = self.fold.position();
            self.state.everruns.memory.keep(&self.key, self.fold.clone());
        }
    }

    fn flush(&mut self) {
        if let Some(delta) = self.told.deltas.flush().filter(|delta| self.told.filter.fits(delta)) {
            self.frames.push_back(self.frame(&delta));
        }
    }

    fn frame(&self, event: &Event) -> Bytes {
        frame(event, self.fold.session(), if self.fold.is_going() { RETRY.0 } else { RETRY.1 })
    }

    fn disconnect(&mut self, reason: &str, retry: u32) {
        let frame =
            format!("event: disconnecting\ndata: {{\"reason\":\"{reason}\",\"retry_ms\":{retry}}}\n\n");
        self.frames.push_back(frame.into());
        self.over = true;
    }
}

/// Of a stored event with its id, of any other without.
fn frame(event: &Event, session: PublicId, retry: u32) -> Bytes {
    let id = event.sequence.map(|_| format!("id: {}\n", event.id.public())).unwrap_or_default();
    let (kind, data) = (event.kind.name(), event.json(session));
    format!("event: {kind}\n{id}retry: {retry}\ndata: {data}\n\n").into()
}

/// So that not all clients of a server come back at once: within a fifth of the time.
fn jittered(runtime: &Runtime, cycle: Duration) -> Duration {
    let dice = u32::try_from(runtime.fresh().as_u128() % 401).unwrap_or(200);
    cycle.saturating_mul(800 + dice) / 1000
}

/// Events that fit a filter, and the deltas between them.
struct Told {
    filter: Filter,
    tools: Tools,
    deltas: Deltas,
    events: Vec<Event>,
}

impl Told {
    fn delta(&mut self, delta: Option<Event>) {
        self.events.extend(delta.filter(|delta| self.filter.fits(delta)));
    }
}

impl Sink for Told {
    fn wants(&mut self, kind: Kind, id: EventId) -> bool {
        let is_after = if let Cursor::Id(after) = self.filter.after { id > after } else { true };
        is_after && self.filter.takes(kind)
    }

    fn event(&mut self, event: Event) {
        if self.filter.fits(&event) {
            self.deltas.overtaken(event.id);
            self.events.push(event);
        }
    }

    fn asked(&mut self, question: &Question) {
        self.deltas.asked(question);
    }

    fn piece(&mut self, id: EventId, at: Timestamp, piece: &Piece) {
        let before = self.deltas.piece(id, at, piece);
        self.delta(before);
    }

    fn answered(&mut self, end: Seq) {
        let rest = self.deltas.answered(end);
        self.delta(rest);
    }

    fn tools(&self, view: &RunView) -> Value {
        self.tools.list(view)
    }
}
