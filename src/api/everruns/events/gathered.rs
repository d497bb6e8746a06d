//! Events that fit a filter, gathered for a list: pieces of answers are no part of one.

use serde_json::Value;

use super::event::{Event, EventId};
use super::filter::{Cursor, Filter};
use super::fold::{Question, Sink};
use super::kind::Kind;
use super::reading::Tools;
use crate::domain::fact::{Piece, Seq};
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;

/// Takes what fits, and has nothing else made.
pub(super) struct Gathered<'a> {
    filter: &'a Filter,
    tools: &'a Tools,
    /// Of events with these ids only.
    within: (EventId, EventId),
    /// The number of the last event that was told.
    sequence: u64,
    /// In the log's order.
    pub(super) events: Vec<Event>,
}

impl<'a> Gathered<'a> {
    /// From a place on before which there are so many events.
    pub(super) fn new(filter: &'a Filter, tools: &'a Tools, sequence: u64) -> Self {
        Self { filter, tools, within: (EventId::default(), EventId::MAX), sequence, events: Vec::new() }
    }

    /// Only events from the one of these ids to the other.
    pub(super) fn within(self, first: EventId, last: EventId) -> Self {
        Self { within: (first, last), ..self }
    }
}

impl Sink for Gathered<'_> {
    fn wants(&mut self, kind: Kind, id: EventId) -> bool {
        self.sequence = self.sequence.saturating_add(1);
        let is_after = match self.filter.after {
            Cursor::Id(after) => id > after,
            Cursor::Sequence(after) => self.sequence > after,
            Cursor::Start | Cursor::Entry(_) => true,
        };
        let is_before = self.filter.before.is_none_or(|before| self.sequence < before);
        let is_within = self.within.0 <= id && id <= self.within.1;
        is_after && is_before && is_within && self.filter.takes(kind)
    }

    fn event(&mut self, event: Event) {
        if self.filter.fits(&event) {
            self.events.push(event);
        }
    }

    fn asked(&mut self, _: &Question) {}

    fn piece(&mut self, _: EventId, _: Timestamp, _: &Piece) {}

    fn answered(&mut self, _: Seq) {}

    fn tools(&self, view: &RunView) -> Value {
        self.tools.list(view)
    }
}

/// The places of events that may be wanted, and nothing of what they tell.
pub(super) struct Places<'a>(pub(super) Gathered<'a>, pub(super) Vec<EventId>);

impl Sink for Places<'_> {
    fn wants(&mut self, kind: Kind, id: EventId) -> bool {
        if self.0.wants(kind, id) {
            self.1.push(id);
        }
        false
    }

    fn event(&mut self, _: Event) {}

    fn asked(&mut self, _: &Question) {}

    fn piece(&mut self, _: EventId, _: Timestamp, _: &Piece) {}

    fn answered(&mut self, _: Seq) {}

    fn tools(&self, _: &RunView) -> Value {
        Value::Null
    }
}
