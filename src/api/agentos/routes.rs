//! The route table: every path of the surface, what serves it, and how documents describe it.

use actix_web::web::ServiceConfig;

use super::database::{DB_ID, TABLE};
use super::session_query::{Changes, Naming, NewSessionBody, Selection};
use super::{components, core, run_routes, session_body, sessions, websocket};
use crate::api::endpoint::{self, Endpoint, Parameter, ParameterKind};

const KIND: Parameter =
    Parameter::new("type", ParameterKind::Choice(&["agent", "team", "workflow"]), "Of sessions of this kind");
const USER: Parameter = Parameter::new("user_id", ParameterKind::Text, "Only if it is this user's");

/// Mounts the surface at the root.
pub fn configure(routes: &mut ServiceConfig) {
    endpoint::mount(table(), routes);
}

/// All of it.
pub(super) fn table() -> Vec<Endpoint> {
    let mut table = core_routes();
    table.extend(component_routes());
    table.extend(run_routes::table());
    table.extend(session_routes());
    table
}

fn core_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/", core::root)
            .named("get_api_info", "Core", "What answers here")
            .answers::<core::Root>("200", "Name, id and version")
            .open(),
        Endpoint::get("/health", core::health)
            .named("health_check", "Core", "Whether the server is up")
            .answers::<core::Health>("200", "It is, since then")
            .open(),
        Endpoint::get("/info", core::info)
            .named("get_info", "Core", "What a client should know before it has a token")
            .answers::<core::Info>("200", "Counts and versions")
            .open(),
        Endpoint::get("/config", core::config)
            .named("get_config", "Core", "What is served, in one answer")
            .answers::<core::Config>("200", "The configuration"),
        Endpoint::get("/models", core::models)
            .named("get_models", "Core", "The models agents and teams use")
            .lists::<core::ModelSummary>("Each once"),
    ]
}

fn component_routes() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/agents", components::agents)
            .named("get_agents", "Agents", "List agents")
            .lists::<components::Agent>("All agents"),
        Endpoint::get("/agents/{agent_id}", components::agent)
            .named("get_agent", "Agents", "Read an agent")
            .answers::<components::Agent>("200", "The agent")
            .fails("404", "Agent not found"),
        Endpoint::get("/teams", components::teams)
            .named("get_teams", "Teams", "List teams")
            .lists::<components::Team>("All teams"),
        Endpoint::get("/teams/{team_id}", components::team)
            .named("get_team", "Teams", "Read a team")
            .answers::<components::Team>("200", "The team")
            .fails("404", "Team not found"),
        Endpoint::get("/workflows", components::workflows)
            .named("get_workflows", "Workflows", "List workflows")
            .lists::<components::WorkflowSummary>("All workflows"),
        Endpoint::get("/workflows/{workflow_id}", components::workflow)
            .named("get_workflow", "Workflows", "Read a workflow")
            .answers::<components::Workflow>("200", "The workflow")
            .fails("404", "Workflow not found"),
        Endpoint::get("/workflows/ws", websocket::open)
            .named(
                "workflow_websocket",
                "Workflows",
                "Start, watch and go on with workflows over a WebSocket",
            )
            .gives("101", "The socket asks for the token itself", &[])
            .open(),
    ]
}

fn session_routes() -> Vec<Endpoint> {
    let mut routes = sessions_routes();
    routes.extend(one_session_routes());
    routes
}

fn sessions_routes() -> Vec<Endpoint> {
    use ParameterKind::{Choice, Number, Text};
    vec![
        Endpoint::get("/sessions", sessions::list)
            .named("get_sessions", "Sessions", "List sessions")
            .query(&[
                KIND,
                Parameter::new("component_id", Text, "Of this agent, team or workflow"),
                Parameter::new("user_id", Text, "Of this user"),
                Parameter::new("session_name", Text, "With this in their name or state"),
                Parameter::new("limit", Number(1), "At most as many; default 20"),
                Parameter::new("page", Number(0), "Counts from 1; default 1"),
                Parameter::new("sort_by", Text, "created_at (the default), updated_at or session_name"),
                Parameter::new("sort_order", Choice(&["asc", "desc"]), "Default: desc"),
                DB_ID,
                TABLE,
            ])
            .answers::<session_body::SessionPage>("200", "A page of sessions")
            .fails("404", "No such database")
            .fails("422", "A parameter is wrong"),
        Endpoint::post("/sessions", sessions::create)
            .named("create_session", "Sessions", "Create a session")
            .once()
            .query(&[KIND, DB_ID, TABLE])
            .reads::<NewSessionBody>(false)
            .answers::<session_body::SessionBody>("201", "The session")
            .fails("404", "No such database")
            .fails("409", "There is a session of that id")
            .fails("422", "A field is wrong"),
        Endpoint::delete("/sessions", sessions::delete_many)
            .named("delete_sessions", "Sessions", "Delete several sessions")
            .query(&[USER, DB_ID, TABLE])
            .reads::<Selection>(true)
            .gives("204", "They are gone", &[])
            .fails("400", "The lists differ in length")
            .fails("404", "No such database")
            .fails("422", "A field is wrong"),
    ]
}

fn one_session_routes() -> Vec<Endpoint> {
    let which = &[KIND, USER, DB_ID, TABLE];
    vec![
        Endpoint::get("/sessions/{session_id}", sessions::read)
            .named("get_session_by_id", "Sessions", "Read a session")
            .query(which)
            .answers::<session_body::SessionBody>("200", "The session")
            .fails("404", "There is no such session"),
        Endpoint::patch("/sessions/{session_id}", sessions::change)
            .named("update_session", "Sessions", "Replace a session's name, state, metadata or summary")
            .query(which)
            .reads::<Changes>(true)
            .answers::<session_body::SessionBody>("200", "The session, changed")
            .fails("404", "There is no such session")
            .fails("422", "A field is wrong"),
        Endpoint::delete("/sessions/{session_id}", sessions::delete)
            .named("delete_session", "Sessions", "Delete a session")
            .query(&[USER, DB_ID, TABLE])
            .gives("204", "It is gone", &[])
            .fails("404", "No such database"),
        Endpoint::post("/sessions/{session_id}/rename", sessions::rename)
            .named("rename_session", "Sessions", "Rename a session")
            .query(which)
            .reads::<Naming>(true)
            .answers::<session_body::SessionBody>("200", "The session, renamed")
            .fails("404", "There is no such session")
            .fails("422", "A field is wrong"),
    ]
}
