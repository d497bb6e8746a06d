//! A workflow's run: its steps in order, side by side, by choice and again, until the last is over.
//!
//! The machine keeps no place of its own. It walks the tree of steps from the top with what the log says about
//! each; where the walk comes upon something that is not settled, it names the facts that settle it, and when no
//! more come of it, the steps that are to be performed or whom the run waits for.

mod expression;
mod kept;
mod order;
mod outline;
mod stage;
mod walk;

pub use kept::kept;
pub use outline::{Stand, StepSight, objection, outline, sight};
pub use stage::MAX_REDONE;

use std::collections::BTreeSet;

use super::{Heard, News, Step, StepOrder, StepWork, Violation};
use crate::domain::fact::{Fact, Failure, Outcome};
use crate::domain::run::Status;
use crate::domain::spec::{Spec, WorkflowSpec};
use crate::domain::state;
use crate::domain::step::{StepAnswer, StepKey, StepOutput};
use crate::domain::steps::StepView;
use crate::domain::time::Timestamp;
use crate::domain::view::RunView;
use walk::{Found, Walk};

/// The code of a [`Failure`] that says: the step's tool may have taken effect, so it is not called again.
pub const IN_DOUBT: &str = "in_doubt";

/// A run that began so many steps, and chose as often, ends: it would do so for ever.
pub const MAX_STARTS: usize = 1_000;

/// Decides for one run of a workflow.
#[derive(Debug, Clone)]
pub struct WorkflowMachine {
    view: RunView,
    /// Tools whose intent was found in the log without an outcome.
    doubted: BTreeSet<StepKey>,
    /// How often a step began or chose.
    starts: usize,
}

impl WorkflowMachine {
    pub(super) fn new(view: RunView) -> Self {
        Self { view, doubted: BTreeSet::new(), starts: 0 }
    }

    pub(super) fn view(&self) -> &RunView {
        &self.view
    }

    /// After a replay: whoever called these tools is gone.
    pub(super) fn doubt_open_tools(&mut self) {
        let calls = self.going().into_iter().filter(|order| matches!(order.work, StepWork::Tool(..)));
        self.doubted = calls.map(|order| order.place.step).collect();
    }

    /// What is not settled yet is settled with the next news, whatever it is: a log that was cut there goes on by
    /// being prepared again.
    pub(super) fn next(&self) -> Step {
        if self.view.outcome.is_some() {
            return Step::Stop;
        }
        let found = self.walk(&self.held());
        let is_settled = found.facts.is_empty() && found.end.is_none();
        match (is_settled && self.view.began.is_some(), found.going.is_empty(), self.view.status) {
            (false, _, _) => Step::Prepare,
            (true, false, _) => Step::RunSteps(found.going),
            (true, true, Status::Paused) => Step::Wait,
            (true, true, _) => Step::Prepare,
        }
    }

    pub(super) fn decide(&self, news: News) -> Vec<Fact> {
        if self.view.outcome.is_some() {
            return Vec::new();
        }
        match news {
            News::Prepared { .. } if self.view.began.is_some() => self.settled(Vec::new(), &[]),
            News::Prepared { system, state, stored, history, kept } => {
                let prepared = Fact::RunPrepared { system, state, stored, history };
                self.settled([prepared].into_iter().chain(kept).collect(), &[])
            }
            News::StepFinished { step, output, state } => match self.open_step(&step) {
                Some(_) => self.settled(vec![Fact::StepFinished { step, output, state }], &[]),
                None => Vec::new(),
            },
            News::StepFailed { step, failure } => match self.open_step(&step) {
                Some(attempt) => self.settled(vec![Fact::StepFailed { step, attempt, failure }], &[]),
                None => Vec::new(),
            },
            News::StepsWait(steps) => self.settled(Vec::new(), &steps),
            News::Answered(heard) => self.on_answers(heard),
            News::Cancelled { reason } => self.end(Outcome::Cancelled { reason }),
            News::Broken(failure) => self.end(Outcome::Failed(failure)),
            News::ModelCalled { .. }
            | News::ModelAnswered { .. }
            | News::ModelFailed(_)
            | News::PiecesLost { .. }
            | News::ToolsDoubted(_)
            | News::Steered(..)
            | News::ToolFinished { .. }
            | News::CallsWait(_) => Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, at: Timestamp, fact: &Fact) -> Result<(), Violation> {
        if self.view.outcome.is_some() {
            let what = format!("a fact after the last one: {fact:?}");
            return Err(Violation { run: self.view.run, what });
        }
        if let Fact::StepFinished { step, .. } | Fact::StepFailed { step, .. } = fact {
            self.doubted.remove(step);
        }
        self.see(at, fact);
        Ok(())
    }

    /// Steps whose own runs wait, as far as the log says.
    fn held(&self) -> BTreeSet<StepKey> {
        self.view.waiting_steps.iter().cloned().collect()
    }

    fn walk(&self, held: &BTreeSet<StepKey>) -> Found {
        match self.view.spec.as_ref() {
            Spec::Workflow(workflow) => {
                Walk::new(&self.view, workflow, held, &self.doubted, self.starts).through_all()
            }
            Spec::Agent(_) | Spec::Team(_) => Found::default(),
        }
    }

    /// What is being performed, those whose runs wait among them.
    fn going(&self) -> Vec<StepOrder> {
        self.walk(&BTreeSet::new()).going
    }

    /// The try that is being performed of this step.
    fn open_step(&self, step: &StepKey) -> Option<u32> {
        self.going().into_iter().find(|order| order.place.step == *step).map(|order| order.place.attempt)
    }

    /// These facts and everything that follows from them. The run waits once nothing else is going.
    fn settled(&self, mut facts: Vec<Fact>, also_held: &[StepKey]) -> Vec<Fact> {
        let mut ahead = self.clone();
        ahead.take(&facts);
        loop {
            let held = ahead.held().into_iter().chain(also_held.iter().cloned()).collect();
            let found = ahead.walk(&held);
            if let Some(outcome) = found.end {
                facts.extend(ahead.end(outcome));
                return facts;
            }
            if found.facts.is_empty() {
                facts.extend(ahead.pause(found));
                return facts;
            }
            ahead.take(&found.facts);
            facts.extend(found.facts);
        }
    }

    fn take(&mut self, facts: &[Fact]) {
        facts.iter().for_each(|fact| self.see(Timestamp::default(), fact));
    }

    fn see(&mut self, at: Timestamp, fact: &Fact) {
        self.starts += usize::from(matches!(fact, Fact::StepStarted { .. } | Fact::StepDecided { .. }));
        self.view.apply_fact(at, fact);
    }

    fn pause(&self, found: Found) -> Option<Fact> {
        let known =
            self.view.status == Status::Paused && self.held() == found.waiting.iter().cloned().collect();
        if !found.going.is_empty() || found.waiting.is_empty() || known {
            return None;
        }
        Some(Fact::Paused { calls: Vec::new(), steps: found.waiting, until: None })
    }

    /// Of two answers for one step the first counts; what does not fit is passed over.
    fn on_answers(&self, heard: Heard) -> Vec<Fact> {
        let Heard { decisions, mut below, .. } = heard;
        below.calls.clear();
        below.steps.retain(|step| self.view.waiting_steps.contains(step) && self.open_step(step).is_some());
        let mut known: Vec<StepAnswer> = Vec::with_capacity(decisions.len());
        for answer in decisions {
            let is_first = known.iter().all(|other| other.step != answer.step);
            if is_first && objection(&self.view, &answer).is_none() {
                known.push(answer);
            }
        }
        if known.is_empty() && below.is_empty() {
            return Vec::new();
        }
        self.settled(vec![Fact::Resumed { answers: Vec::new(), decisions: known, below }], &[])
    }

    /// The last fact, and before it an output for each step that is going, from the inside out.
    fn end(&self, outcome: Outcome) -> Vec<Fact> {
        let going = self.view.steps.iter().rev().filter(|step| step.attempt > 0 && step.output.is_none());
        let mut facts: Vec<Fact> = going.map(given_up).collect();
        let state = state::diff(&self.view.stored, &self.view.state);
        facts.push(Fact::RunFinished { outcome, state });
        facts
    }
}

/// What is said of a step whose run ends before it does.
fn given_up(step: &StepView) -> Fact {
    let error = Some("given up when the run ended".into());
    let output = StepOutput { error, ..StepOutput::default() };
    Fact::StepFinished { step: step.key.clone(), output, state: Vec::new() }
}

/// The same failure, with the step that is to blame.
fn blame(step: &StepKey, failure: &Failure) -> Failure {
    Failure { message: format!("the step `{step}` failed: {}", failure.message), ..failure.clone() }
}

/// The workflow that a run is of.
fn workflow_of(view: &RunView) -> Option<&WorkflowSpec> {
    match view.spec.as_ref() {
        Spec::Workflow(workflow) => Some(workflow),
        Spec::Agent(_) | Spec::Team(_) => None,
    }
}
