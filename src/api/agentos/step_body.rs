//! Steps of a workflow as AgentOS shows them: where they stand in the file, and what came of them.

use serde::{Serialize, Serializer};

use crate::domain::id::RunId;
use crate::domain::spec::{Spec, StepAction, StepSpec, WorkflowSpec};
use crate::domain::step::StepKey;
use crate::domain::steps::StepView;

use super::metrics_body::Metrics;
use super::tree::Node;

/// What a client calls a step: its name within the run.
pub fn step_id(key: &StepKey) -> &str {
    key.as_str()
}

/// A step of the file, as a key names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<'a> {
    /// The step.
    pub spec: &'a StepSpec,
    /// Where it stands among its neighbours, from 0, from the outermost list inwards.
    pub index: Vec<usize>,
}

/// Finds the step a key names.
pub fn locate<'a>(workflow: &'a WorkflowSpec, key: &StepKey) -> Option<Located<'a>> {
    let mut index = Vec::new();
    let spec = within(&workflow.steps, key.as_str(), &mut index)?;
    Some(Located { spec, index })
}

fn within<'a>(steps: &'a [StepSpec], rest: &str, index: &mut Vec<usize>) -> Option<&'a StepSpec> {
    for (at, step) in steps.iter().enumerate() {
        let Some(rest) = rest.strip_prefix(step.name.as_str()) else { continue };
        index.push(at);
        if rest.is_empty() {
            return Some(step);
        }
        let inner = without_iteration(rest).strip_prefix('/');
        let found = inner.and_then(|inner| lists(step).find_map(|list| within(list, inner, index)));
        if found.is_some() {
            return found;
        }
        index.pop();
    }
    None
}

fn without_iteration(rest: &str) -> &str {
    let after = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
    match after {
        Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => after,
        Some(_) | None => rest,
    }
}

/// The lists of steps within a step: one, or one a branch.
fn lists(step: &StepSpec) -> impl Iterator<Item = &Vec<StepSpec>> {
    let lists: Vec<&Vec<StepSpec>> = match &step.action {
        StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) | StepAction::Workflow(_) => {
            Vec::new()
        }
        StepAction::Parallel(steps) | StepAction::Loop { steps, .. } => vec![steps],
        StepAction::Condition { then, otherwise, .. } => vec![then, otherwise],
        StepAction::Router { routes, .. } => routes.iter().map(|(_, steps)| steps).collect(),
    };
    lists.into_iter()
}

/// Agno's word for what a step is.
pub fn step_type(step: &StepSpec) -> &'static str {
    match step.action {
        StepAction::Agent(_) | StepAction::Team(_) | StepAction::Tool(_) => "Step",
        StepAction::Workflow(_) => "Workflow",
        StepAction::Parallel(_) => "Parallel",
        StepAction::Condition { .. } => "Condition",
        StepAction::Loop { .. } => "Loop",
        StepAction::Router { .. } => "Router",
    }
}

/// Agno's word for what performs a step.
pub fn executor_type(step: &StepSpec) -> &'static str {
    match step.action {
        StepAction::Agent(_) => "agent",
        StepAction::Team(_) => "team",
        StepAction::Tool(_) => "function",
        StepAction::Workflow(_) => "workflow",
        StepAction::Parallel(_) => "parallel",
        StepAction::Condition { .. } => "condition",
        StepAction::Loop { .. } => "loop",
        StepAction::Router { .. } => "router",
    }
}

/// The name of what performs a step: of its run's component once there is one.
pub fn executor_name<'a>(step: &'a StepSpec, run: Option<Node<'a>>) -> &'a str {
    match &step.action {
        StepAction::Agent(id) | StepAction::Team(id) | StepAction::Workflow(id) => {
            run.map_or(id.as_str(), |node| node.view.spec.name())
        }
        StepAction::Tool(name) => name,
        StepAction::Parallel(_)
        | StepAction::Condition { .. }
        | StepAction::Loop { .. }
        | StepAction::Router { .. } => &step.name,
    }
}

/// A number, or several where a step stands within others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepIndex<'a>(pub &'a [usize]);

impl Serialize for StepIndex<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [only] => only.serialize(to),
            several => several.serialize(to),
        }
    }
}

/// What came of a step, with nulls; never a list of lists, which Agno's client does not read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepOutputBody<'a> {
    content: &'a str,
    step_name: &'a str,
    step_id: String,
    step_type: &'static str,
    executor_type: &'static str,
    executor_name: &'a str,
    step_run_id: Option<RunId>,
    images: Option<()>,
    videos: Option<()>,
    audio: Option<()>,
    files: Option<()>,
    metrics: Option<Metrics>,
    success: bool,
    error: Option<&'a str>,
    stop: bool,
    is_paused: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<StepOutputBody<'a>>,
}

impl<'a> StepOutputBody<'a> {
    /// Of a step of the run; `None` while it has no output.
    pub fn of(node: Node<'a>, spec: &'a StepSpec, key: &StepKey) -> Option<Self> {
        Self::of_view(node, spec, node.view.step(key)?)
    }

    fn of_view(node: Node<'a>, spec: &'a StepSpec, step: &'a StepView) -> Option<Self> {
        let output = step.output.as_ref()?;
        let run = node.of_step(&step.key);
        Some(Self {
            content: &output.content,
            step_name: &spec.name,
            step_id: step_id(&step.key).to_owned(),
            step_type: step_type(spec),
            executor_type: executor_type(spec),
            executor_name: executor_name(spec, run),
            step_run_id: output.run.or(run.map(|run| run.view.run)),
            images: None,
            videos: None,
            audio: None,
            files: None,
            metrics: run.map(|run| Metrics::of_run(run.view)),
            success: output.error.is_none(),
            error: output.error.as_deref(),
            stop: false,
            is_paused: node.view.waiting_steps.contains(&step.key),
            steps: inner_outputs(node, spec, &step.key),
        })
    }
}

/// What came of the steps of the workflow itself, in the order of the file.
pub fn outputs<'a>(node: Node<'a>, workflow: &'a WorkflowSpec) -> Vec<StepOutputBody<'a>> {
    let steps = workflow.steps.iter();
    steps.filter_map(|step| StepOutputBody::of(node, step, &StepKey::top(&step.name))).collect()
}

/// What came of the steps within one, a loop's iterations one after the other.
pub fn inner_outputs<'a>(node: Node<'a>, spec: &'a StepSpec, key: &StepKey) -> Vec<StepOutputBody<'a>> {
    if let StepAction::Loop { max_iterations, .. } = spec.action {
        return (1..=max_iterations)
            .map(|number| iteration_outputs(node, spec, key, number))
            .take_while(|outputs| !outputs.is_empty())
            .flatten()
            .collect();
    }
    list_outputs(node, spec, key)
}

/// What came of one iteration of a loop, counted from 1.
pub fn iteration_outputs<'a>(
    node: Node<'a>,
    spec: &'a StepSpec,
    key: &StepKey,
    number: u32,
) -> Vec<StepOutputBody<'a>> {
    list_outputs(node, spec, &key.iteration(number))
}

fn list_outputs<'a>(node: Node<'a>, spec: &'a StepSpec, above: &StepKey) -> Vec<StepOutputBody<'a>> {
    let steps = lists(spec).flatten();
    steps.filter_map(|step| StepOutputBody::of(node, step, &above.child(&step.name))).collect()
}

/// The workflow a run is of.
pub fn workflow_of(node: Node<'_>) -> Option<&WorkflowSpec> {
    match node.view.spec.as_ref() {
        Spec::Workflow(workflow) => Some(workflow),
        Spec::Agent(_) | Spec::Team(_) => None,
    }
}
