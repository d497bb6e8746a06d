//! Pauses that end by themselves: when nobody answered in time, what was set for that case is the answer.
//!
//! A run that waits holds no task. The run at the top of a tree that waits for so long leaves a mark, sorted by the
//! time; one task for the whole server sleeps until the earliest. A mark is a hint: what is due is seen in the runs.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Inner;
use super::desk::Desk;
use super::error::Error;
use super::records::{self, DEADLINE};
use super::workspace::Workspace;
use crate::domain::document::{Query, Tags};
use crate::domain::fact::{Answer, Decision};
use crate::domain::id::{CallId, Owner, RunId};
use crate::domain::run::{Answers, Status};
use crate::domain::step::{StepAnswer, StepDecision, StepKey};
use crate::domain::time::Timestamp;
use crate::domain::tool::{Gate, OnTimeout};
use crate::domain::view::RunView;
use crate::machine::workflow::{self, Stand};
use crate::store::{Batch, Expect};

use super::receipts::Claim;
use super::wake::Told;

/// What is told to whoever asked.
const NOBODY: &str = "nobody answered in time";

/// How soon a mark that could not be dealt with is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// The longest sleep: the clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Says when a run that waits is to be looked at.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    owner: Owner,
    run: RunId,
}

/// Something a run waits for, and by when.
struct Due {
    what: What,
    at: Timestamp,
    then: OnTimeout,
}

enum What {
    Call(CallId),
    Step(StepKey),
}

/// When a run that is about to wait for these waits no longer; `None` if it waits for ever.
pub(super) fn until(gates: impl IntoIterator<Item = Gate>, now: Timestamp) -> Option<Timestamp> {
    gates.into_iter().filter_map(|gate| gate.within).min().map(|within| now.after(within))
}

/// Who is asked about a step that waits, and for how long; a step that failed waits for ever.
pub(super) fn step_gate(view: &RunView, step: &StepKey) -> Option<Gate> {
    let sight = workflow::sight(view, step).filter(|sight| sight.stand != Stand::WaitsForRemedy);
    sight.map(|sight| sight.gate)
}

/// Leaves the mark of a run at the top that waits, or takes it away once it does not.
pub(super) fn mark(desk: &mut Desk, owner: &Owner, view: &RunView) -> Result<(), Error> {
    let key = records::deadline_key(view.run);
    match view.waits_until.filter(|_| view.status == Status::Paused) {
        Some(until) => {
            let mark = Mark { owner: owner.clone(), run: view.run };
            let tags = Tags { sort: until.0, listed: true, names: Vec::new() };
            desk.put(records::put(key, Expect::Any, tags, &mark)?);
        }
        None => desk.delete(key),
    }
    Ok(())
}

/// Sleeps until the earliest deadline, answers, and again, for as long as the server is there.
pub(super) async fn keep(inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let changed = strong.deadlines.clone();
        let changed = changed.notified();
        let sleep = match strong.answer_what_is_due().await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "deadlines of runs that wait could not be looked at");
                Some(AGAIN)
            }
        };
        drop(strong);
        match sleep {
            Some(sleep) => {
                // Whichever comes first, all is looked at again.
                let _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), changed).await;
            }
            None => changed.await,
        }
    }
}

impl Inner {
    /// Answers what is due; how long until there is more.
    async fn answer_what_is_due(self: &Arc<Self>) -> Result<Option<Duration>, Error> {
        loop {
            if self.is_stopping() {
                return Ok(None);
            }
            let query = Query {
                owner: records::server(),
                kind: DEADLINE,
                tag: None,
                newest_first: false,
                after: None,
                skip: 0,
                limit: 1,
            };
            let page = self.store.list(&query).await?;
            let Some(record) = page.records.first() else { return Ok(None) };
            let now = self.clock.now();
            let due = Timestamp(record.sort);
            if due > now {
                return Ok(Some(due.since(now)));
            }
            let mark: Mark = records::parse(record)?;
            self.expire(&mark, now).await?;
        }
    }

    /// Answers for whoever did not, in all runs of a tree; then the mark goes, or says when there is more.
    async fn expire(self: &Arc<Self>, mark: &Mark, now: Timestamp) -> Result<(), Error> {
        let workspace = self.workspace(&mark.owner).await?;
        let mut answers = Answers::default();
        let mut next: Option<Timestamp> = None;
        let mut cancel = false;
        for view in self.waiting_views(mark).await? {
            for Due { what, at, then } in Self::dues(&workspace, &view) {
                if at > now {
                    next = Some(next.map_or(at, |next| next.min(at)));
                    continue;
                }
                cancel |= then == OnTimeout::Cancel;
                match what {
                    What::Call(call) => {
                        answers.calls.push((view.run, Answer { call, decision: of_call(then) }));
                    }
                    What::Step(step) => {
                        answers.steps.push((view.run, StepAnswer { step, decision: of_step(then) }));
                    }
                }
            }
        }
        let told = if cancel { Told::Stop(NOBODY.into()) } else { Told::Answers(answers.clone()) };
        if cancel || !answers.calls.is_empty() || !answers.steps.is_empty() {
            match self.wake(&mark.owner, mark.run, told, Claim::none()).await {
                // Somebody was faster.
                Ok(_) | Err(Error::Conflict(_) | Error::NoRun(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.move_mark(mark, next, now).await
    }

    /// A mark that is still due after all was answered would be looked at for ever.
    async fn move_mark(&self, mark: &Mark, next: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
        let key = records::deadline_key(mark.run);
        let Some(record) = self.store.get(&key).await? else { return Ok(()) };
        if Timestamp(record.sort) > now {
            return Ok(());
        }
        let mut batch = Batch::default();
        match next {
            None => batch.deletes.push(key),
            Some(next) => {
                let tags = Tags { sort: next.0, listed: true, names: Vec::new() };
                batch.puts.push(records::put(key, Expect::Version(record.version), tags, mark)?);
            }
        }
        match self.store.commit(batch).await.map_err(Error::from) {
            Err(Error::Conflict(_)) => Ok(()),
            done => done,
        }
    }

    async fn waiting_views(&self, mark: &Mark) -> Result<Vec<RunView>, Error> {
        let root = match self.stored_run(&mark.owner, mark.run).await {
            Err(Error::NoRun(_)) => return Ok(Vec::new()),
            root => root?,
        };
        let mut runs = self.tree(&mark.owner, mark.run).await?;
        runs.push(root);
        let mut views = Vec::new();
        for run in runs.iter().filter(|run| run.status == Status::Paused) {
            let entries = self.entries(&mark.owner, run).await?;
            views.extend(RunView::of(run.id, &entries));
        }
        Ok(views)
    }

    /// What a run waits for, with its time. All of it began to wait when the run did.
    fn dues(workspace: &Workspace, view: &RunView) -> Vec<Due> {
        let Some(until) = view.waits_until else { return Vec::new() };
        let Ok(toolbox) = workspace.toolbox(&view.spec, &view.components) else { return Vec::new() };
        let calls = view.waiting.iter().filter_map(|id| {
            let call = view.call(id).filter(|call| !call.doubted && call.started.is_none())?;
            Some((What::Call(id.clone()), toolbox.get(&call.call.name)?.spec().gate.clone()))
        });
        let steps = view
            .waiting_steps
            .iter()
            .filter_map(|key| Some((What::Step(key.clone()), step_gate(view, key)?)));
        let timed: Vec<(What, Duration, OnTimeout)> = calls
            .chain(steps)
            .filter_map(|(what, gate)| Some((what, gate.within?, gate.on_timeout)))
            .collect();
        let Some(least) = timed.iter().map(|(_, within, _)| *within).min() else { return Vec::new() };
        timed
            .into_iter()
            .map(|(what, within, then)| Due { what, at: until.after(within.saturating_sub(least)), then })
            .collect()
    }
}

fn of_call(then: OnTimeout) -> Decision {
    match then {
        OnTimeout::Approve => Decision::Approved { values: Default::default() },
        OnTimeout::Reject | OnTimeout::Cancel => Decision::Rejected { note: Some(NOBODY.into()) },
    }
}

fn of_step(then: OnTimeout) -> StepDecision {
    match then {
        OnTimeout::Approve => StepDecision::Approved { values: Default::default(), routes: Vec::new() },
        OnTimeout::Reject | OnTimeout::Cancel => StepDecision::Rejected { feedback: Some(NOBODY.into()) },
    }
}
