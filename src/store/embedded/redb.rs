//! redb: one file, real transactions, nothing to wrap.
//!
//! After the first read or write that fails it answers nothing any more until it is opened again, and opening
//! writes. What it held can be read all the same, through a file that is [`Frozen`].

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};

use super::frozen::Frozen;
use super::kv::{Changes, Direction, Kv, Visit, io_error};
use crate::store::StoreError;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("runhold");

/// A database of one table.
pub(super) struct Redb {
    db: Database,
    path: PathBuf,
    cache_bytes: usize,
    /// It answers nothing any more.
    failed: AtomicBool,
}

impl Redb {
    /// Opens or creates `file`. The caller holds the lock of the data folder.
    pub(super) fn open(file: &Path, cache_mib: u64) -> Result<Self, StoreError> {
        if !file.exists() {
            create(file)?;
        }
        let cache_bytes = usize::try_from(cache_mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
        let db = Database::builder().set_cache_size(cache_bytes).open(file).map_err(store_error)?;
        if let Some(parent) = file.parent() {
            File::open(parent).and_then(|folder| folder.sync_all()).map_err(|error| io_error(&error))?;
        }
        Ok(Self::of(db, file, cache_bytes))
    }

    fn of(db: Database, file: &Path, cache_bytes: usize) -> Self {
        Self { db, path: file.into(), cache_bytes, failed: AtomicBool::new(false) }
    }

    /// As if a read had failed.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Opens the file as it is, without writing to it.
    fn frozen(file: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let frozen = Frozen::open(file).map_err(|error| io_error(&error))?;
        let db = Database::builder().set_cache_size(cache_bytes).create_with_backend(frozen);
        Ok(Self::of(db.map_err(store_error)?, file, cache_bytes))
    }

    /// Remembers an error after which it answers nothing.
    fn noted<T>(&self, result: Result<T, redb::Error>) -> Result<T, StoreError> {
        if let Err(redb::Error::Io(_) | redb::Error::PreviousIo) = &result {
            self.failed.store(true, Ordering::Release);
        }
        result.map_err(store_error)
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }

    fn visit(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), redb::Error> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        let mut found = table.range(range)?;
        let mut next = || match direction {
            Direction::Forward => found.next(),
            Direction::Backward => found.next_back(),
        };
        while let Some(item) = next() {
            let (key, value) = item?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, changes: &Changes) -> Result<(), redb::Error> {
        let write = begin(&self.db)?;
        {
            let mut table = write.open_table(TABLE)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()),
                    None => table.remove(key.as_slice()),
                }?;
            }
        }
        Ok(write.commit()?)
    }
}

/// Creates it beside, and gives it its name when it is whole: redb does not open what was half created.
fn create(file: &Path) -> Result<(), StoreError> {
    let beside = file.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&error)),
        _removed => {}
    }
    let db = Database::create(&beside).map_err(store_error)?;
    let creation = begin(&db).map_err(store_error)?;
    creation.open_table(TABLE).map_err(store_error)?;
    creation.commit().map_err(store_error)?;
    drop(db);
    std::fs::rename(&beside, file).map_err(|error| io_error(&error))
}

impl Kv for Redb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.noted(self.read(key))
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
        self.noted(self.visit(range, direction, visit))
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        self.noted(self.write(&changes))
    }

    fn failure(&self) -> Option<StoreError> {
        let failed = self.failed.load(Ordering::Acquire);
        failed.then(|| StoreError::Unavailable("redb must be opened again".into()))
    }

    /// Having failed it writes nothing more, so its file stays as it is.
    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        self.failure()?;
        Some(Self::frozen(&self.path, self.cache_bytes).map(|frozen| Arc::new(frozen) as Arc<dyn Kv>))
    }
}

/// Without quick repair: opening after a crash then trusts what the last commit says of the file, and after a sync
/// that failed that need not be so. Reading everything takes longer and finds out.
fn begin(db: &Database) -> Result<WriteTransaction, redb::Error> {
    Ok(db.begin_write()?)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redb's list of errors is long and not closed")]
fn store_error(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            StoreError::Damaged(error.to_string().into())
        }
        redb::Error::Io(error) => io_error(&error),
        redb::Error::Corrupted(reason) => StoreError::Damaged(reason.into()),
        error => StoreError::Unavailable(error.to_string().into()),
    }
}
