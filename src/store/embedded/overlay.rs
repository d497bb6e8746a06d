//! What a batch sees while it is checked: the engine, with the changes of its group laid over it.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::kv::{Changes, Direction, Kv};
use crate::store::StoreError;

/// The engine, the changes of earlier batches of the group, and those of this batch.
pub(super) struct Overlay<'a> {
    kv: &'a dyn Kv,
    group: &'a Changes,
    own: Changes,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet by this batch.
    pub(super) fn new(kv: &'a dyn Kv, group: &'a Changes) -> Self {
        Self { kv, group, own: Changes::new() }
    }

    /// The value as it will be after the changes so far.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.own.get(key).or_else(|| self.group.get(key)) {
            Some(changed) => Ok(changed.clone()),
            None => self.kv.get(key),
        }
    }

    /// Sets a value.
    pub(super) fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.own.insert(key, Some(value));
    }

    /// Takes a key away.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.own.insert(key, None);
    }

    /// How many keys a range has. Walks all of it.
    pub(super) fn count(&self, range: &Range<Vec<u8>>) -> Result<u64, StoreError> {
        let mut keys = BTreeSet::new();
        self.kv.scan(&range.start..&range.end, Direction::Forward, &mut |key, _| {
            keys.insert(key.to_vec());
            ControlFlow::Continue(())
        })?;
        for (key, value) in self.group.range(range.clone()).chain(self.own.range(range.clone())) {
            match value {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        Ok(keys.len() as u64)
    }

    /// The changes of this batch.
    pub(super) fn into_changes(self) -> Changes {
        self.own
    }
}
