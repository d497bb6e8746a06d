//! The steps of a run for those who look on: what each is, where it stands, and what is asked about it.

use super::stage::{self, Stage, asks_for_routes};
use super::workflow_of;
use crate::domain::spec::{StepAction, StepSpec};
use crate::domain::step::{Choice, StepAnswer, StepDecision, StepKey, StepPlace};
use crate::domain::steps::StepView;
use crate::domain::tool::Gate;
use crate::domain::view::RunView;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It is being performed, or a step within it is.
    Going,
    /// Somebody must be asked before it begins: its gate says what, and a router without an expression asks for
    /// its routes.
    WaitsForLeave,
    /// Somebody must look at what came out.
    WaitsForReview,
    /// It failed, and somebody must say whether it is tried again or passed over.
    WaitsForRemedy,
    /// Its run waits for somebody.
    WaitsBelow,
    /// Nothing more happens to it.
    Over,
}

/// One performance of a step: what the file says of it, and what the log does.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSight<'a> {
    /// As the workflow's file has it.
    pub spec: &'a StepSpec,
    /// Where it is.
    pub place: StepPlace,
    /// Who is asked, what and for how long: by the step and, if it calls a tool, by that.
    pub gate: Gate,
    /// What came of it.
    pub step: &'a StepView,
    /// Where it stands.
    pub stand: Stand,
}

/// All steps that began or were waited for, in that order; none if the run is of no workflow.
pub fn outline(view: &RunView) -> Vec<StepSight<'_>> {
    view.steps.iter().filter_map(|step| seen(view, step)).collect()
}

/// One of them.
pub fn sight<'a>(view: &'a RunView, step: &StepKey) -> Option<StepSight<'a>> {
    seen(view, view.step(step)?)
}

/// Why an answer does not fit what is asked; such an answer changes nothing.
pub fn objection(view: &RunView, answer: &StepAnswer) -> Option<String> {
    let key = &answer.step;
    let Some(sight) = sight(view, key).filter(|_| view.waiting_steps.contains(key)) else {
        return Some(format!("the step `{key}` does not wait"));
    };
    let objection = match (sight.stand, &answer.decision) {
        (Stand::WaitsBelow, _) => "is not asked about: its run waits",
        (Stand::Going | Stand::Over, _) => "does not wait",
        (_, StepDecision::Rejected { .. })
        | (Stand::WaitsForReview | Stand::WaitsForRemedy, StepDecision::Edited { .. }) => return None,
        (Stand::WaitsForLeave, StepDecision::Edited { .. }) if sight.gate.external => return None,
        (Stand::WaitsForLeave, StepDecision::Edited { .. }) => "has no output yet that could be edited",
        (Stand::WaitsForLeave, StepDecision::Approved { .. }) if sight.gate.external => {
            "is done elsewhere: its result must be given"
        }
        (Stand::WaitsForLeave, StepDecision::Approved { values, routes }) => {
            let missing: Vec<&str> = sight
                .gate
                .user_input
                .iter()
                .map(String::as_str)
                .filter(|name| !values.contains_key(*name))
                .collect();
            if !missing.is_empty() {
                return Some(format!("the step `{key}` needs `{}`", missing.join("`, `")));
            }
            return routes_do_not_fit(sight.spec, routes).map(|why| format!("the step `{key}` {why}"));
        }
        (Stand::WaitsForReview | Stand::WaitsForRemedy, StepDecision::Approved { routes, .. })
            if routes.is_empty() =>
        {
            return None;
        }
        (Stand::WaitsForReview | Stand::WaitsForRemedy, StepDecision::Approved { .. }) => {
            "has nothing to choose"
        }
    };
    Some(format!("the step `{key}` {objection}"))
}

fn routes_do_not_fit(spec: &StepSpec, chosen: &[String]) -> Option<String> {
    let StepAction::Router { several, routes, .. } = &spec.action else {
        return (!chosen.is_empty()).then(|| "has nothing to choose".into());
    };
    if !asks_for_routes(spec) {
        return (!chosen.is_empty()).then(|| "chooses for itself".into());
    }
    let known: Vec<&str> = routes.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(unknown) = chosen.iter().find(|name| !known.contains(&name.as_str())) {
        return Some(format!("has no route `{unknown}`; its routes are `{}`", known.join("`, `")));
    }
    let is_twice = |(at, name): (usize, &String)| chosen.iter().take(at).any(|other| other == name);
    match chosen.len() {
        0 => Some(format!("needs a choice of `{}`", known.join("`, `"))),
        1 => None,
        _ if !several => Some("takes one route".into()),
        _ => chosen.iter().enumerate().any(is_twice).then(|| "takes each route once".into()),
    }
}

/// The step's own name.
pub(super) fn name_of(key: &StepKey) -> &str {
    key.as_str().rsplit('/').next().unwrap_or_default()
}

fn seen<'a>(view: &'a RunView, step: &'a StepView) -> Option<StepSight<'a>> {
    let workflow = workflow_of(view)?;
    let (spec, index) = locate(view, &workflow.steps, &step.key)?;
    let gate = stage::gate_of(spec, &workflow.tools);
    let stand = match stage::stage(spec, &gate, Some(step)) {
        _ if view.outcome.is_some() => Stand::Over,
        Stage::Waiting if step.output.is_some() => Stand::WaitsForReview,
        Stage::Waiting => Stand::WaitsForLeave,
        Stage::Failed(..) if view.waiting_steps.contains(&step.key) => Stand::WaitsForRemedy,
        Stage::Going(_) if view.waiting_steps.contains(&step.key) => Stand::WaitsBelow,
        Stage::Going(_) | Stage::Failed(..) | Stage::Ready(_) => Stand::Going,
        Stage::Refused | Stage::Cancelled(_) | Stage::Over(..) => Stand::Over,
    };
    let place = StepPlace { step: step.key.clone(), name: spec.name.clone(), index, attempt: step.attempt };
    Some(StepSight { spec, place, gate, step, stand })
}

/// Follows a key from the top; names hold no `/` and no brackets.
fn locate<'a>(view: &RunView, top: &'a [StepSpec], key: &StepKey) -> Option<(&'a StepSpec, Vec<usize>)> {
    let (mut neighbours, mut skipped) = (top, 0);
    let mut index = Vec::new();
    let mut rest = key.as_str();
    loop {
        let (segment, below) = rest.split_once('/').map_or((rest, None), |(one, rest)| (one, Some(rest)));
        let (name, number) = unnumbered(segment);
        let at = neighbours.iter().position(|spec| spec.name == name)?;
        let spec = neighbours.get(at)?;
        index.push(skipped + at);
        let Some(below) = below else { return Some((spec, index)) };
        let above = key.as_str().len() - below.len() - 1 - (segment.len() - name.len());
        let step = view.step(&StepKey::top(key.as_str().get(..above)?))?;
        (neighbours, skipped) = within(spec, step, number)?;
        rest = below;
    }
}

/// `polish[2]` is the second repetition of `polish`.
fn unnumbered(segment: &str) -> (&str, usize) {
    let numbered = || {
        let (name, number) = segment.strip_suffix(']')?.rsplit_once('[')?;
        Some((name, number.parse().ok()?))
    };
    numbered().unwrap_or((segment, 1))
}

/// The list of steps that a repetition of this step goes through, and how many steps of it come before that list.
fn within<'a>(spec: &'a StepSpec, step: &StepView, number: usize) -> Option<(&'a [StepSpec], usize)> {
    match (&spec.action, step.choices.last()) {
        (StepAction::Parallel(steps) | StepAction::Loop { steps, .. }, _) => Some((steps, 0)),
        (StepAction::Condition { then, .. }, Some(Choice::Branch(true))) => Some((then, 0)),
        (StepAction::Condition { otherwise, .. }, Some(Choice::Branch(false))) => Some((otherwise, 0)),
        (StepAction::Router { routes, .. }, Some(Choice::Routes(chosen))) => {
            let steps = |name: &String| {
                routes.iter().find(|(route, _)| route == name).map(|(_, steps)| steps.as_slice())
            };
            let position = number.checked_sub(1)?.checked_rem(chosen.len())?;
            let skipped = chosen.iter().take(position).filter_map(steps).map(<[_]>::len).sum();
            Some((chosen.get(position).and_then(steps)?, skipped))
        }
        (
            StepAction::Condition { .. }
            | StepAction::Router { .. }
            | StepAction::Agent(_)
            | StepAction::Team(_)
            | StepAction::Tool(_)
            | StepAction::Workflow(_),
            _,
        ) => None,
    }
}
