//! Agent sessions and their runs, as they are shown.

use serde_json::{Value, json};

use super::moment;
use crate::triage::norm::{self, NormRun, SessionView};

/// A session in few words.
pub(super) fn summary(view: &SessionView) -> Value {
    json!({
        "id": view.session.id,
        "agent_profile_id": norm::profile_id(),
        "agent_name": norm::NAME,
        "status": view.status(),
    })
}

/// A session of a list.
pub(super) fn listed(view: &SessionView) -> Value {
    with(
        view,
        [
            ("run_count", json!(view.runs.len())),
            ("created_at", json!(moment(view.session.created))),
            ("updated_at", json!(moment(view.session.updated))),
        ],
    )
}

/// A session with its runs.
pub(super) fn whole(view: &SessionView) -> Value {
    with(view, [("runs", view.runs.iter().map(run).collect())])
}

fn with<const N: usize>(view: &SessionView, more: [(&str, Value); N]) -> Value {
    let mut body = summary(view);
    if let Value::Object(body) = &mut body {
        body.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    body
}

fn run(run: &NormRun) -> Value {
    json!({
        "id": run.id,
        "intent": run.intent,
        "state": run.state,
        "prompt": run.prompt,
        "created_at": moment(run.created),
        "started_at": run.started.map(moment),
        "finished_at": run.finished.map(moment),
        "error": run.failure.as_ref().map(|failure| json!({ "code": failure.code, "message": failure.message })),
        "usage": { "input_tokens": run.usage.input, "output_tokens": run.usage.output },
        "step_count": run.steps,
    })
}
