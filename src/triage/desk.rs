//! What the server holds of a board beside what is stored: turns to write, what lists are made from, who watches.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{
    Mutex as Turn, OnceCell, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock as Gate,
    watch,
};
use uuid::Uuid;

use super::category::{Catalog, Category};
use super::error::Error;
use super::flag::{Flag, FlagTypes};
use super::index::Index;
use super::issue::Issue;
use super::openings::Opening;
use crate::domain::document::Place;
use crate::runtime::documents::{Document, Documents, Listing};

/// Issues that are changed at the same time; those that share a turn wait for each other.
const TURNS: usize = 64;

/// Documents read at a time when a board is opened: few enough that others on the thread need not wait for them.
const STEP: usize = 200;

/// One owner's.
pub(super) struct Desk {
    held: OnceCell<Held>,
    /// Numbers and categories are given out by one at a time.
    counter: Arc<Turn<()>>,
    /// Issues that are to be opened at the next turn.
    waiting: Mutex<Vec<Opening>>,
    /// Shut by who changes several issues at once.
    gate: Arc<Gate<()>>,
    turns: Vec<Arc<Turn<()>>>,
    watched: Mutex<HashMap<Uuid, watch::Sender<u64>>>,
}

/// What lists are made from.
#[derive(Default)]
pub(super) struct Held {
    index: RwLock<Index>,
    catalog: RwLock<Catalog>,
    flag_types: RwLock<FlagTypes>,
}

/// The right to change issues, for as long as it is held.
#[expect(dead_code, reason = "it is given back when it is dropped")]
pub(super) enum Leave {
    /// One of them.
    One(OwnedRwLockReadGuard<()>, OwnedMutexGuard<()>),
    /// Two of them.
    Two(OwnedRwLockReadGuard<()>, OwnedMutexGuard<()>, OwnedMutexGuard<()>),
    /// Any of them.
    All(OwnedRwLockWriteGuard<()>),
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            held: OnceCell::new(),
            counter: Arc::default(),
            waiting: Mutex::default(),
            gate: Arc::default(),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            watched: Mutex::default(),
        }
    }
}

impl Desk {
    /// What lists are made from; read at first use.
    pub(super) async fn held(&self, read: impl Future<Output = Result<Held, Error>>) -> Result<&Held, Error> {
        self.held.get_or_try_init(|| read).await
    }

    /// The same, if it was read already.
    pub(super) fn held_already(&self) -> Option<&Held> {
        self.held.get()
    }

    /// A turn to give out numbers and categories.
    pub(super) async fn counter(&self) -> OwnedMutexGuard<()> {
        self.counter.clone().lock_owned().await
    }

    /// Issues that are to be opened at the next turn.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Vec<Opening>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to change an issue.
    pub(super) async fn leave(&self, issue: Uuid) -> Leave {
        let gate = self.gate.clone().read_owned().await;
        Leave::One(gate, self.turn(place(issue)).lock_owned().await)
    }

    /// A turn to change two issues.
    pub(super) async fn leave_for_two(&self, one: Uuid, other: Uuid) -> Leave {
        let gate = self.gate.clone().read_owned().await;
        // In one order, or two who want the same two would wait for each other.
        let (first, second) = (place(one).min(place(other)), place(one).max(place(other)));
        let turn = self.turn(first).lock_owned().await;
        if first == second {
            return Leave::One(gate, turn);
        }
        Leave::Two(gate, turn, self.turn(second).lock_owned().await)
    }

    fn turn(&self, place: usize) -> Arc<Turn<()>> {
        self.turns.get(place).map_or_else(Arc::default, Arc::clone)
    }

    /// A turn to change several issues.
    pub(super) async fn leave_for_all(&self) -> Leave {
        Leave::All(self.gate.clone().write_owned().await)
    }

    /// Tells when an issue's feed goes on; ends when the issue is gone.
    pub(super) fn watch(&self, issue: Uuid) -> watch::Receiver<u64> {
        let mut watched = self.watched();
        // Those nobody watches any more go when there would be no room without them.
        if watched.len() == watched.capacity() {
            watched.retain(|_, watchers| watchers.receiver_count() > 0);
        }
        watched.entry(issue).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// The feed goes on.
    pub(super) fn tell(&self, issue: Uuid, seq: u64) {
        let mut watched = self.watched();
        let Some(watchers) = watched.get(&issue) else { return };
        if watchers.receiver_count() == 0 {
            watched.remove(&issue);
        } else {
            watchers.send_replace(seq);
        }
    }

    /// The issue is gone.
    pub(super) fn tell_gone(&self, issue: Uuid) {
        self.watched().remove(&issue);
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<u64>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// From the store.
    ///
    /// # Errors
    /// What that says.
    pub(super) async fn read(documents: &Documents) -> Result<Self, Error> {
        let held = Self::default();
        each(documents, |issue: Issue| held.index_mut().put(&issue)).await?;
        each(documents, |category: Category| held.catalog_mut().put(category)).await?;
        each(documents, |flag: Flag| held.flag_types_mut().put(&flag)).await?;
        Ok(held)
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn flag_types(&self) -> RwLockReadGuard<'_, FlagTypes> {
        self.flag_types.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn flag_types_mut(&self) -> RwLockWriteGuard<'_, FlagTypes> {
        self.flag_types.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the turn of an issue is.
fn place(issue: Uuid) -> usize {
    usize::try_from(issue.as_u128() % (TURNS as u128)).unwrap_or_default()
}

/// Takes every document of a kind.
async fn each<D: Document>(documents: &Documents, mut take: impl FnMut(D)) -> Result<(), Error> {
    let mut after: Option<Place> = None;
    loop {
        let page = documents.list(Listing { after, limit: STEP, ..Listing::default() }).await?;
        page.documents.into_iter().for_each(|stored| take(stored.value));
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
