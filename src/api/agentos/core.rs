//! What the server says about itself: `/`, `/health`, `/info`, `/config` and `/models`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::components::{self, WorkflowSummary};
use super::database::{DATABASE, SESSION_TABLE};
use super::error::Error;
use super::metrics_body::provider_name;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::domain::Object;
use crate::domain::id::ModelName;
use crate::domain::spec::{AgentSpec, Spec};
use crate::runtime::catalog::Catalog;

/// Whether it is up.
#[derive(Serialize, ToSchema)]
#[schema(as = HealthResponse)]
pub(super) struct Health {
    status: &'static str,
    instantiated_at: String,
}

/// `GET /health`: 503 while the server stops, so that whoever shares out requests leaves it out.
pub(super) async fn health(state: Data<ApiState>) -> (Json<Health>, StatusCode) {
    let (status, code) = match state.runtime.is_stopping() {
        false => ("ok", StatusCode::OK),
        true => ("stopping", StatusCode::SERVICE_UNAVAILABLE),
    };
    (Json(Health { status, instantiated_at: state.runtime.since().to_string() }), code)
}

/// What answers here.
#[derive(Serialize, ToSchema)]
#[schema(as = RootResponse)]
pub(super) struct Root {
    name: &'static str,
    id: String,
    version: String,
}

/// `GET /`
pub(super) async fn root(state: Data<ApiState>) -> Json<Root> {
    let server = &state.server;
    Json(Root { name: "AgentOS API", id: server.id.clone(), version: server.version.clone() })
}

/// What a client should know before it has a token.
#[derive(Serialize, ToSchema)]
#[schema(as = InfoResponse)]
pub(super) struct Info {
    os_id: String,
    name: Option<String>,
    agno_version: &'static str,
    os_version: String,
    agent_count: usize,
    team_count: usize,
    workflow_count: usize,
    mcp: McpInfo,
    auth_mode: &'static str,
}

#[derive(Serialize, ToSchema)]
struct McpInfo {
    enabled: bool,
    path: Option<String>,
    oauth: Option<Value>,
}

/// The version of Agno whose interface this is.
const AGNO_VERSION: &str = "2.9.0";

/// `GET /info`
pub(super) async fn info(state: Data<ApiState>) -> Json<Info> {
    let catalog = state.runtime.catalog();
    Json(Info {
        os_id: state.server.id.clone(),
        name: state.server.name.clone(),
        agno_version: AGNO_VERSION,
        os_version: state.server.version.clone(),
        agent_count: catalog.agents().count(),
        team_count: catalog.teams().count(),
        workflow_count: catalog.workflows().count(),
        mcp: McpInfo { enabled: false, path: None, oauth: None },
        auth_mode: "security_key",
    })
}

/// What is served, in one answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigResponse)]
pub(super) struct Config {
    os_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Always empty: the 2.x client wants texts here, the 3.x client objects.
    available_models: [String; 0],
    os_database: &'static str,
    databases: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatConfig>,
    session: DomainConfig,
    agents: Vec<AgentSummary>,
    teams: Vec<TeamSummary>,
    workflows: Vec<WorkflowSummary>,
    interfaces: Vec<Value>,
}

#[derive(Serialize, ToSchema)]
struct ChatConfig {
    quick_prompts: BTreeMap<String, Vec<String>>,
}

/// Where one kind of data is kept.
#[derive(Serialize, ToSchema)]
struct DomainConfig {
    display_name: &'static str,
    dbs: Vec<DatabaseConfig>,
}

#[derive(Serialize, ToSchema)]
struct DatabaseConfig {
    db_id: &'static str,
    domain_config: DisplayName,
    tables: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct DisplayName {
    display_name: &'static str,
}

/// A model somebody uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Model)]
pub(super) struct ModelSummary {
    id: String,
    provider: String,
}

impl From<&ModelName> for ModelSummary {
    fn from(name: &ModelName) -> Self {
        Self { id: name.model.clone(), provider: provider_name(name) }
    }
}

#[derive(Serialize, ToSchema)]
struct AgentSummary {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    db_id: &'static str,
    model: ModelSummary,
    #[serde(skip_serializing_if = "Object::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, Value>)]
    metadata: Object,
}

#[derive(Serialize, ToSchema)]
struct TeamSummary {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    db_id: &'static str,
    mode: &'static str,
    model: ModelSummary,
}

/// `GET /config`
pub(super) async fn config(state: Data<ApiState>, caller: Caller) -> Result<Json<Config>, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    let catalog = &workspace.catalog;
    let server = &state.server;
    let quick_prompts = quick_prompts(catalog);
    Ok(Json(Config {
        os_id: server.id.clone(),
        name: server.name.clone(),
        description: server.description.clone(),
        available_models: [],
        os_database: DATABASE,
        databases: vec![DATABASE],
        chat: (!quick_prompts.is_empty()).then_some(ChatConfig { quick_prompts }),
        session: kept(SESSION_TABLE),
        agents: agents(catalog).map(agent_summary).collect(),
        teams: catalog.teams().filter_map(|spec| team_summary(spec)).collect(),
        workflows: components::workflow_summaries(catalog),
        interfaces: Vec::new(),
    }))
}

fn kept(table: &'static str) -> DomainConfig {
    let domain_config = DisplayName { display_name: DATABASE };
    let db = DatabaseConfig { db_id: DATABASE, domain_config, tables: vec![table] };
    DomainConfig { display_name: DATABASE, dbs: vec![db] }
}

fn agent_summary(agent: &AgentSpec) -> AgentSummary {
    AgentSummary {
        id: agent.id.to_string(),
        name: agent.name.clone(),
        description: agent.description.clone(),
        db_id: DATABASE,
        model: (&agent.model).into(),
        metadata: agent.metadata.clone(),
    }
}

fn team_summary(spec: &Spec) -> Option<TeamSummary> {
    let Spec::Team(team) = spec else { return None };
    Some(TeamSummary {
        id: team.leader.id.to_string(),
        name: team.leader.name.clone(),
        description: team.leader.description.clone(),
        db_id: DATABASE,
        mode: components::mode(team.mode),
        model: (&team.leader.model).into(),
    })
}

fn agents(catalog: &Catalog) -> impl Iterator<Item = &AgentSpec> {
    catalog.agents().filter_map(|spec| components::agent_of(spec))
}

/// Agents, and teams' leaders.
fn leaders(catalog: &Catalog) -> impl Iterator<Item = &AgentSpec> {
    agents(catalog).chain(catalog.teams().filter_map(|spec| components::agent_of(spec)))
}

fn quick_prompts(catalog: &Catalog) -> BTreeMap<String, Vec<String>> {
    leaders(catalog)
        .filter(|agent| !agent.quick_prompts.is_empty())
        .map(|agent| (agent.id.to_string(), agent.quick_prompts.clone()))
        .collect()
}

/// The models in use, each once, in the order they are met.
fn used(catalog: &Catalog) -> impl Iterator<Item = &ModelName> {
    let mut seen = Vec::new();
    leaders(catalog).map(|agent| &agent.model).filter(move |model| {
        let new = !seen.contains(model);
        seen.push(*model);
        new
    })
}

/// `GET /models`
pub(super) async fn models(state: Data<ApiState>, caller: Caller) -> Result<Json<Vec<ModelSummary>>, Error> {
    let workspace = state.runtime.workspace(caller.owner()).await?;
    Ok(Json(used(&workspace.catalog).map(ModelSummary::from).collect()))
}
