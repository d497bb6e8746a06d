//! Pieces of an answer as deltas: gathered for a moment, told live, stored nowhere.
//!
//! A client that comes back in the middle of an answer is told the rest of it, without a gap: the place of a delta is
//! that of its last piece. Of answers that were over when the client came nothing is told, unless it had seen a part.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::event::{Event, EventId};
use super::filter::Cursor;
use super::fold::Question;
use super::kind::Kind;
use crate::domain::fact::{Piece, Seq};
use crate::domain::time::Timestamp;

/// No more than one delta is told in this time.
const PAUSE: Duration = Duration::from_millis(100);

/// Gathers pieces for one client.
#[derive(Debug)]
pub struct Deltas {
    cursor: Cursor,
    /// Where the log ended when the client came.
    live_from: Seq,
    question: Option<Question>,
    /// Whether the client had seen the question.
    seen: bool,
    text: String,
    reasoning: String,
    pending: Option<Pending>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    kind: Kind,
    delta: String,
    id: EventId,
    at: Timestamp,
}

impl Deltas {
    /// For a client that stands at the cursor, when the log ends there.
    pub fn new(cursor: Cursor, live_from: Seq) -> Self {
        Self {
            cursor,
            live_from,
            question: None,
            seen: false,
            text: String::new(),
            reasoning: String::new(),
            pending: None,
            last: None,
        }
    }

    /// A question is asked.
    pub fn asked(&mut self, question: &Question) {
        self.seen = match self.cursor {
            Cursor::Start | Cursor::Entry(_) => false,
            Cursor::Id(id) => question.id <= id,
            Cursor::Sequence(after) => question.sequence <= after,
        };
        self.question = Some(question.clone());
        self.text.clear();
        self.reasoning.clear();
        self.pending = None;
    }

    /// A piece of the answer; what must be told before it.
    pub fn piece(&mut self, id: EventId, at: Timestamp, piece: &Piece) -> Option<Event> {
        let (kind, text) = match piece {
            Piece::Text(text) => (Kind::OutputDelta, text),
            Piece::Reasoning(text) => (Kind::ThinkingDelta, text),
        };
        let other = self.pending.as_ref().is_some_and(|pending| pending.kind != kind);
        let before = if other { self.flush() } else { None };
        match piece {
            Piece::Text(text) => self.text.push_str(text),
            Piece::Reasoning(text) => self.reasoning.push_str(text),
        }
        let is_new = if let Cursor::Id(after) = self.cursor { id > after } else { true };
        if is_new {
            match &mut self.pending {
                Some(pending) => {
                    pending.delta.push_str(text);
                    (pending.id, pending.at) = (id, at);
                }
                None => self.pending = Some(Pending { kind, delta: text.clone(), id, at }),
            }
        }
        before
    }

    /// A stored event is told before what is gathered: whoever comes back after the delta has seen that event too.
    pub fn overtaken(&mut self, by: EventId) {
        if let Some(pending) = &mut self.pending {
            pending.id = pending.id.max(by.behind());
        }
    }

    /// The answer is over; what is still to be told of it.
    pub fn answered(&mut self, end: Seq) -> Option<Event> {
        let rest = if end > self.live_from || self.seen { self.flush() } else { None };
        (self.question, self.pending) = (None, None);
        rest
    }

    /// When the next delta is to be told, if one is to be; `position` is how far the log was told.
    pub fn due(&self, position: Seq) -> Option<Instant> {
        let is_due = self.pending.is_some() && position >= self.live_from;
        is_due.then(|| self.last.map_or_else(Instant::now, |last| last + PAUSE))
    }

    /// What was gathered, as a delta.
    pub fn flush(&mut self) -> Option<Event> {
        let pending = self.pending.take()?;
        let context = self.question.as_ref()?.context.clone();
        self.last = Some(Instant::now());
        let accumulated = if pending.kind == Kind::ThinkingDelta { &self.reasoning } else { &self.text };
        let data: Value =
            json!({ "turn_id": context.turn_id, "delta": pending.delta, "accumulated": accumulated });
        Some(Event { id: pending.id, kind: pending.kind, at: pending.at, sequence: None, context, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::everruns::events::event::Context;

    #[test]
    fn ids_rise_also_where_a_message_joins_while_pieces_are_gathered() {
        let id = |seq, sub| EventId::new(1, seq, sub, 7);
        let mut deltas = Deltas::new(Cursor::Start, 0);
        deltas.asked(&Question { id: id(1, 0), sequence: 1, context: Context::default() });
        deltas.piece(id(2, u32::MAX), Timestamp(0), &Piece::Text("One ".into()));
        deltas.overtaken(id(3, 0));
        let told = deltas.flush();
        assert!(told.is_some_and(|delta| delta.id > id(3, 0) && delta.id < id(4, 0)));
    }
}
