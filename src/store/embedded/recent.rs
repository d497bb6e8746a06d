//! What is in the journal and not yet in the engine, laid over the engine.
//!
//! Two generations: one grows, the other is on its way into the engine. A generation leaves only after the engine
//! has all of it, so whoever looks here first and then into the engine misses nothing; what the engine already
//! holds of the older one is covered by the same values.

use std::iter::Peekable;
use std::ops::{Bound, ControlFlow, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::vec;

use super::kv::{Changes, Direction, Kv, Visit};
use crate::store::StoreError;

/// How many changes a scan takes out at first, for most scans end soon; then four times as many, and so on.
const FIRST_CHUNK: usize = 8;
const LARGEST_CHUNK: usize = 512;

/// A key and what became of it.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// The two generations.
#[derive(Default)]
pub(super) struct Recent {
    inner: RwLock<Generations>,
}

#[derive(Default)]
struct Generations {
    active: Changes,
    applying: Option<Arc<Changes>>,
}

impl Recent {
    /// The value as it was changed last, if it was changed here.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let inner = self.read();
        let applying = || inner.applying.as_ref().and_then(|applying| applying.get(key));
        inner.active.get(key).or_else(applying).cloned()
    }

    /// Adds a batch to the growing generation; says how many keys that has now.
    pub(super) fn add(&self, changes: Changes) -> usize {
        let mut inner = self.write();
        inner.active.extend(changes);
        inner.active.len()
    }

    /// Ends the growing generation, with one more change; it stays visible until [`Recent::applied`]. The one
    /// before must have gone.
    pub(super) fn switch(&self, last: Change) -> Arc<Changes> {
        let mut inner = self.write();
        let mut changes = std::mem::take(&mut inner.active);
        changes.extend([last]);
        let changes = Arc::new(changes);
        inner.applying = Some(Arc::clone(&changes));
        changes
    }

    /// The engine has all of the older generation.
    pub(super) fn applied(&self) {
        let applied = self.write().applying.take();
        // It is big, and readers need not wait while it is freed.
        drop(applied);
    }

    /// Visits a range of the engine as it is with these changes.
    pub(super) fn scan_over(
        &self,
        engine: &dyn Kv,
        range: Range<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut rest = range.start.to_vec()..range.end.to_vec();
        let mut most = FIRST_CHUNK;
        while rest.start < rest.end {
            // First the changes, then the engine: what leaves here in between is there.
            let chunk = self.chunk(&rest, direction, most);
            let last = chunk.last().filter(|_| chunk.len() == most).map(|(key, _)| key.clone());
            let part = take_part(&mut rest, direction, last);
            if merge(engine, &part, direction, chunk, visit)?.is_break() {
                break;
            }
            most = LARGEST_CHUNK.min(most * 4);
        }
        Ok(())
    }

    /// The first changes of a range.
    fn chunk(&self, range: &Range<Vec<u8>>, direction: Direction, most: usize) -> Vec<Change> {
        let inner = self.read();
        let mut newer = ordered(&inner.active, range, direction).peekable();
        let older = inner.applying.iter().flat_map(|applying| ordered(applying, range, direction));
        let mut older = older.peekable();
        let mut chunk = Vec::new();
        while chunk.len() < most {
            let from_older = match (newer.peek(), older.peek()) {
                (Some((new, _)), Some((old, _))) => direction.comes_before(old, new),
                (newer, _) => newer.is_none(),
            };
            let next = if from_older { older.next() } else { newer.next() };
            let Some((key, value)) = next else { break };
            // The same key in the older one is covered.
            older.next_if(|(old, _)| *old == key);
            chunk.push((key.clone(), value.clone()));
        }
        chunk
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

type Ordered<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> + 'a>;

fn ordered<'a>(changes: &'a Changes, range: &Range<Vec<u8>>, direction: Direction) -> Ordered<'a> {
    let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
    let found = changes.range::<[u8], _>(bounds);
    match direction {
        Direction::Forward => Box::new(found),
        Direction::Backward => Box::new(found.rev()),
    }
}

/// Takes off what is to be visited up to and with `last`, or all of it.
fn take_part(rest: &mut Range<Vec<u8>>, direction: Direction, last: Option<Vec<u8>>) -> Range<Vec<u8>> {
    let Range { start, end } = std::mem::take(rest);
    let Some(mut last) = last else { return start..end };
    match direction {
        Direction::Forward => {
            // The smallest key behind it.
            last.push(0x00);
            *rest = last.clone()..end;
            start..last
        }
        Direction::Backward => {
            *rest = start..last.clone();
            last..end
        }
    }
}

/// Visits a range of the engine, and all these changes in their place.
fn merge(
    engine: &dyn Kv,
    range: &Range<Vec<u8>>,
    direction: Direction,
    changes: Vec<Change>,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut changes = changes.into_iter().peekable();
    let mut flow = ControlFlow::Continue(());
    engine.scan(&range.start..&range.end, direction, &mut |key, value| {
        flow = visit_up_to(key, value, direction, &mut changes, visit);
        flow
    })?;
    if flow.is_continue() {
        flow = changes.try_for_each(|(key, value)| match value {
            Some(value) => visit(&key, &value),
            None => ControlFlow::Continue(()),
        });
    }
    Ok(flow)
}

/// Visits the changes before a key, and the key unless it was changed itself.
fn visit_up_to(
    key: &[u8],
    value: &[u8],
    direction: Direction,
    changes: &mut Peekable<vec::IntoIter<Change>>,
    visit: &mut Visit<'_>,
) -> ControlFlow<()> {
    while let Some((changed, new)) = changes.next_if(|(changed, _)| !direction.comes_before(key, changed)) {
        if let Some(new) = new {
            visit(&changed, &new)?;
        }
        if changed == key {
            return ControlFlow::Continue(());
        }
    }
    visit(key, value)
}
