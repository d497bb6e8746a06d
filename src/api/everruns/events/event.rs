//! An event and its id. Ids are a function of the log: the same after a restart, and sorted as the log is.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::kind::Kind;
use crate::api::everruns::ids::{EVENT, MESSAGE, Prefix, PublicId};
use crate::api::everruns::time::moment;
use crate::domain::fact::Seq;
use crate::domain::id::RunId;
use crate::domain::time::Timestamp;

/// Bits of a log's numbers that an id holds.
const SEQ_BITS: u32 = 40;
/// Of these, those that stand before the variant of the UUID.
const HIGH_BITS: u32 = 12;
/// Bits for the place among the events of one entry.
const SUB_BITS: u32 = 10;
/// Bits that keep ids of different sessions apart.
const MARK_BITS: u32 = 24;

/// The place of an event, as a UUIDv7 tells it: 48 bits of time, the number of the log's entry, which of the entry's
/// events it is, and a mark of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct EventId(u128);

impl EventId {
    /// `millis` must not fall from one entry to the next.
    pub fn new(millis: u64, seq: Seq, sub: u32, mark: u32) -> Self {
        let low_bits = SEQ_BITS - HIGH_BITS;
        let part = |value: u64, bits: u32| u128::from(value & ((1 << bits) - 1));
        let time = part(millis, 48) << 80;
        let version = 7_u128 << 76;
        let high = part(seq >> low_bits, HIGH_BITS) << 64;
        let variant = 2_u128 << 62;
        let low = part(seq, low_bits) << (SUB_BITS + MARK_BITS);
        let sub = part(u64::from(sub), SUB_BITS) << MARK_BITS;
        Self(time | version | high | variant | low | sub | part(u64::from(mark), MARK_BITS))
    }

    /// Any well-formed event id, also one that was not made here.
    pub fn of(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }

    /// The place behind all events of the same entry.
    pub fn behind(self) -> Self {
        Self(self.0 | ((1 << SUB_BITS) - 1) << MARK_BITS)
    }

    /// Behind all others.
    pub const MAX: Self = Self(u128::MAX);

    /// The place right before it, where no event is.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As clients see it.
    pub fn public(self) -> PublicId {
        self.under(EVENT)
    }

    /// The message that this event tells.
    pub fn message(self) -> PublicId {
        self.under(MESSAGE)
    }

    /// The same digits as another kind of id.
    pub fn under(self, prefix: Prefix) -> PublicId {
        PublicId(prefix, Uuid::from_u128(self.0))
    }
}

/// Something that happened in a session, as clients are told.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name and place.
    pub id: EventId,
    /// What it tells.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// Counts from 1; none of an event that is not stored.
    pub sequence: Option<u64>,
    /// The run it belongs to, and the step of that.
    pub context: Context,
    /// By kind.
    pub data: Value,
}

/// What an event belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Context {
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<PublicId>,
    /// The message that began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_message_id: Option<PublicId>,
    /// One for all events of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<PublicId>,
    /// The run again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<PublicId>,
    /// Of this event, or of the step or call it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// What that is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<String>,
}

impl Context {
    /// Of a run.
    pub fn of_turn(run: RunId, input: EventId) -> Self {
        let turn = crate::api::everruns::ids::turn(run);
        Self {
            turn_id: Some(turn),
            input_message_id: Some(input.message()),
            trace_id: Some(turn),
            span_id: Some(turn.to_string()),
            ..Self::default()
        }
    }

    /// Of a step of a run.
    #[must_use]
    pub fn step(&self, exec: PublicId) -> Self {
        Self {
            exec_id: Some(exec),
            span_id: Some(exec.to_string()),
            parent_span_id: self.turn_id.map(|turn| turn.to_string()),
            ..self.clone()
        }
    }

    /// Of something within a step.
    #[must_use]
    pub fn within(&self, span: String) -> Self {
        Self { parent_span_id: self.span_id.clone(), span_id: Some(span), ..self.clone() }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: PublicId,
    #[serde(rename = "type")]
    kind: &'static str,
    ts: String,
    session_id: PublicId,
    context: &'a Context,
    data: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
}

impl Event {
    /// The whole event on one line of JSON.
    pub fn json(&self, session: PublicId) -> String {
        let envelope = Envelope {
            id: self.id.public(),
            kind: self.kind.name(),
            ts: moment(self.at),
            session_id: session,
            context: &self.context,
            data: &self.data,
            sequence: self.sequence,
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_and_sort_by_time_then_place() {
        let id = EventId::new(1_700_000_000_000, 5, 1, 0xabc);
        let uuid = Uuid::from_u128(id.0);
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, uuid::Variant::RFC4122));
        let later = [
            EventId::new(1_700_000_000_000, 5, 2, 0xabc),
            EventId::new(1_700_000_000_000, 6, 0, 0xabc),
            EventId::new(1_700_000_000_000, 1 << 28, 0, 0xabc),
            EventId::new(1_700_000_000_001, 7, 0, 0xabc),
        ];
        let mut before = id;
        for next in later {
            assert!(next > before);
            before = next;
        }
    }
}
