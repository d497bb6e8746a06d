//! Floor 3, the shell that does what the machine decides.
//!
//! [`Runtime`] is everything a surface may ask. Behind it: `runs` accepts them, `wake` tells them things, `lanes`
//! knows who drives which, `driver` performs steps, `calls` calls tools, `journal` writes and watches logs, `desk` is
//! what lies beside a write, `conversing` takes a session as one conversation, `past` what was said before, `forks`
//! begins with what another run said, `reading` finds runs and their entries, `sessions` keeps what they belong to,
//! `session_fork` makes one of another, `lineage` reads what the two share, `removal` takes a session away, `team` is
//! how a leader hands work on, `deadlines` ends pauses, `receipts` sees to it that an order that comes twice is carried
//! out once, `recovery` takes up what a crash left, `failed` names the runs that failed, `rehearsal` tells how one
//! would begin.

pub mod agents;
mod calls;
pub mod catalog;
mod conversing;
pub mod databases;
mod deadlines;
mod desk;
pub mod documents;
mod driver;
mod error;
mod failed;
pub mod files;
mod forks;
mod host;
mod journal;
mod lanes;
mod lineage;
pub mod memory;
mod mounts;
mod outfit;
mod past;
mod pictures;
mod prompt;
mod reading;
mod receipts;
mod records;
mod recovery;
pub mod rehearsal;
mod removal;
mod resumed;
mod runs;
mod session_fork;
mod sessions;
mod settle;
pub mod storage;
mod subagents;
mod team;
pub mod vault;
mod wake;
pub mod workspace;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::capability::registry::Registry;
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::llm::Models;
use crate::store::Store;
use catalog::Catalog;
pub use error::Error;
use failed::Failures;
use journal::Journal;
use lanes::Lanes;
use receipts::Receipts;
pub use receipts::{Claim, MadeRun};
pub use sessions::{SessionDetail, SessionFilter, SessionPage, SessionSort};
use vault::Vault;
use workspace::{Extension, Workspace, Workspaces};

/// Everything a surface may ask. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

/// What a runtime stands on.
pub struct Parts {
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Who answers.
    pub models: Models,
    /// What agents can do.
    pub registry: Registry,
    /// What can be run.
    pub catalog: Catalog,
    /// What owners may add to that.
    pub extensions: Vec<Arc<dyn Extension>>,
    /// Seals secrets; without it none are kept.
    pub vault: Option<Vault>,
    /// Time and names.
    pub clock: Arc<dyn Clock>,
    /// Runs of one session that may wait for their turn.
    pub queue_depth: usize,
    /// Runs of all sessions together that may be going or waiting for their turn.
    pub most_at_once: usize,
    /// Whether the machine was started anew since a runtime was last opened on the store, so that pieces of answers
    /// that were shown may be gone. It stays so until [`Runtime::open`] is done, however often that is tried.
    pub pieces_may_be_lost: bool,
    /// Whether runs that fail are marked until somebody has seen to them: see [`Runtime::failed_runs`].
    pub failures_are_kept: bool,
}

struct Inner {
    store: Arc<dyn Store>,
    base: Workspace,
    extensions: Vec<Arc<dyn Extension>>,
    workspaces: Workspaces,
    vault: Option<Arc<Vault>>,
    clock: Arc<dyn Clock>,
    queue_depth: usize,
    /// One for each run that may be driven or wait for it.
    permits: Arc<Semaphore>,
    journal: Arc<Journal>,
    lanes: Lanes,
    receipts: Receipts,
    writers: files::Writers,
    databases: databases::Desks,
    /// Held by whoever takes away a session that shares its log with others.
    removal: AsyncMutex<()>,
    idle: Notify,
    /// A run waits, and not for ever.
    deadlines: Arc<Notify>,
    stopping: AtomicBool,
    let_go: CancellationToken,
    since: Timestamp,
    failures: Failures,
}

impl Runtime {
    /// Puts the parts together and takes up the runs a crash left.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let inner = Arc::new(Inner {
            journal: Arc::new(Journal::new(parts.store.clone())),
            since: parts.clock.now(),
            failures: Failures::new(parts.failures_are_kept),
            store: parts.store,
            base: Workspace::new(parts.catalog, parts.registry, parts.models),
            extensions: parts.extensions,
            workspaces: Workspaces::default(),
            vault: parts.vault.map(Arc::new),
            clock: parts.clock,
            queue_depth: parts.queue_depth,
            permits: Arc::new(Semaphore::new(parts.most_at_once.min(Semaphore::MAX_PERMITS))),
            lanes: Lanes::default(),
            writers: files::Writers::default(),
            databases: databases::Desks::default(),
            receipts: Receipts::default(),
            removal: AsyncMutex::default(),
            idle: Notify::new(),
            deadlines: Arc::default(),
            stopping: AtomicBool::new(false),
            let_go: CancellationToken::new(),
        });
        tokio::spawn(deadlines::keep(Arc::downgrade(&inner)));
        let taken_up = recovery::recover(&inner, parts.pieces_may_be_lost).await?;
        if taken_up > 0 {
            tracing::info!(runs = taken_up, "took up {taken_up} runs that were not finished");
        }
        Ok(Self(inner))
    }

    /// Lets nothing new begin, and waits up to `patience` for what is going. What is not done by then is taken up
    /// at the next start. Returns how many runs that are.
    pub async fn stop(&self, patience: Duration) -> usize {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.lanes.close();
        let quiet = async {
            loop {
                let idle = self.0.idle.notified();
                if self.0.lanes.busy() == 0 {
                    return;
                }
                idle.await;
            }
        };
        // Time running out is an answer too: the count below tells.
        let _ = tokio::time::timeout(patience, quiet).await;
        self.0.lanes.abandon();
        self.0.let_go.cancel();
        self.0.lanes.busy()
    }

    /// Whether it lets nothing new begin, because the server stops.
    pub fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }

    /// Ends when the server lets go of what is still going, to take it up at its next start.
    pub fn let_go(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.let_go.clone().cancelled_owned()
    }

    /// What can be run by everybody: the files of the catalog. An owner's [`workspace`](Self::workspace) may hold more.
    pub fn catalog(&self) -> &Catalog {
        &self.0.base.catalog
    }

    /// Seals secrets, if there is a key to do it with.
    pub fn vault(&self) -> Option<&Arc<Vault>> {
        self.0.vault.as_ref()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// When it was opened.
    pub fn since(&self) -> Timestamp {
        self.0.since
    }

    /// A name never used before; later ones sort after earlier ones.
    pub fn fresh(&self) -> Uuid {
        self.0.clock.fresh()
    }

    fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    fn journal(&self) -> &Arc<Journal> {
        &self.0.journal
    }
}

impl Inner {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
