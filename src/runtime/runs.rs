//! Runs: accepted, told, driven, awaited.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, Stream};

use super::driver::Driver;
use super::error::Error;
use super::journal::Room;
use super::lanes::{Entered, LiveRun, Manners, Stage};
use super::receipts::{Claim, MadeRun};
use super::settle::agent_of;
use super::{Inner, Runtime};
use crate::domain::fact::{Entry, Fact, Failure, ModelChoice, RunStart, Seq};
use crate::domain::fork::Origin;
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::run::{Command, Run, StartRun, Started, Status};
use crate::domain::spec::{Additions, OnSecondMessage, Spec};
use crate::domain::view::RunView;
use crate::machine::{Machine, News};
use crate::store::Log;

impl Runtime {
    /// Accepts a run: when this returns, it is stored and will be driven to its end, whatever happens. Makes the
    /// session if it is not there.
    ///
    /// # Errors
    /// [`Error::NoComponent`]; [`Error::SessionTaken`]; [`Error::Busy`] when too many wait, or the agent refuses
    /// a second message; [`Error::Unavailable`] when too many are going, or the server is stopping; what the store
    /// says.
    pub async fn start(&self, owner: &Owner, order: StartRun) -> Result<Started, Error> {
        self.start_once(owner, order, Claim::none()).await
    }

    /// The same for an order that may have come before: then the run it made.
    ///
    /// # Errors
    /// As [`Runtime::start`]; [`Error::Conflict`] if that run was taken away since.
    pub async fn start_once(&self, owner: &Owner, order: StartRun, claim: Claim) -> Result<Started, Error> {
        self.accept_once(owner, order, None, claim).await
    }

    /// Accepts a run under a name its caller chose, of a component as the caller fits it out: `component` of the order
    /// names it, but what runs is `spec`. A run of that name that was accepted before is the one that is meant.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn start_as(
        &self,
        owner: &Owner,
        order: StartRun,
        run: RunId,
        spec: Arc<Spec>,
    ) -> Result<Started, Error> {
        let (inner, owner) = (self.0.clone(), owner.clone());
        let accepted = tokio::spawn(async move {
            match inner.stored_run(&owner, run).await {
                Ok(Run { id: run, session, first, .. }) => {
                    Ok(Started { owner, session, run, first, queued: false, joined: None })
                }
                Err(Error::NoRun(_)) => {
                    inner.accept(owner, order, None, Claim::none(), Some((run, spec))).await
                }
                Err(error) => Err(error),
            }
        });
        accepted.await.map_err(|_| Error::Internal)?
    }

    pub(super) async fn accept_once(
        &self,
        owner: &Owner,
        order: StartRun,
        origin: Option<Origin>,
        claim: Claim,
    ) -> Result<Started, Error> {
        let inner = self.0.clone();
        let owner = owner.clone();
        // On a task of its own: a client that goes away in the middle leaves no half-made run behind.
        let accepted = tokio::spawn(async move {
            match claim.made()? {
                Some(made) => inner.started(owner, made).await,
                None => inner.accept(owner, order, origin, claim, None).await,
            }
        });
        accepted.await.map_err(|_| Error::Internal)?
    }

    /// Tells a run something.
    ///
    /// # Errors
    /// [`Error::NoRun`]; [`Error::Conflict`] if it is over, or does not wait for what is answered.
    pub async fn tell(&self, owner: &Owner, run: RunId, command: Command) -> Result<(), Error> {
        self.tell_once(owner, run, command, Claim::none()).await
    }

    /// The same for a command that may have come before: then it was heard. A command to stop may be given as
    /// often as one likes, and leaves no receipt.
    ///
    /// # Errors
    /// As [`Runtime::tell`].
    pub async fn tell_once(
        &self,
        owner: &Owner,
        run: RunId,
        command: Command,
        claim: Claim,
    ) -> Result<(), Error> {
        if claim.is_done() {
            return Ok(());
        }
        let (inner, owner) = (self.0.clone(), owner.clone());
        // On a task of its own, for the same reason as a start.
        let told = tokio::spawn(async move {
            match command {
                Command::Cancel { reason } => inner.cancel(&owner, run, reason).await,
                Command::Answer(answers) => inner.answer(&owner, run, answers, claim).await,
            }
        });
        told.await.map_err(|_| Error::Internal)?
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
            let rest = stage.wait_for(Stage::is_rest).await;
            match rest.map(|stage| stage.clone()) {
                Ok(Stage::Resting(view)) => return Ok(Arc::unwrap_or_clone(view)),
                Ok(Stage::Lost(error)) => return Err(error),
                Ok(Stage::Accepting | Stage::Going { .. }) | Err(_) => {}
            }
        }
        let stored = self.0.stored_run(owner, run).await?;
        self.view(owner, &stored).await
    }

    /// The run as it was when it first came to rest after `since`, whatever became of it later. Waits for that.
    ///
    /// # Errors
    /// As [`Runtime::finished`].
    pub async fn rested(&self, owner: &Owner, made: MadeRun) -> Result<RunView, Error> {
        let stored = self.0.stored_run(owner, made.run).await?;
        if let Some(view) = self.0.first_rest(owner, &stored, made.since).await? {
            return Ok(view);
        }
        let view = self.finished(owner, made.run).await?;
        Ok(self.0.first_rest(owner, &stored, made.since).await?.unwrap_or(view))
    }

    /// Asks the run of a session that was taken away to stop; those that wait are dropped.
    pub(super) fn stop_lane(&self, log: &Log, reason: &str) {
        if let Some(current) = self.0.lanes.clear(log) {
            current.stop(reason);
        }
    }
}

impl Inner {
    /// A run that was accepted before.
    async fn started(&self, owner: Owner, made: MadeRun) -> Result<Started, Error> {
        match self.stored_run(&owner, made.run).await {
            Ok(Run { id: run, session, first, .. }) => {
                let joined = (made.since > first).then_some(made.since);
                Ok(Started { owner, session, run, first, queued: false, joined })
            }
            Err(Error::NoRun(run)) => {
                Err(Error::Conflict(format!("run {run}, which this request started, was deleted since")))
            }
            Err(error) => Err(error),
        }
    }

    async fn first_rest(&self, owner: &Owner, stored: &Run, since: Seq) -> Result<Option<RunView>, Error> {
        let entries = self.entries(owner, stored).await?;
        let rests = |entry: &Entry| {
            entry.seq >= since && matches!(entry.fact, Fact::Paused { .. } | Fact::RunFinished { .. })
        };
        let rest = entries.iter().position(rests).and_then(|rest| entries.get(..=rest));
        Ok(rest.and_then(|entries| RunView::of(stored.id, entries)))
    }

    async fn accept(
        self: Arc<Self>,
        owner: Owner,
        order: StartRun,
        origin: Option<Origin>,
        claim: Claim,
        chosen: Option<(RunId, Arc<Spec>)>,
    ) -> Result<Started, Error> {
        let workspace = self.workspace(&owner).await?;
        let (run, spec) = match chosen {
            Some((run, spec)) => (run, Some(spec)),
            None => (RunId(self.clock.fresh()), workspace.catalog.get(order.kind, &order.component)),
        };
        let spec =
            spec.ok_or_else(|| Error::NoComponent { kind: order.kind, id: order.component.clone() })?;
        let (session, fresh) = super::Runtime(self.clone()).session_id(order.session)?;
        let log = Log { owner, session };
        let room = self.journal.room(&log);
        let additions = if fresh {
            room.pen().await.begin_empty();
            Additions::default()
        } else {
            self.check_session(&room, order.user.as_ref()).await?
        };
        let spec = with_additions(spec, &additions);
        let components = workspace.catalog.below(&spec);
        let spec = workspace.answered_by(spec, &[order.options.model.as_ref(), additions.model.as_ref()]);
        let start = RunStart {
            spec: spec.clone(),
            session: log.session.clone(),
            user: order.user,
            input: order.input,
            options: order.options,
            parent: None,
            place: None,
            components,
            origin,
        };
        let rule = order.on_second_message.or(agent_of(&spec).map(|agent| agent.on_second_message));
        let manners = Manners { rule: rule.unwrap_or_default(), most: self.queue_depth };
        if manners.rule == OnSecondMessage::Steer
            && start.origin.is_none()
            && let Some(joined) = self.join(&log, &start, &claim).await?
        {
            return Ok(joined);
        }
        self.begin(room, (run, start), manners, claim).await
    }

    /// Before a model is asked anything: whether the session may be used at all, and what it adds.
    async fn check_session(&self, room: &Room, caller: Option<&UserId>) -> Result<Additions, Error> {
        let mut memory = room.pen().await;
        let desk = memory.desk(&*self.store, &room.log).await?;
        let taken = |user| caller.is_some() && caller != Some(user);
        match desk.session.and_then(|session| session.user) {
            Some(user) if taken(&user) => {
                Err(Error::SessionTaken { session: room.log.session.clone(), owner: "user" })
            }
            _ => Ok(desk.data.additions),
        }
    }

    /// Has a message join the run of the session that is going, if it is one of the same component.
    async fn join(&self, log: &Log, start: &RunStart, claim: &Claim) -> Result<Option<Started>, Error> {
        let Some(live) = self.lanes.current(log) else { return Ok(None) };
        let run = match self.stored_run(&log.owner, live.run).await {
            Err(Error::NoRun(_)) => return Ok(None),
            run => run?,
        };
        let other = run.kind != start.spec.kind() || run.component != *start.spec.id();
        if other || agent_of(&start.spec).is_none() {
            return Ok(None);
        }
        let Some(taken) =
            live.steer((start.input.clone(), chosen(start)), claim.clone(), self.queue_depth)?
        else {
            return Ok(None);
        };
        let joined = taken.await.ok().map(|seq| Started {
            owner: log.owner.clone(),
            session: log.session.clone(),
            run: run.id,
            first: run.first,
            queued: false,
            joined: Some(seq),
        });
        Ok(joined)
    }

    async fn begin(
        self: Arc<Self>,
        room: Arc<Room>,
        (run, start): (RunId, RunStart),
        manners: Manners,
        claim: Claim,
    ) -> Result<Started, Error> {
        let permit = self.permits.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::Unavailable("too many runs are going".into()))?;
        let at = self.clock.now();
        let session = start.session.clone();
        let machine = Machine::accept(run, at, &start)
            .map_err(|violation| Error::Invalid { field: "kind", message: violation.what })?;
        let components: Arc<[Arc<Spec>]> = start.components.clone().into();
        let workspace = self.workspace(&room.log.owner).await?;
        let toolbox = workspace.toolbox(&start.spec, &components).map_err(|why| {
            tracing::error!(why, "a component of the catalog cannot be composed");
            Error::Internal
        })?;
        let owner = room.log.owner.clone();
        let live = LiveRun::new(run, room.log.clone());
        let mut stage = live.watch();
        let driver = Driver::new(self.clone(), live, room, machine, toolbox, components)
            .opening((at, Fact::RunStarted(Box::new(start))))
            .permitted(Some(permit))
            .claimed(claim);
        let queued = self.clone().enter(driver, Some(manners)).await?;
        let reached = stage.wait_for(|stage| !matches!(stage, Stage::Accepting)).await;
        let reached = reached.map(|stage| stage.clone()).map_err(|_| Error::Internal)?;
        match reached {
            Stage::Going { first, .. } => Ok(Started { owner, session, run, first, queued, joined: None }),
            Stage::Lost(error) => Err(error),
            Stage::Accepting | Stage::Resting(_) => {
                let stored = self.stored_run(&owner, run).await?;
                Ok(Started { owner, session, run, first: stored.first, queued, joined: None })
            }
        }
    }

    /// Lets a run into its lane, writing it down first if it must wait; whether it must. A new run has a rule for
    /// what it does when it is not alone; one that was accepted before has its place.
    pub(super) async fn enter(
        self: Arc<Self>,
        mut driver: Driver,
        manners: Option<Manners>,
    ) -> Result<bool, Error> {
        loop {
            match self.lanes.enter(driver, manners)? {
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
            if AssertUnwindSafe(driver.drive()).catch_unwind().await.is_err() {
                tracing::error!(run.id = %live.run, "run {} is no longer driven: its driver panicked", live.run);
                live.reach(Stage::Lost(Error::Internal));
            }
            next = self.lanes.leave(&live);
        }
        self.idle.notify_waiters();
    }

    /// A driver for a run that is in the log.
    pub(super) async fn driver_of(
        self: &Arc<Self>,
        stored: &Run,
        live: Arc<LiveRun>,
    ) -> Result<Driver, Error> {
        let machine = self.replayed(&live.log.owner, stored).await?;
        let status = if machine.view().began.is_some() { Status::Running } else { Status::Pending };
        live.reach(Stage::Going { first: stored.first, status });
        let room = self.journal.room(&live.log);
        let components: Arc<[Arc<Spec>]> = machine.view().components.clone().into();
        let workspace = self.workspace(&live.log.owner).await?;
        let toolbox = workspace.toolbox(&machine.view().spec, &components);
        let (toolbox, broken) =
            toolbox.map_or_else(|why| (Arc::default(), Some(why)), |toolbox| (toolbox, None));
        let mut driver = Driver::new(self.clone(), live, room, machine, toolbox, components)
            .resuming(stored.first)
            .permitted(self.permits.clone().try_acquire_owned().ok());
        if let Some(why) = broken {
            tracing::error!(why, run.id = %stored.id, "a run's tools cannot be composed any more");
            driver.take(News::Broken(Failure::new("invalid_agent", why)))?;
        }
        Ok(driver)
    }
}

/// Who is to answer, where the order of a run says so.
fn chosen(start: &RunStart) -> Option<ModelChoice> {
    let agent = agent_of(&start.spec).filter(|_| start.options.model.is_some())?;
    let reasoning_effort = start.options.reasoning_effort.clone();
    Some(ModelChoice { model: agent.model.clone(), reasoning_effort })
}

/// The agent as it works in a session that adds something to it.
fn with_additions(mut spec: Arc<Spec>, additions: &Additions) -> Arc<Spec> {
    if additions.is_empty() {
        return spec;
    }
    match Arc::make_mut(&mut spec) {
        Spec::Agent(agent) => agent.additions.clone_from(additions),
        Spec::Team(team) => team.leader.additions.clone_from(additions),
        Spec::Workflow(_) => {}
    }
    spec
}
