//! The runs of a session, as AgentOS lists them: unset texts are `""`, unset lists `[]`.

use std::ops::RangeInclusive;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::ApiState;
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields, path_text};
use crate::domain::Object;
use crate::domain::fact::{Entry, Failure};
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::run::{Run, Status};
use crate::domain::spec::ComponentKind;
use crate::domain::view::RunView;
use crate::runtime::{self, Runtime};

use super::database::Choice;
use super::error::Error;
use super::events::{Name, Projector};
use super::message_body::{self, MediaLists, MessageBody};
use super::metrics_body::Metrics;
use super::run_body::{self, Content};
use super::tool_body::{self, Tool};

/// A preview's texts are cut after as many characters.
const PREVIEW_CHARS: usize = 280;

/// `GET /sessions/{session_id}/runs`, oldest first.
pub(super) async fn list(
    request: HttpRequest,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<RunFilter>,
) -> Result<HttpResponse, Error> {
    let runs = chosen(&state.runtime, caller.owner(), &path_text(&request, "session_id"), &query.0).await?;
    let entries = entries(&state.runtime, caller.owner(), &runs).await?;
    Ok(HttpResponse::Ok().json(entries.iter().map(RunEntry::of).collect::<Vec<_>>()))
}

/// `GET /sessions/{session_id}/run-previews`.
pub(super) async fn previews(
    request: HttpRequest,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<RunFilter>,
) -> Result<HttpResponse, Error> {
    let runs = chosen(&state.runtime, caller.owner(), &path_text(&request, "session_id"), &query.0).await?;
    let entries = entries(&state.runtime, caller.owner(), &runs).await?;
    Ok(HttpResponse::Ok().json(entries.iter().map(|stored| Preview::of(&stored.view)).collect::<Vec<_>>()))
}

/// `GET /sessions/{session_id}/runs/{run_id}`, with nulls.
pub(super) async fn read(
    request: HttpRequest,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<RunFilter>,
) -> Result<HttpResponse, Error> {
    let (session, name) = (path_text(&request, "session_id"), path_text(&request, "run_id"));
    let mut runs = chosen(&state.runtime, caller.owner(), &session, &query.0).await?;
    if runs.is_empty() {
        return Err(Error::not_found(format!("Session with ID {session} has no runs")));
    }
    let id = name.parse::<RunId>().ok();
    runs.retain(|run| Some(run.id) == id);
    let entries = entries(&state.runtime, caller.owner(), &runs).await?;
    match entries.first() {
        Some(stored) => Ok(HttpResponse::Ok().json(with_nulls(stored))),
        None => Err(Error::not_found(format!("Run with ID {name} not found in session {session}"))),
    }
}

/// A run with everything its facts tell.
#[derive(Debug)]
pub(super) struct StoredRun {
    view: RunView,
    events: Vec<Box<RawValue>>,
}

/// Reads runs; those without facts, or with damaged ones, are left out.
///
/// # Errors
/// Those of the store.
pub(super) async fn entries(runtime: &Runtime, owner: &Owner, runs: &[Run]) -> Result<Vec<StoredRun>, Error> {
    let mut stored = Vec::with_capacity(runs.len());
    for run in runs {
        let entries = match runtime.entries(owner, run).await {
            Err(runtime::Error::Damaged) => continue,
            entries => entries?,
        };
        stored.extend(StoredRun::of(run.id, &entries));
    }
    Ok(stored)
}

impl StoredRun {
    fn of(run: RunId, entries: &[Entry]) -> Option<Self> {
        Some(Self { view: RunView::of(run, entries)?, events: events(run, entries) })
    }
}

/// All events but the pieces.
fn events(run: RunId, entries: &[Entry]) -> Vec<Box<RawValue>> {
    let mut entries = entries.iter().filter(|entry| entry.run == run).peekable();
    let Some(mut projector) = entries.peek().and_then(|start| Projector::new(start)) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| projector.project(entry))
        .filter(|event| event.name != Name::RunContent)
        .filter_map(|event| RawValue::from_string(event.json().to_owned()).ok())
        .collect()
}

/// The runs a request is about.
async fn chosen(
    runtime: &Runtime,
    owner: &Owner,
    session: &str,
    filter: &RunFilter,
) -> Result<Vec<Run>, Error> {
    filter.database.check()?;
    let missing = || Error::not_found(format!("Session with ID {session} not found"));
    let id: SessionId = session.parse().map_err(|_| missing())?;
    let found = match runtime.session(owner, &id).await {
        Err(runtime::Error::NoSession(_)) => return Err(missing()),
        found => found?.session,
    };
    let other_kind = filter.kind.is_some_and(|kind| kind != found.kind);
    let other_user = filter.user.is_some() && filter.user != found.user;
    if other_kind || other_user {
        return Err(missing());
    }
    let mut runs = runtime.runs(owner, &id).await?;
    runs.retain(|run| filter.created.contains(&run.created.seconds()) && filter.status.admits(run.status));
    Ok(runs)
}

/// The query of a session's runs.
#[derive(Debug)]
pub(super) struct RunFilter {
    kind: Option<ComponentKind>,
    user: Option<UserId>,
    created: RangeInclusive<u64>,
    status: Statuses,
    database: Choice,
}

impl FromFields for RunFilter {
    fn from_fields(fields: &mut Fields) -> Self {
        let kinds = [ComponentKind::Agent, ComponentKind::Team, ComponentKind::Workflow]
            .map(|kind| (kind.as_str(), kind));
        let after = fields.number("created_after", 0).unwrap_or(0);
        let before = fields.number("created_before", 0).unwrap_or(u64::MAX);
        Self {
            kind: fields.choice("type", &kinds),
            user: fields.id("user_id"),
            created: after..=before,
            status: FromFields::from_fields(fields),
            database: Choice::of(fields),
        }
    }
}

/// Which statuses are asked for; none is all.
#[derive(Debug, Default)]
pub(super) struct Statuses(Vec<Status>);

impl Statuses {
    /// Whether a run of this status is asked for.
    pub(super) fn admits(&self, status: Status) -> bool {
        self.0.is_empty() || self.0.contains(&status)
    }
}

impl FromFields for Statuses {
    fn from_fields(fields: &mut Fields) -> Self {
        const ALL: [Status; 6] = [
            Status::Pending,
            Status::Running,
            Status::Paused,
            Status::Completed,
            Status::Cancelled,
            Status::Failed,
        ];
        let mut statuses = Vec::new();
        for word in fields.texts("status").into_iter().filter(|word| !word.is_empty()) {
            match ALL.into_iter().find(|status| run_body::status(*status).eq_ignore_ascii_case(&word)) {
                Some(status) => statuses.push(status),
                None => fields.violation(
                    "status",
                    "enum",
                    "Input should be 'PENDING', 'RUNNING', 'PAUSED', 'COMPLETED', 'CANCELLED' or 'ERROR'",
                ),
            }
        }
        Self(statuses)
    }
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
    metrics: Metrics,
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
    step_results: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_executor_runs: Option<[(); 0]>,
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
    fn of(stored: &'a StoredRun) -> Self {
        let view = &stored.view;
        let kind = view.spec.kind();
        let id = |wanted| (kind == wanted).then(|| view.spec.id().as_str());
        let user = view.user.as_ref().map_or("", UserId::as_str);
        let steps = (kind == ComponentKind::Workflow).then_some([]);
        let content = run_body::content(view).unwrap_or(Content::Text("".into()));
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
            content_type: steps.map(|_| run_body::content_type(view).into_owned()),
            run_response_format: if matches!(content, Content::Object(_)) { "json" } else { "text" },
            content,
            reasoning_content: view.reasoning(),
            reasoning_steps: [],
            metrics: Metrics::of_run(view),
            messages: message_body::stored(view),
            tools: tool_body::tools(view),
            events: &stored.events,
            created_at: view.created.to_string(),
            references: [],
            reasoning_messages: [],
            session_state: &view.state,
            images: [],
            videos: [],
            audio: [],
            files: [],
            input_media: MediaLists::of(&view.input),
            step_results: steps,
            step_executor_runs: steps,
        }
    }
}

/// A run in short.
#[derive(Debug, Serialize)]
struct Preview {
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
    fn of(view: &RunView) -> Self {
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
            content_preview: run_body::content(view).map(|content| cut(&content.text())),
            created_at: view.created.to_string(),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}
