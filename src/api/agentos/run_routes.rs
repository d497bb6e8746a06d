//! The part of the route table that is about runs: the same for agents, teams and workflows.

use super::database::{DB_ID, TABLE};
use super::{checkpoints, continue_run, resume, runs, session_fork, session_runs};
use crate::api::endpoint::{Endpoint, Parameter, ParameterKind as Kind};

const SESSION: Parameter = Parameter::new("session_id", Kind::Text, "The run's session");
const OF_SESSION: Parameter = Parameter::new("session_id", Kind::RequiredText, "The run's session");
const STATUS: Parameter = Parameter::new(
    "status",
    Kind::Choices(&["PENDING", "RUNNING", "PAUSED", "COMPLETED", "CANCELLED", "ERROR", "REGENERATED"]),
    "Only runs that stand here",
);

const START: [Parameter; 17] = [
    Parameter::new("message", Kind::RequiredText, "What is asked"),
    Parameter::new("stream", Kind::Flag, "Events (the default), or one answer"),
    Parameter::new("background", Kind::Flag, "Goes on without its client; default: false"),
    Parameter::new("stream_events", Kind::Flag, "All events (the default), or the answer's pieces alone"),
    Parameter::new("session_id", Kind::Text, "The session; made if absent or unknown"),
    Parameter::new("user_id", Kind::Text, "Whom the client speaks for"),
    Parameter::new("files", Kind::Files, "Pictures, sounds, films and documents"),
    Parameter::new("images", Kind::Text, "JSON list of pictures by reference"),
    Parameter::new("audio", Kind::Text, "JSON list of sounds by reference"),
    Parameter::new("videos", Kind::Text, "JSON list of films by reference"),
    Parameter::new("session_state", Kind::Text, "JSON object, laid over the session's state"),
    Parameter::new("dependencies", Kind::Text, "JSON object, for the instructions' template"),
    Parameter::new("metadata", Kind::Text, "JSON object, kept with the run"),
    Parameter::new("output_schema", Kind::Text, "JSON Schema of the answer"),
    Parameter::new("add_history_to_context", Kind::Flag, "Whether earlier runs are shown to the model"),
    Parameter::new(
        "on_second_message",
        Kind::Choice(&["enqueue", "reject", "interrupt", "steer"]),
        "What happens if a run of the session is going; default: as its agent says",
    ),
    Parameter::new("add_session_state_to_context", Kind::Flag, "Whether the state is shown to the model"),
];

const RESUME: [Parameter; 2] = [
    Parameter::new("last_event_index", Kind::Number(0), "The last event the client has; absent: none"),
    Parameter::new("session_id", Kind::Text, "The run's session"),
];

/// Runs of agents, teams and workflows.
pub(super) fn table() -> Vec<Endpoint> {
    let mut table = Vec::new();
    for (kind, tag) in [("agent", "Agents"), ("team", "Teams"), ("workflow", "Workflows")] {
        table.extend(of_kind(kind, tag));
        if kind != "workflow" {
            table.extend(of_forks(kind, tag));
        }
    }
    table.extend(of_sessions());
    table
}

fn of_kind(kind: &str, tag: &str) -> [Endpoint; 6] {
    let unknown = format!("{} not found", tag.trim_end_matches('s'));
    let runs = format!("/{kind}s/{{{kind}_id}}/runs");
    let run = format!("{runs}/{{run_id}}");
    let stream = &["text/event-stream"];
    let either = &["text/event-stream", "application/json"];
    let json = &["application/json"];
    [
        Endpoint::post(runs.clone(), runs::start)
            .named(&format!("create_{kind}_run"), tag, "Start a run")
            .once()
            .form(&START)
            .gives("200", "Its events, or its answer", either)
            .gives("202", "It was accepted, and goes on in the background", json)
            .fails("404", &unknown)
            .fails("409", "The session belongs to somebody else")
            .fails("422", "A field is wrong")
            .fails("429", "Too much is waiting in the session"),
        Endpoint::get(runs, runs::list)
            .named(&format!("get_{kind}_runs"), tag, "List the runs of a session")
            .query(&[OF_SESSION, STATUS])
            .gives("200", "Oldest first", json)
            .fails("404", &unknown),
        Endpoint::get(run.clone(), runs::read)
            .named(&format!("get_{kind}_run"), tag, "Read a run")
            .query(&[OF_SESSION])
            .gives("200", "The run", json)
            .fails("404", "Run not found"),
        Endpoint::post(format!("{run}/cancel"), runs::cancel)
            .named(&format!("cancel_{kind}_run"), tag, "Stop a run")
            .query(&[SESSION])
            .gives("200", "It stops, or was over", json)
            .fails("404", &unknown),
        Endpoint::post(format!("{run}/resume"), resume::resume)
            .named(&format!("resume_{kind}_run_stream"), tag, "Take up a run's events again")
            .form(&RESUME)
            .gives("200", "The events that were missed, then those to come", stream)
            .fails("404", &unknown),
        going_on(&run, kind, tag),
    ]
}

const FORK: [Parameter; 7] = [
    Parameter::new("input", Kind::Text, "What is asked next, of a run that is over"),
    Parameter::new("continue_from", Kind::Text, "end (the default), last_user, or a message index"),
    Parameter::new("fork", Kind::Flag, "A run of its own, also of one that waits; default: false"),
    Parameter::new("regenerate", Kind::Flag, "Drops the last answer and makes a new one; default: false"),
    Parameter::new(
        "replace_original",
        Kind::Flag,
        "Whether the new answer takes the old one's place; default: true",
    ),
    Parameter::new("additional_instructions", Kind::Text, "What the new answer should heed"),
    Parameter::new("user_id", Kind::Text, "Whom the client speaks for"),
];

const TOOLS: &str = "JSON list of the tools that wait, each with its decision filled in";
const REQUIREMENTS: &str = "JSON list of the run's requirements, each with its decision filled in, on itself or on its tool_execution";
const STEPS: &str = "JSON list of the run's step_requirements, each with its decision filled in";

const ERRORS: &str = "JSON list of the run's error_requirements, each with its decision, `retry` or `skip`";

fn going_on(run: &str, kind: &str, tag: &str) -> Endpoint {
    let mut form = vec![
        Parameter::new("session_id", Kind::RequiredText, "The run's session"),
        Parameter::new("stream", Kind::Flag, "Events (the default), or one answer"),
        Parameter::new("background", Kind::Flag, "Goes on without its client; default: false"),
    ];
    form.extend(match kind {
        "workflow" => vec![
            Parameter::new("step_requirements", Kind::Text, STEPS),
            Parameter::new("error_requirements", Kind::Text, ERRORS),
        ],
        _ => vec![
            Parameter::new("tools", Kind::Text, TOOLS),
            Parameter::new("requirements", Kind::Text, REQUIREMENTS),
        ],
    });
    if kind != "workflow" {
        form.extend(FORK);
    }
    Endpoint::post(format!("{run}/continue"), continue_run::go_on)
        .named(&format!("continue_{kind}_run"), tag, "Go on with a run that waits, or from one that is over")
        .once()
        .form(&form)
        .gives("200", "Its further events, or its answer", &["text/event-stream", "application/json"])
        .gives("202", "It goes on in the background", &["application/json"])
        .fails("400", "The decisions cannot be read")
        .fails("404", "Run not found")
        .fails("409", "The run does not wait")
}

fn of_forks(kind: &str, tag: &str) -> [Endpoint; 3] {
    let component = format!("/{kind}s/{{{kind}_id}}");
    let checkpoints = format!("{component}/runs/{{run_id}}/checkpoints");
    let json = &["application/json"];
    [
        Endpoint::get(checkpoints.clone(), checkpoints::list)
            .named(&format!("list_{kind}_run_checkpoints"), tag, "List the places one can go on from")
            .query(&[OF_SESSION])
            .gives("200", "In order, the end last", json)
            .fails("404", "Run not found"),
        Endpoint::get(format!("{checkpoints}/{{message_index}}"), checkpoints::read)
            .named(&format!("get_{kind}_run_checkpoint"), tag, "Read a run as it was at a message")
            .query(&[OF_SESSION])
            .gives("200", "The place, and the run cut there", json)
            .fails("400", "The run has no such message")
            .fails("404", "Run not found"),
        Endpoint::post(format!("{component}/sessions/{{session_id}}/fork"), session_fork::fork)
            .named(&format!("fork_{kind}_session"), tag, "Make a session that begins as another")
            .once()
            .query(&[Parameter::new("user_id", Kind::Text, "Only if it is this user's")])
            .answers::<session_fork::Forked>("200", "The new session, and the one it was made of")
            .fails("400", "There is no such session")
            .fails("404", &format!("{} not found", tag.trim_end_matches('s'))),
    ]
}

fn of_sessions() -> [Endpoint; 3] {
    let filter = [
        Parameter::new("type", Kind::Choice(&["agent", "team", "workflow"]), "Of a session of this kind"),
        Parameter::new("user_id", Kind::Text, "Of this user's session"),
        Parameter::new("created_after", Kind::Number(0), "In seconds since 1970"),
        Parameter::new("created_before", Kind::Number(0), "In seconds since 1970"),
        STATUS,
        DB_ID,
        TABLE,
    ];
    let json = &["application/json"];
    [
        Endpoint::get("/sessions/{session_id}/runs", session_runs::list)
            .named("get_session_runs", "Sessions", "List a session's runs")
            .query(&filter)
            .gives("200", "Oldest first", json)
            .fails("404", "There is no such session"),
        Endpoint::get("/sessions/{session_id}/runs/{run_id}", session_runs::read)
            .named("get_session_run", "Sessions", "Read a run of a session")
            .query(&filter)
            .gives("200", "The run, with nulls", json)
            .fails("404", "There is no such session or run"),
        Endpoint::get("/sessions/{session_id}/run-previews", session_runs::previews)
            .named("get_session_run_previews", "Sessions", "List a session's runs, cut short")
            .query(&filter)
            .gives("200", "Oldest first", json)
            .fails("404", "There is no such session"),
    ]
}
