//! redb: one file, real transactions, nothing to wrap.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::kv::{Changes, Direction, Kv, Visit, io_error};
use crate::store::StoreError;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("runhold");

/// A database of one table.
pub(super) struct Redb {
    db: Database,
}

impl Redb {
    /// Opens or creates `file`. The caller holds the lock of the data folder.
    pub(super) fn open(file: &Path, cache_mib: u64) -> Result<Self, StoreError> {
        if !file.exists() {
            create(file)?;
        }
        let cache = usize::try_from(cache_mib.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX);
        let db = Database::builder().set_cache_size(cache).open(file).map_err(store_error)?;
        if let Some(parent) = file.parent() {
            File::open(parent).and_then(|folder| folder.sync_all()).map_err(|error| io_error(&error))?;
        }
        Ok(Self { db })
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
    let creation = begin(&db)?;
    creation.open_table(TABLE).map_err(store_error)?;
    creation.commit().map_err(store_error)?;
    drop(db);
    std::fs::rename(&beside, file).map_err(|error| io_error(&error))
}

impl Kv for Redb {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let table = self.db.begin_read().map_err(store_error)?.open_table(TABLE).map_err(store_error)?;
        Ok(table.get(key).map_err(store_error)?.map(|value| value.value().to_vec()))
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
        let table = self.db.begin_read().map_err(store_error)?.open_table(TABLE).map_err(store_error)?;
        let mut found = table.range(range).map_err(store_error)?;
        let mut next = || match direction {
            Direction::Forward => found.next(),
            Direction::Backward => found.next_back(),
        };
        while let Some(item) = next() {
            let (key, value) = item.map_err(store_error)?;
            if visit(key.value(), value.value()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        let write = begin(&self.db)?;
        {
            let mut table = write.open_table(TABLE).map_err(|error: TableError| store_error(error))?;
            for (key, value) in &*changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice()),
                    None => table.remove(key.as_slice()),
                }
                .map_err(store_error)?;
            }
        }
        write.commit().map_err(store_error)
    }
}

/// Without quick repair: opening after a crash then trusts what the last commit says of the file, and after a sync
/// that failed that need not be so. Reading everything takes longer and finds out.
fn begin(db: &Database) -> Result<WriteTransaction, StoreError> {
    db.begin_write().map_err(store_error)
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
