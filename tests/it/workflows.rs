//! Workflows through the whole server: steps are runs like any other, and their outputs go from one to the next.

use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup};

const FLOW: &str = "---
kind: workflow
steps:
  - {name: find, agent: ann}
  - name: check
    condition:
      if: \"'twice' in previous.content\"
      then: [{name: both, parallel: [{name: one, agent: ann}, {name: two, agent: bob}]}]
---
";

fn member(name: &str) -> String {
    format!("---\nmodel: test/{name}\n---\nYou are {name}.\n")
}

#[tokio::test]
async fn steps_are_runs_that_are_given_what_the_step_before_made() {
    let model = ModelServer::answering(|request| {
        says(&format!("{} read {} twice", request.body["model"].as_str().unwrap(), said(&request.body)))
    })
    .await;
    let server = Setup::default()
        .model(&model.url())
        .agent("ann", &member("ann"))
        .agent("bob", &member("bob"))
        .agent("flow", FLOW)
        .start()
        .await;
    let fields = [("message", "it"), ("session_id", "s"), ("stream", "false")];
    let (status, body) = server.form("/workflows/flow/runs", &fields).await;
    assert_eq!((status, &body["status"]), (200, &json!("COMPLETED")), "{body}");
    let told: Vec<String> = model.requests().iter().map(|request| said(request).to_owned()).collect();
    assert_eq!(told, ["it", "ann read it twice", "ann read it twice"]);
    model.assert_clean();
}

fn said(request: &Value) -> &str {
    request["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

const LINE: &str = "---
kind: workflow
steps:
  - {name: one, agent: ann}
  - {name: two, agent: bob}
  - {name: three, agent: ann}
---
";

/// A server with the agents `ann` and `bob`, each answered by its name, and a workflow.
async fn server(model: &ModelServer, flow: &str) -> Server {
    let setup = Setup::default().model(&model.url());
    setup.agent("ann", &member("ann")).agent("bob", &member("bob")).agent("flow", flow).start().await
}

#[tokio::test]
async fn a_workflow_killed_in_its_second_step_goes_on_from_there_and_ends_once() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| match request.body["model"].as_str().unwrap() {
        "bob" => Reply::Gated(words("bob "), held.clone(), words(&format!("read {}", said(&request.body)))),
        name => says(&format!("{name} read {}", said(&request.body))),
    })
    .await;
    let mut server = server(&model, LINE).await;
    let fields = [("message", "it"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let (status, started) = server.form("/workflows/flow/runs", &fields).await;
    assert_eq!(status, 202, "{started}");
    model.wait_for_requests(2).await;
    server.kill();
    gate.open();
    server.restart().await;
    let body = server.at_rest("workflows/flow", "s", started["run_id"].as_str().unwrap()).await;
    let answer = "ann read bob read ann read it";
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!(answer)));
    let told: Vec<String> = model.requests().iter().map(|request| said(request).to_owned()).collect();
    assert_eq!(told, ["it", "ann read it", "ann read it", "bob read ann read it"]);
    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 4, "{runs:#}");
    let events = runs[0]["events"].as_array().unwrap().iter();
    let ends = events.filter(|event| event["event"] == "WorkflowCompleted").count();
    assert_eq!(ends, 1, "{runs:#}");
}

/// A workflow that waits for a person is answered after a restart, twice at once; only one answer counts.
async fn answered_after_a_restart(step: &str) -> (Value, Vec<String>) {
    let model = ModelServer::answering(|request| {
        says(&format!("{} read {}", request.body["model"].as_str().unwrap(), said(&request.body)))
    })
    .await;
    let flow = format!(
        "---\nkind: workflow\nsteps:\n  - {{name: one, agent: ann, {step}}}\n  - {{name: two, agent: bob}}\n---\n"
    );
    let mut server = server(&model, &flow).await;
    let fields = [("message", "it"), ("session_id", "s"), ("stream", "false")];
    let (_, paused) = server.form("/workflows/flow/runs", &fields).await;
    assert_eq!(paused["status"], "PAUSED", "{paused:#}");
    server.kill();
    server.restart().await;
    let mut decided = paused["step_requirements"].clone();
    decided[0]["confirmed"] = json!(true);
    let decided = decided.to_string();
    let path = format!("/workflows/flow/runs/{}/continue", paused["run_id"].as_str().unwrap());
    let fields = [("session_id", "s"), ("stream", "false"), ("step_requirements", &decided)];
    let (one, two) = tokio::join!(server.form(&path, &fields), server.form(&path, &fields));
    let (done, refused) = if one.0 == 200 { (one, two) } else { (two, one) };
    assert_eq!((done.0, refused.0), (200, 409), "{done:?} {refused:?}");
    let told = model.requests().iter().map(|request| said(request).to_owned()).collect();
    (done.1["content"].clone(), told)
}

#[tokio::test]
async fn a_step_that_somebody_agreed_to_after_a_restart_is_done_once() {
    let (answer, told) = answered_after_a_restart("requires_confirmation: true").await;
    assert_eq!(answer, "bob read ann read it");
    assert_eq!(told, ["it", "ann read it"]);
}

#[tokio::test]
async fn an_output_that_was_looked_at_after_a_restart_is_not_made_again() {
    let (answer, told) = answered_after_a_restart("requires_output_review: true").await;
    assert_eq!(answer, "bob read ann read it");
    assert_eq!(told, ["it", "ann read it"]);
}

const NOTER: &str =
    "---\nmodel: test/ann\ncapabilities: [session_state]\nhistory_runs: 0\n---\nYou keep notes.\n";

/// An agent whose model writes what it is told to the session's state.
async fn noter() -> ModelServer {
    ModelServer::answering(|request| {
        let messages = request.body["messages"].as_array().unwrap();
        match messages.last().unwrap()["role"].as_str() {
            Some("tool") => says("Noted."),
            _ => calls([("set_session_state", json!({"changes": {said(&request.body): "kept"}}))]),
        }
    })
    .await
}

fn kept() -> Value {
    (0..8).map(|number| (format!("note{number}"), json!("kept"))).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test]
async fn eight_runs_at_once_in_one_session_each_keep_what_they_wrote_to_its_state() {
    let model = noter().await;
    let server = Setup::default().model(&model.url()).agent("ann", NOTER).start().await;
    let started = (0..8).map(async |number| {
        let message = format!("note{number}");
        let fields = [("message", message.as_str()), ("session_id", "s"), ("stream", "false")];
        server.form("/agents/ann/runs", &fields).await
    });
    for (status, body) in futures::future::join_all(started).await {
        assert_eq!((status, &body["status"]), (200, &json!("COMPLETED")), "{body}");
    }
    let (_, session) = server.get("/sessions/s").await;
    assert_eq!(session["session_state"], kept());
    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 8);
    model.assert_clean();
}

#[tokio::test]
async fn eight_steps_side_by_side_each_keep_what_they_wrote_to_the_sessions_state() {
    let model = noter().await;
    let mut setup = Setup::default().model(&model.url()).agent("ann", NOTER);
    let mut flow = "---\nkind: workflow\nsteps:\n  - name: all\n    parallel:\n".to_owned();
    for number in 0..8 {
        let inner = format!(
            "---\nkind: workflow\nsteps:\n  - {{name: say, tool: say}}\n  - {{name: note, agent: ann}}\ntools:\n  - {{name: say, description: Says., kind: process, command: [printf, note{number}]}}\n---\n"
        );
        setup = setup.agent(&format!("inner{number}"), &inner);
        flow.push_str(&format!("      - {{name: step{number}, workflow: inner{number}}}\n"));
    }
    let server = setup.agent("flow", &format!("{flow}---\n")).start().await;
    let fields = [("message", "Note"), ("session_id", "s"), ("stream", "false")];
    let (status, body) = server.form("/workflows/flow/runs", &fields).await;
    assert_eq!((status, &body["status"]), (200, &json!("COMPLETED")), "{body}");
    let (_, session) = server.get("/sessions/s?type=workflow").await;
    assert_eq!(session["session_state"], kept(), "{session:#}");
    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 17, "{runs:#}");
    model.assert_clean();
}
