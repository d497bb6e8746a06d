//! How a team's leader hands work on: the tools it is offered, what it is told of its members, and what their
//! answers look like to it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::capability::toolbox::Toolbox;
use crate::capability::{Invocation, Tool};
use crate::domain::Object;
use crate::domain::id::ComponentId;
use crate::domain::spec::{
    ComponentKind, DELEGATE_TO_AGENT, DELEGATE_TO_ALL, DELEGATE_TO_ONE, Spec, TeamMode, TeamSpec,
    WORK_ON_TASKS,
};
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec};

/// Members have limits of their own; a call that hands work on has none.
const NO_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60 * 60 * 24 * 365);

/// A tool that is not called but driven: the driver has a member's run driven in its place.
struct Handing(ToolSpec);

#[async_trait]
impl Tool for Handing {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Invocation<'_>) -> ToolResult {
        ToolResult::failed("a task can only be handed on by a team's leader")
    }
}

/// A member and the kind of thing it is.
pub(super) type Member = (ComponentKind, ComponentId);

/// Adds to a leader's tools those with which it hands work on.
///
/// # Errors
/// If one of its own tools has such a name.
pub(super) fn equip(toolbox: &mut Toolbox, team: &TeamSpec, components: &[Arc<Spec>]) -> Result<(), String> {
    let members: Vec<&Spec> =
        team.members.iter().filter_map(|id| member(components, id).map(AsRef::as_ref)).collect();
    toolbox.prompts.push(told(team.mode, &members));
    let spec = match team.mode {
        TeamMode::Coordinate | TeamMode::Route => to_one_member(&members),
        TeamMode::Broadcast => to_all_members(),
        TeamMode::Tasks => list_of_tasks(&members),
    };
    let name = spec.name.clone();
    toolbox.add(Arc::new(Handing(spec))).map_err(|why| format!("the tool `{name}`: {why}"))
}

/// The members that a call hands its task to, and the task.
///
/// # Errors
/// What the leader should read.
pub(super) fn handed_to(
    team: &TeamSpec,
    components: &[Arc<Spec>],
    tool: &str,
    arguments: &Object,
) -> Result<(Vec<Member>, String), String> {
    let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let known = |id: &ComponentId| member(components, id).map(|spec| (spec.kind(), id.clone()));
    if tool == DELEGATE_TO_ALL {
        return Ok((team.members.iter().filter_map(known).collect(), text("task")));
    }
    let wanted = text("member_id");
    let id = team.members.iter().find(|id| id.as_str() == wanted);
    let one = id.and_then(known).ok_or_else(|| {
        let all: Vec<&str> = team.members.iter().map(ComponentId::as_str).collect();
        format!("There is no member `{wanted}`. Members: {}.", all.join(", "))
    })?;
    Ok((vec![one], text("task")))
}

/// One task of a list.
pub(super) struct Task {
    /// As the leader named it.
    pub(super) id: String,
    pub(super) who: Member,
    pub(super) text: String,
    /// Tasks whose results it builds on; they come before it.
    pub(super) after: Vec<String>,
}

/// The tasks of a list, in an order in which they can be worked on.
///
/// # Errors
/// What the leader should read.
pub(super) fn planned(
    team: &TeamSpec,
    components: &[Arc<Spec>],
    arguments: &Object,
) -> Result<Vec<Task>, String> {
    let mut open = Vec::new();
    for item in arguments.get("tasks").and_then(Value::as_array).into_iter().flatten() {
        let given = item.as_object().cloned().unwrap_or_default();
        let (who, text) = handed_to(team, components, DELEGATE_TO_ONE, &given)?;
        let id = given.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let after = given.get("depends_on").and_then(Value::as_array).into_iter().flatten();
        let after = after.filter_map(Value::as_str).map(str::to_owned).collect();
        if open.iter().any(|task: &Task| task.id == id) {
            return Err(format!("There are two tasks `{id}`."));
        }
        open.extend(who.into_iter().next().map(|who| Task { id, who, text, after }));
    }
    let mut planned: Vec<Task> = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let done = |id: &String| planned.iter().any(|task| task.id == *id);
        let Some(next) = open.iter().position(|task| task.after.iter().all(done)) else {
            let left: Vec<&str> = open.iter().map(|task| task.id.as_str()).collect();
            return Err(format!(
                "The tasks {} depend on tasks that are not there, or on each other.",
                left.join(", ")
            ));
        };
        planned.push(open.remove(next));
    }
    Ok(planned)
}

/// Whether a call of this tool hands work on.
pub(super) fn hands_on(spec: &Spec, tool: &str) -> bool {
    let agent = match spec {
        Spec::Agent(agent) => agent,
        Spec::Team(team) => &team.leader,
        Spec::Workflow(_) => return false,
    };
    if tool == DELEGATE_TO_AGENT {
        return agent.subagents().is_some();
    }
    matches!(spec, Spec::Team(_)) && [DELEGATE_TO_ONE, DELEGATE_TO_ALL, WORK_ON_TASKS].contains(&tool)
}

/// The answers of several members, as one text.
pub(super) fn together(answers: &[(String, String)]) -> String {
    match answers {
        [(_, only)] => only.clone(),
        all => {
            all.iter().map(|(who, answer)| format!("## {who}\n\n{answer}")).collect::<Vec<_>>().join("\n\n")
        }
    }
}

fn member<'a>(components: &'a [Arc<Spec>], id: &ComponentId) -> Option<&'a Arc<Spec>> {
    components.iter().find(|spec| spec.id() == id && spec.kind() != ComponentKind::Workflow)
}

fn to_one_member(members: &[&Spec]) -> ToolSpec {
    let ids: Vec<&str> = members.iter().map(|member| member.id().as_str()).collect();
    handing(
        DELEGATE_TO_ONE,
        "Hands a task to one member of the team and returns the member's answer. The member sees nothing of the \
         conversation but the task, so say all it needs. Several calls at once are worked on side by side.",
        json!({
            "type": "object",
            "required": ["member_id", "task"],
            "properties": {
                "member_id": {"type": "string", "enum": ids, "description": "Who"},
                "task": {"type": "string", "description": "What to do, in full"},
            },
        }),
    )
}

fn to_all_members() -> ToolSpec {
    handing(
        DELEGATE_TO_ALL,
        "Hands a task to every member of the team at once and returns all their answers.",
        json!({
            "type": "object",
            "required": ["task"],
            "properties": {"task": {"type": "string", "description": "What to do, in full"}},
        }),
    )
}

fn list_of_tasks(members: &[&Spec]) -> ToolSpec {
    let ids: Vec<&str> = members.iter().map(|member| member.id().as_str()).collect();
    handing(
        WORK_ON_TASKS,
        "Has a list of tasks worked on by members of the team and returns what came of each. Tasks that do not depend \
         on each other are worked on side by side; one that depends on others is given their results.",
        json!({
            "type": "object",
            "required": ["tasks"],
            "properties": {"tasks": {"type": "array", "minItems": 1, "maxItems": 50, "items": {
                "type": "object",
                "required": ["id", "member_id", "task"],
                "properties": {
                    "id": {"type": "string", "minLength": 1, "maxLength": 64, "description": "A short name of its own"},
                    "member_id": {"type": "string", "enum": ids, "description": "Who"},
                    "task": {"type": "string", "description": "What to do, in full"},
                    "depends_on": {"type": "array", "items": {"type": "string"}, "description": "Ids of tasks it builds on"},
                },
            }}},
        }),
    )
}

fn handing(name: &str, description: &str, parameters: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: description.into(),
        parameters,
        // The member's run is found again by its name, and one that is over is not run twice.
        effect: Effect::Idempotent,
        timeout: NO_TIMEOUT,
        gate: Gate::default(),
    }
}

fn told(mode: TeamMode, members: &[&Spec]) -> String {
    let mut text = String::from("You lead a team. Its members:\n");
    for member in members {
        let about = match member {
            Spec::Agent(agent) => agent.description.as_deref(),
            Spec::Team(team) => team.leader.description.as_deref(),
            Spec::Workflow(workflow) => workflow.description.as_deref(),
        };
        text.push_str(&format!("- `{}` ({})", member.id(), member.name()));
        text.extend(about.map(|about| format!(": {about}")));
        text.push('\n');
    }
    text.push_str(match mode {
        TeamMode::Coordinate => {
            "Hand each part of the work to the member that suits it best, look at what comes back, and answer \
             yourself once you have what you need."
        }
        TeamMode::Route => {
            "Choose the one member that suits the request best and hand the request on to it as it is. Its answer \
             is the team's answer."
        }
        TeamMode::Broadcast => {
            "Hand the request to all members at once, then answer yourself from what they said."
        }
        TeamMode::Tasks => {
            "Split the goal into tasks, each for the member that suits it best, say which build on which, and have the \
             list worked on. Look at what comes back; add further tasks if the goal is not reached, else answer yourself."
        }
    });
    text
}
