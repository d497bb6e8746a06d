//! Appends to the log, and lets any number of watchers read it, from any point, without a seam.
//!
//! A [`Room`] is a session's place in memory while somebody writes or watches: one pen, the latest entries, and
//! a mark of how far the log goes. Watchers are told only that there is more and read it themselves, from the
//! latest entries or from the store, so none can miss anything and none can slow a writer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::Stream;
use futures::stream;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncGuard, watch};

use super::desk::{Desk, Memory};
use super::error::Error;
use super::lineage::{self, Lineage};
use super::past::Past;
use crate::domain::fact::{Entry, Fact, Piece, Seq};
use crate::domain::id::RunId;
use crate::domain::time::Timestamp;
use crate::store::{Append, Batch, Log, Store};

/// Entries a room keeps for watchers that are up to date; others read from the store.
const KEPT_ENTRIES: usize = 256;

/// Rooms kept for sessions that may go on soon.
const KEPT_ROOMS: usize = 128;

/// Entries they keep.
const LAST_ENTRIES: usize = 8;

/// Entries read from the store at a time.
const READ_AHEAD: usize = 8;

/// What a watcher holds of them, in bytes and about, but for a single one that is larger.
const AHEAD_BYTES: usize = 32 * 1024;

/// Pieces passed on at a time: each becomes an event, which is many times as large.
const PIECES_AT_ONCE: u64 = 32;

/// Lost races against another process before a write is given up.
const MAX_RACES: usize = 5;

/// A fact and when it was decided.
pub(super) type Dated = (Timestamp, Fact);

/// Writes and watches logs.
pub(super) struct Journal {
    store: Arc<dyn Store>,
    rooms: Mutex<HashMap<Log, Weak<Room>>>,
    kept: Mutex<VecDeque<Arc<Room>>>,
}

/// A session's place in memory.
pub(super) struct Room {
    pub(super) log: Log,
    pen: AsyncMutex<Memory>,
    recent: Mutex<VecDeque<Arc<Entry>>>,
    past: Mutex<Past>,
    head: watch::Sender<Mark>,
}

/// How far a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Nobody has looked.
    Unknown,
    /// To here.
    At(Seq),
    /// It was taken away.
    Gone,
}

impl Room {
    fn new(log: Log) -> Self {
        Self {
            log,
            pen: AsyncMutex::default(),
            recent: Mutex::default(),
            past: Mutex::default(),
            head: watch::Sender::new(Mark::Unknown),
        }
    }

    /// The right to write, and what the writer before remembered.
    pub(super) async fn pen(&self) -> AsyncGuard<'_, Memory> {
        self.pen.lock().await
    }

    /// What was said before.
    pub(super) fn past(&self) -> MutexGuard<'_, Past> {
        unpoisoned(&self.past)
    }

    /// Says that the log was taken away: watchers end, writers fail.
    pub(super) fn close(&self) {
        self.head.send_replace(Mark::Gone);
    }

    /// Whether the log was taken away; its session may be there again, in another room.
    pub(super) fn is_closed(&self) -> bool {
        *self.head.borrow() == Mark::Gone
    }

    fn publish(&self, entries: Vec<Entry>, head: Seq) {
        let mut recent = unpoisoned(&self.recent);
        let follows = recent.back().map(|last| last.last_seq().saturating_add(1));
        if follows.is_some() && follows != entries.first().map(|first| first.seq) && !entries.is_empty() {
            recent.clear();
        }
        recent.extend(entries.into_iter().map(Arc::new));
        let over = recent.len().saturating_sub(KEPT_ENTRIES);
        recent.drain(..over);
        drop(recent);
        self.head.send_replace(Mark::At(head));
    }

    /// The first entry after `after`, if it is among the latest.
    fn recent_after(&self, after: Seq) -> Option<Arc<Entry>> {
        let recent = unpoisoned(&self.recent);
        let from = recent.partition_point(|entry| entry.last_seq() <= after);
        let found = recent.get(from)?;
        // Older entries may have left: only a seamless continuation counts.
        (from > 0 || found.seq <= after.saturating_add(1)).then(|| found.clone())
    }
}

impl Journal {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, rooms: Mutex::default(), kept: Mutex::default() }
    }

    /// The room of a session; it stays as long as somebody holds it.
    pub(super) fn room(&self, log: &Log) -> Arc<Room> {
        let mut rooms = unpoisoned(&self.rooms);
        if let Some(room) = rooms.get(log).and_then(Weak::upgrade).filter(|room| !room.is_closed()) {
            return room;
        }
        if rooms.len() == rooms.capacity() {
            rooms.retain(|_, room| room.strong_count() > 0);
        }
        let room = Arc::new(Room::new(log.clone()));
        rooms.insert(log.clone(), Arc::downgrade(&room));
        room
    }

    /// Keeps a room for the next run of its session, in place of the one that was longest without any. Whoever
    /// watches the run that has just ended is about to read its last entries; the others go.
    pub(super) fn keep(&self, room: &Arc<Room>) {
        let mut recent = unpoisoned(&room.recent);
        let over = recent.len().saturating_sub(LAST_ENTRIES);
        recent.drain(..over);
        recent.shrink_to_fit();
        drop(recent);
        let mut kept = unpoisoned(&self.kept);
        if let Some(at) = kept.iter().position(|other| Arc::ptr_eq(other, room)) {
            kept.remove(at);
        }
        kept.push_back(room.clone());
        let longest = if kept.len() > KEPT_ROOMS { kept.pop_front() } else { None };
        drop(kept);
        drop(longest);
    }

    /// Writes facts of a run, and whatever `fill` puts on the desk beside them, in one batch.
    ///
    /// `fill` is called with the pen held and may be called again when another process was faster. When this
    /// returns, the facts are durable and shown. Says the number of the first.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the log does not end at `expected`, where that is given; what the store says.
    pub(super) async fn append(
        &self,
        room: &Room,
        expected: Option<Seq>,
        parts: &[(RunId, &[Dated])],
        mut fill: impl FnMut(&mut Desk) -> Result<(), Error>,
    ) -> Result<Seq, Error> {
        let mut memory = room.pen().await;
        for _ in 0..MAX_RACES {
            if room.is_closed() {
                return Err(Error::NoSession(room.log.session.clone()));
            }
            let mut desk = memory.desk(&*self.store, &room.log).await?;
            if expected.is_some_and(|expected| expected != desk.head()) {
                return Err(Error::Conflict("the log went on meanwhile".into()));
            }
            fill(&mut desk)?;
            let first = desk.head().saturating_add(1);
            let entries = numbered(first, parts);
            let head = entries.last().map_or(desk.head(), Entry::last_seq);
            let append = Append { log: room.log.clone(), after: desk.head(), entries: entries.clone() };
            let (mut batch, remembered) = desk.into_batch()?;
            if !append.entries.is_empty() {
                batch.append = Some(append);
            }
            // Should this future be dropped while the store works, the next writer must read again.
            memory.forget();
            match self.store.commit(batch).await {
                Ok(()) => {
                    memory.remember(head, remembered);
                    room.publish(entries, head);
                    return Ok(first);
                }
                Err(crate::store::StoreError::Conflict(what)) => {
                    tracing::debug!(what, "lost a race, reading again");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Conflict("changed by somebody else meanwhile; try again".into()))
    }

    /// Where a session's log ends, as the store knows it.
    pub(super) async fn head(&self, room: &Room) -> Result<Seq, Error> {
        Ok(self.store.head(&room.log).await?)
    }

    /// Writes what `fill` puts on the desk, and no facts.
    pub(super) async fn write(
        &self,
        room: &Room,
        fill: impl FnMut(&mut Desk) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.append(room, None, &[], fill).await.map(drop)
    }

    /// Writes pieces of an answer: written before they are shown, durable with the next fact.
    pub(super) async fn say(
        &self,
        room: &Room,
        run: RunId,
        at: Timestamp,
        pieces: Vec<Piece>,
    ) -> Result<(), Error> {
        let mut memory = room.pen().await;
        if room.is_closed() {
            return Err(Error::NoSession(room.log.session.clone()));
        }
        let after = memory.head(&*self.store, &room.log).await?;
        let entries = numbered(after.saturating_add(1), &[(run, &[(at, Fact::Said { pieces })])]);
        let head = entries.last().map_or(after, Entry::last_seq);
        let append = Append { log: room.log.clone(), after, entries: entries.clone() };
        memory.lose_head();
        self.store.commit(Batch { append: Some(append), ..Batch::default() }).await?;
        memory.advance(head);
        room.publish(entries, head);
        Ok(())
    }

    /// History, then live, without a seam. Ends only when the log is taken away.
    pub(super) fn tail(
        self: &Arc<Self>,
        log: &Log,
        after: Seq,
    ) -> impl Stream<Item = Result<Arc<Entry>, Error>> + Send + use<> {
        let room = self.room(log);
        let watcher = Watcher {
            journal: self.clone(),
            head: room.head.subscribe(),
            room,
            at: after,
            lineage: None,
            ahead: VecDeque::new(),
        };
        stream::unfold(watcher, |mut watcher| async move {
            let next = watcher.next().await?;
            Some((next, watcher))
        })
    }
}

/// One reader of a log.
struct Watcher {
    journal: Arc<Journal>,
    room: Arc<Room>,
    head: watch::Receiver<Mark>,
    at: Seq,
    /// Where the session comes from, once somebody looked.
    lineage: Option<Option<Lineage>>,
    ahead: VecDeque<Arc<Entry>>,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Arc<Entry>, Error>> {
        loop {
            // Marked as seen before reading: what comes later wakes us again.
            let mark = *self.head.borrow_and_update();
            if mark == Mark::Gone {
                return None;
            }
            if let Some(entry) = self.ahead().or_else(|| self.room.recent_after(self.at)) {
                return Some(Ok(self.take(entry)));
            }
            if mark != Mark::At(self.at) {
                match self.read().await {
                    Ok(entries) => self.ahead = bounded(entries),
                    Err(error) => return Some(Err(error)),
                }
                if !self.ahead.is_empty() {
                    continue;
                }
            }
            if self.head.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What comes next in the store; of a forked session, first what it shares with others.
    async fn read(&mut self) -> Result<Vec<Entry>, Error> {
        let store = &*self.journal.store;
        if self.lineage.is_none() {
            let (begin, lineage) = lineage::beginning(store, &self.room.log).await?;
            self.at = self.at.max(begin);
            self.lineage = Some(lineage);
        }
        if let Some(lineage) = self.lineage.as_mut().and_then(Option::as_mut)
            && self.at < lineage.point()
        {
            let shared = lineage.read(store, self.at, READ_AHEAD).await?;
            if !shared.is_empty() {
                return Ok(shared);
            }
            self.at = lineage.point();
        }
        Ok(store.read(&self.room.log, self.at, READ_AHEAD).await?)
    }

    /// The next of what was read ahead; it stays there until all of it was passed on.
    fn ahead(&mut self) -> Option<Arc<Entry>> {
        while self.ahead.front().is_some_and(|entry| entry.last_seq() <= self.at) {
            self.ahead.pop_front();
        }
        self.ahead.front().cloned()
    }

    /// Passes an entry on, without the pieces the reader has, and not too many at once.
    fn take(&mut self, entry: Arc<Entry>) -> Arc<Entry> {
        let seen = self.at.saturating_add(1).saturating_sub(entry.seq);
        let Fact::Said { pieces } = &entry.fact else {
            self.at = entry.last_seq();
            return entry;
        };
        if seen == 0 && entry.fact.width() <= PIECES_AT_ONCE {
            self.at = entry.last_seq();
            return entry;
        }
        let skip = usize::try_from(seen).unwrap_or(usize::MAX);
        let pieces: Vec<Piece> = pieces.iter().skip(skip).take(PIECES_AT_ONCE as usize).cloned().collect();
        let (run, at) = (entry.run, entry.at);
        let part = Entry { seq: entry.seq.saturating_add(seen), run, at, fact: Fact::Said { pieces } };
        self.at = part.last_seq();
        Arc::new(part)
    }
}

/// As many of the entries as a watcher may hold.
fn bounded(entries: Vec<Entry>) -> VecDeque<Arc<Entry>> {
    let mut bytes = 0_usize;
    let fits = |entry: &Entry| {
        let fits = bytes < AHEAD_BYTES;
        bytes = bytes.saturating_add(weight(&entry.fact));
        fits
    };
    entries.into_iter().take_while(fits).map(Arc::new).collect()
}

/// About how many bytes a fact holds; what may be large is taken to be.
fn weight(fact: &Fact) -> usize {
    match fact {
        Fact::Said { pieces } => {
            let text = |(Piece::Text(text) | Piece::Reasoning(text)): &Piece| text.len();
            pieces.iter().map(text).sum()
        }
        Fact::RunStarted(_)
        | Fact::RunPrepared { .. }
        | Fact::ToolFinished { .. }
        | Fact::StepFinished { .. }
        | Fact::Steered { .. } => AHEAD_BYTES,
        Fact::ModelAnswered { tool_calls, .. } if !tool_calls.is_empty() => AHEAD_BYTES,
        Fact::Forked { .. }
        | Fact::ModelCalled { .. }
        | Fact::Lost { .. }
        | Fact::ModelAnswered { .. }
        | Fact::ModelFailed { .. }
        | Fact::ToolStarted { .. }
        | Fact::ToolDoubted { .. }
        | Fact::StepStarted { .. }
        | Fact::StepDecided { .. }
        | Fact::StepFailed { .. }
        | Fact::Paused { .. }
        | Fact::Resumed { .. }
        | Fact::RunFinished { .. } => 1024,
    }
}

fn numbered(first: Seq, parts: &[(RunId, &[Dated])]) -> Vec<Entry> {
    let mut seq = first;
    let mut entries = Vec::new();
    for (run, facts) in parts {
        for (at, fact) in *facts {
            entries.push(Entry { seq, run: *run, at: *at, fact: fact.clone() });
            seq = seq.saturating_add(fact.width());
        }
    }
    entries
}

/// The lock; a panic elsewhere leaves these maps whole, so poisoning says nothing.
pub(super) fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
