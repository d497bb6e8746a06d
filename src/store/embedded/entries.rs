//! Entries of logs as they are stored: JSON, in parts where it is long.

use std::ops::ControlFlow;

use bytes::{Buf, BufMut};

use super::keys;
use super::kv::{Direction, Kv};
use super::overlay::Overlay;
use super::sealed::{self, PART_BYTES};
use crate::domain::fact::{Entry, Fact, Seq};
use crate::store::{Log, StoreError};

/// Bytes before the JSON in an entry's first part: number of parts, checksum of the whole.
const PREFIX_BYTES: usize = 8;

/// An entry on its way to the engine.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// What it says.
    pub(super) entry: Entry,
    /// The same as JSON; pieces are merged first, and have none.
    pub(super) json: Option<Vec<u8>>,
}

impl Draft {
    /// Writes the JSON of anything but pieces.
    pub(super) fn new(entry: Entry) -> Result<Self, StoreError> {
        let json = if is_said(&entry) { None } else { Some(to_json(&entry)?) };
        Ok(Self { entry, json })
    }

    /// About as many bytes as it will take.
    pub(super) fn bytes(&self) -> usize {
        self.json.as_ref().map_or_else(|| said_bytes(&self.entry), Vec::len)
    }
}

/// Whether it holds pieces of an answer and nothing else.
pub(super) fn is_said(entry: &Entry) -> bool {
    matches!(entry.fact, Fact::Said { .. })
}

/// About as many bytes as an entry of pieces takes as JSON.
pub(super) fn said_bytes(entry: &Entry) -> usize {
    use crate::domain::fact::Piece;
    let Fact::Said { pieces } = &entry.fact else { return 0 };
    let text = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text.len() + 10,
    };
    100 + pieces.iter().map(text).sum::<usize>()
}

/// Whether the entries are numbered without gaps from `after + 1`.
pub(super) fn follow(after: Seq, entries: &[Entry]) -> bool {
    let mut last = after;
    entries.iter().all(|entry| {
        let follows = last.checked_add(1) == Some(entry.seq);
        last = entry.last_seq();
        follows
    })
}

/// Pieces that are merged into one entry, at most and about.
const MERGED_PIECES: usize = 512;

/// Their text, in bytes: whoever reads an entry holds all of it.
const MERGED_BYTES: usize = 64 * 1024;

/// Merges neighbours that hold pieces of the same run, up to a size; the first one's number and moment stay.
pub(super) fn coalesce(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::with_capacity(drafts.len());
    let mut bytes = 0;
    for draft in drafts {
        bytes += said_bytes(&draft.entry);
        if let Some(last) = merged.last_mut()
            && last.entry.run == draft.entry.run
            && let Fact::Said { pieces: more } = &draft.entry.fact
            && !more.is_empty()
            && let Fact::Said { pieces } = &mut last.entry.fact
            && !pieces.is_empty()
            && pieces.len() < MERGED_PIECES
            && bytes < MERGED_BYTES
        {
            pieces.extend_from_slice(more);
            continue;
        }
        bytes = said_bytes(&draft.entry);
        merged.push(draft);
    }
    merged
}

/// Writes an entry, in as many parts as it needs.
pub(super) fn write(overlay: &mut Overlay<'_>, log: &Log, draft: Draft) -> Result<(), StoreError> {
    let json = match draft.json {
        Some(json) => json,
        None => to_json(&draft.entry)?,
    };
    let mut whole = Vec::with_capacity(json.len() + PREFIX_BYTES);
    whole.put_u32((json.len() + PREFIX_BYTES).div_ceil(PART_BYTES) as u32);
    whole.put_u32(crc32fast::hash(&json));
    whole.put_slice(&json);
    for (part, payload) in (0..).zip(whole.chunks(PART_BYTES)) {
        let at = keys::entry(log, draft.entry.seq, part);
        let value = sealed::seal(&at, payload);
        overlay.set(at, value);
    }
    Ok(())
}

/// Durable entries with numbers over `after`, at most up to `head`, in order.
///
/// # Errors
/// [`StoreError::Damaged`] if one of them cannot be read or is not there.
pub(super) fn read(
    kv: &dyn Kv,
    log: &Log,
    after: Seq,
    head: Seq,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut found: Vec<Entry> = Vec::new();
    if after >= head || limit == 0 {
        return Ok(found);
    }
    let damaged = |seq: Seq| StoreError::Damaged(format!("entry {seq} of session {}", log.session).into());
    let prefix = keys::entries(log);
    let start = start_of(kv, log, &prefix, after + 1)?.ok_or_else(|| damaged(after + 1))?;
    let mut expected = start;
    let mut reading = Reading::default();
    let mut broken = false;
    kv.scan(&keys::entry(log, start, 0)..&keys::after(&prefix), Direction::Forward, &mut |key, value| {
        if reading.is_empty() && expected > head {
            return ControlFlow::Break(());
        }
        match reading.take(&prefix, key, value, expected) {
            Some(None) => return ControlFlow::Continue(()),
            Some(Some(entry)) => {
                expected = entry.last_seq() + 1;
                if entry.last_seq() > after {
                    found.push(entry);
                }
            }
            None => broken = true,
        }
        if broken || found.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if broken || (found.len() < limit && expected <= head) {
        return Err(damaged(expected));
    }
    Ok(found)
}

/// The number of the entry that covers `seq`: an entry of several pieces may begin before it.
fn start_of(kv: &dyn Kv, log: &Log, prefix: &[u8], seq: Seq) -> Result<Option<Seq>, StoreError> {
    let mut start = None;
    let end = keys::entry(log, seq, u32::MAX);
    kv.scan(prefix..&end, Direction::Backward, &mut |key, _| {
        start = keys::seq_in(prefix, key).map(|(seq, _)| seq);
        ControlFlow::Break(())
    })?;
    Ok(start)
}

/// An entry of which some parts were seen.
#[derive(Default)]
struct Reading {
    parts: u32,
    seen: u32,
    checksum: u32,
    json: Vec<u8>,
}

impl Reading {
    fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Takes the next part: nothing if it is not the one that belongs here, else the entry once it is whole.
    fn take(&mut self, prefix: &[u8], key: &[u8], value: &[u8], expected: Seq) -> Option<Option<Entry>> {
        let mut payload = sealed::open(key, value)?;
        if keys::seq_in(prefix, key)? != (expected, self.seen) {
            return None;
        }
        if self.seen == 0 {
            self.parts = payload.try_get_u32().ok()?;
            self.checksum = payload.try_get_u32().ok()?;
        }
        self.json.extend_from_slice(payload);
        self.seen += 1;
        if self.seen < self.parts {
            return Some(None);
        }
        let whole = std::mem::take(self);
        if crc32fast::hash(&whole.json) != whole.checksum {
            return None;
        }
        let entry: Entry = serde_json::from_slice(&whole.json).ok()?;
        (entry.seq == expected).then_some(Some(entry))
    }
}

fn to_json(entry: &Entry) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(entry).map_err(|error| StoreError::Damaged(error.to_string().into()))
}
