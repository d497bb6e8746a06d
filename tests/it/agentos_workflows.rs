//! Workflows through the real program, as clients of AgentOS see them: how they wait, go on and fail.

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Reply, fails, says};
use crate::harness::server::{Server, Setup, events, names, to_end};

const FLOW: &str = "\
---
kind: workflow
steps:
  - {name: read, agent: plain}
  - {name: write, agent: plain, requires_confirmation: true}
---
";

const RUNS: &str = "/workflows/flow/runs";

async fn server(script: Vec<Reply>) -> (Server, ModelServer) {
    let model = ModelServer::start(script).await;
    let server = Setup::default().model(&model.url()).agent("flow", FLOW).start().await;
    (server, model)
}

fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

#[tokio::test]
async fn a_stream_that_pauses_ends_with_the_whole_run_in_a_frame_without_a_number() {
    let (server, _model) = server(vec![says("Notes.")]).await;
    let response = server.send_form(RUNS, &[("message", r#"{"topic":"x"}"#), ("session_id", "s")]).await;
    let text = response.text().await.unwrap();
    let frames: Vec<&str> = text.trim_end().split("\n\n").collect();
    let (last, before) = frames.split_last().unwrap();
    assert!(before.last().unwrap().starts_with("event: WorkflowPaused\n"));
    let whole = last.strip_prefix("event: WorkflowRunOutput\ndata: ").unwrap();
    let whole: Value = serde_json::from_str(whole).unwrap();
    assert_eq!((&whole["status"], &whole["input"]), (&json!("PAUSED"), &json!(r#"{"topic":"x"}"#)));
    assert_eq!((whole.get("event"), whole.get("event_index")), (None, None));
}

#[tokio::test]
async fn a_workflow_that_waits_is_told_what_was_decided_and_says_what_cannot_be() {
    let (server, _model) = server(vec![says("Notes."), says("Text.")]).await;
    let fields = [("message", "Go"), ("session_id", "s"), ("stream", "false")];
    let (_, paused) = server.form(RUNS, &fields).await;
    let run = paused["run_id"].as_str().unwrap();
    let path = format!("{RUNS}/{run}/continue");
    let mut steps = paused["step_requirements"].clone();
    let undecided = steps.to_string();
    let missing = "Invalid structure or content for step_requirements: no decision about any of the steps that wait: write";
    for (fields, answer) in [
        (vec![("step_requirements", "[]")], (400, detail("session_id is required for this action"))),
        (
            vec![("session_id", "s"), ("step_requirements", "[")],
            (400, detail("Invalid JSON in step_requirements field")),
        ),
        (
            vec![("session_id", "s"), ("step_requirements", "{}")],
            (400, detail("Invalid structure or content for step_requirements: must be a list")),
        ),
        (vec![("session_id", "other"), ("step_requirements", "[]")], (404, detail("Run not found"))),
        (vec![("session_id", "s"), ("step_requirements", undecided.as_str())], (400, detail(missing))),
    ] {
        assert_eq!(server.form(&path, &fields).await, answer);
    }

    steps[0]["confirmed"] = json!(true);
    let decided = steps.to_string();
    let fields = [("session_id", "s"), ("step_requirements", decided.as_str())];
    let seen = to_end(events(server.send_form(&path, &fields).await)).await;
    assert_eq!(seen[0]["event"], "StepContinued");
    let last = seen.last().unwrap();
    assert_eq!((&last["event"], &last["content"]), (&json!("WorkflowCompleted"), &json!("Text.")));
    assert_eq!(server.form(&path, &fields).await, (409, detail("run is already completed")));

    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 3);
    assert_eq!(runs[0]["step_results"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_model_error_in_a_step_fails_the_step_and_the_workflow() {
    let (server, _model) = server(vec![fails(400, "bad_request", "no such model")]).await;
    let response = server.send_form(RUNS, &[("message", "Go"), ("session_id", "s")]).await;
    let seen = to_end(events(response)).await;
    let names = names(&seen);
    assert_eq!(names[names.len() - 3..], ["RunError", "StepError", "WorkflowError"]);
    let run = seen[0]["run_id"].as_str().unwrap();
    let (_, body) = server.get(&format!("{RUNS}/{run}?session_id=s")).await;
    assert_eq!((&body["status"], &body["step_results"][0]["success"]), (&json!("ERROR"), &json!(false)));
}
