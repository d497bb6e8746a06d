//! The runs of a session: listed, read, and in short.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::ApiState;
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::fields::{Fields, FromFields, path_text};
use crate::domain::id::{Owner, RunId, SessionId, UserId};
use crate::domain::run::{Run, Status};
use crate::domain::spec::ComponentKind;
use crate::runtime::{self, Runtime};

use super::database::Choice;
use super::error::Error;
use super::run_body;
use super::session_run_body::{Preview, RunEntry, StoredRun, StoredTree, with_nulls};

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
    Ok(HttpResponse::Ok().json(entries.iter().map(Preview::of).collect::<Vec<_>>()))
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

/// Reads runs with everything their facts tell; those without facts, or with damaged ones, are left out. What is below
/// a run is read with it, once.
///
/// # Errors
/// Those of the store.
pub(super) async fn entries(runtime: &Runtime, owner: &Owner, runs: &[Run]) -> Result<Vec<StoredRun>, Error> {
    let mut trees: HashMap<RunId, Arc<StoredTree>> = HashMap::new();
    let mut stored = Vec::with_capacity(runs.len());
    for run in runs {
        let root = run.root.unwrap_or(run.id);
        let tree = match trees.get(&root) {
            Some(tree) => tree.clone(),
            None => {
                let Some(tree) = stored_tree(runtime, owner, run, root).await? else { continue };
                trees.insert(root, tree.clone());
                tree
            }
        };
        stored.extend(StoredRun::of(run.id, &tree));
    }
    Ok(stored)
}

async fn stored_tree(
    runtime: &Runtime,
    owner: &Owner,
    run: &Run,
    root: RunId,
) -> Result<Option<Arc<StoredTree>>, Error> {
    let read = async {
        let above = if root == run.id { run } else { &runtime.run(owner, root).await? };
        Ok((runtime.entries_of_tree(owner, above).await?, above.status))
    };
    match read.await {
        Ok((entries, status)) => Ok(StoredTree::of(root, &entries, status).map(Arc::new)),
        Err(runtime::Error::Damaged | runtime::Error::NoRun(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
