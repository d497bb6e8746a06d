//! Floor 4, the triage board: issues, what speaks for them, and what is done about them.
//!
//! [`Triage`] is for all, [`Board`] is one owner's. What is kept is documents of the runtime; a change of an issue, its
//! counts, its feed and what hangs on it are one write (`work`). The few fields that issues are filtered and sorted by
//! are kept in memory besides (`index`), read at first use.

pub mod affected;
mod binding;
pub mod canonical;
pub mod category;
pub mod comments;
mod desk;
pub mod diff;
pub mod document;
pub mod documents;
pub mod drafts;
pub mod entry;
pub mod error;
pub mod evidence;
pub mod feed;
pub mod flag;
pub mod form;
mod from_run;
pub mod index;
pub mod intent;
pub mod issue;
pub mod issues;
pub mod link;
mod links;
pub mod moment;
pub mod norm;
mod openings;
pub mod page;
pub mod patch;
mod publishing;
pub mod relation;
mod removal;
pub mod stats;
pub mod ties;
pub mod views;
mod walk;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use self::desk::Desk;
use self::norm::Crew;
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;
use crate::runtime::Runtime;
use crate::runtime::documents::Documents;

/// A run of the agent that shows no event for so long is given up, where nothing else is said.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// The boards of all owners. Cheap to clone.
#[derive(Clone)]
pub struct Triage(Arc<Boards>);

struct Boards {
    runtime: Runtime,
    desks: Mutex<HashMap<Owner, Arc<Desk>>>,
    crew: Arc<Crew>,
}

/// One owner's board. Cheap to clone.
#[derive(Clone)]
pub struct Board {
    runtime: Runtime,
    documents: Documents,
    desk: Arc<Desk>,
    crew: Arc<Crew>,
}

impl Triage {
    /// On this runtime.
    pub fn new(runtime: Runtime) -> Self {
        Self::patient(runtime, PATIENCE)
    }

    /// The same, where a run that shows no event for so long is given up.
    pub fn patient(runtime: Runtime, patience: Duration) -> Self {
        let crew = Arc::new(Crew::new(patience));
        Self(Arc::new(Boards { runtime, desks: Mutex::default(), crew }))
    }

    /// The board of an owner.
    pub fn of(&self, owner: &Owner) -> Board {
        let mut desks = self.0.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = desks.entry(owner.clone()).or_default().clone();
        let runtime = self.0.runtime.clone();
        Board { documents: runtime.documents(owner), runtime, desk, crew: self.0.crew.clone() }
    }

    /// What stands under the boards.
    fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }
}

impl Board {
    /// Whose it is.
    pub fn owner(&self) -> &Owner {
        self.documents.owner()
    }

    /// What stands under it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// What the owner keeps.
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// A name never used before.
    fn fresh(&self) -> Uuid {
        self.runtime.fresh()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.runtime.now()
    }
}
