//! Runs: accepted, told, awaited, read.

use std::sync::Arc;
use std::time::Duration;

use futures::Stream;

use super::driver::Driver;
use super::error::Error;
use super::journal::Room;
use super::lanes::{Entered, LiveRun, Stage};
use super::records::{self, RUN};
use super::settle::agent_of;
use super::{Inner, Runtime};
use crate::domain::document::{self, Query};
use crate::domain::fact::{Entry, Fact, RunStart, Seq};
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::run::{Command, Run, StartRun, Started, Status};
use crate::domain::spec::{OnSecondMessage, Spec};
use crate::domain::view::RunView;
use crate::machine::{Machine, News};
use crate::store::Log;

/// Entries of a run read at a time.
const READ_STEP: usize = 256;

/// When to come back to a session whose queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

impl Runtime {
    /// Accepts a run: when this returns, it is stored and will be driven to its end, whatever happens. Makes the
    /// session if it is not there.
    ///
    /// # Errors
    /// [`Error::NoComponent`]; [`Error::SessionTaken`]; [`Error::Busy`] when too many wait, or the agent refuses
    /// a second message; [`Error::Unavailable`] while the server is stopping; what the store says.
    pub async fn start(&self, owner: &Owner, order: StartRun) -> Result<Started, Error> {
        let inner = self.0.clone();
        let owner = owner.clone();
        // On a task of its own: a client that goes away in the middle leaves no half-made run behind.
        let accepted = tokio::spawn(async move { inner.accept(owner, order).await });
        accepted.await.map_err(|_| Error::Internal)?
    }

    /// Tells a run something.
    ///
    /// # Errors
    /// [`Error::NoRun`]; [`Error::Conflict`] if it is over, or does not wait for what is answered.
    pub async fn tell(&self, owner: &Owner, run: RunId, command: Command) -> Result<(), Error> {
        let stored = self.0.stored_run(owner, run).await?;
        match command {
            Command::Cancel { reason } => self.0.cancel(owner, &stored, &reason).await,
            Command::Answer(answers) => self.0.wake(owner, run, News::Answered(answers)).await,
        }
    }

    /// History, then live, without a seam: the entries of the session's log after `after`. Ends only when the
    /// session is deleted.
    pub fn tail(
        &self,
        owner: &Owner,
        session: &SessionId,
        after: Seq,
    ) -> impl Stream<Item = Result<Arc<Entry>, Error>> + Send + use<> {
        self.journal().tail(&Log { owner: owner.clone(), session: session.clone() }, after)
    }

    /// Waits until the run is over or waits for somebody.
    ///
    /// # Errors
    /// [`Error::NoRun`]; [`Error::Unavailable`] if the server stops first.
    pub async fn finished(&self, owner: &Owner, run: RunId) -> Result<RunView, Error> {
        let live = self.0.lanes.live(run).filter(|live| live.log.owner == *owner);
        if let Some(live) = live {
            let mut stage = live.watch();
            let rest = stage.wait_for(|stage| matches!(stage, Stage::Resting(_) | Stage::Lost(_))).await;
            match rest.map(|stage| stage.clone()) {
                Ok(Stage::Resting(view)) => return Ok(Arc::unwrap_or_clone(view)),
                Ok(Stage::Lost(error)) => return Err(error),
                Ok(Stage::Accepting | Stage::Going { .. }) | Err(_) => {}
            }
        }
        let stored = self.0.stored_run(owner, run).await?;
        self.view(owner, &stored).await
    }

    /// The run's record, its status as of now.
    ///
    /// # Errors
    /// [`Error::NoRun`].
    pub async fn run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let mut stored = self.0.stored_run(owner, run).await?;
        self.0.refresh(&mut stored);
        Ok(stored)
    }

    /// All runs of a session, child runs too, oldest first.
    ///
    /// # Errors
    /// [`Error::NoSession`].
    pub async fn runs(&self, owner: &Owner, session: &SessionId) -> Result<Vec<Run>, Error> {
        let mut runs: Vec<Run> = Vec::new();
        loop {
            let before = runs.last().map(|run| (run.first, run.id));
            let page = self.0.run_page(owner, session, before, READ_STEP).await?;
            let last = page.len() < READ_STEP;
            runs.extend(page);
            if last {
                break;
            }
        }
        if runs.is_empty() {
            self.session(owner, session).await?;
        }
        runs.reverse();
        runs.iter_mut().for_each(|run| self.0.refresh(run));
        Ok(runs)
    }

    /// What a run's facts tell so far.
    ///
    /// # Errors
    /// [`Error::NoRun`]; what the store says.
    pub async fn view(&self, owner: &Owner, run: &Run) -> Result<RunView, Error> {
        let entries = self.0.entries(owner, run).await?;
        let mut view = RunView::of(run.id, &entries).ok_or(Error::NoRun(run.id))?;
        if view.status == Status::Pending {
            view.status = run.status;
        }
        Ok(view)
    }

    /// All entries of a run so far.
    ///
    /// # Errors
    /// What the store says.
    pub async fn entries(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        self.0.entries(owner, run).await
    }

    /// The latest runs of a session, newest first, before a given one.
    pub(super) async fn run_page(
        &self,
        owner: &Owner,
        session: &SessionId,
        before: Option<(Seq, RunId)>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        self.0.run_page(owner, session, before, limit).await
    }

    /// Asks every run of a session to stop; those that wait are dropped.
    pub(super) fn stop_lane(&self, log: &Log, reason: &str) {
        if let Some(current) = self.0.lanes.clear(log) {
            current.stop(reason);
        }
    }
}

impl Inner {
    async fn accept(self: Arc<Self>, owner: Owner, order: StartRun) -> Result<Started, Error> {
        let spec = self
            .catalog()
            .get(order.kind, &order.component)
            .ok_or_else(|| Error::NoComponent { kind: order.kind, id: order.component.clone() })?;
        let (session, fresh) = super::Runtime(self.clone()).session_id(order.session)?;
        let log = Log { owner, session };
        let room = self.journal.room(&log);
        let start = RunStart {
            spec: spec.clone(),
            session: log.session.clone(),
            user: order.user,
            input: order.input,
            options: order.options,
            parent: None,
        };
        if fresh {
            room.pen().await.begin_empty();
        } else {
            self.check_session(&room, &start).await?;
            self.make_way(&log, &spec, order.on_second_message)?;
        }
        self.begin(room, start).await
    }

    /// Before a model is asked anything: whether the session may be used at all.
    async fn check_session(&self, room: &Room, start: &RunStart) -> Result<(), Error> {
        let mut memory = room.pen().await;
        let desk = memory.desk(&*self.store, &room.log).await?;
        let taken = |user| start.user.is_some() && start.user.as_ref() != Some(user);
        match desk.session.and_then(|session| session.user) {
            Some(user) if taken(&user) => {
                Err(Error::SessionTaken { session: room.log.session.clone(), owner: "user" })
            }
            _ => Ok(()),
        }
    }

    /// What a message does while the session has runs to drive.
    fn make_way(&self, log: &Log, spec: &Spec, wish: Option<OnSecondMessage>) -> Result<(), Error> {
        let length = self.lanes.length(log);
        if length == 0 {
            return Ok(());
        }
        let rule = wish.or(agent_of(spec).map(|agent| agent.on_second_message)).unwrap_or_default();
        let busy = |reason: &str| Err(Error::Busy { reason: reason.into(), retry_after: RETRY_AFTER });
        match rule {
            OnSecondMessage::Reject => busy("a run of this session is going"),
            _ if length > self.queue_depth => busy("too many runs of this session are waiting"),
            OnSecondMessage::Enqueue | OnSecondMessage::Steer => Ok(()),
            OnSecondMessage::Interrupt => {
                if let Some(current) = self.lanes.current(log) {
                    current.stop("interrupted by another message");
                }
                Ok(())
            }
        }
    }

    async fn begin(self: Arc<Self>, room: Arc<Room>, start: RunStart) -> Result<Started, Error> {
        let at = self.clock.now();
        let run = RunId(self.clock.fresh());
        let session = start.session.clone();
        let machine = Machine::accept(run, at, &start)
            .map_err(|violation| Error::Invalid { field: "kind", message: violation.what })?;
        let toolbox = self.toolbox(&start.spec).map_err(|why| {
            tracing::error!(why, "a component of the catalog cannot be composed");
            Error::Internal
        })?;
        let owner = room.log.owner.clone();
        let live = LiveRun::new(run, room.log.clone());
        let mut stage = live.watch();
        let driver = Driver::new(self.clone(), live, room, machine, toolbox)
            .opening((at, Fact::RunStarted(Box::new(start))));
        let queued = self.clone().enter(driver).await?;
        let reached = stage.wait_for(|stage| !matches!(stage, Stage::Accepting)).await;
        let reached = reached.map(|stage| stage.clone()).map_err(|_| Error::Internal)?;
        match reached {
            Stage::Going { first, .. } => Ok(Started { owner, session, run, first, queued }),
            Stage::Lost(error) => Err(error),
            Stage::Accepting | Stage::Resting(_) => {
                let stored = self.stored_run(&owner, run).await?;
                Ok(Started { owner, session, run, first: stored.first, queued })
            }
        }
    }

    /// Lets a run into its lane, writing it down first if it must wait; whether it must.
    pub(super) async fn enter(self: Arc<Self>, mut driver: Driver) -> Result<bool, Error> {
        loop {
            match self.lanes.enter(driver)? {
                Entered::Drive(driver) => {
                    tokio::spawn(self.drive_lane(driver));
                    return Ok(false);
                }
                Entered::Queued => return Ok(true),
                Entered::WriteFirst(waiting) => {
                    driver = waiting;
                    driver.write_opening().await?;
                }
            }
        }
    }

    /// Drives a lane's runs, one after the other, until none is left.
    async fn drive_lane(self: Arc<Self>, first: Driver) {
        let mut next = Some(first);
        while let Some(driver) = next {
            let live = driver.live.clone();
            driver.drive().await;
            next = self.lanes.leave(&live);
        }
        self.idle.notify_waiters();
    }

    async fn cancel(self: &Arc<Self>, owner: &Owner, stored: &Run, reason: &str) -> Result<(), Error> {
        if let Some(driver) = self.lanes.withdraw(stored.id) {
            driver.live.stop(reason);
            driver.drive().await;
            self.lanes.release(stored.id);
            return Ok(());
        }
        if let Some(live) = self.lanes.live(stored.id) {
            live.stop(reason);
            return Ok(());
        }
        self.wake(owner, stored.id, News::Cancelled { reason: reason.to_owned() }).await
    }

    /// Ends a run's wait with these news, exactly once however often it is asked: whoever takes the run's place
    /// among the live ones reads where it stands after that, and nobody else can take it meanwhile.
    async fn wake(self: &Arc<Self>, owner: &Owner, run: RunId, news: News) -> Result<(), Error> {
        let stored = self.stored_run(owner, run).await?;
        let live = LiveRun::new(run, Log { owner: owner.clone(), session: stored.session });
        if !self.lanes.reserve(&live) {
            return Err(Error::Conflict(format!("run {run} is going already")));
        }
        let woken = self.woken(owner, &live, news).await;
        if woken.is_err() {
            self.lanes.release(run);
        }
        self.clone().enter(woken?).await.map(drop)
    }

    async fn woken(
        self: &Arc<Self>,
        owner: &Owner,
        live: &Arc<LiveRun>,
        news: News,
    ) -> Result<Driver, Error> {
        let stored = self.stored_run(owner, live.run).await?;
        if stored.status.is_over() {
            return Err(Error::Conflict(format!("run {} is over", live.run)));
        }
        if stored.status != Status::Paused {
            return Err(Error::Conflict(format!("run {} does not wait for anybody", live.run)));
        }
        let mut driver = self.driver_of(owner, &stored, live.clone()).await?;
        driver.take(news)?;
        driver.write_opening().await?;
        Ok(driver)
    }

    /// A driver for a run that is in the log.
    pub(super) async fn driver_of(
        self: &Arc<Self>,
        owner: &Owner,
        stored: &Run,
        live: Arc<LiveRun>,
    ) -> Result<Driver, Error> {
        let entries = self.entries(owner, stored).await?;
        let machine = Machine::replay(stored.id, &entries).map_err(|violation| {
            tracing::error!(%violation, "a run's log cannot be replayed");
            Error::Internal
        })?;
        let log = Log { owner: owner.clone(), session: stored.session.clone() };
        live.reach(Stage::Going { first: stored.first, status: Status::Running });
        let toolbox = self.toolbox(&machine.view().spec).map_err(|why| {
            tracing::error!(why, run.id = %stored.id, "a run's tools cannot be composed any more");
            Error::Internal
        })?;
        let room = self.journal.room(&log);
        Ok(Driver::new(self.clone(), live, room, machine, toolbox).resuming(stored.first))
    }

    pub(super) async fn stored_run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let record = self.store.get(&records::run_key(owner, run)).await?;
        records::parse(&record.ok_or(Error::NoRun(run))?)
    }

    pub(super) async fn entries(&self, owner: &Owner, run: &Run) -> Result<Vec<Entry>, Error> {
        let log = Log { owner: owner.clone(), session: run.session.clone() };
        let mut entries = Vec::new();
        let mut at = run.first.saturating_sub(1);
        loop {
            let page = self.store.read(&log, at, READ_STEP).await?;
            let Some(last) = page.last() else { return Ok(entries) };
            at = last.last_seq();
            for entry in page {
                let ended = entry.run == run.id && matches!(entry.fact, Fact::RunFinished { .. });
                if entry.run == run.id {
                    entries.push(entry);
                }
                if ended {
                    return Ok(entries);
                }
            }
        }
    }

    pub(super) async fn run_page(
        &self,
        owner: &Owner,
        session: &SessionId,
        before: Option<(Seq, RunId)>,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        let query = Query {
            owner: owner.clone(),
            kind: RUN,
            tag: Some(records::session_tag(session)),
            newest_first: true,
            after: before.map(|(sort, id)| document::Place { sort, id: id.to_string() }),
            skip: 0,
            limit,
        };
        let page = self.store.list(&query).await?;
        Ok(page.records.iter().filter_map(|record| records::parse(record).ok()).collect())
    }

    /// What the record says, and what is known since.
    fn refresh(&self, run: &mut Run) {
        if let Some(status) = self.lanes.live(run.id).and_then(|live| live.status()) {
            run.status = status;
        }
    }
}
