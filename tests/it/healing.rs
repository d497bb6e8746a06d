//! Whatever became of a tool call, the questions after it are such as a provider takes: each call with its result.
//!
//! The model server of these tests looks at each question for that; `assert_clean` tells.

use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Reply, calls, fails, says};
use crate::harness::server::{Server, Setup, events, to_end, until};

/// Tools that wait for a file, that wait for a person, and that answer at once.
const WORKER: &str = "---\nmodel: test/model\nhistory_runs: 5\ntools:\n  - name: wait_for_go\n    description: Waits.\n    \
                      kind: process\n    command: [sh, -c, 'touch ../began; while [ ! -e ../go ]; do sleep 0.02; done']\n    \
                      parameters: {type: object, properties: {}}\n  - name: erase\n    description: Erases.\n    \
                      kind: process\n    command: [echo, gone]\n    requires_confirmation: true\n    \
                      parameters: {type: object, properties: {}}\n  - name: look\n    description: Looks.\n    \
                      kind: process\n    command: [echo, seen]\n    \
                      parameters: {type: object, properties: {}}\n---\nYou work.\n";

async fn worker(script: impl IntoIterator<Item = Reply>) -> (Server, ModelServer) {
    let model = ModelServer::start(script).await;
    let server = Setup::default().model(&model.url()).agent("worker", WORKER).start().await;
    (server, model)
}

async fn say(server: &Server, message: &str) -> Vec<Value> {
    let fields = [("message", message), ("session_id", "s"), ("add_history_to_context", "true")];
    to_end(server.stream("worker", &fields).await).await
}

/// Goes on in the session, and sees that it can.
async fn goes_on(server: &Server, model: &ModelServer) {
    let next = say(server, "And now?").await;
    assert_eq!(next.last().unwrap()["content"], "All is well.", "{next:#?}");
    model.assert_clean();
}

#[tokio::test]
async fn after_a_run_that_was_cancelled_in_a_tool_the_session_goes_on_and_the_run_says_what_became_of_it() {
    let (server, model) =
        worker([calls([("look", json!({})), ("wait_for_go", json!({}))]), says("All is well.")]).await;
    let fields = [("message", "Work"), ("session_id", "s"), ("background", "true")];
    let mut stream = server.stream("worker", &fields).await;
    let run = until(&mut stream, "ToolCallCompleted").await[0]["run_id"].as_str().unwrap().to_owned();
    server.form(&format!("/agents/worker/runs/{run}/cancel"), &[]).await;
    assert_eq!(to_end(stream).await.last().unwrap()["event"], "RunCancelled");
    let (_, body) = server.get(&format!("/agents/worker/runs/{run}?session_id=s")).await;
    let roles: Vec<_> = body["messages"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool"], "{body}");
    goes_on(&server, &model).await;
}

#[tokio::test]
async fn after_a_run_that_failed_beyond_a_tool_call_the_session_goes_on() {
    let failure = fails(400, "bad_request", "no");
    let (server, model) = worker([calls([("look", json!({}))]), failure, says("All is well.")]).await;
    assert_eq!(say(&server, "Work").await.last().unwrap()["event"], "RunError");
    goes_on(&server, &model).await;
}

#[tokio::test]
async fn beside_a_run_that_waits_for_a_person_the_session_goes_on_and_so_does_the_run() {
    let both = calls([("look", json!({})), ("erase", json!({}))]);
    let (server, model) = worker([both, says("All is well."), says("Erased.")]).await;
    let paused = say(&server, "Erase").await.pop().unwrap();
    assert_eq!(paused["event"], "RunPaused");
    let next = say(&server, "And now?").await;
    assert_eq!(next.last().unwrap()["content"], "All is well.");
    let mut tools = paused["tools"].clone();
    tools[0]["confirmed"] = json!(true);
    let path = format!("/agents/worker/runs/{}/continue", paused["run_id"].as_str().unwrap());
    let fields = [("session_id", "s"), ("tools", &tools.to_string())];
    let rest = to_end(events(server.send_form(&path, &fields).await)).await;
    assert_eq!(rest.last().unwrap()["content"], "Erased.");
    model.assert_clean();
}

#[tokio::test]
async fn after_a_run_that_was_killed_in_one_of_two_tools_its_own_next_question_has_both_results() {
    let (mut server, model) = worker([
        calls([("look", json!({})), ("wait_for_go", json!({}))]),
        says("So it is."),
        says("All is well."),
    ])
    .await;
    let fields = [("message", "Work"), ("session_id", "s"), ("background", "true")];
    let mut stream = server.stream("worker", &fields).await;
    let run = until(&mut stream, "ToolCallCompleted").await[0]["run_id"].as_str().unwrap().to_owned();
    server.kill();
    std::fs::write(server.path("go"), "").unwrap();
    server.restart().await;
    let rest = server.send_form(&format!("/agents/worker/runs/{run}/resume"), &[]).await;
    assert_eq!(to_end(events(rest)).await.last().unwrap()["content"], "So it is.");
    let told: Vec<_> = model.requests()[1]["messages"].as_array().unwrap()[3..].to_vec();
    assert_eq!(told[0]["content"], "seen\n");
    assert!(told[1]["content"].as_str().unwrap().starts_with("It is not known whether `wait_for_go`"));
    goes_on(&server, &model).await;
}
