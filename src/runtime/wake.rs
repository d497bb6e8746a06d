//! What somebody tells a run: to stop, or what it waits for.
//!
//! A run that waits has no driver. Whoever wakes it claims it first, so that one story is told and not two, and
//! writes the news down before saying that they were heard.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::error::Error;
use super::lanes::{LiveRun, Stage};
use super::receipts::Claim;
use crate::domain::id::{Owner, RunId};
use crate::domain::run::{Run, Status};
use crate::machine::News;
use crate::store::Log;

/// How soon a run that is about to be let go is claimed again.
const CLAIM_AGAIN: Duration = Duration::from_millis(1);

impl Inner {
    /// Stops a run: one that is driven soon, any other before this returns.
    pub(super) async fn cancel(
        self: &Arc<Self>,
        owner: &Owner,
        run: RunId,
        reason: String,
    ) -> Result<(), Error> {
        let stored = self.stored_run(owner, run).await?;
        if let Some(driver) = self.lanes.withdraw(run) {
            let live = driver.live.clone();
            live.stop(&reason);
            driver.drive().await;
            self.lanes.release(&live);
            return live.lost().map_or(Ok(()), Err);
        }
        if self.lanes.live(run).is_some_and(|live| live.stop(&reason)) {
            return Ok(());
        }
        if stored.status.is_over() {
            return Err(Error::Conflict(format!("run {run} is over")));
        }
        self.wake(owner, run, News::Cancelled { reason }, Claim::none()).await
    }

    /// Tells the news to a run that waits for somebody; when this returns, they are stored.
    pub(super) async fn wake(
        self: &Arc<Self>,
        owner: &Owner,
        run: RunId,
        news: News,
        claim: Claim,
    ) -> Result<(), Error> {
        let stored = self.waiting_run(owner, run).await?;
        let live = LiveRun::new(run, Log { owner: owner.clone(), session: stored.session });
        // Its driver has shown the pause and is about to let go, or somebody else is waking it and will have
        // said so in a moment.
        while !self.lanes.claim(&live) {
            tokio::time::sleep(CLAIM_AGAIN).await;
            self.waiting_run(owner, run).await?;
        }
        let woken = self.clone().wake_claimed(owner, live.clone(), news, claim).await;
        if let Err(error) = &woken {
            live.reach(Stage::Lost(error.clone()));
            self.lanes.release(&live);
        }
        woken
    }

    async fn wake_claimed(
        self: Arc<Self>,
        owner: &Owner,
        live: Arc<LiveRun>,
        news: News,
        claim: Claim,
    ) -> Result<(), Error> {
        // Read again: before the claim somebody else may have woken it.
        let stored = self.waiting_run(owner, live.run).await?;
        let mut driver = self.driver_of(&stored, live.clone()).await?.claimed(claim);
        driver.take(news)?;
        if driver.is_written() {
            return Err(Error::Conflict(format!("run {} does not wait for that", stored.id)));
        }
        driver.write_opening().await?;
        if driver.is_at_rest() && live.rest(driver.view()) {
            self.lanes.release(&live);
            return Ok(());
        }
        self.enter(driver, None).await.map(drop)
    }

    async fn waiting_run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let stored = self.stored_run(owner, run).await?;
        match stored.status {
            Status::Paused => Ok(stored),
            Status::Pending | Status::Running | Status::Completed | Status::Cancelled | Status::Failed => {
                Err(Error::Conflict(format!("run {run} does not wait for anybody")))
            }
        }
    }
}
