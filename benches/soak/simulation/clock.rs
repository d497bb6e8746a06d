//! A clock that jumps, and names in the order they were made.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use runhold::clock::Clock;
use runhold::domain::time::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::dice::Dice;

/// An hour, in microseconds.
const HOUR: i64 = 3_600_000_000;

/// Names outlive a process: none is ever made twice.
#[derive(Default)]
pub(super) struct Names(AtomicU64);

/// The clock of one process.
pub(super) struct JumpyClock {
    names: std::sync::Arc<Names>,
    begun: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Dice,
    offset: i64,
    last: u64,
}

impl JumpyClock {
    /// A process begins within an hour of where the one before it was, before or after.
    pub(super) fn new(names: std::sync::Arc<Names>, life: u64, mut dice: Dice) -> Self {
        let offset = 1_700_000_000_000_000 + jump(&mut dice) + life as i64 * 60_000_000;
        Self { names, begun: Instant::now(), inner: Mutex::new(Inner { dice, offset, last: 0 }) }
    }
}

fn jump(dice: &mut Dice) -> i64 {
    dice.below(2 * HOUR as u64) as i64 - HOUR
}

impl Clock for JumpyClock {
    fn now(&self) -> Timestamp {
        let mut inner = self.inner.lock().unwrap();
        if inner.dice.chance(1) {
            inner.offset += jump(&mut inner.dice);
        }
        let now = self.begun.elapsed().as_micros() as i64 + inner.offset;
        inner.last = inner.last.max(now.unsigned_abs());
        Timestamp(inner.last)
    }

    fn fresh(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.names.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}
