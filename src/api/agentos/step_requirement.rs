//! What a workflow waits for, as AgentOS shows it: one object a step, with every key.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::Object;
use crate::domain::fact::Failure;
use crate::domain::id::RunId;
use crate::domain::spec::{DeclaredTool, OnReject, StepAction, StepSpec, WorkflowSpec};
use crate::domain::step::StepKey;
use crate::domain::tool::{Gate, OnTimeout};
use crate::machine::workflow::MAX_REDONE;

use super::step_body::{self, StepIndex, StepOutputBody, locate, step_id, workflow_of};
use super::tool_body::{self, InputField, Requirement};
use super::tree::Node;

/// A step that waits, for somebody or for the run that performs it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRequirement<'a> {
    step_id: &'a str,
    step_name: &'a str,
    step_index: Option<usize>,
    step_type: &'static str,
    requires_confirmation: bool,
    confirmation_message: Option<&'a str>,
    confirmed: Option<bool>,
    on_reject: &'static str,
    requires_user_input: bool,
    user_input_message: Option<&'a str>,
    user_input_schema: Option<Vec<StepInputField>>,
    user_input: Option<Object>,
    requires_route_selection: bool,
    available_choices: Option<Vec<&'a str>>,
    allow_multiple_selections: bool,
    selected_choices: Option<Vec<String>>,
    requires_output_review: bool,
    output_review_message: Option<&'a str>,
    is_post_execution: bool,
    rejection_feedback: Option<String>,
    edited_output: Option<String>,
    retry_count: u32,
    max_retries: Option<u32>,
    timeout_at: Option<String>,
    on_timeout: &'static str,
    step_input: StepInput<'a>,
    requires_executor_input: bool,
    executor_requirements: Option<Vec<ExecutorRequirement<'a>>>,
    executor_id: Option<&'a str>,
    executor_name: Option<&'a str>,
    executor_run_id: Option<RunId>,
    executor_type: Option<&'static str>,
    executor_session_id: Option<&'a str>,
    step_output: Option<StepOutputBody<'a>>,
}

/// A step that failed and about which somebody must decide, with every key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorRequirement<'a> {
    step_id: &'a str,
    step_name: &'a str,
    step_index: Option<usize>,
    error_message: &'a str,
    error_type: &'a str,
    retry_count: u32,
    /// `retry` or `skip`, for the client to fill in.
    decision: Option<()>,
}

/// What the run of a step waits for: decisions about calls, or, of a workflow's, about its steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ExecutorRequirement<'a> {
    /// About a call.
    Call(Box<Requirement<'a>>),
    /// About a step.
    Step(Box<StepRequirement<'a>>),
}

/// A value a person must give.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepInputField {
    #[serde(flatten)]
    field: InputField,
    required: bool,
}

/// What the step is given.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct StepInput<'a> {
    input: &'a str,
    previous_step_outputs: BTreeMap<&'a str, StepOutputBody<'a>>,
    previous_step_content: Option<&'a str>,
    additional_data: Option<()>,
    images: Option<()>,
    videos: Option<()>,
    audio: Option<()>,
    files: Option<()>,
}

/// What a step waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait<'a> {
    /// Somebody must agree, or give something, before it begins.
    Leave,
    /// Somebody must choose its routes.
    Routes,
    /// Somebody must look at what came out.
    Review,
    /// It failed, and somebody must say whether it is tried again or passed over.
    Failure(&'a Failure),
    /// The run that performs it waits.
    Run(Node<'a>),
}

/// A step that waits, and everything that says why.
#[derive(Debug, Clone)]
pub(super) struct Waiting<'a> {
    pub(super) node: Node<'a>,
    pub(super) key: &'a StepKey,
    pub(super) spec: &'a StepSpec,
    pub(super) index: Vec<usize>,
    pub(super) gate: Gate,
    pub(super) wait: Wait<'a>,
}

/// The steps of a run that wait, in order.
pub(super) fn waiting(node: Node<'_>) -> Vec<Waiting<'_>> {
    let Some(workflow) = workflow_of(node) else { return Vec::new() };
    node.view.waiting_steps.iter().filter_map(|key| Waiting::of(node, workflow, key)).collect()
}

/// What must be decided before the run goes on.
pub(super) fn all(node: Node<'_>) -> Vec<StepRequirement<'_>> {
    waiting(node).iter().map(StepRequirement::of).collect()
}

/// The steps that failed and wait for that reason.
pub(super) fn errors(node: Node<'_>) -> Vec<ErrorRequirement<'_>> {
    waiting(node).iter().filter_map(ErrorRequirement::of).collect()
}

/// Who must be asked before a step: whom it names itself, and whom its tool does.
pub(super) fn gate_of(workflow: &WorkflowSpec, step: &StepSpec) -> Gate {
    let mut gate = step.gate.clone();
    let StepAction::Tool(name) = &step.action else { return gate };
    let Some(tool) = workflow.tools.iter().find(|tool| tool.name == *name) else { return gate };
    gate.confirmation |= tool.gate.confirmation;
    gate.external |= tool.gate.external;
    let more: Vec<String> =
        tool.gate.user_input.iter().filter(|name| !gate.user_input.contains(name)).cloned().collect();
    gate.user_input.extend(more);
    gate
}

impl<'a> Waiting<'a> {
    fn of(node: Node<'a>, workflow: &'a WorkflowSpec, key: &'a StepKey) -> Option<Self> {
        let located = locate(workflow, key)?;
        let step = node.view.step(key);
        let has_output = step.is_some_and(|step| step.output.is_some());
        let failure = step.and_then(|step| step.failures.last());
        let wait = match (node.of_step(key).filter(|run| run.waits()), failure, &located.spec.action) {
            (Some(run), _, _) => Wait::Run(run),
            (None, _, _) if has_output => Wait::Review,
            (None, Some(failure), _) => Wait::Failure(failure),
            (None, None, StepAction::Router { choose: None, .. }) => Wait::Routes,
            (None, None, _) => Wait::Leave,
        };
        let gate = gate_of(workflow, located.spec);
        Some(Self { node, key, spec: located.spec, index: located.index, gate, wait })
    }

    /// Where it stands, for clients.
    pub(super) fn step_index(&self) -> StepIndex<'_> {
        StepIndex(&self.index)
    }

    /// Whether somebody is asked for leave; a step that is executed elsewhere counts as such.
    pub(super) fn asks_to_confirm(&self) -> bool {
        matches!(self.wait, Wait::Leave) && (self.gate.confirmation || self.gate.user_input.is_empty())
    }

    /// Whether somebody must give values.
    pub(super) fn asks_for_input(&self) -> bool {
        matches!(self.wait, Wait::Leave) && !self.gate.user_input.is_empty()
    }

    /// What is to be given.
    pub(super) fn fields(&self) -> Option<Vec<StepInputField>> {
        let fields = InputField::all(&self.gate.user_input, self.tool(), None).into_iter();
        self.asks_for_input().then(|| fields.map(|field| StepInputField { field, required: true }).collect())
    }

    /// The names of a router's routes.
    pub(super) fn routes(&self) -> Option<Vec<&'a str>> {
        let StepAction::Router { routes, .. } = &self.spec.action else { return None };
        matches!(self.wait, Wait::Routes).then(|| routes.iter().map(|(name, _)| name.as_str()).collect())
    }

    /// Whether more than one route may be chosen.
    pub(super) fn takes_several(&self) -> bool {
        matches!(self.spec.action, StepAction::Router { several: true, .. })
    }

    /// What is said to whoever is asked: the step's own words, or its tool's.
    pub(super) fn message(&self) -> Option<&'a str> {
        self.spec.gate.message.as_deref().or_else(|| self.tool()?.gate.message.as_deref())
    }

    /// How often it was done again: of a review, because somebody wanted so.
    fn retry_count(&self) -> u32 {
        let Some(step) = self.node.view.step(self.key) else { return 0 };
        let failed = if matches!(self.wait, Wait::Review) { step.failures.len() } else { 0 };
        step.attempt.saturating_sub(1).saturating_sub(u32::try_from(failed).unwrap_or(u32::MAX))
    }

    fn tool(&self) -> Option<&'a DeclaredTool> {
        let StepAction::Tool(name) = &self.spec.action else { return None };
        tool_body::declared(&self.node.view.spec, name)
    }

    /// What is said to whoever is asked to agree: of a step that failed, why it did.
    fn confirmation_message(&self) -> Option<&'a str> {
        match self.wait {
            Wait::Failure(failure) => Some(&failure.message),
            Wait::Leave => self.message_if(self.asks_to_confirm()),
            Wait::Routes | Wait::Review | Wait::Run(_) => None,
        }
    }

    fn message_if(&self, asked: bool) -> Option<&'a str> {
        self.message().filter(|_| asked)
    }
}

/// What must be decided in the run of a step.
pub(super) fn executor_requirements(run: Node<'_>) -> Vec<ExecutorRequirement<'_>> {
    if workflow_of(run).is_some() {
        return all(run).into_iter().map(|step| ExecutorRequirement::Step(Box::new(step))).collect();
    }
    let calls = tool_body::requirements(run).into_iter();
    calls.map(|call| ExecutorRequirement::Call(Box::new(call))).collect()
}

impl<'a> ErrorRequirement<'a> {
    fn of(waiting: &Waiting<'a>) -> Option<Self> {
        let Wait::Failure(failure) = waiting.wait else { return None };
        Some(Self {
            step_id: step_id(waiting.key),
            step_name: &waiting.spec.name,
            step_index: waiting.index.first().copied(),
            error_message: &failure.message,
            error_type: &failure.code,
            retry_count: waiting.retry_count(),
            decision: None,
        })
    }
}

impl<'a> StepRequirement<'a> {
    fn of(waiting: &Waiting<'a>) -> Self {
        let Waiting { node, key, spec, index, wait, .. } = waiting;
        let run = match wait {
            Wait::Run(run) => Some(*run),
            Wait::Leave | Wait::Routes | Wait::Review | Wait::Failure(_) => None,
        };
        let failed = matches!(wait, Wait::Failure(_));
        let (confirms, gives) = (waiting.asks_to_confirm(), waiting.asks_for_input());
        let (reviews, chooses) = (matches!(wait, Wait::Review), matches!(wait, Wait::Routes));
        let retries = if reviews && spec.on_reject == OnReject::Retry { Some(MAX_REDONE) } else { None };
        Self {
            step_id: step_id(key),
            step_name: &spec.name,
            step_index: index.first().copied(),
            step_type: step_body::step_type(spec),
            requires_confirmation: confirms || failed,
            confirmation_message: waiting.confirmation_message(),
            confirmed: None,
            on_reject: if failed { "skip" } else { on_reject(spec.on_reject) },
            requires_user_input: gives,
            user_input_message: waiting.message_if(gives || chooses),
            user_input_schema: waiting.fields(),
            user_input: None,
            requires_route_selection: chooses,
            available_choices: waiting.routes(),
            allow_multiple_selections: waiting.takes_several(),
            selected_choices: None,
            requires_output_review: reviews,
            output_review_message: waiting.message_if(reviews),
            is_post_execution: reviews,
            rejection_feedback: None,
            edited_output: None,
            retry_count: waiting.retry_count(),
            max_retries: retries.and_then(|most| u32::try_from(most).ok()),
            timeout_at: node.view.waits_until.map(tool_body::offset_time),
            on_timeout: on_timeout(waiting.gate.on_timeout),
            step_input: StepInput::of(*node, index),
            requires_executor_input: run.is_some(),
            executor_requirements: run.map(executor_requirements),
            executor_id: run.map(|run| run.view.spec.id().as_str()),
            executor_name: run.map(|run| run.view.spec.name()),
            executor_run_id: run.map(|run| run.view.run),
            executor_type: run.map(|run| run.view.spec.kind().as_str()),
            executor_session_id: run.map(|run| run.view.session.as_str()),
            step_output: if reviews { StepOutputBody::of(*node, spec, key) } else { None },
        }
    }
}

impl<'a> StepInput<'a> {
    /// The message, and what came of the workflow's steps before the one that waits.
    fn of(node: Node<'a>, index: &[usize]) -> Self {
        let before = index.first().copied().unwrap_or_default();
        let steps =
            workflow_of(node).map_or(&[][..], |workflow| workflow.steps.get(..before).unwrap_or_default());
        let outputs = steps.iter().filter_map(|step| {
            Some((step.name.as_str(), StepOutputBody::of(node, step, &StepKey::top(&step.name))?))
        });
        let last =
            steps.iter().rev().find_map(|step| node.view.step(&StepKey::top(&step.name))?.output.as_ref());
        Self {
            input: &node.view.input.text,
            previous_step_outputs: outputs.collect(),
            previous_step_content: last.map(|output| output.content.as_str()),
            additional_data: None,
            images: None,
            videos: None,
            audio: None,
            files: None,
        }
    }
}

fn on_reject(rule: OnReject) -> &'static str {
    match rule {
        OnReject::Skip => "skip",
        OnReject::Cancel => "cancel",
        OnReject::Else => "else",
        OnReject::Retry => "retry",
    }
}

fn on_timeout(rule: OnTimeout) -> &'static str {
    match rule {
        OnTimeout::Reject => "skip",
        OnTimeout::Approve => "approve",
        OnTimeout::Cancel => "cancel",
    }
}
