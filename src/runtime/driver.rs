//! Drives one run: performs a step, writes down what happened, and again.
//!
//! Facts gather in a buffer and are written before anything that cannot be taken back: before a tool is called,
//! before a piece is shown. Only one thing goes on beside a write: the question to the model, whose answer
//! nobody sees until the write is done.

mod asking;
mod children;
mod handing;
mod tasks;
mod writing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use children::Given;
pub(super) use writing::Part;

use super::deadlines;
use super::error::Error;
use super::host::RunHost;
use super::journal::{Dated, Room};
use super::lanes::{LiveRun, Place, Stage};
use super::receipts::Claim;
use super::settle;
use super::{Inner, Runtime};
use crate::capability::hooks::Hooks;
use crate::capability::toolbox::Toolbox;
use crate::domain::fact::{Answer, Decision, Fact, Failure, INTERRUPTED, Seq};
use crate::domain::fork::Origin;
use crate::domain::id::RunId;
use crate::domain::message::Message;
use crate::domain::run::Status;
use crate::domain::spec::Spec;
use crate::domain::time::Timestamp;
use crate::domain::tool::{ToolResult, Verdict};
use crate::domain::view::RunView;
use crate::machine::{Machine, News, Step};

/// How often a write that failed is tried again.
const RETRY_WRITE: Duration = Duration::from_millis(500);

/// Seconds that still can be added to the present; more in an agent's file is as good as none.
const LONGEST_RUN: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Numbers that a power cut may have eaten, at most: a log's pieces are synced before they take more bytes.
pub(super) const MOST_PIECES_LOST: u64 = 1 << 20;

/// Drives one run.
pub(super) struct Driver {
    pub(super) live: Arc<LiveRun>,
    /// Held in a queue while its first fact is written.
    pub(super) place: Option<Place>,
    inner: Arc<Inner>,
    room: Arc<Room>,
    machine: Machine,
    toolbox: Arc<Toolbox>,
    /// Everything else that may run in the tree this run is in.
    components: Arc<[Arc<Spec>]>,
    /// What the run that asked for this one gave it; nothing at the top.
    given: Option<Given>,
    unwritten: Vec<Dated>,
    /// When the first of the runs below this one that wait will stop waiting.
    waits_below: Option<Timestamp>,
    /// Runs below the one at the top that were woken with it: what they are about to do is in nobody's doubt.
    woken: Arc<Mutex<HashMap<RunId, Machine>>>,
    /// Facts of runs below this one that are written with the next of its own.
    below: Vec<Part>,
    /// Of the order whose facts are written next.
    claim: Claim,
    /// The run's first entry, once it has one.
    first: Option<Seq>,
    /// Its last entry that was written, pieces not counted.
    last: Seq,
    /// Earlier runs' messages, read when the run's turn comes.
    history: Vec<Message>,
    /// To be one of the runs there may be; given back with the driver.
    permit: Option<OwnedSemaphorePermit>,
}

/// Why a run is no longer driven, without having come to rest.
pub(super) enum Halt {
    /// Its facts cannot be written.
    Store(Error),
    /// The log does not add up.
    Violation(crate::machine::Violation),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl Halt {
    /// Says it in the log, and as much as a client may know.
    fn told(self, run: RunId) -> Error {
        match self {
            Self::Store(error) => {
                tracing::warn!(run.id = %run, %error, "run {run} is no longer driven");
                error
            }
            Self::Violation(violation) => {
                tracing::error!(run.id = %run, %violation, "run {run} is no longer driven");
                Error::Internal
            }
        }
    }
}

impl Driver {
    pub(super) fn new(
        inner: Arc<Inner>,
        live: Arc<LiveRun>,
        room: Arc<Room>,
        machine: Machine,
        toolbox: Arc<Toolbox>,
        components: Arc<[Arc<Spec>]>,
    ) -> Self {
        Self {
            live,
            place: None,
            inner,
            room,
            machine,
            toolbox,
            components,
            given: None,
            unwritten: Vec::new(),
            waits_below: None,
            woken: Arc::default(),
            below: Vec::new(),
            claim: Claim::none(),
            first: None,
            last: 0,
            history: Vec::new(),
            permit: None,
        }
    }

    /// Counts among the runs there may be; one that was accepted before may go on uncounted.
    pub(super) fn permitted(mut self, permit: Option<OwnedSemaphorePermit>) -> Self {
        self.permit = permit;
        self
    }

    /// A run that is being accepted: its first fact is not written yet.
    pub(super) fn opening(mut self, start: Dated) -> Self {
        self.unwritten.push(start);
        self
    }

    /// The next write carries out an order that is to be carried out once.
    pub(super) fn claimed(mut self, claim: Claim) -> Self {
        self.claim = claim;
        self
    }

    /// The next write tells runs below this one something too.
    pub(super) fn with_below(mut self, parts: Vec<Part>) -> Self {
        self.below = parts;
        self
    }

    /// A run that was accepted before: its first entry is this one.
    pub(super) fn resuming(mut self, first: Seq) -> Self {
        self.first = Some(first);
        self
    }

    /// After the machine lost its power: says that pieces which were shown may be gone, so that their numbers are
    /// never used again. Nothing else may be written to the log before.
    pub(super) async fn lose_pieces(&mut self) -> Result<(), Error> {
        if self.machine.is_asking() {
            self.take(News::PiecesLost { pieces: MOST_PIECES_LOST })?;
        }
        self.write_once().await
    }

    /// Drives until the run is over or waits for somebody.
    pub(super) async fn drive(mut self) {
        loop {
            let driven = match self.go().await {
                Err(halt) if self.is_accepted() => self.give_up(halt).await,
                driven => driven,
            };
            if let Err(halt) = driven {
                let error = halt.told(self.live.run);
                return self.live.reach(Stage::Lost(error));
            }
            if self.live.rest(self.machine.view()) {
                return self.remember();
            }
        }
    }

    /// Leaves to the session's next run what this one knows.
    fn remember(&self) {
        let view = self.machine.view();
        if view.status == Status::Completed && view.parent.is_none() {
            if let Some(replaced) = view.origin.as_ref().and_then(Origin::replaces) {
                self.room.past().leave_out(replaced);
            }
            self.room.past().add(view);
        }
        self.inner.journal.keep(&self.room);
    }

    /// Ends a run that cannot go on, as its log knows it; one that only cannot be written now is left alone.
    async fn give_up(&mut self, halt: Halt) -> Result<(), Halt> {
        if let Halt::Store(Error::NoSession(_) | Error::Full | Error::Unavailable(_)) = &halt {
            return Err(halt);
        }
        let message = match &halt {
            Halt::Store(Error::TooLarge { .. }) => "the run made more at once than can be stored",
            Halt::Store(_) | Halt::Violation(_) => "the run could not be driven on",
        };
        let failure = Failure::new("internal", message);
        let run = self.run();
        halt.told(run);
        let room = self.room.clone();
        let stored = self.inner.stored_run(&room.log.owner, run).await?;
        self.machine = self.inner.replayed(&room.log.owner, &stored).await?;
        self.unwritten.clear();
        self.claim = Claim::none();
        self.record(News::Broken(failure))?;
        self.write().await
    }

    async fn go(&mut self) -> Result<(), Halt> {
        if self.machine.is_asking() {
            let failure = Failure::new(INTERRUPTED, "the server stopped while the model was answering");
            self.record(News::ModelFailed(failure.retryable()))?;
        }
        self.mount().await?;
        self.ask_capabilities().await?;
        let limit = Duration::from_secs(self.limits_seconds()).min(LONGEST_RUN);
        let mut deadline = Instant::now() + limit.saturating_sub(self.machine.view().worked);
        if let Some(given) = &self.given {
            deadline = deadline.min(given.deadline);
        }
        loop {
            self.take_mail().await?;
            if let Some(reason) = self.live.stop_reason() {
                self.record(News::Cancelled { reason })?;
            }
            match self.machine.next() {
                Step::Prepare => self.prepare().await?,
                Step::CallModel { turn, model } => self.call_model(turn, model, deadline).await?,
                Step::RunTools(orders) => self.run_tools(orders, deadline).await?,
                Step::RunSteps(orders) => self.run_steps(orders, deadline).await?,
                Step::Wait | Step::Stop => return self.write().await,
            }
        }
    }

    /// A session that begins with a run begins with the files of its capabilities too.
    async fn mount(&mut self) -> Result<(), Halt> {
        if self.toolbox.mounts.is_empty() || self.given.is_some() || self.machine.next() != Step::Prepare {
            return Ok(());
        }
        self.write().await?;
        if settle::is_first_run(&self.inner, &self.room).await? {
            let (log, runtime) = (&self.room.log, Runtime(self.inner.clone()));
            runtime.mount(&log.owner, &log.session, &self.toolbox.mounts).await;
        }
        Ok(())
    }

    /// Completes the tools with what capabilities can say only now. Whoever waits to hear that the run was accepted
    /// hears it first: others may take their time.
    async fn ask_capabilities(&mut self) -> Result<(), Halt> {
        if self.toolbox.later.is_empty() || self.is_at_rest() {
            return Ok(());
        }
        self.write().await?;
        let host = RunHost::new(&self.inner, &self.room.log.owner, self.machine.view());
        let toolbox = self.toolbox.with_later(&host.for_call()).await.searchable();
        self.toolbox = Arc::new(toolbox);
        Ok(())
    }

    /// Hears the messages that want to join, and tells each its place once it is written.
    async fn take_mail(&mut self) -> Result<(), Halt> {
        if self.given.is_some() {
            return Ok(());
        }
        for mail in self.live.take_mail() {
            if self.machine.next() == Step::Stop {
                return Ok(());
            }
            self.record(News::Steered(mail.input))?;
            self.claim = mail.claim;
            self.write().await?;
            // Whoever sent it may have gone; it is heard all the same.
            let _ = mail.taken.send(self.last);
        }
        Ok(())
    }

    fn limits_seconds(&self) -> u64 {
        match self.machine.view().spec.as_ref() {
            Spec::Agent(agent) => agent.limits.seconds,
            Spec::Team(team) => team.leader.limits.seconds,
            Spec::Workflow(_) => u64::from(u32::MAX),
        }
    }

    /// Which run this is.
    fn run(&self) -> RunId {
        self.machine.view().run
    }

    /// The run's first entry, once it is written.
    pub(super) fn first(&self) -> Option<Seq> {
        self.first
    }

    /// The last entry that was written, pieces not counted.
    pub(super) fn last(&self) -> Seq {
        self.last
    }

    /// Whether everything known of it is written.
    pub(super) fn is_written(&self) -> bool {
        self.is_accepted() && self.unwritten.is_empty()
    }

    fn is_accepted(&self) -> bool {
        self.first.is_some()
    }

    /// What is known of the run.
    pub(super) fn view(&self) -> &RunView {
        self.machine.view()
    }

    /// Whether there is nothing to do for it.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.machine.next(), Step::Wait | Step::Stop)
    }

    /// Decides what news from outside mean, for a run that nobody drives yet.
    pub(super) fn take(&mut self, news: News) -> Result<(), Error> {
        let news = looked_over(&self.toolbox.hooks, self.machine.view(), news);
        self.record(news).map_err(|_| Error::Internal)
    }

    /// Writes the run's first fact alone, for a run that must wait for its turn.
    pub(super) async fn write_opening(&mut self) -> Result<(), Error> {
        self.write_once().await
    }

    async fn prepare(&mut self) -> Result<(), Halt> {
        let given = self.given.as_ref().map(|given| &given.state);
        let news = loop {
            match settle::prepare(&self.inner, &self.room, self.machine.view(), &self.toolbox, given).await {
                Ok((news, history)) => {
                    self.history = history;
                    break news;
                }
                Err(settle::Unprepared::Store(error)) => self.await_store(error).await?,
                Err(settle::Unprepared::Broken(failure)) => break News::Broken(failure),
            }
        };
        if self.given.is_none() {
            self.live.began();
        }
        self.record(news)
    }

    /// Decides what the news mean, and believes it; it is written with the next write.
    fn record(&mut self, news: News) -> Result<(), Halt> {
        let at = self.inner.clock.now();
        for mut fact in self.machine.decide(news) {
            if matches!(fact, Fact::Paused { .. }) {
                let latest = self.waits_until(&fact, at);
                if let Fact::Paused { until, .. } = &mut fact {
                    *until = latest;
                }
            }
            self.machine.apply(at, &fact).map_err(Halt::Violation)?;
            self.unwritten.push((at, fact));
        }
        Ok(())
    }

    /// When the run that is about to pause stops waiting, where somebody set that.
    fn waits_until(&self, pause: &Fact, now: Timestamp) -> Option<Timestamp> {
        let before = self.machine.view();
        let mut view = before.clone();
        view.apply_fact(now, pause);
        let called = view.waiting.iter().filter_map(|id| view.call(id)).filter(|call| !call.doubted);
        let gates = called.filter_map(|call| self.toolbox.get(&call.call.name));
        let gates = gates.map(|tool| tool.spec().gate.clone());
        let stepped = view.waiting_steps.iter().filter_map(|step| deadlines::step_gate(&view, step));
        let gates = gates.chain(stepped);
        let own = deadlines::until(gates, now);
        // Of members and steps that wait themselves, as far as it is known: too early does no harm.
        let below = self.waits_below.or(before.waits_until);
        [own, below].into_iter().flatten().min()
    }
}

/// News from outside as they are kept: results of calls that clients executed pass what looks at results.
pub(super) fn looked_over(hooks: &Hooks, view: &RunView, mut news: News) -> News {
    let News::Answered(heard) = &mut news else { return news };
    for Answer { call, decision } in &mut heard.answers {
        if let (Decision::Executed { result, failed }, Some(found)) = (decision, view.call(call)) {
            let verdict = if *failed { Verdict::Failed } else { Verdict::Done };
            let kept = hooks.after_call(&found.call, ToolResult::new(verdict, std::mem::take(result)));
            *failed = kept.is_error();
            *result = kept.content;
        }
    }
    news
}

fn out_of_time(seconds: u64) -> News {
    News::Broken(Failure::new("limit", format!("the run reached the limit of {seconds} seconds")))
}
