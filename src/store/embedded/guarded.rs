//! An engine that panics has failed: it must not take the thread with it that asked.
//!
//! Both engines trust their files, and a damaged one can make them stop at a surprise.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::kv::{Changes, Direction, Kv, Visit};
use crate::store::StoreError;

/// Another engine, whose panics are errors.
pub(super) struct Guarded<K>(K);

impl<K: Kv> Guarded<K> {
    /// Opens an engine.
    ///
    /// # Errors
    /// Those of the engine; a panic is damage.
    pub(super) fn open(open: impl FnOnce() -> Result<K, StoreError>) -> Result<Self, StoreError> {
        guard(open).map(Self)
    }
}

impl<K: Kv> Kv for Guarded<K> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guard(|| self.0.get(key))
    }

    fn scan(
        &self,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        guard(|| self.0.scan(range, direction, visit))
    }

    fn apply(&self, changes: Arc<Changes>) -> Result<(), StoreError> {
        guard(|| self.0.apply(changes))
    }

    fn blocks(&self) -> bool {
        self.0.blocks()
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
