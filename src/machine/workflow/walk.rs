//! The walk through the tree of steps: what follows from what the log says.

use std::collections::BTreeSet;

use super::super::StepOrder;
use super::expression::Known;
use super::stage::{self, Stage, decisions};
use super::{IN_DOUBT, MAX_STARTS, blame, order};
use crate::domain::fact::{Fact, Failure, Outcome};
use crate::domain::spec::{OnError, StepAction, StepSpec, WorkflowSpec};
use crate::domain::step::{Choice, StepDecision, StepKey, StepOutput, StepPlace};
use crate::domain::steps::StepView;
use crate::domain::tool::Gate;
use crate::domain::view::RunView;

/// What a walk came upon.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What follows at once.
    pub(super) facts: Vec<Fact>,
    /// What is to be performed.
    pub(super) going: Vec<StepOrder>,
    /// What waits for somebody, or for its own run, which does.
    pub(super) waiting: Vec<StepKey>,
    /// How the run ends, if it does now.
    pub(super) end: Option<Outcome>,
}

/// What a step finds when its turn comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    /// The step before, if there was one.
    pub(super) name: Option<&'a str>,
    /// What it is given.
    pub(super) content: &'a str,
    /// Whether the step before went well.
    pub(super) success: bool,
    /// Whether a step of the present list was done, and not passed over.
    ran: bool,
}

/// How far a list of steps, or one, has come.
enum Way<'a> {
    /// Through.
    Over(Before<'a>),
    /// Not yet.
    Open,
    /// It failed, and what it belongs to with it.
    Failed(Failure),
}

/// How far the steps within a step have come.
enum Inner {
    Over(StepOutput),
    Open,
    Failed(Failure),
}

/// A place in the tree.
struct Spot {
    key: StepKey,
    index: Vec<usize>,
    iteration: Option<u32>,
}

impl Spot {
    /// A step of the list within; `number` tells repetitions of the list apart.
    fn below(&self, number: u32, at: usize, name: &str) -> Self {
        let list = if number > 1 { self.key.iteration(number) } else { self.key.clone() };
        let index = self.index.iter().copied().chain([at]).collect();
        Self { key: list.child(name), index, iteration: self.iteration }
    }

    /// A step of a loop's iteration.
    fn repeated(&self, number: u32, at: usize, name: &str, iteration: u32) -> Self {
        let index = self.index.iter().copied().chain([at]).collect();
        Self { key: self.key.iteration(number).child(name), index, iteration: Some(iteration) }
    }
}

/// One walk.
pub(super) struct Walk<'a> {
    view: &'a RunView,
    workflow: &'a WorkflowSpec,
    held: &'a BTreeSet<StepKey>,
    doubted: &'a BTreeSet<StepKey>,
    starts: usize,
    found: Found,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        view: &'a RunView,
        workflow: &'a WorkflowSpec,
        held: &'a BTreeSet<StepKey>,
        doubted: &'a BTreeSet<StepKey>,
        starts: usize,
    ) -> Self {
        Self { view, workflow, held, doubted, starts, found: Found::default() }
    }

    pub(super) fn through_all(mut self) -> Found {
        let before = Before { name: None, content: &self.view.input.text, success: true, ran: false };
        let spot = |at, name: &str| Spot { key: StepKey::top(name), index: vec![at], iteration: None };
        let end = match self.list(&self.workflow.steps, spot, before) {
            Way::Over(_) => Some(Outcome::Completed),
            Way::Failed(failure) => Some(Outcome::Failed(failure)),
            Way::Open => None,
        };
        self.found.end = self.found.end.or(end);
        self.found
    }

    fn list(
        &mut self,
        steps: &'a [StepSpec],
        spot: impl Fn(usize, &str) -> Spot,
        from: Before<'a>,
    ) -> Way<'a> {
        let mut before = from;
        for (at, spec) in steps.iter().enumerate() {
            match self.step(spec, &spot(at, &spec.name), before) {
                Way::Over(next) => before = next,
                other @ (Way::Open | Way::Failed(_)) => return other,
            }
        }
        Way::Over(before)
    }

    fn step(&mut self, spec: &'a StepSpec, spot: &Spot, before: Before<'a>) -> Way<'a> {
        let gate = stage::gate_of(spec, &self.workflow.tools);
        match stage::stage(spec, &gate, self.view.step(&spot.key)) {
            Stage::Waiting => self.found.waiting.push(spot.key.clone()),
            Stage::Ready(attempt) => self.start(spot, attempt),
            Stage::Refused => self.finish(spot, passed_over(before, None)),
            Stage::Cancelled(feedback) => self.cancel(spot, feedback),
            Stage::Going(step) => self.go_on(spec, &gate, spot, step, before),
            Stage::Failed(step, failure) => self.after_failure(spec, spot, step, failure, before),
            Stage::Over(step, output) => return over(spec, step, output, before),
        }
        Way::Open
    }

    fn start(&mut self, spot: &Spot, attempt: u32) {
        if self.starts >= MAX_STARTS {
            let message = format!("the run reached the limit of {MAX_STARTS} steps");
            self.found.end = Some(Outcome::Failed(Failure::new("limit", message)));
            return;
        }
        self.starts += 1;
        self.found.facts.push(Fact::StepStarted { step: spot.key.clone(), attempt });
    }

    fn finish(&mut self, spot: &Spot, output: StepOutput) {
        self.found.facts.push(Fact::StepFinished { step: spot.key.clone(), output, state: Vec::new() });
    }

    fn cancel(&mut self, spot: &Spot, feedback: Option<&str>) {
        let note = feedback.map(|feedback| format!(": {feedback}")).unwrap_or_default();
        let reason = format!("the step `{}` was rejected{note}", spot.key);
        self.found.end = Some(Outcome::Cancelled { reason });
    }

    fn after_failure(
        &mut self,
        spec: &StepSpec,
        spot: &Spot,
        step: &StepView,
        failure: &Failure,
        before: Before<'a>,
    ) {
        let is_left = step.remedy().is_none() && step.failures_in_a_row() <= spec.retry as usize;
        if is_left && stage::is_performed(spec) && failure.code != IN_DOUBT {
            return self.start(spot, step.attempt.saturating_add(1));
        }
        let error = Some(failure.message.clone());
        match (spec.on_error, step.remedy()) {
            (OnError::Fail, _) => self.finish(spot, StepOutput { error, ..StepOutput::default() }),
            (OnError::Skip, _) | (OnError::Pause, Some(StepDecision::Rejected { .. })) => {
                self.finish(spot, passed_over(before, error));
            }
            (OnError::Pause, None) => self.found.waiting.push(spot.key.clone()),
            (OnError::Pause, Some(StepDecision::Approved { .. })) => {
                self.start(spot, step.attempt.saturating_add(1));
            }
            (OnError::Pause, Some(StepDecision::Edited { content })) => {
                self.finish(spot, StepOutput { content: content.clone(), ..StepOutput::default() });
            }
        }
    }

    fn go_on(&mut self, spec: &'a StepSpec, gate: &Gate, spot: &Spot, step: &'a StepView, from: Before<'a>) {
        let before = Before { ran: false, ..from };
        let inner = match &spec.action {
            StepAction::Parallel(branches) => self.parallel(branches, spot, step, before),
            StepAction::Condition { when, then, otherwise } => {
                self.condition(spec, gate, spot, step, before, (when, then, otherwise))
            }
            StepAction::Loop { steps, until, max_iterations } => {
                self.repeat(spot, step, before, (steps, until.as_deref(), *max_iterations))
            }
            StepAction::Router { choose, routes, .. } => {
                self.router(spec, gate, spot, step, before, (choose.as_deref(), routes))
            }
            StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
                self.perform(spec, gate, spot, step, before)
            }
        };
        match inner {
            Inner::Open => {}
            Inner::Over(output) => self.finish(spot, output),
            Inner::Failed(failure) => {
                let (step, attempt) = (spot.key.clone(), step.attempt);
                self.found.facts.push(Fact::StepFailed { step, attempt, failure });
            }
        }
    }

    /// A result that a person gave in place of the tool's is the output.
    fn perform(
        &mut self,
        spec: &StepSpec,
        gate: &Gate,
        spot: &Spot,
        step: &StepView,
        before: Before<'_>,
    ) -> Inner {
        if let (Some(StepDecision::Edited { content }), _) = decisions(spec, gate, step) {
            return Inner::Over(StepOutput { content: content.clone(), ..StepOutput::default() });
        }
        if self.held.contains(&spot.key) {
            self.found.waiting.push(spot.key.clone());
            return Inner::Open;
        }
        let tools = &self.workflow.tools;
        if let Some((work, input)) = order::work(self.view, tools, spec, gate, step, before.content) {
            let index = spot.index.clone();
            let place =
                StepPlace { step: spot.key.clone(), name: spec.name.clone(), index, attempt: step.attempt };
            let in_doubt = self.doubted.contains(&spot.key);
            self.found.going.push(StepOrder { place, work, input, timeout: spec.timeout, in_doubt });
        }
        Inner::Open
    }

    /// Branches see nothing of each other; where one fails the others are let finish.
    fn parallel(
        &mut self,
        branches: &'a [StepSpec],
        spot: &Spot,
        step: &StepView,
        before: Before<'a>,
    ) -> Inner {
        let (mut outputs, mut failed, mut is_open) = (Vec::new(), None, false);
        for (at, branch) in branches.iter().enumerate() {
            match self.step(branch, &spot.below(step.attempt, at, &branch.name), before) {
                Way::Over(after) if after.ran => outputs.push((branch.name.as_str(), after.content)),
                Way::Over(_) => {}
                Way::Open => is_open = true,
                Way::Failed(failure) => failed = failed.or(Some(failure)),
            }
        }
        match (is_open, failed) {
            (true, _) => Inner::Open,
            (false, Some(failure)) => Inner::Failed(failure),
            (false, None) if outputs.is_empty() => Inner::Over(passed_over(before, None)),
            (false, None) => Inner::Over(StepOutput { content: sections(&outputs), ..StepOutput::default() }),
        }
    }

    fn condition(
        &mut self,
        spec: &StepSpec,
        gate: &Gate,
        spot: &Spot,
        step: &StepView,
        before: Before<'a>,
        (when, then, otherwise): (&str, &'a [StepSpec], &'a [StepSpec]),
    ) -> Inner {
        let Some(Choice::Branch(holds)) = step.choices.last() else {
            let refused = matches!(decisions(spec, gate, step).0, Some(StepDecision::Rejected { .. }));
            let holds = if refused { Ok(false) } else { self.known(spot.iteration, before).holds(when) };
            return self.choose(spot, holds.map(Choice::Branch));
        };
        let branch = if *holds { then } else { otherwise };
        settle(self.list(branch, |at, name| spot.below(step.attempt, at, name), before))
    }

    fn router(
        &mut self,
        spec: &StepSpec,
        gate: &Gate,
        spot: &Spot,
        step: &StepView,
        before: Before<'a>,
        (choose, routes): (Option<&str>, &'a [(String, Vec<StepSpec>)]),
    ) -> Inner {
        let Some(Choice::Routes(chosen)) = step.choices.last() else {
            let known: Vec<&str> = routes.iter().map(|(name, _)| name.as_str()).collect();
            let named = match (choose, decisions(spec, gate, step).0) {
                (Some(text), _) => self.known(spot.iteration, before).routes(text, &known),
                (None, Some(StepDecision::Approved { routes, .. })) => Ok(routes.clone()),
                (None, _) => Ok(Vec::new()),
            };
            return self.choose(spot, named.map(Choice::Routes));
        };
        let taken = chosen.iter().filter_map(|name| routes.iter().find(|(route, _)| route == name));
        let (mut way, mut passed) = (before, 0);
        let first = step.attempt.saturating_sub(1).saturating_mul(chosen.len() as u32);
        for (number, (_, steps)) in (first.saturating_add(1)..).zip(taken) {
            match self.list(steps, |at, name| spot.below(number, passed + at, name), way) {
                Way::Over(after) => way = after,
                other @ (Way::Open | Way::Failed(_)) => return settle(other),
            }
            passed += steps.len();
        }
        settle(Way::Over(way))
    }

    /// When the loop is done again its iterations are counted on, for each needs a name of its own. Those after
    /// which a choice was made are over, and not walked through again.
    fn repeat(
        &mut self,
        spot: &Spot,
        step: &StepView,
        from: Before<'a>,
        (steps, until, cap): (&'a [StepSpec], Option<&str>, u32),
    ) -> Inner {
        let before = iterations_before(step);
        let decided = u32::try_from(step.choices.len()).unwrap_or(u32::MAX);
        let mut way = self.after(spot, steps, from, (before.saturating_add(1), decided));
        let is_through = decided > before && step.choices.last() != Some(&Choice::Again(true));
        if is_through {
            return settle(Way::Over(way));
        }
        let number = decided.max(before).saturating_add(1);
        let iteration = number.saturating_sub(before);
        match self.list(steps, |at, name| spot.repeated(number, at, name, iteration), way) {
            Way::Over(after) => way = after,
            other @ (Way::Open | Way::Failed(_)) => return settle(other),
        }
        let may = iteration < cap && !steps.is_empty();
        let done = match until.filter(|_| may) {
            Some(until) => self.known(Some(iteration), way).holds(until),
            None => Ok(!may),
        };
        self.choose(spot, done.map(|done| Choice::Again(!done)))
    }

    /// What iterations that are over hand on: the output of the last step that was done in them.
    fn after(
        &self,
        spot: &Spot,
        steps: &'a [StepSpec],
        from: Before<'a>,
        (first, last): (u32, u32),
    ) -> Before<'a> {
        let output = |number: u32, spec: &StepSpec| {
            self.view.step(&spot.key.iteration(number).child(&spec.name))?.output.as_ref()
        };
        let Some(ending) = steps.last().filter(|_| first <= last) else { return from };
        let success = output(last, ending).is_some_and(|output| output.error.is_none());
        let passed = Before { name: Some(ending.name.as_str()), success, ..from };
        let each = (first..=last).rev().flat_map(|number| steps.iter().rev().map(move |spec| (number, spec)));
        let mut done =
            each.filter_map(|(number, spec)| output(number, spec)).filter(|output| !output.skipped);
        done.next().map_or(passed, |output| Before { content: &output.content, ran: true, ..passed })
    }

    fn known(&self, iteration: Option<u32>, before: Before<'a>) -> Known<'a> {
        Known { view: self.view, before, iteration }
    }

    fn choose(&mut self, spot: &Spot, choice: Result<Choice, Failure>) -> Inner {
        match choice {
            Ok(choice) => {
                self.found.facts.push(Fact::StepDecided { step: spot.key.clone(), choice });
                Inner::Open
            }
            Err(failure) => Inner::Failed(blame(&spot.key, &failure)),
        }
    }
}

/// What a step that is over hands on: its output, or, where it was passed over, what it was given itself.
fn over<'a>(spec: &'a StepSpec, step: &StepView, output: &'a StepOutput, before: Before<'a>) -> Way<'a> {
    let (name, success) = (Some(spec.name.as_str()), output.error.is_none());
    match &output.error {
        _ if output.skipped => Way::Over(Before { name, success, ..before }),
        None => Way::Over(Before { name, content: &output.content, success, ran: true }),
        Some(error) => {
            let failure = step.failures.last().cloned();
            let failure = failure.unwrap_or_else(|| Failure::new("step_failed", error));
            // Of a step that holds others, the one within that failed is named already.
            let is_named = !stage::is_performed(spec);
            Way::Failed(if is_named { failure } else { blame(&step.key, &failure) })
        }
    }
}

/// A list's output is that of its last step that was done.
fn settle(way: Way<'_>) -> Inner {
    match way {
        Way::Over(after) => Inner::Over(StepOutput {
            content: after.content.into(),
            skipped: !after.ran,
            ..StepOutput::default()
        }),
        Way::Open => Inner::Open,
        Way::Failed(failure) => Inner::Failed(failure),
    }
}

/// Nothing was done: what came in goes on.
fn passed_over(before: Before<'_>, error: Option<String>) -> StepOutput {
    StepOutput { content: before.content.into(), error, skipped: true, run: None }
}

/// One section a branch, in order.
fn sections(outputs: &[(&str, &str)]) -> String {
    let sections: Vec<String> =
        outputs.iter().map(|(name, content)| format!("## {name}\n\n{}", content.trim())).collect();
    sections.join("\n\n")
}

/// How many iterations a loop had before its present try: each try before ended with a choice not to go on.
fn iterations_before(step: &StepView) -> u32 {
    let tries = (step.attempt as usize).saturating_sub(1);
    let ends = step.choices.iter().enumerate().filter(|(_, choice)| **choice == Choice::Again(false));
    let last = if tries == 0 { None } else { ends.map(|(at, _)| at).nth(tries - 1) };
    last.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0)
}
