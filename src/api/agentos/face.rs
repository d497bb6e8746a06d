//! What all events of one run have in common, written once.

use serde::Serialize;

use crate::domain::id::RunId;
use crate::domain::spec::ComponentKind;
use crate::domain::step::StepPlace;
use crate::domain::time::Timestamp;

use super::event::{Line, Name};
use super::run_body::ComponentBody;
use super::step_body::{StepIndex, step_id};
use super::tree::Node;

/// What all events of one run have in common.
#[derive(Debug)]
pub(super) struct Face {
    /// Which of the three it is.
    pub(super) kind: ComponentKind,
    /// Whether streams are about this run.
    pub(super) is_root: bool,
    /// The members every event of the run has, as JSON: `"agent_id":…,"nested_depth":0`.
    pub(super) identity: String,
    /// The frame of a `RunContent` up to the piece; made when a model is asked.
    pub(super) piece: Vec<u8>,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(flatten)]
    component: ComponentBody<'a>,
    run_id: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    session_id: &'a str,
    #[serde(flatten)]
    step: Option<StepIdentity<'a>>,
    nested_depth: u32,
}

/// The step of a workflow that a run works for.
#[derive(Serialize)]
struct StepIdentity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_run_id: Option<RunId>,
    step_id: &'a str,
    step_name: &'a str,
    step_index: StepIndex<'a>,
}

impl Face {
    /// Of a run.
    pub(super) fn of(node: Node<'_>) -> Self {
        let kind = node.view.spec.kind();
        let mut new = Self { kind, is_root: node.is_root(), identity: identity(node), piece: Vec::new() };
        new.piece = new.piece_prefix(node.view.created);
        new
    }

    /// The frame of a `RunContent` that came of a question asked then, up to the piece.
    pub(super) fn piece_prefix(&self, at: Timestamp) -> Vec<u8> {
        let mut line = Line::open(at, Name::RunContent, self.kind, &self.identity);
        if self.kind == ComponentKind::Agent {
            line.put("workflow_agent", &false);
        }
        line.put("content_type", "str");
        line.into_prefix()
    }
}

fn identity(node: Node<'_>) -> String {
    let view = node.view;
    // Events of a workflow have the step they are about, those of other runs the step they work for.
    let step = node.step().filter(|_| view.spec.kind() != ComponentKind::Workflow);
    let identity = Identity {
        component: ComponentBody::of(&view.spec),
        run_id: view.run,
        parent_run_id: view.parent,
        session_id: view.session.as_str(),
        step: step.map(|(place, workflow)| StepIdentity::of(place, workflow)),
        nested_depth: node.nested_workflows(),
    };
    let object = serde_json::to_string(&identity).unwrap_or_default();
    object.trim_start_matches('{').trim_end_matches('}').to_owned()
}

impl<'a> StepIdentity<'a> {
    fn of(place: &'a StepPlace, workflow: Option<Node<'a>>) -> Self {
        Self {
            workflow_id: workflow.map(|node| node.view.spec.id().as_str()),
            workflow_run_id: workflow.map(|node| node.view.run),
            step_id: step_id(&place.step),
            step_name: &place.name,
            step_index: StepIndex(&place.index),
        }
    }
}
