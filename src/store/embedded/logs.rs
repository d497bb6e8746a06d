//! What is known of each log in memory: its durable head, and the pieces that wait to become durable.
//!
//! One lock guards both and the tail files, and is held for a write of a few hundred bytes at most. While the
//! committer has a log in its hands the log is busy: nobody else may add to it, so the pieces that a fact takes
//! along are the ones that were there when it was checked.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entries::{self, said_bytes};
use super::kv::io_error;
use super::tail::{self, Frame, Segment, Tail};
use crate::domain::fact::{Entry, Seq};
use crate::store::{Append, Log, StoreError};

/// When a log has more waiting, its next pieces go through the committer and take them along.
const MAX_WAITING_BYTES: usize = 1024 * 1024;
/// How many idle logs are remembered; others are looked up again.
const MAX_KNOWN: usize = 16 * 1024;

/// All logs that were touched lately.
pub(super) struct Logs {
    inner: Mutex<Inner>,
}

struct Inner {
    known: HashMap<Log, LogState>,
    tail: Option<Tail>,
    broken: Option<StoreError>,
}

#[derive(Default)]
struct LogState {
    durable: Seq,
    waiting: Vec<Waiting>,
    bytes: usize,
    busy: bool,
}

struct Waiting {
    entry: Entry,
    segment: Segment,
}

impl LogState {
    fn head(&self) -> Seq {
        self.waiting.last().map_or(self.durable, |last| last.entry.last_seq())
    }
}

/// What became of a log in a group that is durable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Facts were added; what waited was taken along.
    Grown(Seq),
    /// It was taken away.
    Forgotten,
}

impl Logs {
    /// Knows nothing yet; without a tail pieces are kept in memory alone.
    pub(super) fn new(tail: Option<Tail>) -> Self {
        Self { inner: Mutex::new(Inner { known: HashMap::new(), tail, broken: None }) }
    }

    /// Takes over what an earlier process left waiting; `head_of` says where a log's durable entries end.
    pub(super) fn recover(
        &self,
        frames: Vec<Frame>,
        mut head_of: impl FnMut(&Log) -> Result<Seq, StoreError>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let Inner { known, tail: Some(tail), .. } = &mut *inner else { return Ok(()) };
        let kept = waiting(frames, &mut head_of)?;
        let first = tail.next_segment();
        for (log, (head, waiting)) in kept.into_iter().filter(|(_, (_, waiting))| !waiting.is_empty()) {
            let frame = tail::frame(&log, &waiting)?;
            let segment = tail.write(&frame, waiting.len()).map_err(|error| io_error(&error))?;
            let durable = waiting.first().map_or(head, |first| first.seq - 1);
            let bytes = waiting.iter().map(said_bytes).sum();
            let waiting = waiting.into_iter().map(|entry| Waiting { entry, segment }).collect();
            known.insert(log, LogState { durable, waiting, bytes, busy: false });
        }
        let removed = tail.sync().and_then(|()| tail.remove_before(first));
        removed.map_err(|error| io_error(&error))
    }

    /// Writes pieces without syncing them, if the committer need not be asked; says whether it did.
    pub(super) fn say(&self, append: &Append) -> Result<bool, StoreError> {
        let frame = tail::frame(&append.log, &append.entries)?;
        let mut inner = self.lock();
        let Inner { known, tail, broken } = &mut *inner;
        let Some(state) = known.get_mut(&append.log).filter(|_| broken.is_none()) else { return Ok(false) };
        if state.busy || state.bytes > MAX_WAITING_BYTES {
            return Ok(false);
        }
        if state.head() != append.after {
            return Err(wrong_head(&append.log, append.after, state.head()));
        }
        let segment = match tail {
            Some(tail) => tail.write(&frame, append.entries.len()).map_err(|error| io_error(&error))?,
            None => 0,
        };
        state.bytes += append.entries.iter().map(said_bytes).sum::<usize>();
        state.waiting.extend(append.entries.iter().map(|entry| Waiting { entry: entry.clone(), segment }));
        Ok(true)
    }

    /// The durable head, and the first `most` that wait with numbers over `after`; nothing if the log is not known.
    pub(super) fn after(&self, log: &Log, after: Seq, most: usize) -> Option<(Seq, Vec<Entry>)> {
        let inner = self.lock();
        let state = inner.known.get(log)?;
        let news =
            state.waiting.iter().map(|waiting| &waiting.entry).filter(|entry| entry.last_seq() > after);
        Some((state.durable, news.take(most).cloned().collect()))
    }

    /// The last number, pieces that wait included; nothing if the log is not known.
    pub(super) fn head(&self, log: &Log) -> Option<Seq> {
        self.lock().known.get(log).map(LogState::head)
    }

    /// Hands a log to the committer; `durable` is where its stored entries end, if it is not known yet.
    /// Gives the durable head and what waits.
    pub(super) fn begin(&self, log: &Log, durable: Seq) -> (Seq, Vec<Entry>) {
        let mut inner = self.lock();
        let fresh = LogState { durable, ..LogState::default() };
        let state = inner.known.entry(log.clone()).or_insert(fresh);
        state.busy = true;
        (state.durable, state.waiting.iter().map(|waiting| waiting.entry.clone()).collect())
    }

    /// Shows what a durable group did to its logs. They stay busy until [`Logs::end`].
    ///
    /// # Errors
    /// When it cannot be written down that a log is gone, so that its pieces would come back.
    pub(super) fn publish<'a>(
        &self,
        outcomes: impl Iterator<Item = (&'a Log, Outcome)>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let Inner { known, tail, .. } = &mut *inner;
        let mut result = Ok(());
        let mut gone = false;
        for (log, outcome) in outcomes {
            if let Some(tail) =
                tail.as_mut().filter(|tail| outcome == Outcome::Forgotten && tail.holds_frames())
            {
                gone = true;
                result = result.and(write_gone(tail, log));
            }
            let Some(state) = known.get_mut(log) else { continue };
            state.durable = match outcome {
                Outcome::Grown(head) => head,
                Outcome::Forgotten => 0,
            };
            state.bytes = 0;
            let waited = std::mem::take(&mut state.waiting);
            let Some(tail) = tail else { continue };
            waited.into_iter().for_each(|waiting| tail.release(waiting.segment));
        }
        match tail {
            Some(tail) if gone => result.and(tail.sync().map_err(|error| io_error(&error))),
            Some(_) | None => result,
        }
    }

    /// The committer lets go of the logs.
    pub(super) fn end<'a>(&self, logs: impl Iterator<Item = &'a Log>) {
        let mut inner = self.lock();
        for log in logs {
            if let Some(state) = inner.known.get_mut(log) {
                state.busy = false;
            }
        }
        if inner.known.len() > MAX_KNOWN {
            inner.known.retain(|_, state| state.busy || !state.waiting.is_empty());
        }
    }

    /// Looks again at what is known, after a failure: what became durable all the same waits no more.
    pub(super) fn reset(
        &self,
        forgotten: &[Log],
        mut head_of: impl FnMut(&Log) -> Result<Seq, StoreError>,
    ) -> Result<(), StoreError> {
        self.publish(forgotten.iter().map(|log| (log, Outcome::Forgotten)))?;
        let mut inner = self.lock();
        let Inner { known, tail, .. } = &mut *inner;
        known.retain(|_, state| !state.waiting.is_empty());
        for (log, state) in known.iter_mut() {
            let durable = head_of(log)?;
            let (done, waiting) = std::mem::take(&mut state.waiting)
                .into_iter()
                .partition(|waiting| waiting.entry.last_seq() <= durable);
            let bytes = state.bytes;
            *state = LogState { durable, waiting, bytes, busy: false };
            let done: Vec<Waiting> = done;
            if let Some(tail) = tail {
                done.into_iter().for_each(|done| tail.release(done.segment));
            }
        }
        Ok(())
    }

    /// Writes are welcome again.
    pub(super) fn mend(&self) {
        self.lock().broken = None;
    }

    /// From now on every write is refused with this error.
    pub(super) fn break_down(&self, error: StoreError) {
        self.lock().broken.get_or_insert(error);
    }

    /// The engine is open again, and the room that is kept for a full disk in use: nothing may grow.
    pub(super) fn refuse_growth(&self) {
        self.lock().broken = Some(StoreError::Full);
    }

    /// Why writes are refused, if they are.
    pub(super) fn broken(&self) -> Option<StoreError> {
        self.lock().broken.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where each log ends, and what of these frames waits to become durable there.
pub(super) fn waiting(
    frames: Vec<Frame>,
    head_of: &mut dyn FnMut(&Log) -> Result<Seq, StoreError>,
) -> Result<HashMap<Log, (Seq, Vec<Entry>)>, StoreError> {
    let mut kept: HashMap<Log, (Seq, Vec<Entry>)> = HashMap::new();
    for (log, entries) in frames {
        if entries.is_empty() {
            kept.remove(&log);
            continue;
        }
        if !kept.contains_key(&log) {
            let head = match head_of(&log) {
                // One log that cannot be read must not keep the others from opening.
                Err(StoreError::Damaged(what)) => {
                    tracing::warn!(%what, "pieces are dropped, for nobody knows where they belong");
                    continue;
                }
                head => head?,
            };
            kept.insert(log.clone(), (head, Vec::new()));
        }
        let Some((head, waiting)) = kept.get_mut(&log) else { continue };
        for entry in entries {
            if entry.seq == *head + 1 {
                *head = entry.last_seq();
                waiting.push(entry);
            } else if entry.seq > *head {
                tracing::warn!(session = %log.session, seq = entry.seq, "a piece behind a gap is dropped");
            }
        }
    }
    Ok(kept)
}

/// The log is not where the batch expects it.
pub(super) fn wrong_head(log: &Log, expected: Seq, found: Seq) -> StoreError {
    StoreError::Conflict(format!("session {}: its log ends at {found}, not at {expected}", log.session))
}

/// The entries do not belong together.
pub(super) fn check_numbers(append: &Append) -> Result<(), StoreError> {
    if entries::follow(append.after, &append.entries) {
        return Ok(());
    }
    let Append { log, after, .. } = append;
    Err(StoreError::Conflict(format!("session {}: entries not numbered from {}", log.session, after + 1)))
}

fn write_gone(tail: &mut Tail, log: &Log) -> Result<(), StoreError> {
    let frame = tail::frame(log, &[])?;
    let written: io::Result<Segment> = tail.write(&frame, 0);
    written.map(|_| ()).map_err(|error| io_error(&error))
}
