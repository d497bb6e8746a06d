//! What an engine must do: the seam between the one store and sled, redb and memory.

use std::collections::BTreeMap;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use crate::store::StoreError;

/// Keys to set, or to take away, in the order they sort.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Told each key and value of a scan; says when to stop.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Which end of a range a scan starts at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Smallest key first.
    Forward,
    /// Largest key first.
    Backward,
}

impl Direction {
    /// Whether one key is visited before the other.
    pub(super) fn comes_before(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Self::Forward => one < other,
            Self::Backward => one > other,
        }
    }
}

/// An ordered map that outlives the process. All of it may block.
pub(super) trait Kv: Send + Sync + 'static {
    /// The value, if there is one.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits a range, its end left out. `visit` must not call the engine.
    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// All or nothing, and durable when it returns. Called by one thread only. After an error it is unknown
    /// what was kept, and nothing more may be applied.
    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError>;

    /// Why it takes no more writes after one of its own failed. Until it was opened again reads may fail, too.
    fn failure(&self) -> Option<StoreError> {
        None
    }

    /// Once it has failed by itself: what it held last, to be read and no more. For that the disk must be
    /// readable, and need not take writes. Nothing if it has not failed so, or cannot be had like this.
    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        None
    }

    /// Whether a read may wait for a disk, and so must not run on a thread of the executor.
    fn blocks(&self) -> bool {
        true
    }
}

/// A full disk is worth a name of its own: making room mends it.
pub(super) fn io_error(error: &io::Error) -> StoreError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return StoreError::Full;
    }
    StoreError::Unavailable(error.to_string().into())
}
