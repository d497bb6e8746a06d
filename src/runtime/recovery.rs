//! After a crash: finds the runs nobody drives, and drives them.
//!
//! A run is found by its mark among the open runs, which is written with its first fact and taken away with its
//! last. Nothing here knows what a run does: it replays the facts and hands the machine to a driver.

use std::sync::Arc;

use super::Inner;
use super::desk::Desk;
use super::driver::{Driver, MOST_PIECES_LOST};
use super::error::Error;
use super::lanes::LiveRun;
use super::records::{self, OPEN_RUN};
use super::settle::OpenRun;
use crate::domain::document::{Place, Query};
use crate::domain::fact::{Fact, Failure, Outcome};
use crate::domain::id::{Owner, RunId};
use crate::domain::run::{Run, Status};
use crate::store::{Expect, Log};

/// Open runs read at a time.
const STEP: usize = 500;

/// Takes up every open run; how many there were.
pub(super) async fn recover(inner: &Arc<Inner>, power_cut: bool) -> Result<usize, Error> {
    let open = open_runs(inner).await?;
    // All are read before the first is driven: a store that is away now ends the start, and no run is left out.
    let mut drivers = Vec::with_capacity(open.len());
    let mut taken_up = 0_usize;
    for (owner, run) in open {
        let driver = match driver_of(inner, &owner, &run, power_cut).await {
            Err(Error::Damaged) => bury(inner, &owner, &run).await.map(|()| None),
            driver => driver.map(Some),
        };
        match driver {
            Ok(driver) => {
                taken_up = taken_up.saturating_add(1);
                drivers.extend(driver);
            }
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => {
                tracing::error!(run.id = %run.id, %error, "run {} cannot be taken up again", run.id)
            }
        }
    }
    // Within a session, what had begun and then the order in which they were accepted: a run that found the session
    // empty may have been written down after others that found it there.
    drivers.sort_by_key(|driver| (driver.view().began.is_none(), driver.first()));
    for driver in drivers {
        tracing::info!(run.id = %driver.live.run, "taking up run {} again", driver.live.run);
        inner.clone().enter(driver, None).await?;
    }
    Ok(taken_up)
}

/// Whether the same may succeed once the store is back.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_) | Error::Full)
}

async fn driver_of(inner: &Arc<Inner>, owner: &Owner, run: &Run, power_cut: bool) -> Result<Driver, Error> {
    let live = LiveRun::new(run.id, Log { owner: owner.clone(), session: run.session.clone() });
    let mut driver = inner.driver_of(run, live).await?;
    if power_cut {
        driver.lose_pieces().await?;
        for below in inner.tree(owner, run.id).await?.iter().filter(|below| !below.status.is_over()) {
            lose_pieces(inner, owner, below).await?;
        }
    }
    Ok(driver)
}

/// Says in the log of a run that is driven by another that pieces which were shown may be gone.
async fn lose_pieces(inner: &Arc<Inner>, owner: &Owner, run: &Run) -> Result<(), Error> {
    if !inner.replayed(owner, run).await?.is_asking() {
        return Ok(());
    }
    let room = inner.journal.room(&Log { owner: owner.clone(), session: run.session.clone() });
    let facts = [(inner.clock.now(), Fact::Lost { pieces: MOST_PIECES_LOST })];
    inner.journal.append(&room, None, &[(run.id, &facts)], |_| Ok(())).await.map(drop)
}

/// Ends a run whose log cannot be read back: nobody could ever drive it on, and none may look as if it were going.
async fn bury(inner: &Inner, owner: &Owner, run: &Run) -> Result<(), Error> {
    let room = inner.journal.room(&Log { owner: owner.clone(), session: run.session.clone() });
    let failure =
        Failure::new("internal", "what is stored of the run cannot be read, so it could not be driven on");
    let outcome = Outcome::Failed(failure.clone());
    let facts = [(inner.clock.now(), Fact::RunFinished { outcome, state: Vec::new() })];
    let bury = |desk: &mut Desk| {
        let last = Some(desk.head().saturating_add(1));
        let buried = Run { status: Status::Failed, last, failure: Some(failure.clone()), ..run.clone() };
        desk.put(records::put_run(owner, &buried, Expect::Present)?);
        desk.delete(records::open_run_key(run.id));
        inner.mark_failed(desk, owner, run.id)
    };
    inner.journal.append(&room, None, &[(run.id, &facts)], bury).await.map(drop)
}

async fn open_runs(inner: &Inner) -> Result<Vec<(Owner, Run)>, Error> {
    let mut found = Vec::new();
    let mut after: Option<Place> = None;
    loop {
        let query = Query {
            owner: records::server(),
            kind: OPEN_RUN,
            tag: None,
            newest_first: false,
            after: after.take(),
            skip: 0,
            limit: STEP,
        };
        let page = inner.store.list(&query).await?;
        for record in &page.records {
            let (Ok(mark), Ok(id)) = (records::parse::<OpenRun>(record), record.key.id.parse::<RunId>())
            else {
                continue;
            };
            match inner.stored_run(&mark.owner, id).await {
                Ok(run) => found.push((mark.owner, run)),
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) => tracing::error!(run.id = %id, %error, "an open run has no readable record"),
            }
        }
        after = page.records.last().map(|last| Place { sort: last.sort, id: last.key.id.clone() });
        if after.is_none() || page.records.len().saturating_add(page.damaged) < STEP {
            return Ok(found);
        }
    }
}
