//! Agents, teams and workflows as AgentOS shows them; what is unset or a default is left out.

use std::sync::Arc;

use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::component::Component;
use super::database::{DATABASE, SESSION_TABLE};
use super::error::Error;
use super::metrics_body::provider_name;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::domain::Object;
use crate::domain::id::ComponentId;
use crate::domain::spec::{
    AgentSpec, ComponentKind, Limits, Spec, StepAction, StepSpec, TeamMode, WorkflowSpec,
};
use crate::domain::tool::ToolSpec;
use crate::runtime::catalog::Catalog;
use crate::runtime::workspace::Workspace;

/// Teams may hold teams; this deep they are shown.
const MAX_TEAM_DEPTH: usize = 8;

/// An agent; a team has more beside it.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentResponse)]
pub(super) struct Agent {
    id: String,
    name: String,
    db_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    is_factory: bool,
    model: Model,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Tools>,
    sessions: Sessions,
    system_message: SystemMessage,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_settings: Option<Value>,
    #[serde(skip_serializing_if = "Object::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    metadata: Object,
    is_component: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ModelResponse)]
struct Model {
    name: String,
    model: String,
    provider: String,
}

#[derive(Serialize, ToSchema)]
struct Tools {
    tools: Vec<Function>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Function {
    name: String,
    description: String,
    parameters: Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_confirmation: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_user_input: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_input_fields: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    external_execution: bool,
}

#[derive(Serialize, ToSchema)]
struct Sessions {
    session_table: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    add_history_to_context: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_history_runs: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct SystemMessage {
    instructions: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// A team: its leader, how it leads, and whom.
#[derive(Serialize, ToSchema)]
#[schema(as = TeamResponse)]
pub(super) struct Team {
    #[serde(flatten)]
    leader: Agent,
    mode: &'static str,
    members: Vec<Value>,
}

/// A workflow in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkflowSummaryResponse)]
pub(super) struct WorkflowSummary {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    db_id: &'static str,
    is_factory: bool,
    is_component: bool,
}

/// A workflow with its steps.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkflowResponse)]
pub(super) struct Workflow {
    #[serde(flatten)]
    summary: WorkflowSummary,
    steps: Vec<Value>,
    #[serde(skip_serializing_if = "Object::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    metadata: Object,
    workflow_agent: bool,
}

/// `GET /agents`
pub(super) async fn agents(state: Data<ApiState>, caller: Caller) -> Result<Json<Vec<Agent>>, Error> {
    let gallery = Gallery::new(&state, &caller).await?;
    let agents = gallery.workspace.catalog.agents().filter_map(|spec| agent_of(spec));
    Ok(Json(agents.map(|spec| gallery.agent(spec)).collect()))
}

/// `GET /agents/{agent_id}`
pub(super) async fn agent(
    state: Data<ApiState>,
    caller: Caller,
    component: Component,
) -> Result<Json<Agent>, Error> {
    let gallery = Gallery::new(&state, &caller).await?;
    agent_of(&component.spec)
        .map(|spec| Json(gallery.agent(spec)))
        .ok_or_else(|| unknown(ComponentKind::Agent))
}

/// `GET /teams`
pub(super) async fn teams(state: Data<ApiState>, caller: Caller) -> Result<Json<Vec<Team>>, Error> {
    let gallery = Gallery::new(&state, &caller).await?;
    Ok(Json(gallery.workspace.catalog.teams().filter_map(|spec| gallery.team(spec, 0)).collect()))
}

/// `GET /teams/{team_id}`
pub(super) async fn team(
    state: Data<ApiState>,
    caller: Caller,
    component: Component,
) -> Result<Json<Team>, Error> {
    let gallery = Gallery::new(&state, &caller).await?;
    gallery.team(&component.spec, 0).map(Json).ok_or_else(|| unknown(ComponentKind::Team))
}

/// `GET /workflows`
pub(super) async fn workflows(state: Data<ApiState>) -> Json<Vec<WorkflowSummary>> {
    Json(workflow_summaries(state.runtime.catalog()))
}

/// `GET /workflows/{workflow_id}`
pub(super) async fn workflow(
    state: Data<ApiState>,
    caller: Caller,
    component: Component,
) -> Result<Json<Workflow>, Error> {
    let gallery = Gallery::new(&state, &caller).await?;
    match &*component.spec {
        Spec::Workflow(spec) => Ok(Json(gallery.workflow(spec))),
        Spec::Agent(_) | Spec::Team(_) => Err(unknown(ComponentKind::Workflow)),
    }
}

/// 404 in Agno's words.
pub(super) fn unknown(kind: ComponentKind) -> Error {
    Error::not_found(match kind {
        ComponentKind::Agent => "Agent not found",
        ComponentKind::Team => "Team not found",
        ComponentKind::Workflow => "Workflow not found",
    })
}

/// What addresses call a component's id.
pub(super) fn place(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Agent => "agent_id",
        ComponentKind::Team => "team_id",
        ComponentKind::Workflow => "workflow_id",
    }
}

/// The agent, or the team's leader.
pub(super) fn agent_of(spec: &Spec) -> Option<&AgentSpec> {
    match spec {
        Spec::Agent(agent) => Some(agent),
        Spec::Team(team) => Some(&team.leader),
        Spec::Workflow(_) => None,
    }
}

/// All workflows, as lists show them.
pub(super) fn workflow_summaries(catalog: &Catalog) -> Vec<WorkflowSummary> {
    let workflows = catalog.workflows().filter_map(|spec| match &**spec {
        Spec::Workflow(workflow) => Some(workflow_summary(workflow)),
        Spec::Agent(_) | Spec::Team(_) => None,
    });
    workflows.collect()
}

fn workflow_summary(workflow: &WorkflowSpec) -> WorkflowSummary {
    WorkflowSummary {
        id: workflow.id.to_string(),
        name: workflow.name.clone(),
        description: workflow.description.clone(),
        db_id: DATABASE,
        is_factory: false,
        is_component: false,
    }
}

/// Agno's word for it.
pub(super) fn mode(mode: TeamMode) -> &'static str {
    match mode {
        TeamMode::Coordinate => "coordinate",
        TeamMode::Route => "route",
        TeamMode::Broadcast => "broadcast",
        TeamMode::Tasks => "tasks",
    }
}

/// The catalog at one moment, with what is needed to show it.
struct Gallery {
    workspace: Arc<Workspace>,
}

impl Gallery {
    async fn new(state: &ApiState, caller: &Caller) -> Result<Self, Error> {
        Ok(Self { workspace: state.runtime.workspace(caller.owner()).await? })
    }

    fn agent(&self, agent: &AgentSpec) -> Agent {
        let tools: Vec<Function> =
            self.workspace.toolbox_of(agent).specs().into_iter().map(function).collect();
        let limit = agent.limits.tool_calls;
        let tool_call_limit = (limit != Limits::default().tool_calls).then_some(limit);
        let with_history = agent.history_runs > 0;
        Agent {
            id: agent.id.to_string(),
            name: agent.name.clone(),
            db_id: DATABASE,
            description: agent.description.clone(),
            is_factory: false,
            model: Model {
                name: agent.model.model.clone(),
                model: agent.model.model.clone(),
                provider: provider_name(&agent.model),
            },
            tools: (!tools.is_empty()).then_some(Tools { tools, tool_call_limit }),
            sessions: Sessions {
                session_table: SESSION_TABLE,
                add_history_to_context: with_history,
                num_history_runs: with_history.then_some(agent.history_runs),
            },
            system_message: SystemMessage {
                instructions: agent.instructions.clone(),
                description: agent.description.clone(),
            },
            response_settings: agent.output_schema.as_ref().map(|schema| json!({ "output_schema": schema })),
            metadata: agent.metadata.clone(),
            is_component: false,
        }
    }

    fn team(&self, spec: &Spec, depth: usize) -> Option<Team> {
        let Spec::Team(team) = spec else { return None };
        let members = team.members.iter().filter_map(|id| self.member(id, depth)).collect();
        Some(Team { leader: self.agent(&team.leader), mode: mode(team.mode), members })
    }

    fn member(&self, id: &ComponentId, depth: usize) -> Option<Value> {
        if let Some(spec) = self.workspace.catalog.get(ComponentKind::Agent, id) {
            return serde_json::to_value(self.agent(agent_of(&spec)?)).ok();
        }
        let spec = self.workspace.catalog.get(ComponentKind::Team, id).filter(|_| depth < MAX_TEAM_DEPTH)?;
        serde_json::to_value(self.team(&spec, depth + 1)?).ok()
    }

    fn workflow(&self, workflow: &WorkflowSpec) -> Workflow {
        Workflow {
            summary: workflow_summary(workflow),
            steps: self.steps(&workflow.steps),
            metadata: workflow.metadata.clone(),
            workflow_agent: false,
        }
    }

    fn steps(&self, steps: &[StepSpec]) -> Vec<Value> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    /// A step: its name, its kind in Agno's words, and what is in it.
    fn step(&self, step: &StepSpec) -> Value {
        let mut shown = match &step.action {
            StepAction::Agent(id) => json!({ "type": "Step", "agent": self.member(id, 0) }),
            StepAction::Team(id) => json!({ "type": "Step", "team": self.member(id, 0) }),
            StepAction::Tool(_) => json!({ "type": "Step" }),
            StepAction::Workflow(id) => json!({ "type": "Workflow", "workflow_id": id }),
            StepAction::Parallel(steps) => json!({ "type": "Parallel", "steps": self.steps(steps) }),
            StepAction::Condition { then, otherwise, .. } => {
                let otherwise = (!otherwise.is_empty()).then(|| self.steps(otherwise));
                json!({ "type": "Condition", "steps": self.steps(then), "else_steps": otherwise })
            }
            StepAction::Loop { steps, max_iterations, .. } => {
                json!({ "type": "Loop", "steps": self.steps(steps), "max_iterations": max_iterations })
            }
            StepAction::Router { routes, .. } => {
                let routes: Vec<Value> = routes
                    .iter()
                    .map(|(name, steps)| json!({ "name": name, "type": "Steps", "steps": self.steps(steps) }))
                    .collect();
                json!({ "type": "Router", "steps": routes })
            }
        };
        if let Some(fields) = shown.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            fields.insert("name".into(), step.name.as_str().into());
            if let Some(description) = &step.description {
                fields.insert("description".into(), description.as_str().into());
            }
        }
        shown
    }
}

fn function(tool: ToolSpec) -> Function {
    Function {
        name: tool.name,
        description: tool.description,
        parameters: tool.parameters,
        requires_confirmation: tool.gate.confirmation,
        requires_user_input: !tool.gate.user_input.is_empty(),
        user_input_fields: tool.gate.user_input,
        external_execution: tool.gate.external,
    }
}
