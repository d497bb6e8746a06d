//! Where one step stands, by what the log says of it alone.

use crate::domain::fact::Failure;
use crate::domain::spec::{DeclaredTool, OnReject, StepAction, StepSpec};
use crate::domain::step::{StepDecision, StepOutput};
use crate::domain::steps::StepView;
use crate::domain::tool::Gate;

/// So often a step whose output was refused is done again.
pub const MAX_REDONE: usize = 3;

/// Where a step stands.
#[derive(Debug)]
pub(super) enum Stage<'a> {
    /// Somebody must be asked: for leave before it begins, or about what came out.
    Waiting,
    /// This try may begin.
    Ready(u32),
    /// Somebody refused it before it began, and it is passed over.
    Refused,
    /// Somebody refused it, and with it the workflow.
    Cancelled(Option<&'a str>),
    /// It is being performed.
    Going(&'a StepView),
    /// Its last try came to nothing, and nothing followed from that yet.
    Failed(&'a StepView, &'a Failure),
    /// Nothing more happens to it.
    Over(&'a StepView, &'a StepOutput),
}

/// Who must be asked before the step begins: whom the step names, and whom its tool does.
pub(super) fn gate_of(spec: &StepSpec, tools: &[DeclaredTool]) -> Gate {
    let mut gate = spec.gate.clone();
    if let StepAction::Tool(name) = &spec.action
        && let Some(tool) = tools.iter().find(|tool| tool.name == *name)
    {
        gate.confirmation |= tool.gate.confirmation;
        gate.external |= tool.gate.external;
        let more = tool.gate.user_input.iter().filter(|field| !spec.gate.user_input.contains(field));
        gate.user_input.extend(more.cloned());
        gate.message = gate.message.or_else(|| tool.gate.message.clone());
        if gate.within.is_none() {
            (gate.within, gate.on_timeout) = (tool.gate.within, tool.gate.on_timeout);
        }
    }
    gate
}

/// Whether it does something itself and does not only hold other steps.
pub(super) fn is_performed(spec: &StepSpec) -> bool {
    match spec.action {
        StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => true,
        StepAction::Parallel(_)
        | StepAction::Condition { .. }
        | StepAction::Loop { .. }
        | StepAction::Router { .. } => false,
    }
}

/// Whether a person chooses the way.
pub(super) fn asks_for_routes(spec: &StepSpec) -> bool {
    matches!(spec.action, StepAction::Router { choose: None, .. })
}

/// Whether somebody must be asked before it begins.
fn needs_leave(spec: &StepSpec, gate: &Gate) -> bool {
    !gate.is_open() || asks_for_routes(spec)
}

/// What was decided before it began, and what about its outputs, in order.
pub(super) fn decisions<'a>(
    spec: &StepSpec,
    gate: &Gate,
    step: &'a StepView,
) -> (Option<&'a StepDecision>, &'a [StepDecision]) {
    match step.decisions.split_first() {
        Some((leave, reviews)) if needs_leave(spec, gate) => (Some(leave), reviews),
        Some(_) | None => (None, &step.decisions),
    }
}

/// Where a step stands.
pub(super) fn stage<'a>(spec: &StepSpec, gate: &Gate, step: Option<&'a StepView>) -> Stage<'a> {
    let Some(step) = step else { return before(spec, gate, None) };
    let (leave, reviews) = decisions(spec, gate, step);
    if let Some(output) = &step.output {
        return after(spec, gate, step, output, reviews);
    }
    let ended = step.failures.len().saturating_add(reviews.len());
    match step.failures.last() {
        _ if step.attempt == 0 => before(spec, gate, leave),
        Some(failure) if step.attempt as usize <= ended => Stage::Failed(step, failure),
        Some(_) | None => Stage::Going(step),
    }
}

fn before<'a>(spec: &StepSpec, gate: &Gate, leave: Option<&'a StepDecision>) -> Stage<'a> {
    match leave {
        None if needs_leave(spec, gate) => Stage::Waiting,
        None | Some(StepDecision::Approved { .. } | StepDecision::Edited { .. }) => Stage::Ready(1),
        Some(StepDecision::Rejected { feedback }) => match (spec.on_reject, &spec.action) {
            (OnReject::Cancel, _) => Stage::Cancelled(feedback.as_deref()),
            (OnReject::Else, StepAction::Condition { .. }) => Stage::Ready(1),
            (OnReject::Skip | OnReject::Else | OnReject::Retry, _) => Stage::Refused,
        },
    }
}

/// Each output is looked at once; a step that was passed over has none to look at.
fn after<'a>(
    spec: &StepSpec,
    gate: &Gate,
    step: &'a StepView,
    output: &'a StepOutput,
    reviews: &'a [StepDecision],
) -> Stage<'a> {
    let outputs = (step.attempt as usize).saturating_sub(step.failures.len());
    if !spec.review || output.error.is_some() || outputs == 0 {
        return Stage::Over(step, output);
    }
    match reviews.get(outputs - 1) {
        None if output.skipped => Stage::Over(step, output),
        None => Stage::Waiting,
        Some(StepDecision::Approved { .. } | StepDecision::Edited { .. }) => Stage::Over(step, output),
        Some(StepDecision::Rejected { feedback }) => match spec.on_reject {
            OnReject::Cancel => Stage::Cancelled(feedback.as_deref()),
            OnReject::Retry if outputs <= MAX_REDONE && !gate.external => {
                Stage::Ready(step.attempt.saturating_add(1))
            }
            OnReject::Skip | OnReject::Else | OnReject::Retry => Stage::Over(step, output),
        },
    }
}
