//! Places in logs from which telling can go on, so that a client that comes back costs what is new and no more.
//!
//! Bounded in sessions, in places a session and in bytes; what is not here is told from the log's beginning.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::EventId;
use super::filter::Cursor;
use super::fold::Fold;
use crate::domain::id::{Owner, SessionId};
use crate::domain::time::Timestamp;

/// Sessions remembered.
const MOST_SESSIONS: usize = 512;
/// Places in the log of one.
const MOST_PLACES: usize = 16;
/// Bytes of what was said, in all, about.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Entries between two places that are worth keeping.
pub const STRIDE: u64 = 512;

/// Whose log, and of which life: a session may be deleted, and another made under its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose session.
    pub owner: Owner,
    /// Which.
    pub session: SessionId,
    /// When it was made.
    pub created: Timestamp,
}

#[derive(Debug)]
struct Known {
    /// In the log's order.
    places: Vec<Fold>,
    used: u64,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<Key, Known>,
    clock: u64,
    bytes: usize,
}

/// The places.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Inner>);

impl Memory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest place that is not behind the cursor.
    pub fn before(&self, key: &Key, cursor: Cursor) -> Option<Fold> {
        let mut inner = self.inner();
        inner.clock = inner.clock.saturating_add(1);
        let clock = inner.clock;
        let known = inner.sessions.get_mut(key)?;
        known.used = clock;
        known.places.iter().rev().find(|place| is_before(place, cursor)).cloned()
    }

    /// Remembers a place.
    pub fn keep(&self, key: &Key, place: Fold) {
        let mut inner = self.inner();
        inner.clock = inner.clock.saturating_add(1);
        let clock = inner.clock;
        let known =
            inner.sessions.entry(key.clone()).or_insert_with(|| Known { places: Vec::new(), used: clock });
        let before = known.weight();
        known.used = clock;
        known.put(place);
        let after = known.weight();
        inner.bytes = inner.bytes.saturating_sub(before).saturating_add(after);
        inner.make_room();
    }
}

impl Inner {
    fn make_room(&mut self) {
        while self.sessions.len() > 1 && (self.sessions.len() > MOST_SESSIONS || self.bytes > MOST_BYTES) {
            let oldest = self.sessions.iter().min_by_key(|(_, known)| known.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            if let Some(gone) = self.sessions.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(gone.weight());
            }
        }
    }
}

impl Known {
    /// Texts are shared between places: the last holds them all.
    fn weight(&self) -> usize {
        self.places.last().map_or(0, Fold::weight)
    }

    /// The last place moves on; one at the stride before it stays.
    fn put(&mut self, place: Fold) {
        let at = self.places.partition_point(|known| known.position() < place.position());
        if self.places.get(at).is_some_and(|known| known.position() == place.position()) {
            return;
        }
        self.places.insert(at, place);
        // Of places that lie close together the last is enough.
        let near = |one: Option<&Fold>, other: Option<&Fold>| {
            let (Some(one), Some(other)) = (one, other) else { return false };
            other.position().saturating_sub(one.position()) < STRIDE
        };
        let last = self.places.len().saturating_sub(1);
        if last >= 2 && near(self.places.get(last - 2), self.places.get(last - 1)) {
            self.places.remove(last - 1);
        }
        if self.places.len() > MOST_PLACES {
            let last = self.places.len() - 1;
            let mut at = 0;
            self.places.retain(|_| {
                at += 1;
                at % 2 == 1 || at > last
            });
        }
    }
}

fn is_before(place: &Fold, cursor: Cursor) -> bool {
    match cursor {
        Cursor::Start => false,
        Cursor::Id(id) => place.last() != EventId::default() && place.last() <= id,
        Cursor::Sequence(after) => place.count() <= after,
        Cursor::Entry(seq) => place.position() < seq,
    }
}
