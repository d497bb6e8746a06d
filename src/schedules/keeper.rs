//! The one task that knows what is due, over all owners.
//!
//! A schedule that is enabled has a mark, sorted by the time, which is written with it. What is due is decided from the
//! schedule alone, and the executions of its ticks are written with what it says then: a crash leaves either a tick
//! that is still due, or an execution that is taken up.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::book::{Book, MAX_OPEN};
use super::execution::{self, Execution, Open, Status};
use super::schedule::{Due, Schedule};
use super::{Error, Schedules};
use crate::domain::document::Place;
use crate::domain::id::Owner;
use crate::domain::time::Timestamp;
use crate::runtime;
use crate::runtime::documents::{Changes, Documents, Listing, Stored, WeakDocuments};

/// A tick that is seen within this time was not missed: a server that is started anew is not away.
const GRACE: Duration = Duration::from_secs(60);

/// How soon what could not be dealt with is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// The longest sleep: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Marks read at a time.
const STEP: usize = 100;

/// Executions of a schedule that are kept, beside those that are not over.
const KEPT: u64 = 200;

impl Schedules {
    /// Takes up what a crash, or a stop, left; and sees to what is due from now on, as long as the runtime is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn keep(&self, runtime: &runtime::Runtime) -> Result<(), runtime::Error> {
        let server = runtime.documents(&Owner::server());
        let open = server.all::<Open>(None).await?;
        let left: HashSet<(Owner, Uuid)> =
            open.into_iter().map(|open| (open.value.owner, open.value.schedule)).collect();
        for (owner, schedule) in left {
            self.of(runtime.documents(&owner)).rouse(schedule);
        }
        tokio::spawn(self.clone().watch(server.downgrade(), runtime.let_go()));
        Ok(())
    }

    async fn watch(self, server: WeakDocuments, let_go: impl Future<Output = ()>) {
        let mut let_go = std::pin::pin!(let_go);
        loop {
            let changed = self.0.changed.notified();
            let Some(documents) = server.upgrade().filter(|server| !server.runtime().is_stopping()) else {
                return;
            };
            let sleep = match self.serve(&documents).await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::warn!(%error, "schedules could not be looked at");
                    AGAIN
                }
            };
            drop(documents);
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
                () = &mut let_go => return,
            }
        }
    }

    /// Serves all that is due; how long until there is more.
    async fn serve(&self, server: &Documents) -> Result<Duration, runtime::Error> {
        let now = server.runtime().now();
        let mut longest = LONGEST_SLEEP;
        let mut after: Option<Place> = None;
        loop {
            let page = server.list::<Due>(Listing { after, limit: STEP, ..Listing::default() }).await?;
            for due in page.documents.iter().take_while(|due| due.at <= now) {
                let book = self.of(server.runtime().documents(&due.owner));
                if let Err(error) = book.fire(due.schedule).await {
                    tracing::warn!(%error, schedule = %due.schedule, "schedule {} could not be served", due.schedule);
                    longest = AGAIN;
                }
            }
            after = page.next.filter(|next| next.sort <= now.0);
            if after.is_none() {
                break;
            }
        }
        // What could not be served stays where it is, and keeps nothing else waiting.
        let later = Place { sort: now.0, id: char::MAX.into() };
        let next = server.list::<Due>(Listing { after: Some(later), limit: 1, ..Listing::default() }).await?;
        let wait = next.documents.first().map(|due| due.at.since(server.runtime().now()));
        Ok(wait.map_or(longest, |wait| wait.min(longest)))
    }
}

impl Book {
    /// Makes executions of what is due of a schedule, and moves it on.
    async fn fire(&self, id: Uuid) -> Result<(), Error> {
        let open = self.count::<Execution>(Some(execution::open_tag(id))).await?;
        let old = self.too_old(id).await?;
        let now = self.now();
        let fire = |before: Option<Stored<Schedule>>| {
            let Some(before) = before else {
                return Ok::<_, Error>(((), Changes::default().delete::<Due>(&id.to_string()).of_server()));
            };
            let mut after = before.value.clone();
            let executions = due_of(&mut after, now, open);
            let mut changes = Changes::default().and(after.mark(self.owner()));
            for execution in &executions {
                after.tally.accept(execution);
                changes = changes.and(match execution.status {
                    Status::Skipped => Changes::default().put(execution),
                    Status::Pending | Status::Running | Status::Completed | Status::Failed => {
                        execution.accepted(self.owner())
                    }
                });
            }
            changes = old.iter().fold(changes, |changes, old| changes.and(execution::gone(*old)));
            Ok(((), changes.replace(&before, &after)))
        };
        self.documents.change(&id.to_string(), fire).await?;
        self.rouse(id);
        Ok(())
    }

    /// Executions that are over and no longer kept.
    async fn too_old(&self, id: Uuid) -> Result<Vec<Uuid>, runtime::Error> {
        let tag = Some(execution::of_tag(id));
        let excess = self.count::<Execution>(tag.clone()).await?.saturating_sub(KEPT);
        let limit = usize::try_from(excess).unwrap_or(usize::MAX).min(STEP);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let oldest = self.documents.list::<Execution>(Listing { tag, limit, ..Listing::default() }).await?;
        let over = oldest.documents.iter().filter(|one| one.status.is_over());
        Ok(over.map(|one| one.id).collect())
    }
}

/// The executions of what is due of a schedule, which goes on to its next tick. `open` of it are not over.
fn due_of(schedule: &mut Schedule, now: Timestamp, open: u64) -> Vec<Execution> {
    let Some(first) = schedule.next.filter(|next| *next <= now) else { return Vec::new() };
    let ticks = match schedule.ticks() {
        Ok(ticks) => ticks,
        Err(error) => {
            tracing::error!(%error, schedule = %schedule.id, "schedule {} cannot be read any more", schedule.id);
            (schedule.next, schedule.enabled) = (None, false);
            return Vec::new();
        }
    };
    let next = ticks.next(now);
    let catches_up = schedule.catch_up_missed && schedule.catch_up() > 0;
    let most = if catches_up { schedule.catch_up() } else { 1 };
    let found = ticks.latest(first, now, usize::try_from(most).unwrap_or(1));
    let is_missed = |tick: &Timestamp| now.since(*tick) > GRACE;
    let makes_up = catches_up && (found.len() > 1 || found.iter().any(is_missed));
    // What is made up for waits for its turn; and what comes only once is late rather than never.
    let full = if makes_up { MAX_OPEN } else { u64::from(schedule.concurrent()) };
    let is_last = schedule.once && next.is_none();
    let due = found.into_iter().filter(|tick| catches_up || is_last || !is_missed(tick));
    let executions = due.zip(open..).map(|(tick, ahead)| {
        let mut execution = Execution::of_tick(schedule, tick, now);
        if ahead >= full {
            execution.status = Status::Skipped;
            execution.finished = Some(now);
            execution.error = Some("as many executions were going as may".into());
        }
        execution
    });
    let executions: Vec<Execution> = executions.collect();
    schedule.last = executions.last().map(|execution| execution.scheduled).or(schedule.last);
    (schedule.next, schedule.enabled) = (next, next.is_some());
    executions
}
