//! Who drives which run: a lane a session, one run at a time, in the order they were accepted.
//!
//! A lane exists while its session has runs to drive; it is one task. Nothing here is worth keeping: after a
//! crash the lanes are made again from the log.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::driver::Driver;
use super::error::Error;
use super::journal::unpoisoned;
use super::receipts::Claim;
use crate::domain::fact::{ModelChoice, Seq};
use crate::domain::id::RunId;
use crate::domain::message::Input;
use crate::domain::run::Status;
use crate::domain::spec::OnSecondMessage;
use crate::domain::view::RunView;
use crate::store::Log;

/// When to come back to a session whose queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A run somebody drives or is about to.
pub(super) struct LiveRun {
    pub(super) run: RunId,
    pub(super) log: Log,
    state: watch::Sender<Stage>,
    stop: watch::Sender<Option<String>>,
    mail: Mutex<VecDeque<Mail>>,
    mailed: Notify,
}

/// A message that wants to join a run that is going. Dropped if the run ends before it is heard.
pub(super) struct Mail {
    /// What it says.
    pub(super) input: Input,
    /// Who is to answer from then on, if it says so.
    pub(super) choice: Option<ModelChoice>,
    /// Written with it.
    pub(super) claim: Claim,
    /// Told its place in the log as soon as it is written.
    pub(super) taken: oneshot::Sender<Seq>,
}

/// How far a live run is.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// Not written yet.
    Accepting,
    /// Written, from this entry on; waits or runs.
    Going {
        /// Its first entry.
        first: Seq,
        /// Pending or running.
        status: Status,
    },
    /// Nobody drives it any more: it is over, or waits for somebody.
    Resting(Arc<RunView>),
    /// It could not be written.
    Lost(Error),
}

impl Stage {
    /// Whether nobody drives the run any more.
    pub(super) fn is_rest(&self) -> bool {
        match self {
            Self::Resting(_) | Self::Lost(_) => true,
            Self::Accepting | Self::Going { .. } => false,
        }
    }
}

impl LiveRun {
    pub(super) fn new(run: RunId, log: Log) -> Arc<Self> {
        Arc::new(Self {
            run,
            log,
            state: watch::Sender::new(Stage::Accepting),
            stop: watch::Sender::new(None),
            mail: Mutex::default(),
            mailed: Notify::new(),
        })
    }

    pub(super) fn reach(&self, stage: Stage) {
        self.state.send_replace(stage);
    }

    pub(super) fn watch(&self) -> watch::Receiver<Stage> {
        self.state.subscribe()
    }

    /// Where it stands, if it is going.
    pub(super) fn status(&self) -> Option<Status> {
        match &*self.state.borrow() {
            Stage::Going { status, .. } => Some(*status),
            Stage::Resting(view) => Some(view.status),
            Stage::Accepting | Stage::Lost(_) => None,
        }
    }

    pub(super) fn began(&self) {
        self.state.send_if_modified(|stage| match stage {
            Stage::Going { status, .. } => {
                *status = Status::Running;
                true
            }
            Stage::Accepting | Stage::Resting(_) | Stage::Lost(_) => false,
        });
    }

    /// Why nobody saw its end.
    pub(super) fn lost(&self) -> Option<Error> {
        match &*self.state.borrow() {
            Stage::Lost(error) => Some(error.clone()),
            Stage::Accepting | Stage::Going { .. } | Stage::Resting(_) => None,
        }
    }

    /// Asks it to stop; the first reason counts. False if nobody drives it any more.
    pub(super) fn stop(&self, reason: &str) -> bool {
        // Held meanwhile, so that the run cannot come to rest without having heard it.
        let stage = self.state.borrow();
        if stage.is_rest() {
            return false;
        }
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert_with(|| reason.to_owned());
            first
        });
        true
    }

    /// Has a message join it, if it is running: whoever waits is told its place in the log, or that the run was
    /// over before.
    ///
    /// # Errors
    /// [`Error::Busy`] if so many are waiting to be heard.
    pub(super) fn steer(
        &self,
        (input, choice): (Input, Option<ModelChoice>),
        claim: Claim,
        most: usize,
    ) -> Result<Option<oneshot::Receiver<Seq>>, Error> {
        // Held meanwhile, as in `stop`.
        let stage = self.state.borrow();
        if !matches!(&*stage, Stage::Going { status: Status::Running, .. }) {
            return Ok(None);
        }
        let mut mail = unpoisoned(&self.mail);
        if mail.len() >= most {
            return Err(busy("too many messages of this session are waiting"));
        }
        let (taken, told) = oneshot::channel();
        mail.push_back(Mail { input, choice, claim, taken });
        self.mailed.notify_one();
        Ok(Some(told))
    }

    /// Messages that want to join it.
    pub(super) fn take_mail(&self) -> VecDeque<Mail> {
        std::mem::take(&mut unpoisoned(&self.mail))
    }

    /// As soon as there may be such a message.
    pub(super) async fn mailed(&self) {
        self.mailed.notified().await;
    }

    /// Comes to rest, unless it was told something that it has not heard yet. What comes after the end is never
    /// heard.
    pub(super) fn rest(&self, view: &RunView) -> bool {
        self.state.send_if_modified(|stage| {
            let mut mail = unpoisoned(&self.mail);
            let heard = view.outcome.is_some() || (self.stop.borrow().is_none() && mail.is_empty());
            if heard {
                mail.clear();
                *stage = Stage::Resting(Arc::new(view.clone()));
            }
            heard
        })
    }

    /// The reason, as soon as it is asked to stop.
    pub(super) async fn stopped(&self) -> String {
        let mut stop = self.stop.subscribe();
        let reason = stop.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or_default()
    }

    /// The reason, if it was asked to stop.
    pub(super) fn stop_reason(&self) -> Option<String> {
        self.stop.borrow().clone()
    }
}

/// All lanes, and all live runs by id.
#[derive(Default)]
pub(super) struct Lanes {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    lanes: HashMap<Log, Lane>,
    live: HashMap<RunId, Arc<LiveRun>>,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    current: Option<Arc<LiveRun>>,
    waiting: VecDeque<Driver>,
    /// Shared with the runs that are being written down to wait here.
    places: Place,
}

/// A place in a queue, held until its run has taken it.
pub(super) type Place = Arc<()>;

impl Lane {
    /// Runs that wait, or are about to.
    fn queued(&self) -> usize {
        self.waiting.len() + Arc::strong_count(&self.places).saturating_sub(1)
    }
}

/// What a new run does that finds others in its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    pub(super) rule: OnSecondMessage,
    /// So many may wait.
    pub(super) most: usize,
}

/// What a run finds in its session.
pub(super) enum Entered {
    /// Nothing: drive it, the lane is its own.
    Drive(Driver),
    /// Others, and it waits behind them.
    Queued,
    /// Others, and it is not written yet: write it, then come back; its place is held meanwhile.
    WriteFirst(Driver),
}

impl Lanes {
    /// Takes a place for a run: at the head of a new lane, or in the queue of the one there is, where the log's
    /// order counts. A run that was accepted before has its place, and needs no manners.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server is stopping; [`Error::Busy`] when it may not wait here.
    pub(super) fn enter(&self, mut driver: Driver, manners: Option<Manners>) -> Result<Entered, Error> {
        let mut inner = unpoisoned(&self.inner);
        if inner.closed {
            if !driver.is_written() {
                return Err(stopping());
            }
            // The log remembers it: it is taken up at the next start.
            inner.forget(&driver.live);
            driver.live.reach(Stage::Resting(Arc::new(driver.view().clone())));
            return Ok(Entered::Queued);
        }
        let live = driver.live.clone();
        match (inner.lanes.get_mut(&live.log), driver.first()) {
            (None, _) => {
                inner.live.insert(live.run, live.clone());
                let lane = Lane { current: Some(live.clone()), ..Lane::default() };
                inner.lanes.insert(live.log.clone(), lane);
                Ok(Entered::Drive(driver))
            }
            (Some(lane), None) => {
                if let Some(manners) = manners {
                    manners.make_way(lane)?;
                }
                driver.place = Some(lane.places.clone());
                Ok(Entered::WriteFirst(driver))
            }
            (Some(lane), Some(_)) => {
                driver.place = None;
                let at = lane.waiting.partition_point(|waiting| waiting.first() < driver.first());
                lane.waiting.insert(at, driver);
                inner.live.insert(live.run, live);
                Ok(Entered::Queued)
            }
        }
    }

    /// The present run is done with: the next one, or none, and then the lane is gone.
    pub(super) fn leave(&self, done: &LiveRun) -> Option<Driver> {
        let mut inner = unpoisoned(&self.inner);
        inner.forget(done);
        let closed = inner.closed;
        let lane = inner.lanes.get_mut(&done.log)?;
        // A server that stops begins nothing new; the log remembers what waits.
        let next = if closed { None } else { lane.waiting.pop_front() };
        match &next {
            Some(driver) => lane.current = Some(driver.live.clone()),
            None => {
                let lane = inner.lanes.remove(&done.log);
                inner.lose(lane.into_iter().flat_map(|lane| lane.waiting), &stopping());
            }
        }
        next
    }

    /// Takes a run that nobody drives for whoever wants to wake it: one at a time.
    pub(super) fn claim(&self, live: &Arc<LiveRun>) -> bool {
        let mut inner = unpoisoned(&self.inner);
        let is_free = inner.live.get(&live.run).is_none_or(|other| other.state.borrow().is_rest());
        if is_free {
            inner.live.insert(live.run, live.clone());
        }
        is_free
    }

    /// A claimed or withdrawn run is done with.
    pub(super) fn release(&self, live: &LiveRun) {
        unpoisoned(&self.inner).forget(live);
    }

    /// Takes a waiting run out of its queue.
    pub(super) fn withdraw(&self, run: RunId) -> Option<Driver> {
        let mut inner = unpoisoned(&self.inner);
        let log = inner.live.get(&run)?.log.clone();
        let waiting = &mut inner.lanes.get_mut(&log)?.waiting;
        let at = waiting.iter().position(|driver| driver.live.run == run)?;
        waiting.remove(at)
    }

    /// The live run of that name.
    pub(super) fn live(&self, run: RunId) -> Option<Arc<LiveRun>> {
        unpoisoned(&self.inner).live.get(&run).cloned()
    }

    /// The run of a session that is being driven.
    pub(super) fn current(&self, log: &Log) -> Option<Arc<LiveRun>> {
        unpoisoned(&self.inner).lanes.get(log).and_then(|lane| lane.current.clone())
    }

    /// Whether a session has runs that wait for their turn.
    pub(super) fn has_waiting(&self, log: &Log) -> bool {
        unpoisoned(&self.inner).lanes.get(log).is_some_and(|lane| !lane.waiting.is_empty())
    }

    /// Empties a session's queue, whose session is gone, and names the run that is going.
    pub(super) fn clear(&self, log: &Log) -> Option<Arc<LiveRun>> {
        let mut inner = unpoisoned(&self.inner);
        let lane = inner.lanes.get_mut(log)?;
        let current = lane.current.clone();
        let dropped = std::mem::take(&mut lane.waiting);
        inner.lose(dropped, &Error::NoSession(log.session.clone()));
        current
    }

    /// Lets nothing new in.
    pub(super) fn close(&self) {
        unpoisoned(&self.inner).closed = true;
    }

    /// How many runs are being driven.
    pub(super) fn busy(&self) -> usize {
        unpoisoned(&self.inner).lanes.len()
    }

    /// Lets go of every run: whoever waits is told that the server will not see its end, and nobody can stop
    /// one any more, for it goes on at the next start.
    pub(super) fn abandon(&self) {
        let mut inner = unpoisoned(&self.inner);
        inner.lanes.values_mut().for_each(|lane| lane.waiting.clear());
        for (_, live) in inner.live.drain() {
            live.reach(Stage::Lost(stopping()));
        }
    }
}

impl Inner {
    /// Forgets a run, unless somebody else has taken it meanwhile.
    fn forget(&mut self, live: &LiveRun) {
        if self.live.get(&live.run).is_some_and(|known| std::ptr::eq(&**known, live)) {
            self.live.remove(&live.run);
        }
    }

    /// Runs that will not be driven, and whoever waits for them is told.
    fn lose(&mut self, dropped: impl IntoIterator<Item = Driver>, why: &Error) {
        for driver in dropped {
            self.forget(&driver.live);
            driver.live.reach(Stage::Lost(why.clone()));
        }
    }
}

impl Manners {
    fn make_way(self, lane: &Lane) -> Result<(), Error> {
        match self.rule {
            OnSecondMessage::Reject => return Err(busy("a run of this session is going")),
            _ if lane.queued() >= self.most => {
                return Err(busy("too many runs of this session are waiting"));
            }
            OnSecondMessage::Enqueue | OnSecondMessage::Steer => {}
            OnSecondMessage::Interrupt => {
                if let Some(current) = &lane.current {
                    current.stop("interrupted by another message");
                }
            }
        }
        Ok(())
    }
}

fn busy(reason: &str) -> Error {
    Error::Busy { reason: reason.into(), retry_after: RETRY_AFTER }
}

fn stopping() -> Error {
    Error::Unavailable("the server is stopping".into())
}
