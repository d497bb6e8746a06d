//! What survives `kill -9` of the real program.

use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup, events, names, text, to_end, until};

fn id_of(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_killed_in_mid_stream_is_finished_once_and_the_session_goes_on() {
    let gate = Gate::closed();
    let model = ModelServer::start([
        Reply::Gated(words("Half an "), gate, words("answer.")),
        says("A whole answer."),
        says("And on we go."),
    ])
    .await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let mut stream = server.stream("plain", &[("message", "Tell me"), ("session_id", "s1")]).await;
    let seen = until(&mut stream, "RunContent").await;
    let run = id_of(&seen[0], "run_id");

    server.kill();
    server.restart().await;

    let body = server.at_rest("agents/plain", "s1", &run).await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("A whole answer.")));
    let (_, runs) = server.get("/sessions/s1/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 1);
    let (status, next) = server
        .form("/agents/plain/runs", &[("message", "Go on"), ("session_id", "s1"), ("stream", "false")])
        .await;
    assert_eq!((status, &next["content"]), (200, &json!("And on we go.")));
    let sent = model.requests();
    let last: Vec<_> = sent[2]["messages"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
    assert_eq!(last[1..], [json!("Tell me"), json!("A whole answer."), json!("Go on")]);
    model.assert_clean();
}

#[tokio::test]
async fn a_watcher_that_returns_after_a_kill_has_every_event_exactly_once() {
    let gate = Gate::closed();
    let model = ModelServer::start([
        Reply::Gated(words("one two three "), gate, words("never")),
        says("one two three four"),
    ])
    .await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Count"), ("session_id", "s1"), ("background", "true")];
    let mut stream = server.stream("plain", &fields).await;
    let mut seen = until(&mut stream, "ModelRequestStarted").await;
    while text(&seen) != "one two three " {
        seen.push(stream.next().await.unwrap());
    }
    let run = id_of(&seen[0], "run_id");

    server.kill();
    server.restart().await;

    let last = seen.last().unwrap()["event_index"].to_string();
    let path = format!("/agents/plain/runs/{run}/resume");
    let rest = server.send_form(&path, &[("last_event_index", &last), ("session_id", "s1")]).await;
    let rest = to_end(events(rest)).await;
    let rest: Vec<_> = rest.into_iter().filter(|event| event.get("event_index").is_some()).collect();
    let all: Vec<_> = seen.iter().chain(&rest).cloned().collect();
    let numbers: Vec<_> = all.iter().map(|event| event["event_index"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(all.last().unwrap()["event"], "RunCompleted");
    assert_eq!(all.last().unwrap()["content"], "one two three four");

    let again = server.send_form(&path, &[("session_id", "s1")]).await;
    let again = to_end(events(again)).await;
    let again: Vec<_> = again.into_iter().filter(|event| event.get("event_index").is_some()).collect();
    assert_eq!(again, all, "a replay from the start shows the same events under the same numbers");
}

/// An agent with a tool that writes a line into a file, then waits for another file to appear.
fn writer(effect: &str) -> String {
    format!(
        "---\nmodel: test/model\ntools:\n  - name: write_line\n    description: Writes a line.\n    kind: process\n    \
         command: [sh, -c, 'echo ran >> ../written; while [ ! -e ../go ]; do sleep 0.02; done; echo done']\n    \
         parameters: {{type: object, properties: {{}}}}\n    effect: {effect}\n---\nYou write.\n"
    )
}

async fn killed_in_a_tool(effect: &str) -> (Server, ModelServer, Value) {
    let model = ModelServer::start([calls([("write_line", json!({}))]), says("So it is.")]).await;
    let mut server = Setup::default().model(&model.url()).agent("writer", &writer(effect)).start().await;
    let mut stream = server.stream("writer", &[("message", "Write"), ("session_id", "s1")]).await;
    let seen = until(&mut stream, "ToolCallStarted").await;
    while !server.path("written").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.kill();
    std::fs::write(server.path("go"), "").unwrap();
    server.restart().await;
    let body = server.at_rest("agents/writer", "s1", &id_of(&seen[0], "run_id")).await;
    (server, model, body)
}

async fn decided_after_a_kill(decision: Value) -> (usize, String, Value) {
    let model = ModelServer::start([calls([("write_line", json!({}))]), says("So it is.")]).await;
    let agent = writer("once").replace("---\nmodel", "---\nin_doubt: ask_person\nmodel");
    let mut server = Setup::default().model(&model.url()).agent("writer", &agent).start().await;
    let mut stream = server.stream("writer", &[("message", "Write"), ("session_id", "s1")]).await;
    let run = id_of(&until(&mut stream, "ToolCallStarted").await[0], "run_id");
    while !server.path("written").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.kill();
    std::fs::write(server.path("go"), "").unwrap();
    server.restart().await;
    let paused = server.at_rest("agents/writer", "s1", &run).await;
    assert_eq!(paused["status"], "PAUSED", "{paused}");
    server.kill();
    server.restart().await;
    let mut tool = paused["tools"][0].clone();
    assert_eq!(tool["requires_confirmation"], true);
    tool.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
    let tools = json!([tool]).to_string();
    let path = format!("/agents/writer/runs/{run}/continue");
    let fields = [("session_id", "s1"), ("stream", "false"), ("tools", &tools)];
    let (status, body) = server.form(&path, &fields).await;
    assert_eq!((status, &body["status"]), (200, &json!("COMPLETED")), "{body}");
    let requests = model.requests();
    let told = requests[1]["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    model.assert_clean();
    (times_written(&server), told.as_str().unwrap().to_owned(), paused["content"].clone())
}

#[tokio::test]
async fn a_person_who_is_asked_about_a_doubt_may_have_the_tool_called_again() {
    let (written, told, asked) = decided_after_a_kill(json!({"confirmed": true})).await;
    assert_eq!((written, told.as_str()), (2, "done\n"));
    assert!(
        asked.as_str().unwrap().starts_with("It is not known whether `write_line` took effect"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_person_who_is_asked_about_a_doubt_may_leave_it_and_the_model_is_told() {
    let decision = json!({"confirmed": false, "confirmation_note": "the line is there"});
    let (written, told, _) = decided_after_a_kill(decision).await;
    assert_eq!(written, 1);
    let expected = "It is not known whether `write_line` took effect, and a person decided not to call it again: \
                    the line is there";
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_person_who_is_asked_about_a_doubt_may_say_what_came_of_it() {
    let (written, told, _) = decided_after_a_kill(json!({"result": "it is written"})).await;
    assert_eq!((written, told.as_str()), (1, "it is written"));
}

fn times_written(server: &Server) -> usize {
    std::fs::read_to_string(server.path("written")).unwrap().lines().count()
}

#[tokio::test]
async fn a_tool_that_may_happen_once_is_not_repeated_after_a_kill_and_its_doubt_is_said() {
    let (server, model, body) = killed_in_a_tool("once").await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("So it is.")));
    assert_eq!(times_written(&server), 1);
    let requests = model.requests();
    let told = requests[1]["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(told["role"], "tool");
    assert!(
        told["content"].as_str().unwrap().starts_with("It is not known whether `write_line` took effect")
    );
    model.assert_clean();
}

#[tokio::test]
async fn a_tool_that_may_be_repeated_is_repeated_after_a_kill() {
    let (server, model, body) = killed_in_a_tool("idempotent").await;
    assert_eq!(body["status"], "COMPLETED");
    assert_eq!(times_written(&server), 2);
    let requests = model.requests();
    let told = requests[1]["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(told["content"], "done\n");
    model.assert_clean();
}

#[tokio::test]
async fn runs_that_waited_for_their_turn_keep_it_over_a_kill() {
    let gate = Gate::closed();
    let model = ModelServer::start([
        Reply::Gated(words("Never "), gate, words("heard")),
        says("First."),
        says("Second."),
        says("Third."),
    ])
    .await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let mut first = server.stream("plain", &[("message", "1"), ("session_id", "s1")]).await;
    let run = id_of(&until(&mut first, "RunContent").await[0], "run_id");
    let mut runs = vec![run];
    for message in ["2", "3"] {
        let fields =
            [("message", message), ("session_id", "s1"), ("background", "true"), ("stream", "false")];
        let (status, body) = server.form("/agents/plain/runs", &fields).await;
        assert_eq!((status, &body["status"]), (202, &json!("PENDING")));
        runs.push(id_of(&body, "run_id"));
    }

    server.kill();
    server.restart().await;

    let mut answers = Vec::new();
    for run in &runs {
        answers.push(server.at_rest("agents/plain", "s1", run).await["content"].clone());
    }
    assert_eq!(answers, [json!("First."), json!("Second."), json!("Third.")]);
    model.assert_clean();
}

#[tokio::test]
async fn a_stream_without_a_crash_has_the_events_of_the_contract_in_order() {
    let model = ModelServer::start([
        calls([("add", json!({"a": 2, "b": 3})), ("add", json!({"a": 4, "b": 5}))]),
        says("5 and 9."),
    ])
    .await;
    let server = Setup::default()
        .model(&model.url())
        .agent("adder", "---\nmodel: test/model\ncapabilities: [test_math]\n---\nYou add.\n")
        .start()
        .await;
    let all = to_end(server.stream("adder", &[("message", "2+3 and 4+5")]).await).await;
    assert_eq!(
        names(&all),
        [
            "RunStarted",
            "ModelRequestStarted",
            "ModelRequestCompleted",
            "ToolCallStarted",
            "ToolCallStarted",
            "ToolCallCompleted",
            "ToolCallCompleted",
            "ModelRequestStarted",
            "RunContent",
            "ModelRequestCompleted",
            "RunContentCompleted",
            "RunCompleted",
        ]
    );
    assert_eq!(text(&all), "5 and 9.");
    model.assert_clean();
}

#[tokio::test]
async fn what_was_said_before_is_shown_to_the_model_alike_whether_kept_in_memory_or_read_after_a_kill() {
    let model = ModelServer::start((1..=8).map(|number| says(&format!("Answer {number}.")))).await;
    let mut server = Setup::default().model(&model.url()).start().await;
    for number in 1..=8 {
        if number == 7 {
            server.kill();
            server.restart().await;
        }
        let message = number.to_string();
        let fields = [("message", message.as_str()), ("session_id", "s1"), ("stream", "false")];
        let (status, _) = server.form("/agents/plain/runs", &fields).await;
        assert_eq!(status, 200);
    }
    let shown: Vec<Vec<String>> = model.requests().iter().map(said).collect();
    assert_eq!(shown[3], ["1", "Answer 1.", "2", "Answer 2.", "3", "Answer 3.", "4"]);
    assert_eq!(shown[5], ["3", "Answer 3.", "4", "Answer 4.", "5", "Answer 5.", "6"]);
    assert_eq!(shown[6], ["4", "Answer 4.", "5", "Answer 5.", "6", "Answer 6.", "7"]);
    assert_eq!(shown[7], ["5", "Answer 5.", "6", "Answer 6.", "7", "Answer 7.", "8"]);
    model.assert_clean();
}

/// The texts of a question, without the instructions.
fn said(request: &Value) -> Vec<String> {
    let messages = request["messages"].as_array().unwrap().iter().skip(1);
    messages.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_confirmation_given_twice_after_a_kill_runs_the_tool_once() {
    let model = ModelServer::start([calls([("write_line", json!({}))]), says("Written.")]).await;
    let agent = writer("once").replace("effect: once", "effect: once\n    requires_confirmation: true");
    let mut server = Setup::default().model(&model.url()).agent("writer", &agent).start().await;
    std::fs::write(server.path("go"), "").unwrap();
    let seen = to_end(server.stream("writer", &[("message", "Write"), ("session_id", "s1")]).await).await;
    let paused = seen.last().unwrap();
    assert_eq!(paused["event"], "RunPaused");
    assert!(!server.path("written").exists(), "nothing is written before somebody agreed");

    server.kill();
    server.restart().await;

    let mut tools = paused["tools"].clone();
    tools[0]["confirmed"] = json!(true);
    // What comes back with a decision is not what runs.
    tools[0]["tool_args"] = json!({"other": "arguments"});
    let tools = tools.to_string();
    let path = format!("/agents/writer/runs/{}/continue", id_of(paused, "run_id"));
    let fields = [("session_id", "s1"), ("stream", "false"), ("tools", &tools)];
    let (first, second) = tokio::join!(server.form(&path, &fields), server.form(&path, &fields));
    let (done, refused) = if first.0 == 200 { (first, second) } else { (second, first) };
    assert_eq!(
        (done.0, &done.1["status"], &done.1["content"]),
        (200, &json!("COMPLETED"), &json!("Written."))
    );
    assert_eq!(refused.0, 409, "{refused:?}");
    assert_eq!(times_written(&server), 1);
    model.assert_clean();
}
