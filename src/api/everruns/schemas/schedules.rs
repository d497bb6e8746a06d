//! Schedules, and what became of them.

use serde_json::{Value, json};

use super::{
    Schemas, about, exactly, flagged, id, number, object, one_of, open, sized, some_object, text, time,
    times, uuid, whole, with,
};
use crate::api::everruns::ids::{SESSION, TURN};
use crate::schedules::{MAX_TEXT, MOST, Status};

pub(super) fn all() -> Schemas {
    vec![
        ("Schedule", schedule()),
        ("NewSchedule", object(&fields(), &["name", "cron_expression", "target"])),
        ("SchedulePatch", object(&fields(), &[])),
        ("Triggered", whole(&[("execution_id", uuid())])),
        ("ScheduleStats", stats()),
        ("Execution", execution()),
    ]
}

fn target() -> Value {
    let input = [("session_id", id(SESSION)), ("text", about(sized(1..=MAX_TEXT), "What is said"))];
    whole(&[("type", exactly("workflow")), ("name", exactly("session_message")), ("input", whole(&input))])
}

fn at_most(least: u64, what: &str) -> Value {
    about(json!({ "type": "integer", "minimum": least, "maximum": MOST }), what)
}

/// What a client may say of a schedule.
fn fields() -> [(&'static str, Value); 10] {
    let attempts = [("max_attempts", at_most(1, "How often an execution is tried"))];
    [
        ("name", text()),
        ("description", text()),
        ("cron_expression", about(text(), "5 fields, or 7 with the second before and the year after them")),
        ("timezone", about(text(), "As Europe/Berlin; default: UTC")),
        ("enabled", about(flagged(), "Default: true")),
        ("target", target()),
        ("catch_up_missed", flagged()),
        ("max_catch_up", at_most(0, "Of those that were missed")),
        ("max_concurrent", at_most(1, "Executions at once")),
        ("retry_policy", open(object(&attempts, &[]))),
    ]
}

fn schedule() -> Value {
    let always = [
        ("id", uuid()),
        ("name", text()),
        ("cron_expression", text()),
        ("timezone", text()),
        ("enabled", flagged()),
        ("target", target()),
        ("catch_up_missed", flagged()),
        ("max_catch_up", number(0)),
        ("max_concurrent", number(0)),
    ];
    let sometimes = [
        ("description", text()),
        ("retry_policy", some_object()),
        ("last_triggered_at", time()),
        ("next_trigger_at", time()),
    ];
    with(&[always.as_slice(), &times()].concat(), &sometimes)
}

fn status() -> Value {
    one_of(&Status::ALL.map(Status::as_str))
}

fn execution() -> Value {
    let always = [
        ("id", uuid()),
        ("schedule_id", uuid()),
        ("scheduled_at", time()),
        ("started_at", time()),
        ("status", status()),
        ("created_at", time()),
    ];
    let sometimes = [
        ("completed_at", time()),
        ("workflow_id", uuid()),
        ("turn_id", about(id(TURN), "The turn it began")),
        ("error", text()),
        ("duration_ms", number(0)),
    ];
    with(&always, &sometimes)
}

fn stats() -> Value {
    let counts = ["total_executions", "successful_executions", "failed_executions", "skipped_executions"];
    let counts = counts.map(|name| (name, number(0)));
    with(&counts, &[("avg_duration_ms", number(0)), ("last_execution_status", status())])
}
