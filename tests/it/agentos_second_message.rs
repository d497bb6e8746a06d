//! What a second message does to a session with a run that is going: wait, be refused, interrupt, or steer.

use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup, events, names, text, to_end, until};

const RUNS: &str = "/agents/plain/runs";

/// A server with a run that has said `Half an ` and waits at the gate.
async fn half_way(then: impl IntoIterator<Item = Reply>) -> (Server, ModelServer, Gate, String) {
    let gate = Gate::closed();
    let first = Reply::Gated(words("Half an "), gate.clone(), words("answer."));
    let model = ModelServer::start([first].into_iter().chain(then)).await;
    let server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Go"), ("session_id", "s"), ("background", "true")];
    let mut stream = server.stream("plain", &fields).await;
    let seen = until(&mut stream, "RunContent").await;
    (server, model, gate, seen[0]["run_id"].as_str().unwrap().to_owned())
}

async fn steer(server: &Server, message: &str) -> impl futures::Stream<Item = Value> + Unpin + use<> {
    let fields = [("message", message), ("session_id", "s"), ("on_second_message", "steer")];
    let response = server.send_form(RUNS, &fields).await;
    assert_eq!(response.status(), 200);
    events(response)
}

fn shown(request: &Value) -> Vec<&str> {
    let messages = request["messages"].as_array().unwrap().iter().skip(1);
    messages.map(|message| message["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_message_that_steers_joins_the_run_and_is_read_with_the_next_question() {
    let (server, model, gate, run) = half_way([says("In French: voilà.")]).await;
    let mut joined = steer(&server, "In French, please").await;
    let first = joined.next().await.unwrap();
    assert_eq!((&first["event"], &first["kind"]), (&json!("CustomEvent"), &json!("message_joined")));
    assert_eq!((&first["content"], &first["run_id"]), (&json!("In French, please"), &json!(run)));
    gate.open();
    let rest = to_end(joined).await;
    assert_eq!(rest.last().unwrap()["event"], "RunCompleted");
    assert_eq!(rest.last().unwrap()["content"], "Half an answer.In French: voilà.");
    assert_eq!(text(&rest), "answer.In French: voilà.");
    assert_eq!(
        shown(&model.requests()[1]),
        ["Go", "Half an answer.", "In French, please"],
        "what was asked for comes after what was being said"
    );
    let (_, stored) = server.get(&format!("{RUNS}/{run}?session_id=s")).await;
    let roles: Vec<_> =
        stored["messages"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user", "assistant"]);
    let (_, runs) = server.get("/sessions/s/runs").await;
    assert_eq!(runs.as_array().unwrap().len(), 1, "the message is no run of its own");
    model.assert_clean();
}

#[tokio::test]
async fn a_message_that_steers_while_tools_are_called_is_read_beside_their_results() {
    let model = ModelServer::start([calls([("wait_for_go", json!({}))]), says("Done.")]).await;
    let agent = "---\nmodel: test/model\non_second_message: steer\ntools:\n  - name: wait_for_go\n    description: Waits.\n    \
                 kind: process\n    command: [sh, -c, 'while [ ! -e ../go ]; do sleep 0.02; done; echo gone']\n    \
                 parameters: {type: object, properties: {}}\n---\nYou wait.\n";
    let server = Setup::default().model(&model.url()).agent("waiter", agent).start().await;
    let mut first = server.stream("waiter", &[("message", "Go"), ("session_id", "s")]).await;
    until(&mut first, "ToolCallStarted").await;
    let mut joined = server.stream("waiter", &[("message", "Hurry"), ("session_id", "s")]).await;
    assert_eq!(joined.next().await.unwrap()["kind"], "message_joined");
    std::fs::write(server.path("go"), "").unwrap();
    let (one, two) = (to_end(first).await, to_end(joined).await);
    assert_eq!(one.last(), two.last());
    let requests = model.requests();
    let roles: Vec<_> =
        requests[1]["messages"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_message_that_joined_is_not_lost_in_a_kill() {
    let (mut server, model, _, run) = half_way([says("A whole answer."), says("And in French.")]).await;
    let mut joined = steer(&server, "In French, please").await;
    assert_eq!(joined.next().await.unwrap()["kind"], "message_joined");
    server.kill();
    server.restart().await;
    let fields = [("session_id", "s")];
    let all = to_end(events(server.send_form(&format!("{RUNS}/{run}/resume"), &fields).await)).await;
    assert_eq!(all.last().unwrap()["content"], "A whole answer.And in French.", "{:?}", names(&all));
    assert_eq!(shown(&model.requests()[2]), ["Go", "A whole answer.", "In French, please"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_message_that_finds_nothing_to_steer_begins_a_run() {
    let model = ModelServer::start([says("Hello.")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let all = to_end(steer(&server, "Hi").await).await;
    assert_eq!(all[0]["event"], "RunStarted");
    assert_eq!(all.last().unwrap()["content"], "Hello.");
}

#[tokio::test]
async fn whoever_joined_a_run_may_leave_without_ending_it() {
    let (server, model, gate, run) = half_way([says("More.")]).await;
    let mut joined = steer(&server, "More").await;
    joined.next().await.unwrap();
    drop(joined);
    gate.open();
    let resume = server.send_form(&format!("{RUNS}/{run}/resume"), &[("session_id", "s")]).await;
    let all = to_end(events(resume)).await;
    assert_eq!(all.last().unwrap()["event"], "RunCompleted");
    model.assert_clean();
}

#[tokio::test]
async fn a_queue_takes_as_many_as_it_says_however_many_come_at_once() {
    let gate = Gate::closed();
    let first = Reply::Gated(words("Half an "), gate.clone(), words("answer."));
    let model = ModelServer::start([first].into_iter().chain((0..4).map(|_| says("Next.")))).await;
    let server = Setup::default().model(&model.url()).config("[runs]\nqueue_depth = 4").start().await;
    let fields = [("message", "Go"), ("session_id", "s"), ("background", "true")];
    let mut stream = server.stream("plain", &fields).await;
    until(&mut stream, "RunContent").await;
    let more = [("message", "More"), ("session_id", "s"), ("background", "true"), ("stream", "false")];
    let answers = join_all((0..24).map(|_| server.send_form(RUNS, &more))).await;
    let mut statuses: Vec<_> = answers
        .iter()
        .map(|answer| (answer.status().as_u16(), answer.headers().contains_key("retry-after")))
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![(202, false); 4], vec![(429, true); 20]].concat());
    gate.open();
    to_end(stream).await;
}

#[tokio::test]
async fn what_a_second_message_does_must_be_one_of_four_things() {
    let server = Setup::default().model("http://127.0.0.1:1/v1").start().await;
    let (status, body) = server.form(RUNS, &[("message", "Go"), ("on_second_message", "shout")]).await;
    assert_eq!(status, 422);
    assert_eq!(body["detail"][0]["loc"], json!(["body", "on_second_message"]));
    assert_eq!(server.get("/sessions").await.1["meta"]["total_count"], 0, "nothing was begun");
}
