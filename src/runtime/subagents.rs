//! Agents that an agent may hand tasks to, without being their team's leader.

use std::sync::Arc;

use super::team::Member;
use crate::capability::toolbox::Toolbox;
use crate::domain::Object;
use crate::domain::id::ComponentId;
use crate::domain::spec::{AgentSpec, ComponentKind, Spec};

/// How deep tasks may be handed on: an agent that is called by so many others calls no more.
pub(super) const MAX_DEPTH: u32 = 3;

/// How many of them the model is told of.
const MAX_TOLD: usize = 50;

/// Tells an agent whom it may hand tasks to.
pub(super) fn introduce(toolbox: &mut Toolbox, agent: &AgentSpec, components: &[Arc<Spec>]) {
    if agent.subagents().is_none() {
        return;
    }
    let known: Vec<&Arc<Spec>> = open_to(agent, components).collect();
    let mut text = String::from("Agents you can hand tasks to:");
    for spec in known.iter().take(MAX_TOLD) {
        let about = match spec.as_ref() {
            Spec::Agent(agent) => agent.description.as_deref(),
            Spec::Team(team) => team.leader.description.as_deref(),
            Spec::Workflow(workflow) => workflow.description.as_deref(),
        };
        text.push_str(&format!("\n- `{}` ({})", spec.id(), spec.name()));
        text.extend(about.map(|about| format!(": {about}")));
    }
    if known.is_empty() {
        text.push_str(" none at present.");
    }
    toolbox.prompts.push(text);
}

/// Whom a call hands its task to, and the task.
///
/// # Errors
/// What the model should read.
pub(super) fn handed_to(
    agent: &AgentSpec,
    components: &[Arc<Spec>],
    arguments: &Object,
) -> Result<(Vec<Member>, String), String> {
    let text = |name: &str| arguments.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let wanted = text("agent");
    let found = open_to(agent, components).find(|spec| spec.id().as_str() == wanted);
    let found = found.ok_or_else(|| {
        let all: Vec<&str> = open_to(agent, components).map(|spec| spec.id().as_str()).collect();
        format!("There is no agent `{wanted}` to hand tasks to. Agents: {}.", all.join(", "))
    })?;
    Ok((vec![(found.kind(), found.id().clone())], text("task").to_owned()))
}

/// Of all that may run in this tree, what this agent may hand tasks to.
fn open_to<'a>(
    agent: &'a AgentSpec,
    components: &'a [Arc<Spec>],
) -> impl Iterator<Item = &'a Arc<Spec>> + use<'a> {
    let named: Option<Vec<ComponentId>> = agent.subagents().flatten();
    components.iter().filter(move |spec| match &named {
        Some(named) => spec.kind() != ComponentKind::Workflow && named.contains(spec.id()),
        None => spec.kind() == ComponentKind::Agent && *spec.id() != agent.id,
    })
}
