//! One run of a session, as AgentOS lists it: unset texts are `""`, unset lists `[]`.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::Object;
use crate::domain::fact::{Entry, Fact, Failure};
use crate::domain::id::{RunId, UserId};
use crate::domain::run::Status;
use crate::domain::spec::ComponentKind;

use super::events::{Name, Projector};
use super::message_body::{self, MediaLists, MessageBody};
use super::metrics_body::Metrics;
use super::run_body::{self, AnyRun, Content};
use super::step_body::StepOutputBody;
use super::tool_body::{self, Tool};
use super::tree::{Node, Tree};
use super::workflow_body::{self, Pause, WorkflowMetrics};

/// A preview's texts are cut after as many characters.
const PREVIEW_CHARS: usize = 280;

/// A run that nobody asked for and those below it, with the events of each.
#[derive(Debug)]
pub(super) struct StoredTree {
    tree: Tree,
    events: HashMap<RunId, Vec<Box<RawValue>>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct StoredRun {
    run: RunId,
    tree: Arc<StoredTree>,
}

impl StoredTree {
    /// By its entries; `status` is where the root stands if those do not tell.
    pub(super) fn of(root: RunId, entries: &[Entry], status: Status) -> Option<Self> {
        let mut tree = Tree::of(root, entries)?;
        let view = tree.root_mut();
        if view.status == Status::Pending {
            view.status = status;
        }
        Some(Self { tree, events: events(entries) })
    }
}

impl StoredRun {
    /// `None` if the tree does not have it.
    pub(super) fn of(run: RunId, tree: &Arc<StoredTree>) -> Option<Self> {
        tree.tree.node(run)?;
        Some(Self { run, tree: tree.clone() })
    }

    fn node(&self) -> Node<'_> {
        self.tree.tree.node(self.run).unwrap_or_else(|| self.tree.tree.root())
    }

    fn events(&self) -> &[Box<RawValue>] {
        self.tree.events.get(&self.run).map(Vec::as_slice).unwrap_or_default()
    }
}

/// All events but the pieces, run by run, each with those of the runs below it. Each entry is told to its run and to
/// the runs above, and to no other.
fn events(entries: &[Entry]) -> HashMap<RunId, Vec<Box<RawValue>>> {
    let mut projectors: HashMap<RunId, Projector> = HashMap::new();
    let mut events: HashMap<RunId, Vec<Box<RawValue>>> = HashMap::new();
    for entry in entries {
        if matches!(entry.fact, Fact::RunStarted(_)) {
            projectors.extend(Projector::new(entry).map(|projector| (entry.run, projector)));
        }
        let parent = |run: RunId| projectors.get(&run).and_then(|projector| projector.view().parent);
        let line: Vec<RunId> = std::iter::successors(Some(entry.run), |run| parent(*run)).collect();
        for run in line {
            let Some(projector) = projectors.get_mut(&run) else { continue };
            let told = projector.project(entry).into_iter().filter(|event| event.name != Name::RunContent);
            let told = told.filter_map(|event| RawValue::from_string(event.json().to_owned()).ok());
            events.entry(run).or_default().extend(told);
        }
    }
    events
}

/// One run of a session.
#[derive(Debug, Serialize)]
pub(super) struct RunEntry<'a> {
    run_id: RunId,
    parent_run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
    run_input: &'a str,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    run_response_format: &'static str,
    reasoning_content: String,
    reasoning_steps: [(); 0],
    metrics: EntryMetrics<'a>,
    messages: Vec<MessageBody<'a>>,
    tools: Vec<Tool<'a>>,
    events: &'a [Box<RawValue>],
    created_at: String,
    references: [(); 0],
    reasoning_messages: [(); 0],
    session_state: &'a Object,
    images: [(); 0],
    videos: [(); 0],
    audio: [(); 0],
    files: [(); 0],
    input_media: MediaLists<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_results: Option<Vec<StepOutputBody<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_executor_runs: Option<Vec<AnyRun<'a>>>,
    #[serde(flatten)]
    pause: Option<Pause<'a>>,
}

/// Of a workflow step by step, of others together.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EntryMetrics<'a> {
    Run(Metrics),
    Workflow(WorkflowMetrics<'a>),
}

impl<'a> EntryMetrics<'a> {
    fn of(node: Node<'a>) -> Self {
        match node.view.spec.kind() {
            ComponentKind::Agent | ComponentKind::Team => Self::Run(Metrics::of_run(node.view)),
            ComponentKind::Workflow => Self::Workflow(WorkflowMetrics::of(node)),
        }
    }
}

/// What a list leaves out: nothing of ours sets these yet.
#[derive(Debug, Default, Serialize)]
struct Unset {
    citations: Option<()>,
    response_audio: Option<()>,
    followups: Option<()>,
    forked_from_run_id: Option<()>,
    forked_from_session_id: Option<()>,
    forked_from_message_index: Option<()>,
    regenerated_from: Option<()>,
    last_checkpoint_at_message_index: Option<()>,
}

/// An entry that also says what is not set.
#[derive(Debug, Serialize)]
pub(super) struct WithNulls<'a> {
    #[serde(flatten)]
    entry: RunEntry<'a>,
    #[serde(flatten)]
    unset: Unset,
}

/// The entry of a run, with nulls.
pub(super) fn with_nulls(stored: &StoredRun) -> WithNulls<'_> {
    WithNulls { entry: RunEntry::of(stored), unset: Unset::default() }
}

impl<'a> RunEntry<'a> {
    pub(super) fn of(stored: &'a StoredRun) -> Self {
        let node = stored.node();
        let view = node.view;
        let kind = view.spec.kind();
        let id = |wanted| (kind == wanted).then(|| view.spec.id().as_str());
        let user = view.user.as_ref().map_or("", UserId::as_str);
        let is_workflow = kind == ComponentKind::Workflow;
        let content = run_body::content_of(node).unwrap_or(Content::Text("".into()));
        Self {
            run_id: view.run,
            parent_run_id: view.parent.map(|parent| parent.to_string()).unwrap_or_default(),
            agent_id: id(ComponentKind::Agent),
            team_id: id(ComponentKind::Team),
            workflow_id: id(ComponentKind::Workflow),
            user_id: (kind != ComponentKind::Team).then_some(user),
            status: run_body::status(view.status),
            error: run_body::failure(view),
            run_input: &view.input.text,
            content_type: is_workflow.then(|| run_body::content_type(view).into_owned()),
            run_response_format: if matches!(content, Content::Object(_)) { "json" } else { "text" },
            content,
            reasoning_content: view.reasoning(),
            reasoning_steps: [],
            metrics: EntryMetrics::of(node),
            messages: message_body::stored(view),
            tools: tool_body::tools(node),
            events: stored.events(),
            created_at: view.created.to_string(),
            references: [],
            reasoning_messages: [],
            session_state: &view.state,
            images: [],
            videos: [],
            audio: [],
            files: [],
            input_media: MediaLists::of(&view.input),
            step_results: is_workflow.then(|| workflow_body::step_results(node)),
            step_executor_runs: is_workflow.then(|| workflow_body::executor_runs(node)),
            pause: Pause::of(node),
        }
    }
}

/// A run in short.
#[derive(Debug, Serialize)]
pub(super) struct Preview {
    run_id: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    #[serde(flatten)]
    component: PreviewOwner,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    status: &'static str,
    run_input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_preview: Option<String>,
    created_at: String,
}

#[derive(Debug, Serialize)]
enum PreviewOwner {
    #[serde(rename = "agent_id")]
    Agent(String),
    #[serde(rename = "team_id")]
    Team(String),
    #[serde(rename = "workflow_id")]
    Workflow(String),
}

impl Preview {
    pub(super) fn of(stored: &StoredRun) -> Self {
        let node = stored.node();
        let view = node.view;
        let id = view.spec.id().to_string();
        Self {
            run_id: view.run,
            parent_run_id: view.parent,
            component: match view.spec.kind() {
                ComponentKind::Agent => PreviewOwner::Agent(id),
                ComponentKind::Team => PreviewOwner::Team(id),
                ComponentKind::Workflow => PreviewOwner::Workflow(id),
            },
            user_id: view.user.clone(),
            status: run_body::status(view.status),
            run_input: cut(&view.input.text),
            content_preview: run_body::content_of(node).map(|content| cut(&content.text())),
            created_at: view.created.to_string(),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}
