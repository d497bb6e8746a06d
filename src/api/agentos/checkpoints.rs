//! The places of a run from which one can go on, and the run as it was there.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::api::ApiState;
use crate::api::body::Query;
use crate::api::caller::Caller;
use crate::api::fields::path_text;
use crate::domain::id::{Owner, RunId, SessionId};
use crate::domain::view::RunView;
use crate::runtime::Runtime;

use super::component::ComponentRun;
use super::error::Error;
use super::message_body;
use super::run_body::{self, AnyRun};
use super::runs::{self, OfSession};
use super::session_body::none_free;
use super::{fork_run, tree};

/// A preview has as many characters at most.
const PREVIEW_CHARS: usize = 120;

/// A place in a run's conversation.
#[derive(Debug, Serialize)]
struct Checkpoint {
    checkpoint_id: Option<String>,
    run_id: RunId,
    session_id: SessionId,
    message_index: usize,
    continue_from: usize,
    status: &'static str,
    reason: &'static str,
    created_at: u64,
    message_id: Option<Uuid>,
    message_role: Option<&'static str>,
    message_preview: Option<String>,
    is_latest: bool,
}

/// `GET /{kind}/{id}/runs/{run_id}/checkpoints?session_id=`.
pub(super) async fn list(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<OfSession>,
) -> Result<HttpResponse, Error> {
    let view = view(&state.runtime, caller.owner(), &target, &query.0).await?;
    let checkpoints = checkpoints(&view);
    let (run, session) = (view.run, &view.session);
    Ok(HttpResponse::Ok().json(json!({"run_id": run, "session_id": session, "checkpoints": checkpoints})))
}

/// `GET /{kind}/{id}/runs/{run_id}/checkpoints/{message_index}?session_id=`.
pub(super) async fn read(
    target: ComponentRun,
    caller: Caller,
    state: Data<ApiState>,
    query: Query<OfSession>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let view = view(&state.runtime, caller.owner(), &target, &query.0).await?;
    let index = path_text(&request, "message_index");
    let index = index.parse().map_err(|_| Error::bad_request("message_index must be a whole number"))?;
    let index = fork_run::within(&view, index)?;
    let known = checkpoints(&view).into_iter().find(|known| known.message_index == index);
    let checkpoint = Checkpoint {
        checkpoint_id: known.and_then(|known| known.checkpoint_id),
        ..Checkpoint::at(&view, index, "snapshot")
    };
    let system = usize::from(view.system.is_some());
    let mut cut = view.cut(index.saturating_sub(system));
    if index == 0 {
        cut.system = None;
    }
    let shown = tree::Tree::from(cut);
    let mut snapshot = none_free(AnyRun::stored(shown.root()));
    if let Some(fields) = snapshot.as_object_mut() {
        let kept = fields.get("messages").and_then(|messages| messages.as_array()).map_or(0, Vec::len);
        fields.insert("last_checkpoint_at_message_index".into(), json!(kept));
    }
    Ok(HttpResponse::Ok().json(json!({"checkpoint": checkpoint, "snapshot": snapshot})))
}

async fn view(
    runtime: &Runtime,
    owner: &Owner,
    target: &ComponentRun,
    query: &OfSession,
) -> Result<RunView, Error> {
    let run = runs::find(runtime, owner, target, query.session()).await?;
    let run = run.ok_or_else(|| Error::not_found("Run not found"))?;
    Ok(runtime.view(owner, &run).await?)
}

/// One after each message that can be gone on from, the last one at the end.
fn checkpoints(view: &RunView) -> Vec<Checkpoint> {
    let system = usize::from(view.system.is_some());
    let boundaries = view.boundaries();
    let last = boundaries.last().copied();
    let places = boundaries.into_iter().enumerate().map(|(at, boundary)| {
        let reason = if Some(boundary) == last { "end" } else { "checkpoint" };
        let checkpoint = Checkpoint::at(view, boundary.saturating_add(system), reason);
        Checkpoint { checkpoint_id: Some((at + 1).to_string()), ..checkpoint }
    });
    places.collect()
}

impl Checkpoint {
    fn at(view: &RunView, index: usize, reason: &'static str) -> Self {
        let messages = message_body::stored(view);
        let message = index.checked_sub(1).and_then(|last| messages.get(last));
        Self {
            checkpoint_id: None,
            run_id: view.run,
            session_id: view.session.clone(),
            message_index: index,
            continue_from: index,
            status: run_body::status(view.status),
            reason,
            created_at: message.map_or(view.created.seconds(), |message| message.created_at),
            message_id: message.map(|message| message.id),
            message_role: message.map(|message| message.role),
            message_preview: message.and_then(|message| message.content).map(preview),
            is_latest: index == messages.len(),
        }
    }
}

fn preview(text: &str) -> String {
    let text = text.replace('\n', " ");
    let text = text.trim();
    if text.chars().count() <= PREVIEW_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(PREVIEW_CHARS - 1).collect();
    format!("{start}...")
}
