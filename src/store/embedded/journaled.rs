//! An engine behind the journal: a write costs one sync of one file, and the engine gets many writes at once.
//!
//! A batch goes into the journal, is synced, and becomes visible in [`Recent`]; a thread of its own moves what
//! has gathered there into the engine. With each generation that it moves another file begins, and the old one
//! is free when the engine says that all of it is durable.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::journal::{JournalFile, JournalFolder, Left, Number};
use super::kv::{Changes, Direction, Kv, Visit, io_error};
use super::recent::Recent;
use super::{keys, sealed};
use crate::store::StoreError;

/// How much may gather before it is moved into the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In bytes of the journal.
    pub(super) bytes: usize,
    /// In keys.
    pub(super) keys: usize,
    /// For how long.
    pub(super) age: Duration,
    /// Over so many bytes writes wait for the engine.
    pub(super) most_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 * 1024 * 1024,
            keys: 4000,
            age: Duration::from_millis(200),
            most_bytes: 16 * 1024 * 1024,
        }
    }
}

/// An engine, its journal, and the thread between them.
pub(super) struct Journaled {
    shared: Arc<Shared>,
    applier: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Arc<dyn Kv>,
    folder: Arc<JournalFolder>,
    limits: Limits,
    recent: Recent,
    front: Mutex<Front>,
    changed: Condvar,
}

/// Where writes arrive. Locked while one is written, so that a batch and its record belong to one generation.
struct Front {
    journal: JournalFile,
    /// The next file, made ready while nobody waits for it.
    spare: Option<JournalFile>,
    /// The generation that was ended, until the applier takes it.
    ended: Option<Generation>,
    /// Whether a generation is on its way into the engine.
    applying: bool,
    bytes: usize,
    keys: usize,
    /// When the first batch of the growing generation came.
    since: Option<Instant>,
    failed: Option<StoreError>,
    closing: bool,
}

/// What the applier moves.
struct Generation {
    changes: Arc<Changes>,
    /// The file that holds it.
    file: JournalFile,
}

impl Journaled {
    /// Moves what an earlier process left in the journal into the engine, and begins a new file.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the journal cannot be read, else what the disk says. Nothing is lost then.
    pub(super) fn open(
        engine: Arc<dyn Kv>,
        folder: Arc<JournalFolder>,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let last = replay(&*engine, &folder, limits)?;
        let journal = folder.create(last + 1).map_err(|error| io_error(&error))?;
        let front = Front {
            journal,
            spare: None,
            ended: None,
            applying: false,
            bytes: 0,
            keys: 0,
            since: None,
            failed: None,
            closing: false,
        };
        let (front, changed) = (Mutex::new(front), Condvar::new());
        let shared = Arc::new(Shared { engine, folder, limits, recent: Recent::default(), front, changed });
        let theirs = Arc::clone(&shared);
        let applier = std::thread::Builder::new().name("applier".into()).spawn(move || theirs.run());
        Ok(Self { shared, applier: Some(applier.map_err(|error| io_error(&error))?) })
    }
}

impl Kv for Journaled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.shared.recent.get(key) {
            Some(changed) => Ok(changed),
            None => self.shared.engine.get(key),
        }
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.shared.recent.scan_over(&*self.shared.engine, range, direction, visit)
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        self.shared.write(changes)
    }

    fn failure(&self) -> Option<StoreError> {
        let failed = self.shared.lock().failed.clone();
        failed.or_else(|| self.shared.engine.failure())
    }

    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        self.shared.to_read()
    }

    fn blocks(&self) -> bool {
        self.shared.engine.blocks()
    }
}

/// What the engine held when it failed, and what is in the journal over it; to be read and no more.
struct Reader {
    shared: Arc<Shared>,
    engine: Arc<dyn Kv>,
}

impl Kv for Reader {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.recent.get(key).map_or_else(|| self.engine.get(key), Ok)
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.shared.recent.scan_over(&*self.engine, range, direction, visit)
    }

    fn apply(&self, _: Arc<Changes>) -> Result<(), StoreError> {
        Err(StoreError::Unavailable("it can only be read".into()))
    }

    fn failure(&self) -> Option<StoreError> {
        self.engine.failure()
    }

    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        self.engine.failure()?;
        self.shared.to_read()
    }
}

/// A clean end: all is in the engine, and no file is left. After a failure the files stay, and opening goes on
/// from there.
impl Drop for Journaled {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(Err(_)) = self.applier.take().map(JoinHandle::join) {
            tracing::error!("the applier had panicked");
            return;
        }
        if self.shared.lock().failed.is_none()
            && let Err(error) = self.shared.folder.remove_up_to(Number::MAX)
        {
            tracing::warn!(%error, "the journal cannot be left tidy");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in the journal stays there once the engine has failed: it has no more part in this.
    fn to_read(self: &Arc<Self>) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        let engine = self.engine.to_read()?;
        Some(engine.map(|engine| Arc::new(Reader { shared: Arc::clone(self), engine }) as Arc<dyn Kv>))
    }

    fn write(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        let mut front = self.lock();
        while front.bytes > self.limits.most_bytes && front.failed.is_none() {
            front = self.changed.wait(front).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(error) = &front.failed {
            return Err(error.clone());
        }
        match front.journal.append(&changes) {
            Ok(bytes) => front.bytes += bytes,
            Err(error) => {
                self.folder.fail(front.journal.number(), front.journal.bytes());
                let error = io_error(&error);
                front.failed = Some(error.clone());
                return Err(error);
            }
        }
        front.keys = self.recent.add(Arc::unwrap_or_clone(changes));
        let first = front.since.is_none();
        front.since.get_or_insert_with(Instant::now);
        // Here and not only in the applier, which under load would hardly ever get the lock.
        let ended = self.is_due(&front) && self.end_generation(&mut front);
        drop(front);
        if first || ended {
            self.changed.notify_all();
        }
        Ok(())
    }

    fn is_due(&self, front: &Front) -> bool {
        let Some(since) = front.since else { return false };
        front.closing
            || front.bytes > self.limits.bytes
            || front.keys > self.limits.keys
            || since.elapsed() >= self.limits.age
    }

    /// Hands what has gathered to the applier, if that is ready for it.
    fn end_generation(&self, front: &mut Front) -> bool {
        if front.applying {
            return false;
        }
        let Some(mut spare) = front.spare.take() else { return false };
        spare.follow(&front.journal);
        let file = std::mem::replace(&mut front.journal, spare);
        let changes = self.recent.switch(applied_mark(file.number()));
        front.ended = Some(Generation { changes, file });
        front.applying = true;
        (front.bytes, front.keys, front.since) = (0, 0, None);
        true
    }

    /// What the applier does until the journal is closed.
    fn run(&self) {
        let mut front = self.lock();
        loop {
            if front.failed.is_some() {
                if front.closing {
                    return;
                }
                front = self.changed.wait(front).unwrap_or_else(PoisonError::into_inner);
            } else if let Some(generation) = front.ended.take() {
                drop(front);
                let done = self.move_into_engine(generation);
                front = self.lock();
                front.applying = false;
                let kept = done.map(|spare| front.spare = Some(spare));
                self.note(&mut front, kept);
            } else if front.closing && front.since.is_none() {
                return;
            } else if front.spare.is_none() {
                let number = front.journal.number() + 1;
                drop(front);
                let spare = self.folder.create(number).map_err(|error| io_error(&error));
                front = self.lock();
                let kept = spare.map(|spare| front.spare = Some(spare));
                self.note(&mut front, kept);
            } else if self.is_due(&front) {
                self.end_generation(&mut front);
                // Writes may have waited for room.
                self.changed.notify_all();
            } else {
                front = self.wait_until_due(front);
            }
        }
    }

    fn wait_until_due<'a>(&self, front: MutexGuard<'a, Front>) -> MutexGuard<'a, Front> {
        match front.since {
            None => self.changed.wait(front).unwrap_or_else(PoisonError::into_inner),
            Some(since) => {
                let rest = self.limits.age.saturating_sub(since.elapsed());
                self.changed.wait_timeout(front, rest).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// After an error nothing more is taken: what is in the journal stays there, and readable.
    fn note(&self, front: &mut Front, done: Result<(), StoreError>) {
        if let Err(error) = done {
            tracing::error!(%error, "what is in the journal cannot be moved into the engine");
            front.failed.get_or_insert(error);
        }
        self.changed.notify_all();
    }

    /// Gives the file of the generation back, as the next one.
    fn move_into_engine(&self, generation: Generation) -> Result<JournalFile, StoreError> {
        let Generation { changes, file } = generation;
        apply(&*self.engine, changes)?;
        self.recent.applied();
        // Between it and the next is the one that is written to now.
        let next = file.number() + 2;
        self.folder.reuse(file, next).map_err(|error| io_error(&error))
    }
}

/// Moves what the files hold into the engine and removes them; gives the number of the last.
fn replay(engine: &dyn Kv, folder: &JournalFolder, limits: Limits) -> Result<Number, StoreError> {
    let mark = engine.get(keys::JOURNAL)?;
    let read = |mark: Vec<u8>| sealed::open_number(keys::JOURNAL, &mark, || "the mark of the journal".into());
    let applied = mark.map(read).transpose()?.unwrap_or(0);
    let Left { changes, last } = folder.read_after(applied)?;
    let empty = changes.is_empty();
    // Not at once: what was left may be more than an engine takes well. Stopped half way, it begins again.
    let mut batch = Changes::new();
    let mut bytes = 0;
    for (key, value) in changes {
        bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        batch.insert(key, value);
        if bytes > limits.bytes || batch.len() > limits.keys {
            bytes = 0;
            apply(engine, Arc::new(std::mem::take(&mut batch)))?;
        }
    }
    if !empty {
        batch.extend([applied_mark(last)]);
        apply(engine, Arc::new(batch))?;
    }
    folder.remove_up_to(last).map_err(|error| io_error(&error))?;
    Ok(if empty { applied } else { last })
}

/// What the engine keeps to know which files it has.
pub(super) fn applied_mark(file: Number) -> (Vec<u8>, Option<Vec<u8>>) {
    (keys::JOURNAL.to_vec(), Some(sealed::seal_number(keys::JOURNAL, file)))
}

/// An engine that panics has failed.
fn apply(engine: &dyn Kv, changes: Arc<Changes>) -> Result<(), StoreError> {
    catch_unwind(AssertUnwindSafe(|| engine.apply(changes)))
        .unwrap_or_else(|_| Err(StoreError::Unavailable("the engine panicked".into())))
}
