//! What somebody tells a run: to stop, or what it waits for.
//!
//! A run that waits has no driver. Whoever wakes it claims it first, so that one story is told and not two, and
//! writes the news down before saying that they were heard. A run at the top of a tree is woken with the runs below
//! it that are meant, in one batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::driver::{Part, looked_over};
use super::error::Error;
use super::lanes::{LiveRun, Stage};
use super::receipts::Claim;
use crate::domain::fact::{Answer, Decision, ModelChoice, Place, Seq};
use crate::domain::id::{Owner, RunId};
use crate::domain::message::Input;
use crate::domain::run::{Answers, Run, Status};
use crate::domain::view::RunView;
use crate::machine::{Heard, Machine, News};
use crate::store::Log;

/// How soon a run that is about to be let go is claimed again.
const CLAIM_AGAIN: Duration = Duration::from_millis(1);

/// The result of a call that a message came in the place of.
const SUPERSEDED: &str = "cancelled: superseded by a new message";

impl Inner {
    /// Stops a run: one that is driven soon, any other before this returns. A run below another is stopped with the
    /// whole tree.
    pub(super) async fn cancel(
        self: &Arc<Self>,
        owner: &Owner,
        run: RunId,
        reason: String,
    ) -> Result<(), Error> {
        let stored = self.stored_run(owner, run).await?;
        let run = stored.root.unwrap_or(run);
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
        self.wake(owner, run, Told::Stop(reason), Claim::none()).await.map(drop)
    }

    /// Tells a run that waits, or those below it, what was decided; when this returns, it is stored.
    pub(super) async fn answer(
        self: &Arc<Self>,
        owner: &Owner,
        run: RunId,
        answers: Answers,
        claim: Claim,
    ) -> Result<(), Error> {
        let stored = self.stored_run(owner, run).await?;
        self.wake(owner, stored.root.unwrap_or(run), Told::Answers(answers), claim).await.map(drop)
    }

    /// Tells a run that waits something; the last entry that this made.
    pub(super) async fn wake(
        self: &Arc<Self>,
        owner: &Owner,
        root: RunId,
        told: Told,
        claim: Claim,
    ) -> Result<Seq, Error> {
        let stored = self.waiting_run(owner, root).await?;
        let live = LiveRun::new(root, Log { owner: owner.clone(), session: stored.session });
        // Its driver has shown the pause and is about to let go, or somebody else is waking it and will have
        // said so in a moment.
        while !self.lanes.claim(&live) {
            tokio::time::sleep(CLAIM_AGAIN).await;
            self.waiting_run(owner, root).await?;
        }
        let woken = self.clone().wake_claimed(owner, live.clone(), told, claim).await;
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
        told: Told,
        claim: Claim,
    ) -> Result<Seq, Error> {
        // Read again: before the claim somebody else may have woken it.
        let stored = self.waiting_run(owner, live.run).await?;
        let (news, below, then) = match told {
            Told::Stop(reason) => (News::Cancelled { reason }, Vec::new(), None),
            Told::Answers(answers) => {
                let (news, below) = self.heard(owner, &stored, answers).await?;
                (news, below, None)
            }
            Told::Instead(input, choice) => {
                (self.superseded(owner, &stored).await?, Vec::new(), Some(News::Steered(input, choice)))
            }
        };
        let mut driver = self.driver_of(&stored, live.clone()).await?.claimed(claim).with_below(below);
        driver.take(news)?;
        if driver.is_written() {
            return Err(not_waiting(stored.id));
        }
        then.map_or(Ok(()), |then| driver.take(then))?;
        driver.write_opening().await?;
        let last = driver.last();
        if driver.is_at_rest() && live.rest(driver.view()) {
            self.lanes.release(&live);
            return Ok(last);
        }
        self.enter(driver, None).await.map(|_| last)
    }

    /// All that a run waits for is called off.
    async fn superseded(&self, owner: &Owner, stored: &Run) -> Result<News, Error> {
        let machine = self.replayed(owner, stored).await?;
        let waiting = machine.view().waiting.iter();
        let answers = waiting.map(|call| Answer {
            call: call.clone(),
            decision: Decision::Executed { result: SUPERSEDED.into(), failed: true },
        });
        Ok(News::Answered(Heard { answers: answers.collect(), ..Heard::default() }))
    }

    async fn waiting_run(&self, owner: &Owner, run: RunId) -> Result<Run, Error> {
        let stored = self.stored_run(owner, run).await?;
        match stored.status {
            Status::Paused => Ok(stored),
            Status::Pending
            | Status::Running
            | Status::Completed
            | Status::Cancelled
            | Status::Failed
            | Status::Replaced => Err(Error::Conflict(format!("run {run} does not wait for anybody"))),
        }
    }

    /// What answers mean for the run at the top, and for those below it that they are about or that wait for such.
    async fn heard(
        self: &Arc<Self>,
        owner: &Owner,
        root: &Run,
        answers: Answers,
    ) -> Result<(News, Vec<Part>), Error> {
        let mut heard: BTreeMap<RunId, Heard> = BTreeMap::new();
        for (run, answer) in answers.calls {
            heard.entry(run).or_default().answers.push(answer);
        }
        for (run, answer) in answers.steps {
            heard.entry(run).or_default().decisions.push(answer);
        }
        let mut below: Vec<(Machine, Run)> = Vec::new();
        let mut todo: Vec<RunId> = heard.keys().copied().filter(|run| *run != root.id).collect();
        while let Some(run) = todo.pop() {
            if below.iter().any(|(_, known)| known.id == run) {
                continue;
            }
            let stored = self.stored_run(owner, run).await?;
            if stored.root != Some(root.id) {
                return Err(not_waiting(run));
            }
            let machine = self.replayed(owner, &stored).await?;
            if let (Some(parent), Some(place)) = (stored.parent, machine.view().place.clone()) {
                let above = &mut heard.entry(parent).or_default().below;
                match place {
                    Place::Call(call) | Place::Task(call, _) if !above.calls.contains(&call) => {
                        above.calls.push(call)
                    }
                    Place::Step(place) if !above.steps.contains(&place.step) => above.steps.push(place.step),
                    Place::Call(_) | Place::Task(..) | Place::Step(_) => {}
                }
                todo.extend(Some(parent).filter(|parent| *parent != root.id));
            }
            below.push((machine, stored));
        }
        let workspace = self.workspace(owner).await?;
        let mut parts = Vec::with_capacity(below.len());
        for (machine, stored) in below {
            let news = News::Answered(heard.remove(&stored.id).unwrap_or_default());
            let (spec, components) = (&machine.view().spec, &machine.view().components);
            let news = match workspace.toolbox(spec, components) {
                Ok(toolbox) => looked_over(&toolbox.hooks, machine.view(), news),
                Err(_) => news,
            };
            parts.push(self.part(machine, &stored, news)?.ok_or_else(|| not_waiting(stored.id))?);
        }
        // From the top down, as it is told.
        parts.sort_by_key(|part| part.first);
        Ok((News::Answered(heard.remove(&root.id).unwrap_or_default()), parts))
    }

    /// The runs below this one that are open, each with its end.
    pub(super) async fn open_below(
        &self,
        owner: &Owner,
        root: RunId,
        above: &RunView,
    ) -> Result<Vec<Part>, Error> {
        let reason = "the run it belongs to ended";
        let mut found: Vec<RunId> = vec![above.run];
        let mut parts = Vec::new();
        for stored in self.tree(owner, root).await? {
            if !stored.parent.is_some_and(|parent| found.contains(&parent)) {
                continue;
            }
            found.push(stored.id);
            if stored.status.is_over() {
                continue;
            }
            let machine = self.replayed(owner, &stored).await?;
            parts.extend(self.part(machine, &stored, News::Cancelled { reason: reason.into() })?);
        }
        // From the bottom up.
        parts.reverse();
        Ok(parts)
    }

    /// What news mean for a run; nothing if they mean nothing.
    fn part(&self, mut machine: Machine, stored: &Run, news: News) -> Result<Option<Part>, Error> {
        let at = self.clock.now();
        let mut facts = Vec::new();
        for fact in machine.decide(news) {
            machine.apply(at, &fact).map_err(|_| Error::Internal)?;
            facts.push((at, fact));
        }
        let part = Part { machine, first: stored.first, facts };
        Ok((!part.facts.is_empty()).then_some(part))
    }
}

/// What a run that waits is told.
pub(super) enum Told {
    /// To stop, and why.
    Stop(String),
    /// What was decided.
    Answers(Answers),
    /// A message, in place of what it waits for.
    Instead(Input, Option<ModelChoice>),
}

fn not_waiting(run: RunId) -> Error {
    Error::Conflict(format!("run {run} does not wait for that"))
}
