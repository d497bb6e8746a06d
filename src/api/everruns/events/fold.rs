//! A session's whole log as Everruns events: a pure fold, so that ids and sequence numbers mean the same live, in
//! replays, and after a restart.
//!
//! A run that nobody asked for is a turn. Of the runs below it nothing is told: their answers are results of tools.
//! Only facts make events that are stored; pieces of an answer are told as deltas, which are not. An answer that was
//! broken off by a crash and asked for again is one question here, with a `reason.recovered` in between.

use std::sync::Arc;

use serde_json::Value;

use super::event::{Context, Event, EventId};
use super::kind::Kind;
use super::turn::Turn;
use crate::api::everruns::ids::PublicId;
use crate::api::everruns::models;
use crate::domain::fact::{Entry, Fact, Piece, Seq};
use crate::domain::id::RunId;
use crate::domain::message::{Input, MediaSource, Message};
use crate::domain::spec::{Source, Spec};
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;

/// Who is told.
pub trait Sink {
    /// Whether an event of this kind at this place is to be made; asked once of each.
    fn wants(&mut self, kind: Kind, id: EventId) -> bool;
    /// An event that was wanted.
    fn event(&mut self, event: Event);
    /// A model is asked; pieces of its answer follow.
    fn asked(&mut self, question: &Question);
    /// A piece of the answer, and its place.
    fn piece(&mut self, id: EventId, at: Timestamp, piece: &Piece);
    /// No more pieces follow; told before the events that say how it ended.
    fn answered(&mut self, end: Seq);
    /// What a model may call in a run, as the list of `llm.generation`.
    fn tools(&self, view: &RunView) -> Value;
}

/// A question to a model, as whoever watches its answer must know it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The last event before its answer.
    pub id: EventId,
    /// The number of that event.
    pub sequence: u64,
    /// What its events belong to.
    pub context: Context,
}

/// Everything that must be known of a log to tell what follows.
#[derive(Debug, Clone)]
pub struct Fold {
    session: PublicId,
    mark: u32,
    millis: u64,
    /// The entry that is being told, or was last.
    seq: Seq,
    /// Events of it so far.
    sub: u32,
    at: Timestamp,
    position: Seq,
    count: u64,
    last: EventId,
    begun: bool,
    open: Vec<Turn>,
    past: Vec<(RunId, Arc<[Message]>)>,
    weight: usize,
}

impl Fold {
    /// Before a log's first entry.
    pub fn new(session: PublicId) -> Self {
        let PublicId(_, uuid) = session;
        // The low digits: of a UUIDv7 the random ones, of a UUIDv5 any.
        let mark = u32::try_from(uuid.as_u128() & 0x00ff_ffff).unwrap_or_default();
        Self {
            session,
            mark,
            millis: 0,
            seq: 0,
            sub: 0,
            at: Timestamp::default(),
            position: 0,
            count: 0,
            last: EventId::default(),
            begun: false,
            open: Vec::new(),
            past: Vec::new(),
            weight: 0,
        }
    }

    /// Whose log it is.
    pub fn session(&self) -> PublicId {
        self.session
    }

    /// The last number of the log it has taken in.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Stored events so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last stored event so far.
    pub fn last(&self) -> EventId {
        self.last
    }

    /// About how many bytes it holds of what was said.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Whether no model is being asked: only then may telling begin here, or the start of an answer is missing.
    pub fn is_between(&self) -> bool {
        self.open.iter().all(|turn| turn.reason.is_none())
    }

    /// Whether a turn is going, and does not wait for somebody.
    pub fn is_going(&self) -> bool {
        self.open.iter().any(|turn| turn.activated && turn.is_going())
    }

    /// Takes in the next entry, and tells its events.
    pub fn take(&mut self, entry: &Entry, sink: &mut dyn Sink) {
        self.millis = self.millis.max(entry.at.0 / 1000);
        (self.seq, self.sub, self.at) = (entry.seq, 0, entry.at);
        self.position = entry.last_seq();
        if let Fact::RunStarted(start) = &entry.fact {
            if start.parent.is_none() {
                let view = RunView::new(entry.run, entry.at, start);
                self.begin(view, sink);
            }
            return;
        }
        let Some(place) = self.open.iter().position(|turn| turn.view.run == entry.run) else { return };
        // Out of the list while it is told, so that it may ask for ids and numbers.
        let mut turn = self.open.remove(place);
        if let Fact::Said { pieces } = &entry.fact {
            self.said(&mut turn, pieces, sink);
        } else {
            turn.tell(self, &entry.fact, sink);
        }
        if turn.view.outcome.is_some() {
            self.end(&turn);
        } else {
            self.open.insert(place, turn);
        }
    }

    fn begin(&mut self, view: RunView, sink: &mut dyn Sink) {
        let mut turn = Turn::begin(self, view, sink);
        turn.view.input = without_bytes(&turn.view.input);
        self.open.push(turn);
    }

    fn end(&mut self, turn: &Turn) {
        let messages = match source(&turn.view.spec) {
            Source::Client => turn.view.conversation(),
            Source::File => turn.view.messages(),
        };
        self.weight = messages.iter().map(weight).fold(self.weight, usize::saturating_add);
        self.past.push((turn.view.run, messages.into()));
    }

    fn said(&mut self, turn: &mut Turn, pieces: &[Piece], sink: &mut dyn Sink) {
        for piece in pieces {
            if matches!(piece, Piece::Reasoning(_)) {
                turn.thinks(self, sink);
            }
            turn.view.apply_fact(self.at, &Fact::Said { pieces: vec![piece.clone()] });
            if turn.reason.is_some() {
                // Behind whatever stored event the piece may have.
                let id = EventId::new(self.millis, self.seq, u32::MAX, self.mark);
                sink.piece(id, self.at, piece);
            } else if let Piece::Text(text) = piece {
                turn.unasked.push_str(text);
            }
            self.seq = self.seq.saturating_add(1);
            self.sub = 0;
        }
    }

    /// Tells an event; `data` is asked for only if somebody wants it.
    pub(super) fn emit(
        &mut self,
        sink: &mut dyn Sink,
        kind: Kind,
        context: &Context,
        data: impl FnOnce(&Self, &dyn Sink) -> Value,
    ) -> EventId {
        let id = self.upcoming();
        self.sub = self.sub.saturating_add(1);
        self.count = self.count.saturating_add(1);
        self.last = id;
        if sink.wants(kind, id) {
            let data = data(self, sink);
            let sequence = Some(self.count);
            sink.event(Event { id, kind, at: self.at, sequence, context: context.clone(), data });
        }
        id
    }

    /// The question whose last event was just told.
    pub(super) fn question(&self, context: Context) -> Question {
        Question { id: self.last, sequence: self.count, context }
    }

    /// The id of the event that is told next.
    pub(super) fn upcoming(&self) -> EventId {
        EventId::new(self.millis, self.seq, self.sub, self.mark)
    }

    /// When the present entry was decided.
    pub(super) fn now(&self) -> Timestamp {
        self.at
    }

    /// The log's number that is being told.
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    /// Whether the session has begun; it has from now on.
    pub(super) fn begun(&mut self) -> bool {
        std::mem::replace(&mut self.begun, true)
    }

    /// What earlier runs said.
    pub(super) fn said_by(&self, run: RunId) -> &[Message] {
        let found = self.past.iter().rev().find(|(past, _)| *past == run);
        found.map_or(&[], |(_, messages)| messages)
    }
}

fn source(spec: &Spec) -> Source {
    models::leader(spec).map(|agent| agent.source).unwrap_or_default()
}

/// An input as it is remembered: bytes of pictures are told once, with their message.
pub(super) fn without_bytes(input: &Input) -> Input {
    let mut input = input.clone();
    for media in &mut input.media {
        if let MediaSource::Base64(bytes) = &mut media.source {
            bytes.clear();
        }
    }
    input
}

fn weight(message: &Message) -> usize {
    match message {
        Message::System { text } => text.len(),
        Message::User { input } => input.text.len(),
        Message::Assistant { text, reasoning, tool_calls } => {
            let calls: usize = tool_calls.iter().map(|call| call.arguments.len()).sum();
            text.len().saturating_add(reasoning.len()).saturating_add(calls)
        }
        Message::Tool { content, .. } => content.len(),
    }
}
