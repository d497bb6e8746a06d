//! Sessions that share a log, through the surface of the real program on both engines: forked, deleted, killed, moved.

use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, Request, says};
use crate::harness::server::{Server, Setup, answer};

const RUNS: &str = "/agents/plain/runs";

/// A server whose model says again all that it is asked, so that an answer tells what was shown.
async fn recalling(engine: &str) -> (Server, ModelServer) {
    let model = ModelServer::answering(|request: &Request| {
        let messages = request.body["messages"].as_array().unwrap().iter();
        let asked = messages.filter(|one| one["role"] == "user").map(|one| one["content"].as_str().unwrap());
        says(&asked.collect::<Vec<_>>().join(" "))
    });
    let model = model.await;
    let server = Setup::default().model(&model.url()).config(&format!("[store.{engine}]")).start().await;
    (server, model)
}

async fn ask(server: &Server, session: &str, message: &str) -> Value {
    let fields = [("message", message), ("session_id", session), ("stream", "false")];
    let (status, body) = server.form(RUNS, &fields).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn fork(server: &Server, session: &str) -> String {
    let (status, body) = server.post(&format!("/agents/plain/sessions/{session}/fork"), &json!({})).await;
    assert_eq!((status, &body["forked_from_session_id"]), (200, &json!(session)), "{body}");
    body["session_id"].as_str().unwrap().to_owned()
}

async fn delete(server: &Server, session: &str) {
    let request = server.request(Method::DELETE, &format!("/sessions/{session}"));
    assert_eq!(request.send().await.unwrap().status(), 204);
}

/// The answers of a session's runs; each is read by its name too, and has places to go on from.
async fn answers(server: &Server, session: &str) -> Vec<String> {
    let (status, runs) = server.get(&format!("/sessions/{session}/runs")).await;
    assert_eq!(status, 200, "{runs}");
    let mut answers = Vec::new();
    for run in runs.as_array().unwrap() {
        let path = format!("{RUNS}/{}", run["run_id"].as_str().unwrap());
        let (status, read) = server.get(&format!("{path}?session_id={session}")).await;
        assert_eq!((status, &read["content"], &read["session_id"]), (200, &run["content"], &json!(session)));
        let (status, found) = server.get(&format!("{path}/checkpoints?session_id={session}")).await;
        let last = found["checkpoints"].as_array().unwrap().last().unwrap();
        assert_eq!((status, &last["run_id"], &last["reason"]), (200, &run["run_id"], &json!("end")));
        let index = last["message_index"].as_u64().unwrap();
        let (status, found) = server.get(&format!("{path}/checkpoints/{index}?session_id={session}")).await;
        assert_eq!((status, &found["snapshot"]["content"]), (200, &run["content"]), "{found}");
        answers.push(run["content"].as_str().unwrap().to_owned());
    }
    answers
}

fn program(server: &Server, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_runhold"));
    program.args(arguments).arg("--config").arg(server.path("config.toml"));
    let done = program.arg("--data").arg(server.path("data")).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done
}

async fn forks_outlive_their_source_a_crash_and_a_move(engine: &str) {
    let (mut server, model) = recalling(engine).await;
    let first = ask(&server, "s", "a").await;
    let one = fork(&server, "s").await;
    ask(&server, &one, "b").await;
    let two = fork(&server, &one).await;
    delete(&server, "s").await;
    delete(&server, &one).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.get("/sessions/s").await.0, 404);
    let gone = format!("{RUNS}/{}", first["run_id"].as_str().unwrap());
    assert_eq!(server.get(&format!("{gone}?session_id=s")).await.0, 404);
    assert_eq!(answers(&server, &two).await, ["a", "a b"]);
    server.kill();
    let file = server.path("all.jsonl");
    let file = file.to_str().unwrap();
    program(&server, &["export", file]);
    std::fs::remove_dir_all(server.path("data")).unwrap();
    program(&server, &["import", file]);
    program(&server, &["verify"]);
    server.restart().await;
    assert_eq!(answers(&server, &two).await, ["a", "a b"]);
    assert_eq!(ask(&server, &two, "c").await["content"], "a b c");
    assert_eq!(ask(&server, "s", "new").await["content"], "new");
    delete(&server, &two).await;
    delete(&server, "s").await;
    server.kill();
    let left = program(&server, &["export", "-"]).stdout;
    let left = String::from_utf8(left).unwrap();
    let left: Vec<&str> = left.lines().collect();
    assert_eq!(left.len(), 2, "nothing but the first line and the last: {left:?}");
    model.assert_clean();
}

#[tokio::test]
async fn forks_outlive_their_source_a_crash_and_a_move_on_sled() {
    forks_outlive_their_source_a_crash_and_a_move("sled").await;
}

#[tokio::test]
async fn forks_outlive_their_source_a_crash_and_a_move_on_redb() {
    forks_outlive_their_source_a_crash_and_a_move("redb").await;
}

#[tokio::test]
async fn a_session_is_forked_once_under_one_key() {
    let (mut server, model) = recalling("sled").await;
    ask(&server, "s", "a").await;
    let keyed = async |server: &Server, session: &str| {
        let path = format!("/agents/plain/sessions/{session}/fork");
        let request = server.request(Method::POST, &path).header("idempotency-key", "k");
        let response = request.send().await.unwrap();
        let again = response.headers().get("idempotency-replayed").is_some();
        (again, answer(response).await)
    };
    let (again, made) = keyed(&server, "s").await;
    assert_eq!((again, made.0), (false, 200), "{}", made.1);
    server.kill();
    server.restart().await;
    assert_eq!(keyed(&server, "s").await, (true, made.clone()));
    delete(&server, "s").await;
    assert_eq!(keyed(&server, "s").await, (true, made.clone()), "what was made stays made");
    assert_eq!(keyed(&server, "x").await.1.0, 409, "the key stands for another request");
    let (_, sessions) = server.get("/sessions").await;
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1, "{sessions}");
    assert_eq!(answers(&server, made.1["session_id"].as_str().unwrap()).await, ["a"]);
    model.assert_clean();
}

#[tokio::test]
async fn a_run_of_a_fork_goes_on_from_one_that_is_shared() {
    let (server, model) = recalling("sled").await;
    ask(&server, "s", "a").await;
    ask(&server, "s", "b").await;
    let fork = fork(&server, "s").await;
    delete(&server, "s").await;
    let (_, runs) = server.get(&format!("/sessions/{fork}/runs")).await;
    let path = format!("{RUNS}/{}/continue", runs[1]["run_id"].as_str().unwrap());
    let go_on = |more: &[(&'static str, &'static str)]| {
        let fields = [&[("session_id", fork.as_str()), ("stream", "false")], more].concat();
        let (path, server) = (path.clone(), &server);
        async move { server.form(&path, &fields).await }
    };
    let (status, run) = go_on(&[("input", "c")]).await;
    assert_eq!(
        (status, &run["content"], &run["forked_from_run_id"]),
        (200, &json!("a b c"), &runs[1]["run_id"])
    );
    let (status, run) = go_on(&[("regenerate", "true"), ("additional_instructions", "x")]).await;
    assert_eq!((status, &run["regenerated_from"]), (200, &runs[1]["run_id"]), "{run}");
    let (_, runs) = server.get(&format!("/sessions/{fork}/runs")).await;
    let statuses: Vec<&Value> = runs.as_array().unwrap().iter().map(|run| &run["status"]).collect();
    assert_eq!(statuses, ["COMPLETED", "REGENERATED", "COMPLETED", "COMPLETED"]);
    model.assert_clean();
}
