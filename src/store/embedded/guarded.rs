//! What every engine needs that keeps its data in files: that a panic is an error, and that lost writes show.
//!
//! Both engines trust their files. Damage can make them stop at a surprise, which must not take the thread with it
//! that asked, or forget.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::applied::{self, Applied};
use super::kv::{Changes, Direction, Kv, Visit};
use crate::store::StoreError;

/// Another engine, whose panics are errors.
pub(super) struct Guarded<K> {
    engine: K,
    applied: Applied,
}

impl<K: Kv> Guarded<K> {
    /// Opens an engine in a data folder. Whether it has all it had is for the caller to ask of [`Applied`].
    ///
    /// # Errors
    /// Those of the engine; a panic is damage.
    pub(super) fn open(
        folder: &Path,
        open: impl FnOnce() -> Result<K, StoreError>,
    ) -> Result<Self, StoreError> {
        Ok(Self { engine: guard(open)?, applied: Applied::of(folder) })
    }
}

impl<K: Kv> Kv for Guarded<K> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guard(|| self.engine.get(key))
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        guard(|| self.engine.scan(range, direction, visit))
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        let number = applied::number_in(&changes);
        guard(|| self.engine.apply(changes))?;
        if let Some(number) = number {
            self.applied.note(number);
        }
        Ok(())
    }

    fn failure(&self) -> Option<StoreError> {
        self.engine.failure()
    }

    fn to_read(&self) -> Option<Result<Arc<dyn Kv>, StoreError>> {
        guard(|| self.engine.to_read().transpose()).transpose()
    }

    fn blocks(&self) -> bool {
        self.engine.blocks()
    }
}

fn guard<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = format!("the engine stopped at a surprise: {}", said(&*panic));
        Err(StoreError::Damaged(reason.into()))
    })
}

/// The first line of what a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    text.lines().next().unwrap_or_default()
}
