//! sled 0.34.7, wrapped so that it keeps its word.
//!
//! As it comes, its `flush` does not survive a power cut (only `sync_file_range` is called), and a process
//! killed while it opens leaves a half-written snapshot that every later open takes for the newest. So: we
//! remove such snapshots, sync by ourselves what sled creates, and follow each flush with an `fdatasync`. Never
//! used are transactions, `watch_prefix`, `generate_id`, `merge` and `drop_tree`; each has a trap.
//!
//! A read may see a write an instant before it is durable; the journal before it shows the same values already.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::keys;
use super::kv::{Changes, Direction, Kv, Visit, io_error};
use crate::store::StoreError;

/// As long sled gets to let go of its file.
const RELEASE: Duration = Duration::from_secs(2);

/// A tree and the file behind it.
pub(super) struct Sled {
    db: sled::Db,
    file: File,
}

impl Sled {
    /// Opens or creates it in `folder`. The caller holds the lock of the data folder.
    pub(super) fn open(folder: &Path, cache_mib: u64) -> Result<Self, StoreError> {
        let io = |error: io::Error| io_error(&error);
        if !folder.exists() {
            create(folder)?;
        }
        remove_unfinished_snapshots(folder).map_err(io)?;
        // A process that was killed has not synced all it wrote. sled reads that, and syncs what it makes of it
        // first: after a power cut it would be ahead of its own log, and never open again.
        sync_folder(folder).map_err(io)?;
        wait_for_release(&folder.join("db")).map_err(io)?;
        // The background flusher is also the garbage collector, so it stays on.
        let config = config(folder).flush_every_ms(Some(500));
        let config = config.cache_capacity(cache_mib.saturating_mul(1024 * 1024));
        let db = config.open().map_err(store_error)?;
        sync_folder(folder).map_err(io)?;
        let file = File::open(folder.join("db")).map_err(|error| io_error(&error))?;
        Ok(Self { db, file })
    }

    fn write<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(batch).map_err(store_error)?;
        self.db.flush().map_err(store_error)?;
        self.file.sync_data().map_err(|error| io_error(&error))
    }
}

impl Kv for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get(key).map_err(store_error)?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if range.start >= range.end {
            return Ok(());
        }
        let mut found = self.db.range(range);
        let mut next = || match direction {
            Direction::Forward => found.next(),
            Direction::Backward => found.next_back(),
        };
        while let Some(item) = next() {
            let (key, value) = item.map_err(store_error)?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The mark of the journal last, and by itself: a batch that fails on a page that cannot be read leaves some of
    /// its keys behind, and one that has the mark and not the rest would never be completed from the journal.
    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        let is_mark = |key: &[u8]| key == keys::JOURNAL;
        self.write(changes.iter().filter(|(key, _)| !is_mark(key)))?;
        match changes.get_key_value(keys::JOURNAL) {
            Some(mark) => self.write([mark].into_iter()),
            None => Ok(()),
        }
    }
}

fn config(folder: &Path) -> sled::Config {
    sled::Config::new().path(folder).use_compression(false)
}

/// Creates it beside, and gives it its name when it is whole: sled does not open what was half created.
fn create(folder: &Path) -> Result<(), StoreError> {
    let io = |error: io::Error| io_error(&error);
    let beside = folder.with_extension("new");
    if beside.exists() {
        std::fs::remove_dir_all(&beside).map_err(io)?;
    }
    drop(config(&beside).flush_every_ms(None).open().map_err(store_error)?);
    sync_folder(&beside).map_err(io)?;
    std::fs::rename(&beside, folder).map_err(io)
}

/// sled's threads may keep its lock for a moment after it was dropped, and it does not wait for it.
fn wait_for_release(db: &Path) -> io::Result<()> {
    let file = File::open(db)?;
    let deadline = Instant::now() + RELEASE;
    while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// sled filters the wrong suffix and would take one of these for the newest snapshot.
fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// sled syncs neither `conf` nor the names of its files.
fn sync_folder(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        match File::open(&path).and_then(|file| file.sync_all()) {
            // The background thread may just have replaced a snapshot.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    File::open(folder)?.sync_all()?;
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn store_error(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => io_error(&error),
        error @ sled::Error::Corruption { .. } => {
            // What follows is an empty list of places in sled.
            let said = error.to_string();
            StoreError::Damaged(said.split(" backtrace").next().unwrap_or_default().into())
        }
        error @ (sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_)) => StoreError::Unavailable(error.to_string().into()),
    }
}
