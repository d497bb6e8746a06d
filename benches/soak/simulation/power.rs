//! The moment at which a process dies, and what that is like from within: nothing comes back any more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use runhold::runtime::Runtime;
use tokio::sync::Notify;

use crate::dice::Dice;

/// When a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// At this commit.
    Commit(u64, Moment),
    /// At this read, while it opens or later.
    Read(u64),
    /// After so many milliseconds.
    Time(u64),
    /// It is asked to stop, and given so many milliseconds for it.
    Stop(u64),
    /// When all is done.
    Never,
}

/// Around the moment at which a batch is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

impl Death {
    pub(super) fn seeded(dice: &mut Dice) -> Self {
        let moment = if dice.chance(50) { Moment::Before } else { Moment::After };
        match dice.below(10) {
            0..5 => Self::Commit(1 + dice.below(80), moment),
            5 => Self::Commit(1 + dice.below(5), moment),
            6 => Self::Read(1 + dice.below(30)),
            7..9 => Self::Time(dice.below(4_000)),
            _ => Self::Stop(dice.below(3_000)),
        }
    }
}

/// What keeps one process alive.
pub(super) struct Power {
    pub(super) life: u64,
    death: Death,
    off: AtomicBool,
    gone: Notify,
    commits: AtomicU64,
    reads: AtomicU64,
    opened: AtomicBool,
    /// Runs that wait hold on to what they wait in; a real process takes all that along.
    pub(super) runtime: Mutex<Option<Runtime>>,
}

impl Power {
    pub(super) fn new(life: u64, death: Death) -> Self {
        Self {
            life,
            death,
            off: AtomicBool::new(false),
            gone: Notify::new(),
            commits: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            opened: AtomicBool::new(false),
            runtime: Mutex::default(),
        }
    }

    pub(super) fn cut(&self) {
        self.off.store(true, Ordering::Relaxed);
        self.gone.notify_one();
    }

    /// When the process is dead.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// Goes on only if the process lives.
    pub(super) async fn holds(&self) {
        if self.off.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    }

    /// From here on reads do not count: those of watchers come in no promised order.
    pub(super) fn opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }

    pub(super) async fn reads(&self) {
        if !self.opened.load(Ordering::Relaxed) {
            let number = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
            if self.death == Death::Read(number) {
                self.cut();
            }
        }
        self.holds().await;
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn next_commit(&self) -> u64 {
        self.commits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Dies if this is the moment.
    pub(super) async fn strikes(&self, commit: u64, moment: Moment) {
        if self.death == Death::Commit(commit, moment) {
            self.cut();
        }
        self.holds().await;
    }
}
