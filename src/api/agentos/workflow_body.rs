//! A run of a workflow as AgentOS answers it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::Object;
use crate::domain::id::{RunId, UserId};
use crate::domain::spec::{StepAction, StepSpec};
use crate::domain::step::StepKey;

use super::fork_body::ForkBody;
use super::metrics_body::Metrics;
use super::run_body::{self, AnyRun, Content};
use super::step_body::{self, StepOutputBody, locate, step_id, workflow_of};
use super::step_requirement::{self, ErrorRequirement, StepRequirement};
use super::tree::Node;

/// What `POST /workflows/{id}/runs` and `GET /workflows/{id}/runs/{run_id}` answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowBody<'a> {
    run_id: RunId,
    workflow_id: &'a str,
    workflow_name: &'a str,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_step_id: Option<&'a str>,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    content_type: &'static str,
    images: [(); 0],
    videos: [(); 0],
    audio: [(); 0],
    files: [(); 0],
    step_results: Vec<StepOutputBody<'a>>,
    step_executor_runs: Vec<AnyRun<'a>>,
    metrics: WorkflowMetrics<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Object>,
    session_state: &'a Object,
    created_at: u64,
    status: &'static str,
    #[serde(flatten)]
    origin: ForkBody<'a>,
    #[serde(flatten)]
    pause: Option<Pause<'a>>,
}

/// What a workflow waits for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pause<'a> {
    step_requirements: Vec<StepRequirement<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error_requirements: Vec<ErrorRequirement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_step_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_step_name: Option<&'a str>,
    pause_kind: &'static str,
}

/// Times and tokens, step by step; both keys must be there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkflowMetrics<'a> {
    steps: BTreeMap<&'a str, StepMetrics<'a>>,
    duration: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct StepMetrics<'a> {
    step_name: &'a str,
    executor_type: &'static str,
    executor_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<Metrics>,
}

impl<'a> WorkflowBody<'a> {
    /// A run, while it goes or later.
    pub fn of(node: Node<'a>) -> Self {
        let view = node.view;
        Self {
            run_id: view.run,
            workflow_id: view.spec.id().as_str(),
            workflow_name: view.spec.name(),
            session_id: view.session.as_str(),
            user_id: view.user.as_ref(),
            parent_run_id: view.parent,
            workflow_step_id: node.step().map(|(place, _)| step_id(&place.step)),
            input: &view.input.text,
            content: run_body::content(view),
            content_type: "str",
            images: [],
            videos: [],
            audio: [],
            files: [],
            step_results: step_results(node),
            step_executor_runs: executor_runs(node),
            metrics: WorkflowMetrics::of(node),
            metadata: view.options.metadata.as_ref(),
            session_state: &view.state,
            created_at: view.created.seconds(),
            status: run_body::status(view.status),
            origin: ForkBody::of(view),
            pause: Pause::of(node),
        }
    }
}

/// What came of its own steps.
pub fn step_results(node: Node<'_>) -> Vec<StepOutputBody<'_>> {
    workflow_of(node).map(|workflow| step_body::outputs(node, workflow)).unwrap_or_default()
}

/// The runs its steps started, tries that came to nothing included.
pub fn executor_runs(node: Node<'_>) -> Vec<AnyRun<'_>> {
    node.children().map(AnyRun::stored).collect()
}

impl<'a> Pause<'a> {
    /// `None` of a run that does not wait.
    pub fn of(node: Node<'a>) -> Option<Self> {
        let workflow = workflow_of(node).filter(|_| node.waits())?;
        let first = node.view.waiting_steps.first();
        let located = first.and_then(|key| locate(workflow, key));
        let below = first.and_then(|key| node.of_step(key)).is_some_and(Node::waits);
        Some(Self {
            step_requirements: step_requirement::all(node),
            error_requirements: step_requirement::errors(node),
            paused_step_index: located.as_ref().and_then(|located| located.index.first().copied()),
            paused_step_name: located.map(|located| located.spec.name.as_str()),
            pause_kind: if below { "executor" } else { "step" },
        })
    }
}

impl<'a> WorkflowMetrics<'a> {
    /// Of the steps that are over: those that did something themselves.
    pub fn of(node: Node<'a>) -> Self {
        let view = node.view;
        let steps = workflow_of(node).into_iter().flat_map(|workflow| {
            view.steps.iter().filter_map(move |step| {
                let spec = locate(workflow, &step.key).filter(|_| step.output.is_some())?.spec;
                Some((step_id(&step.key), StepMetrics::of(node, spec, &step.key)?))
            })
        });
        let duration = view.began.zip(view.ended).map(|(began, ended)| ended.seconds_since(began));
        Self { steps: steps.collect(), duration }
    }
}

impl<'a> StepMetrics<'a> {
    /// `None` of a step that only holds others.
    fn of(node: Node<'a>, spec: &'a StepSpec, key: &StepKey) -> Option<Self> {
        let holds_others = match spec.action {
            StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
                false
            }
            StepAction::Parallel(_)
            | StepAction::Condition { .. }
            | StepAction::Loop { .. }
            | StepAction::Router { .. } => true,
        };
        let run = node.of_step(key);
        (!holds_others).then(|| Self {
            step_name: &spec.name,
            executor_type: step_body::executor_type(spec),
            executor_name: step_body::executor_name(spec, run),
            metrics: run.map(|run| Metrics::of_run(run.view)),
        })
    }
}
