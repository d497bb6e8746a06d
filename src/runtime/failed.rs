//! Runs that failed, for whoever does something about it: each is marked with its last fact, in the same write, and
//! stays marked until it was seen to. So none is missed, whenever the process ends.

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::desk::Desk;
use super::error::Error;
use super::records::{self, FAILED_RUN};
use super::{Inner, Runtime};
use crate::domain::document::{Query, Tags};
use crate::domain::fact::Outcome;
use crate::domain::id::{Owner, RunId};
use crate::domain::view::RunView;
use crate::store::{Batch, Expect};

/// Marks read at a time.
const STEP: usize = 100;

/// Whether failures are marked, and who waits for one.
pub(super) struct Failures {
    are_kept: bool,
    told: Notify,
}

impl Failures {
    pub(super) fn new(are_kept: bool) -> Self {
        Self { are_kept, told: Notify::new() }
    }

    /// Says so if a run has failed, once that is written.
    pub(super) fn tell(&self, view: &RunView) {
        if self.are_kept && matches!(view.outcome, Some(Outcome::Failed(_))) {
            self.told.notify_one();
        }
    }
}

/// Says whose a run is that failed.
#[derive(Debug, Serialize, Deserialize)]
struct FailedRun {
    owner: Owner,
}

impl Inner {
    /// Marks a run that failed beside its last fact.
    pub(super) fn mark_failure(&self, desk: &mut Desk, owner: &Owner, view: &RunView) -> Result<(), Error> {
        if matches!(view.outcome, Some(Outcome::Failed(_))) {
            self.mark_failed(desk, owner, view.run)?;
        }
        Ok(())
    }

    /// The same of a run that is known to have failed.
    pub(super) fn mark_failed(&self, desk: &mut Desk, owner: &Owner, run: RunId) -> Result<(), Error> {
        if self.failures.are_kept {
            let tags = Tags { sort: self.clock.now().0, listed: true, ..Tags::default() };
            let mark = FailedRun { owner: owner.clone() };
            desk.put(records::put(records::failed_run_key(run), Expect::Any, tags, &mark)?);
        }
        Ok(())
    }
}

impl Runtime {
    /// Some of the runs that failed and were not seen to yet, oldest first; none where failures are not kept.
    ///
    /// # Errors
    /// What the store says.
    pub async fn failed_runs(&self) -> Result<Vec<(Owner, RunId)>, Error> {
        let query = Query {
            owner: records::server(),
            kind: FAILED_RUN,
            tag: None,
            newest_first: false,
            after: None,
            skip: 0,
            limit: STEP,
        };
        let page = self.store().list(&query).await?;
        let failed = page.records.iter().filter_map(|record| {
            let mark = records::parse::<FailedRun>(record).ok()?;
            Some((mark.owner, record.key.id.parse().ok()?))
        });
        Ok(failed.collect())
    }

    /// Ends when a run may have failed since this was last asked.
    pub async fn failure(&self) {
        self.0.failures.told.notified().await;
    }

    /// Takes a failed run's mark away: it was seen to.
    ///
    /// # Errors
    /// What the store says.
    pub async fn seen_to(&self, run: RunId) -> Result<(), Error> {
        let batch = Batch { deletes: vec![records::failed_run_key(run)], ..Batch::default() };
        Ok(self.store().commit(batch).await?)
    }
}
