//! What a step is given when it is performed.

use serde_json::{Value, json};

use super::super::StepWork;
use super::stage::decisions;
use crate::domain::Object;
use crate::domain::message::Input;
use crate::domain::spec::{ComponentKind, DeclaredTool, StepAction, StepSpec};
use crate::domain::step::StepDecision;
use crate::domain::steps::StepView;
use crate::domain::tool::Gate;
use crate::domain::view::RunView;

/// What performs a step and what it is given; `None` for a step that holds others.
pub(super) fn work(
    view: &RunView,
    tools: &[DeclaredTool],
    spec: &StepSpec,
    gate: &Gate,
    step: &StepView,
    before: &str,
) -> Option<(StepWork, Input)> {
    let (leave, reviews) = decisions(spec, gate, step);
    let values = match leave {
        Some(StepDecision::Approved { values, .. }) => values.clone(),
        Some(StepDecision::Rejected { .. } | StepDecision::Edited { .. }) | None => Object::new(),
    };
    let run = |kind, id: &_| StepWork::Run(kind, Clone::clone(id));
    let work = match &spec.action {
        StepAction::Agent(id) => run(ComponentKind::Agent, id),
        StepAction::Team(id) => run(ComponentKind::Team, id),
        StepAction::Workflow(id) => run(ComponentKind::Workflow, id),
        StepAction::Tool(name) => {
            let tool = tools.iter().find(|tool| tool.name == *name);
            StepWork::Tool(name.clone(), arguments(tool, before, &values))
        }
        StepAction::Parallel(_)
        | StepAction::Condition { .. }
        | StepAction::Loop { .. }
        | StepAction::Router { .. } => return None,
    };
    let text = message(before, &values, reviews);
    Some((work, Input { text, media: view.input.media.clone(), extra: None }))
}

/// What comes from the step before, what a person gave for this one, and why it was refused before.
fn message(before: &str, values: &Object, reviews: &[StepDecision]) -> String {
    let mut text = before.to_owned();
    if !values.is_empty() {
        text.push_str(&format!("\n\n<user_input>\n{}\n</user_input>", json!(values)));
    }
    for review in reviews {
        if let StepDecision::Rejected { feedback: Some(feedback) } = review {
            text.push_str(&format!("\n\n<feedback>\n{feedback}\n</feedback>"));
        }
    }
    text
}

/// An object is the arguments; any other text is the only argument there is, or the one called `input`. What a
/// person gave is laid over it.
fn arguments(tool: Option<&DeclaredTool>, before: &str, values: &Object) -> Object {
    let mut arguments = match serde_json::from_str(before) {
        Ok(Value::Object(object)) => object,
        Ok(_) | Err(_) => tool
            .and_then(text_argument)
            .map(|name| Object::from_iter([(name.to_owned(), json!(before))]))
            .unwrap_or_default(),
    };
    arguments.extend(values.clone());
    arguments
}

fn text_argument(tool: &DeclaredTool) -> Option<&str> {
    let known = tool.parameters.get("properties")?.as_object()?;
    let mut names =
        known.keys().map(String::as_str).filter(|name| !tool.gate.user_input.iter().any(|one| one == name));
    match (names.next(), names.next()) {
        (only, None) => only,
        (Some(_), Some(_)) | (None, Some(_)) => known.contains_key("input").then_some("input"),
    }
}
