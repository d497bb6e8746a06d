//! Sessions as AgentOS shows them.
//!
//! Bodies are made with nulls, in Agno's order of keys; most answers are then made none-free.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::components;
use super::metrics_body::provider_name;
use crate::domain::Object;
use crate::domain::message::Usage;
use crate::domain::run::Session;
use crate::domain::spec::ComponentKind;
use crate::runtime::SessionDetail;
use crate::runtime::catalog::Catalog;

/// Tokens over a session's ended runs.
#[derive(Serialize, ToSchema)]
struct SessionMetrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<u64>,
}

impl From<&Usage> for SessionMetrics {
    /// `{}` before anything was counted.
    fn from(usage: &Usage) -> Self {
        let counted = |tokens| (usage.total() > 0).then_some(tokens);
        Self {
            input_tokens: counted(usage.input),
            output_tokens: counted(usage.output),
            total_tokens: counted(usage.total()),
        }
    }
}

/// A session in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionSchema)]
pub(super) struct SessionRow {
    session_id: String,
    session_name: String,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    session_state: Option<Object>,
    created_at: String,
    updated_at: String,
    session_type: &'static str,
    user_id: Option<String>,
    agent_id: Option<String>,
    team_id: Option<String>,
    workflow_id: Option<String>,
    session_summary: Option<Value>,
    metrics: SessionMetrics,
    total_tokens: Option<u64>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    metadata: Option<Object>,
}

/// Part of a list of sessions; rows are none-free.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginatedSessions)]
pub(super) struct SessionPage {
    /// The rows.
    #[schema(value_type = Vec<SessionRow>)]
    pub(super) data: Vec<Value>,
    /// Which part.
    pub(super) meta: PageMeta,
}

/// Which part of a list it is.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginationInfo)]
pub(super) struct PageMeta {
    pub(super) page: u64,
    pub(super) limit: u64,
    pub(super) total_pages: u64,
    pub(super) total_count: u64,
    pub(super) search_time_ms: f64,
}

/// A session of an agent.
#[derive(Serialize, ToSchema)]
#[schema(as = AgentSessionDetailSchema)]
pub(super) struct AgentSession {
    user_id: Option<String>,
    agent_session_id: String,
    session_id: String,
    session_name: String,
    session_summary: Option<Value>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    session_state: Option<Object>,
    agent_id: Option<String>,
    total_tokens: Option<u64>,
    agent_data: Option<Value>,
    metrics: SessionMetrics,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    metadata: Option<Object>,
    chat_history: Vec<Value>,
    created_at: String,
    updated_at: String,
}

/// A session of a team.
#[derive(Serialize, ToSchema)]
#[schema(as = TeamSessionDetailSchema)]
pub(super) struct TeamSession {
    user_id: Option<String>,
    session_id: String,
    session_name: String,
    session_summary: Option<Value>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    session_state: Option<Object>,
    team_id: Option<String>,
    total_tokens: Option<u64>,
    team_data: Option<Value>,
    metrics: SessionMetrics,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    metadata: Option<Object>,
    chat_history: Vec<Value>,
    created_at: String,
    updated_at: String,
}

/// A session of a workflow.
#[derive(Serialize, ToSchema)]
#[schema(as = WorkflowSessionDetailSchema)]
pub(super) struct WorkflowSession {
    user_id: Option<String>,
    workflow_id: Option<String>,
    workflow_name: Option<String>,
    session_id: String,
    session_name: String,
    session_data: Option<Value>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    session_state: Option<Object>,
    workflow_data: Option<Value>,
    #[schema(value_type = Option<std::collections::BTreeMap<String, Value>>)]
    metadata: Option<Object>,
    created_at: String,
    updated_at: String,
}

/// A session of any kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SessionDetailSchema)]
pub(super) enum SessionBody {
    /// Of an agent.
    Agent(AgentSession),
    /// Of a team.
    Team(TeamSession),
    /// Of a workflow.
    Workflow(WorkflowSession),
}

impl SessionBody {
    /// The session, with what was said in it.
    pub(super) fn new(detail: SessionDetail, catalog: &Catalog, chat_history: Vec<Value>) -> Self {
        match detail.session.kind {
            ComponentKind::Agent => Self::Agent(agent_session(detail, catalog, chat_history)),
            ComponentKind::Team => Self::Team(team_session(detail, catalog, chat_history)),
            ComponentKind::Workflow => Self::Workflow(workflow_session(detail, catalog)),
        }
    }
}

fn agent_session(detail: SessionDetail, catalog: &Catalog, chat_history: Vec<Value>) -> AgentSession {
    let SessionDetail { session, data } = detail;
    AgentSession {
        user_id: session.user.as_ref().map(ToString::to_string),
        agent_session_id: session.id.to_string(),
        session_id: session.id.to_string(),
        session_name: title(&session),
        session_summary: data.summary,
        session_state: state(&session, data.state),
        agent_id: session.component.as_ref().map(ToString::to_string),
        total_tokens: total(&session),
        agent_data: component_data(&session, catalog),
        metrics: (&session.usage).into(),
        metadata: data.metadata,
        chat_history,
        created_at: session.created.to_string(),
        updated_at: session.updated.to_string(),
    }
}

fn team_session(detail: SessionDetail, catalog: &Catalog, chat_history: Vec<Value>) -> TeamSession {
    let SessionDetail { session, data } = detail;
    TeamSession {
        user_id: session.user.as_ref().map(ToString::to_string),
        session_id: session.id.to_string(),
        session_name: title(&session),
        session_summary: data.summary,
        session_state: state(&session, data.state),
        team_id: session.component.as_ref().map(ToString::to_string),
        total_tokens: total(&session),
        team_data: component_data(&session, catalog),
        metrics: (&session.usage).into(),
        metadata: data.metadata,
        chat_history,
        created_at: session.created.to_string(),
        updated_at: session.updated.to_string(),
    }
}

fn workflow_session(detail: SessionDetail, catalog: &Catalog) -> WorkflowSession {
    let SessionDetail { session, data } = detail;
    let component = session.component.as_ref();
    let spec = component.and_then(|id| catalog.get(ComponentKind::Workflow, id));
    WorkflowSession {
        user_id: session.user.as_ref().map(ToString::to_string),
        workflow_id: component.map(ToString::to_string),
        workflow_name: spec.map(|spec| spec.name().to_owned()),
        session_id: session.id.to_string(),
        session_name: title(&session),
        session_data: None,
        session_state: state(&session, data.state),
        workflow_data: component_data(&session, catalog),
        metadata: data.metadata,
        created_at: session.created.to_string(),
        updated_at: session.updated.to_string(),
    }
}

/// The state; a session that has run has one, be it empty.
fn state(session: &Session, stored: Option<Object>) -> Option<Object> {
    stored.or_else(|| (session.runs > 0).then(Object::new))
}

impl From<SessionDetail> for SessionRow {
    fn from(SessionDetail { session, data }: SessionDetail) -> Self {
        let component = session.component.as_ref().map(ToString::to_string);
        let of = |kind| component.clone().filter(|_| session.kind == kind);
        Self {
            session_id: session.id.to_string(),
            session_name: title(&session),
            session_state: state(&session, data.state),
            created_at: session.created.to_string(),
            updated_at: session.updated.to_string(),
            session_type: session.kind.as_str(),
            user_id: session.user.as_ref().map(ToString::to_string),
            agent_id: of(ComponentKind::Agent),
            team_id: of(ComponentKind::Team),
            workflow_id: of(ComponentKind::Workflow),
            session_summary: data.summary,
            metrics: (&session.usage).into(),
            total_tokens: total(&session),
            metadata: data.metadata,
        }
    }
}

/// The given name, else the start of what was said first, else nothing.
fn title(session: &Session) -> String {
    let given = session.title.as_deref().filter(|title| !title.is_empty());
    given.or(session.first_input.as_deref()).unwrap_or_default().to_owned()
}

fn total(session: &Session) -> Option<u64> {
    Some(session.usage.total()).filter(|total| *total > 0)
}

/// Who ran in it, once something ran.
fn component_data(session: &Session, catalog: &Catalog) -> Option<Value> {
    let id = session.component.as_ref().filter(|_| session.runs > 0)?;
    let spec = catalog.get(session.kind, id)?;
    let mut data = json!({ "name": spec.name(), components::place(session.kind): id });
    if let (Some(agent), Some(fields)) = (components::agent_of(&spec), data.as_object_mut()) {
        let model = &agent.model;
        let model = json!({ "id": model.model, "name": model.model, "provider": provider_name(model) });
        fields.insert("model".into(), model);
    }
    Some(data)
}

/// The body without what is unset. What clients keep (state, metadata) may hold nulls and is left alone.
pub(super) fn none_free(body: impl Serialize) -> Value {
    match serde_json::to_value(body) {
        Ok(Value::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        }
        Ok(
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)),
        ) => other,
        Err(_) => Value::Object(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::SessionData;
    use crate::domain::time::Timestamp;

    fn session() -> Session {
        Session {
            id: "s9".parse().unwrap_or_else(|_| unreachable!()),
            kind: ComponentKind::Agent,
            component: "test-agent".parse().ok(),
            user: None,
            title: Some("N".into()),
            first_input: None,
            created: Timestamp(1_795_355_964_000_000),
            updated: Timestamp(1_795_355_964_000_000),
            runs: 0,
            usage: Usage::default(),
            since: 0,
            tags: Vec::new(),
            last_output: None,
            started: None,
            waiting: None,
        }
    }

    #[test]
    fn a_new_session_looks_as_on_agnos_wire() {
        let state = json!({ "k": 1 });
        let data = SessionData { state: state.as_object().cloned(), ..SessionData::default() };
        let body =
            SessionBody::new(SessionDetail { session: session(), data }, &Catalog::default(), Vec::new());
        let expected = json!({
            "agent_session_id": "s9", "session_id": "s9", "session_name": "N", "session_state": { "k": 1 },
            "agent_id": "test-agent", "metrics": {}, "chat_history": [],
            "created_at": "2026-11-22T13:59:24Z", "updated_at": "2026-11-22T13:59:24Z",
        });
        assert_eq!(none_free(body), expected);
    }

    #[test]
    fn a_row_has_its_kind_its_owner_and_its_tokens() {
        let usage = Usage { input: 7, output: 2, ..Usage::default() };
        let session = Session { usage, title: None, first_input: Some("hello".into()), ..session() };
        let row = SessionRow::from(SessionDetail { session, data: SessionData::default() });
        let expected = json!({
            "session_id": "s9", "session_name": "hello", "session_type": "agent", "agent_id": "test-agent",
            "created_at": "2026-11-22T13:59:24Z", "updated_at": "2026-11-22T13:59:24Z",
            "metrics": { "input_tokens": 7, "output_tokens": 2, "total_tokens": 9 }, "total_tokens": 9,
        });
        assert_eq!(none_free(row), expected);
    }

    #[test]
    fn nulls_inside_a_clients_state_are_the_clients() {
        let state = json!({ "a": null });
        let data = SessionData { state: state.as_object().cloned(), ..SessionData::default() };
        let row = none_free(SessionRow::from(SessionDetail { session: session(), data }));
        assert_eq!(row.get("session_state"), Some(&state));
    }
}
