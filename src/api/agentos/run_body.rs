//! A run as AgentOS answers it: one object, without nulls.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::domain::Object;
use crate::domain::fact::{Failure, Outcome};
use crate::domain::id::{RunId, UserId};
use crate::domain::message::Finish;
use crate::domain::run::Status;
use crate::domain::spec::{ComponentKind, Spec};
use crate::domain::view::RunView;

use super::message_body::{self, MediaLists, MessageBody};
use super::metrics_body::{Metrics, provider_name};
use super::step_body::step_id;
use super::tool_body::{self, Requirement, Tool};
use super::tree::Node;
use super::workflow_body::WorkflowBody;

/// What `POST …/runs` and `GET …/runs/{run_id}` answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunBody<'a> {
    run_id: RunId,
    #[serde(flatten)]
    component: ComponentBody<'a>,
    session_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    content_type: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_provider_data: Option<ProviderData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_provider: Option<String>,
    session_state: &'a Object,
    created_at: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    metrics: Metrics,
    messages: Vec<MessageBody<'a>>,
    tools: Vec<Tool<'a>>,
    input: InputBody<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requirements: Vec<Requirement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Object>,
    /// The workflow it works for, and the step of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_step_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_responses: Option<Vec<AnyRun<'a>>>,
}

/// A run of any kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyRun<'a> {
    /// Of an agent or a team.
    Run(Box<RunBody<'a>>),
    /// Of a workflow.
    Workflow(Box<WorkflowBody<'a>>),
}

impl<'a> AnyRun<'a> {
    /// A run as its own request answers it: with the messages of earlier runs its model was shown.
    pub fn direct(node: Node<'a>, history: &'a [RunView]) -> Self {
        match node.view.spec.kind() {
            ComponentKind::Agent | ComponentKind::Team => Self::Run(Box::new(RunBody::direct(node, history))),
            ComponentKind::Workflow => Self::Workflow(Box::new(WorkflowBody::of(node))),
        }
    }

    /// A run as it is read later.
    pub fn stored(node: Node<'a>) -> Self {
        match node.view.spec.kind() {
            ComponentKind::Agent | ComponentKind::Team => Self::Run(Box::new(RunBody::stored(node))),
            ComponentKind::Workflow => Self::Workflow(Box::new(WorkflowBody::of(node))),
        }
    }
}

/// What a team's members did, run by run; `None` of anything else.
pub fn members(node: Node<'_>) -> Option<Vec<AnyRun<'_>>> {
    let is_team = node.view.spec.kind() == ComponentKind::Team;
    is_team.then(|| node.children().map(AnyRun::stored).collect())
}

/// Id and name of what ran, under the keys of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ComponentBody<'a> {
    /// An agent.
    Agent {
        /// The file's stem.
        agent_id: &'a str,
        /// For people.
        agent_name: &'a str,
    },
    /// A team.
    Team {
        /// The file's stem.
        team_id: &'a str,
        /// For people.
        team_name: &'a str,
    },
    /// A workflow.
    Workflow {
        /// The file's stem.
        workflow_id: &'a str,
        /// For people.
        workflow_name: &'a str,
    },
}

/// The verdict: text, or the object an output schema asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content<'a> {
    /// As the model wrote it.
    Text(Cow<'a, str>),
    /// As the schema wants it.
    Object(Object),
}

/// What the provider said about its answer: its name for it, and why it is cut if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProviderData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<Finish>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct InputBody<'a> {
    input_content: &'a str,
    #[serde(flatten)]
    media: MediaLists<'a>,
}

impl<'a> RunBody<'a> {
    /// A run as its own request answers it: with the messages of earlier runs its model was shown.
    pub fn direct(node: Node<'a>, history: &'a [RunView]) -> Self {
        Self { messages: message_body::with_history(node.view, history), ..Self::stored(node) }
    }

    /// A run as it is read later.
    pub fn stored(node: Node<'a>) -> Self {
        let view = node.view;
        let model = model(view);
        let step = node.step();
        Self {
            run_id: view.run,
            component: ComponentBody::of(&view.spec),
            session_id: view.session.as_str(),
            parent_run_id: view.parent,
            user_id: view.user.as_ref(),
            content: content_of(node),
            content_type: content_type(view),
            reasoning_content: Some(view.reasoning()).filter(|text| !text.is_empty()),
            model_provider_data: provider_data(view),
            model: model.map(|name| name.model.as_str()),
            model_provider: model.map(provider_name),
            session_state: &view.state,
            created_at: view.created.seconds(),
            status: status(view.status),
            error: failure(view),
            metrics: Metrics::of_run(view),
            messages: message_body::stored(view),
            tools: tool_body::tools(node),
            input: InputBody { input_content: &view.input.text, media: MediaLists::of(&view.input) },
            requirements: tool_body::requirements(node),
            metadata: view.options.metadata.as_ref(),
            workflow_id: step.and_then(|(_, workflow)| workflow).map(|node| node.view.spec.id().as_str()),
            workflow_step_id: step.map(|(place, _)| step_id(&place.step)),
            member_responses: members(node),
        }
    }
}

impl<'a> ComponentBody<'a> {
    /// Of a spec.
    pub fn of(spec: &'a Spec) -> Self {
        let (id, name) = (spec.id().as_str(), spec.name());
        match spec.kind() {
            ComponentKind::Agent => Self::Agent { agent_id: id, agent_name: name },
            ComponentKind::Team => Self::Team { team_id: id, team_name: name },
            ComponentKind::Workflow => Self::Workflow { workflow_id: id, workflow_name: name },
        }
    }
}

impl Content<'_> {
    /// As text; objects as indented JSON.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Object(object) => serde_json::to_string_pretty(object).unwrap_or_default().into(),
        }
    }
}

/// A status as AgentOS writes it.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Pending => "PENDING",
        Status::Running => "RUNNING",
        Status::Paused => "PAUSED",
        Status::Completed => "COMPLETED",
        Status::Cancelled => "CANCELLED",
        Status::Failed => "ERROR",
    }
}

/// What a run says: its answer, why it failed, what it waits for, or the text so far.
pub fn content_of(node: Node<'_>) -> Option<Content<'_>> {
    match (&node.view.outcome, node.view.spec.kind()) {
        (None, ComponentKind::Agent | ComponentKind::Team) if node.waits() => {
            Some(Content::Text(tool_body::pause_sentence(node)))
        }
        _ => content(node.view),
    }
}

/// The same, where what it waits for does not matter.
pub fn content(view: &RunView) -> Option<Content<'_>> {
    let is_workflow = view.spec.kind() == ComponentKind::Workflow;
    if is_workflow && !matches!(view.outcome, Some(Outcome::Failed(_))) {
        return Some(view.answer()).filter(|text| !text.is_empty()).map(|text| Content::Text(text.into()));
    }
    match &view.outcome {
        Some(Outcome::Failed(failure)) => Some(Content::Text((&failure.message).into())),
        Some(Outcome::Completed) => Some(answer(view)),
        Some(Outcome::Cancelled { .. }) => Some(Content::Text(view.text().into())),
        None => Some(view.text()).filter(|text| !text.is_empty()).map(|text| Content::Text(text.into())),
    }
}

/// `str`, or the name of what the output schema describes.
pub fn content_type(view: &RunView) -> Cow<'_, str> {
    let is_object = matches!(content(view), Some(Content::Object(_)));
    match output_schema(view).filter(|_| is_object) {
        None => "str".into(),
        Some(schema) => schema.get("title").and_then(Value::as_str).unwrap_or("object").into(),
    }
}

/// What is known of the last answer beside its text, if anything is.
pub fn provider_data(view: &RunView) -> Option<ProviderData<'_>> {
    let id = view.turns.iter().rev().find_map(|turn| turn.provider_id.as_deref());
    let finish = view.said().last().and_then(|turn| turn.finish);
    let finish_reason = finish.filter(|finish| matches!(finish, Finish::Length | Finish::ContentFilter));
    (id.is_some() || finish_reason.is_some()).then_some(ProviderData { id, finish_reason })
}

/// Why a run failed: AgentOS has no place for it, and its clients pass over what they do not know.
pub fn failure(view: &RunView) -> Option<&Failure> {
    match view.outcome.as_ref()? {
        Outcome::Failed(failure) => Some(failure),
        Outcome::Completed | Outcome::Cancelled { .. } => None,
    }
}

/// Who answers: the model that was asked last, or the one that would be.
pub fn model(view: &RunView) -> Option<&crate::domain::id::ModelName> {
    let planned = match view.spec.as_ref() {
        Spec::Agent(agent) => Some(&agent.model),
        Spec::Team(team) => Some(&team.leader.model),
        Spec::Workflow(_) => None,
    };
    view.turns.last().map(|turn| &turn.model).or(planned)
}

/// The whole text, or the object in it if the run has an output schema. A model that spoke before it called
/// tools has its object in the last turn.
fn answer(view: &RunView) -> Content<'_> {
    let parsed = || {
        output_schema(view)?;
        let last = view.said().last()?;
        serde_json::from_str(&last.text).ok()
    };
    parsed().map_or_else(|| Content::Text(view.text().into()), Content::Object)
}

fn output_schema(view: &RunView) -> Option<&Value> {
    let declared = match view.spec.as_ref() {
        Spec::Agent(agent) => agent.output_schema.as_ref(),
        Spec::Team(team) => team.leader.output_schema.as_ref(),
        Spec::Workflow(_) => None,
    };
    view.options.output_schema.as_ref().or(declared)
}
