//! The two things a program cannot compute: the time, and a name never used before.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// Time and fresh names come from outside, so that runs can be replayed and simulated.
pub trait Clock: Send + Sync + 'static {
    /// The time; never earlier than what it said before.
    fn now(&self) -> Timestamp;
    /// A name never used before; later ones sort after earlier ones.
    fn fresh(&self) -> Uuid;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct WallClock {
    last: AtomicU64,
}

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock the others ask")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let before = self.last.fetch_max(micros, Ordering::Relaxed);
        Timestamp(micros.max(before))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock the others ask")]
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}
