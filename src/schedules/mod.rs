//! Floor 4, schedules: messages that are sent to sessions when their time comes.
//!
//! A [`Book`] is what one owner keeps: `schedule` and `execution` are its documents, `cron` and `ticks` say when
//! something is due. `keeper` is the one task that sleeps until the next due time of all owners; what is due becomes an
//! execution in the same write that moves its schedule on, so that a tick is neither lost nor taken twice. `delivery`
//! brings an execution to its end: its message is written together with a receipt under its name. `capability` lets
//! agents make schedules of their sessions.

mod book;
pub mod capability;
mod cron;
mod delivery;
mod error;
mod execution;
mod keeper;
mod schedule;
mod ticks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::book::{Book, Wanted};
use self::capability::SessionSchedule;
pub use self::error::Error;
pub use self::execution::{Execution, Status};
pub use self::schedule::{MAX_TEXT, MOST, Schedule, Tally, Target, Wish};
use crate::domain::id::SessionId;
use crate::runtime;
use crate::runtime::documents::Documents;
use crate::runtime::workspace::{Extension, Workspace};

/// The schedules of all owners. Cheap to clone.
#[derive(Clone, Default)]
pub struct Schedules(Arc<Desk>);

/// What is known beside what is written.
#[derive(Default)]
struct Desk {
    /// Something may be due earlier than was known.
    changed: Notify,
    /// Executions that are taken care of, and of which schedule.
    busy: Mutex<HashMap<Uuid, Uuid>>,
}

impl Schedules {
    /// What the owner of these documents keeps.
    pub fn of(&self, documents: Documents) -> Book {
        Book { documents, desk: self.0.clone() }
    }
}

#[async_trait]
impl Extension for Schedules {
    async fn extend(&self, documents: &Documents, workspace: &mut Workspace) -> Result<(), runtime::Error> {
        let capability = SessionSchedule::new(Some((self.clone(), documents.downgrade())));
        workspace.registry = workspace.registry.clone().with(Arc::new(capability));
        Ok(())
    }

    async fn forget(&self, documents: &Documents, session: &SessionId) -> Result<(), runtime::Error> {
        self.of(documents.clone()).forget(session).await
    }
}
