//! One implementation of the store over a tiny key-value seam.
//!
//! [`kv`] is what an engine must do; [`sled`], [`redb`] and [`memory`] do it. [`journaled`] puts
//! a write-ahead [`journal`] before sled and redb, and [`recent`] shows what is only there. Above it [`keys`] says how things
//! sort, [`records`] and [`entries`] how they are stored, [`committer`] writes, and [`logs`] and [`tail`] hold
//! the pieces of answers that are written but not yet synced.

mod applied;
mod ballast;
mod boot;
mod committer;
#[cfg(test)]
mod damage_tests;
pub mod dump;
mod entries;
#[cfg(test)]
mod failing_tests;
mod folder;
mod frozen;
mod guarded;
mod journal;
#[cfg(test)]
mod journal_tests;
mod journaled;
mod keys;
mod kv;
mod lock;
mod logs;
mod memory;
mod open;
mod overlay;
mod readers;
mod recent;
mod records;
mod redb;
mod reopen;
mod sealed;
mod sled;
mod tail;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use self::ballast::Ballast;
use self::boot::Closing;
use self::committer::{Committer, Unit, stored_head};
use self::entries::{Draft, is_said};
use self::kv::Kv;
use self::lock::FolderLock;
use self::logs::Logs;
use self::readers::Readers;
use self::reopen::Reopen;
use super::{Append, Batch, Log, MAX_BATCH_BYTES, Store, StoreError, readable};
use crate::domain::document::{Key, Page, Query, Record};
use crate::domain::fact::{Entry, Seq};

pub use self::boot::LostPieces;
pub use self::open::{Opened, open};

/// How many batches may wait for the committer; more wait for room.
const QUEUE: usize = 1024;
/// While the engine is opened again reads wait, but not for longer.
const READERS_PATIENCE: Duration = Duration::from_secs(3);

/// An engine, and its folder, which goes when the last user of the engine has gone.
struct Engine {
    /// Nothing while it is being opened again.
    kv: watch::Sender<Option<Arc<dyn Kv>>>,
    folder: Option<Held>,
}

/// A data folder that is ours: closed first, then let go of.
struct Held {
    ballast: Ballast,
    _closing: Closing,
    _lock: FolderLock,
}

impl Engine {
    fn new(kv: Arc<dyn Kv>, folder: Option<Held>) -> Self {
        Self { kv: watch::Sender::new(Some(kv)), folder }
    }

    /// The room that is kept for a full disk.
    fn ballast(&self) -> Option<&Ballast> {
        self.folder.as_ref().map(|folder| &folder.ballast)
    }

    /// The engine, if it is open.
    fn now(&self) -> Option<Arc<dyn Kv>> {
        self.kv.borrow().clone()
    }

    /// The engine as soon as it is open; gives up after a while.
    async fn kv(&self) -> Result<Arc<dyn Kv>, StoreError> {
        if let Some(kv) = self.now() {
            return Ok(kv);
        }
        let mut states = self.kv.subscribe();
        let opened = tokio::time::timeout(READERS_PATIENCE, states.wait_for(Option::is_some)).await;
        let kv = opened.ok().and_then(|state| state.ok()?.clone());
        kv.ok_or_else(|| StoreError::Unavailable("it is being opened again".into()))
    }

    /// Another engine than this one, as soon as there is one; gives up after a while.
    async fn after(&self, old: &Weak<dyn Kv>) -> Option<Arc<dyn Kv>> {
        let is_new = |kv: &Option<Arc<dyn Kv>>| {
            kv.as_ref().is_some_and(|kv| !std::ptr::addr_eq(Arc::as_ptr(kv), old.as_ptr()))
        };
        let mut states = self.kv.subscribe();
        let state = tokio::time::timeout(READERS_PATIENCE, states.wait_for(is_new)).await;
        state.ok()?.ok()?.clone()
    }

    /// Waits for the last readers of the engine, and closes it. When this returns nothing of it writes any more:
    /// it is dropped here and not by whoever read last, for closing writes, too.
    ///
    /// # Errors
    /// When somebody reads for too long; then it stays.
    fn close(&self) -> Result<(), StoreError> {
        let Some(old) = self.kv.send_replace(None) else { return Ok(()) };
        let deadline = Instant::now() + READERS_PATIENCE;
        while Arc::strong_count(&old) > 1 {
            if Instant::now() > deadline {
                self.open(old);
                return Err(StoreError::Unavailable("it is still being read".into()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(old);
        Ok(())
    }

    /// Shows a new one.
    fn open(&self, kv: Arc<dyn Kv>) {
        self.kv.send_replace(Some(kv));
    }
}

/// The store in this process.
struct EmbeddedStore {
    /// Before the engine: the tail is tidied while the folder is still ours.
    logs: Arc<Logs>,
    engine: Arc<Engine>,
    /// Taken when the store goes.
    inbox: Option<mpsc::Sender<Unit>>,
    committer: Option<JoinHandle<()>>,
    readers: Readers,
}

impl EmbeddedStore {
    fn start(engine: Engine, logs: Logs, reopen: Reopen) -> std::io::Result<Self> {
        let (engine, logs) = (Arc::new(engine), Arc::new(logs));
        let (sender, inbox) = mpsc::channel(QUEUE);
        let committer = Committer { engine: Arc::clone(&engine), logs: Arc::clone(&logs), inbox, reopen };
        let thread = std::thread::Builder::new().name("committer".into()).spawn(|| committer.run())?;
        let readers = Readers::start()?;
        Ok(Self { engine, logs, inbox: Some(sender), committer: Some(thread), readers })
    }

    /// Reads, and where an engine that has failed cannot, again from the one that takes its place.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl Fn(&dyn Kv) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let read = Arc::new(read);
        let kv = self.engine.kv().await?;
        let old = Arc::downgrade(&kv);
        let (found, failure) = self.reading_from(kv, Arc::clone(&read)).await?;
        let Some(failure) = failure else { return found };
        self.logs.break_down(failure);
        // Nobody may write for a long time, so the committer is woken. If its queue is full, it is awake.
        if let Some(inbox) = &self.inbox {
            let _full = inbox.try_send(Unit::empty());
        }
        match self.engine.after(&old).await {
            Some(kv) => self.reading_from(kv, read).await?.0,
            None => found,
        }
    }

    /// Reads where waiting for the disk holds nobody up. If that fails: why the engine takes no more writes.
    async fn reading_from<T: Send + 'static>(
        &self,
        kv: Arc<dyn Kv>,
        read: Arc<impl Fn(&dyn Kv) -> Result<T, StoreError> + Send + Sync + 'static>,
    ) -> Result<(Result<T, StoreError>, Option<StoreError>), StoreError> {
        let reading = move |kv: &dyn Kv| {
            let found = read(kv);
            let failed = matches!(found, Err(StoreError::Full | StoreError::Unavailable(_)));
            let failure = if failed { kv.failure() } else { None };
            (found, failure)
        };
        if !kv.blocks() {
            return Ok(reading(&*kv));
        }
        let engine = Arc::clone(&self.engine);
        let reading = self.readers.read(move || {
            let found = reading(&*kv);
            // First the engine, then perhaps the lock of its folder.
            drop(kv);
            drop(engine);
            found
        });
        reading.await.ok_or_else(|| StoreError::Unavailable("reading it came to nothing".into()))
    }

    /// The durable head of a log, and the first `most` that wait with numbers over `after`.
    async fn state(&self, log: &Log, after: Seq, most: usize) -> Result<(Seq, Vec<Entry>), StoreError> {
        if let Some(state) = self.logs.after(log, after, most) {
            return Ok(state);
        }
        let wanted = log.clone();
        let stored = self.reading(move |kv| stored_head(kv, &wanted)).await?;
        // If the committer took it up meanwhile, what was read may not be durable yet.
        Ok(self.logs.after(log, after, most).unwrap_or((stored, Vec::new())))
    }
}

/// Ends cleanly: what was sent is committed first. Blocks for that long.
impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(Err(_)) = self.committer.take().map(JoinHandle::join) {
            tracing::error!("the committer had panicked");
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        if let Some(append) = &batch.append {
            logs::check_numbers(append)?;
        }
        let gone = || StoreError::Unavailable("the committer has ended".into());
        let inbox = self.inbox.as_ref().filter(|inbox| !inbox.is_closed()).ok_or_else(gone)?;
        let (unit, answer) = unit(batch, |append| self.logs.say(append))?;
        let Some(unit) = unit else { return Ok(()) };
        inbox.send(unit).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        self.reading(move |kv| records::get(kv, &key)).await
    }

    async fn get_each(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let keys = keys.to_vec();
        self.reading(move |kv| keys.iter().map(|key| readable(key, records::get(kv, key))).collect()).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let query = query.clone();
        self.reading(move |kv| records::list(kv, &query)).await
    }

    async fn read(&self, log: &Log, after: Seq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let (durable, waiting) = self.state(log, after, limit).await?;
        let mut found = Vec::new();
        if after < durable {
            let wanted = log.clone();
            let read = self.reading(move |kv| entries::read(kv, &wanted, after, durable, limit)).await;
            found = match read {
                // The log was taken away while it was read.
                Err(StoreError::Damaged(_)) if self.state(log, after, 0).await?.0 < durable => {
                    return Ok(Vec::new());
                }
                read => read?,
            };
        }
        let room = limit - found.len();
        found.extend(waiting.into_iter().take(room));
        Ok(found)
    }

    async fn head(&self, log: &Log) -> Result<Seq, StoreError> {
        if let Some(head) = self.logs.head(log) {
            return Ok(head);
        }
        let (durable, waiting) = self.state(log, 0, usize::MAX).await?;
        Ok(waiting.last().map_or(durable, Entry::last_seq))
    }
}

type Answer = oneshot::Receiver<Result<(), StoreError>>;

/// Measures a batch and makes it ready for the committer; pieces alone are offered to `say` first, and if it
/// takes them there is nothing left to do.
fn unit(
    batch: Batch,
    say: impl FnOnce(&Append) -> Result<bool, StoreError>,
) -> Result<(Option<Unit>, Answer), StoreError> {
    let (sender, answer) = oneshot::channel();
    let Batch { append, puts, deletes, forget } = batch;
    puts.iter().try_for_each(records::check_size)?;
    let mut bytes: usize = puts.iter().map(|put| put.body.len() + put.key.id.len()).sum();
    let nothing_else = puts.is_empty() && deletes.is_empty() && forget.is_empty();
    let mut drafted = None;
    if let Some(append) = append {
        let pieces_only = nothing_else && !append.entries.is_empty() && append.entries.iter().all(is_said);
        let said: usize = append.entries.iter().map(entries::said_bytes).sum();
        if pieces_only && said <= MAX_BATCH_BYTES && say(&append)? {
            return Ok((None, answer));
        }
        let drafts = append.entries.into_iter().map(Draft::new).collect::<Result<Vec<_>, _>>()?;
        bytes += drafts.iter().map(Draft::bytes).sum::<usize>();
        drafted = Some((append.log, append.after, drafts));
    }
    if bytes > MAX_BATCH_BYTES {
        return Err(StoreError::TooLarge { bytes });
    }
    Ok((Some(Unit { append: drafted, puts, deletes, forget, bytes, answer: sender }), answer))
}
