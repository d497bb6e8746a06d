//! How a server ends: nothing new begins, runs get their time, whoever watches is told, and nothing holds it up.
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::model_server::{Gate, ModelServer, Reply, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, answer, to_end, until};

async fn server(model: &ModelServer, drain_seconds: u64) -> Server {
    let drain = format!("[runs]\ndrain_seconds = {drain_seconds}");
    Setup::default().model(&model.url()).config(&drain).start().await
}

/// Waits until the server says that it is stopping.
async fn until_stopping(server: &Server) -> (u16, Value) {
    let waiting = async {
        loop {
            let health = Client::new().get(format!("{}/health", server.url())).send().await.unwrap();
            if health.status() == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(health.headers()["connection"], "close");
                return answer(health).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the server to be stopping")
}

#[tokio::test]
async fn a_stopping_server_says_so_and_takes_no_new_run() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("Half an "), gate.clone(), words("answer."))]).await;
    let mut server = server(&model, 20).await;
    let mut stream = server.stream("plain", &[("message", "Hello"), ("stream", "true")]).await;
    until(&mut stream, "RunContent").await;
    server.terminate();
    assert_eq!(until_stopping(&server).await.1["status"], "stopping");
    let refused = server.send_form("/agents/plain/runs", &[("message", "Hello")]).await;
    assert_eq!(
        (refused.headers()["retry-after"].as_bytes(), refused.headers()["connection"].as_bytes()),
        (&b"1"[..], &b"close"[..])
    );
    assert_eq!(answer(refused).await, (503, json!({"detail": "the server is stopping"})));
    gate.open();
    assert_eq!(to_end(stream).await.last().unwrap()["event"], "RunCompleted");
    assert_eq!(server.code().await, Some(0));
}

#[tokio::test]
async fn whoever_watches_a_run_that_is_let_go_is_told_that_it_goes_on() {
    let model = ModelServer::start([Reply::HangMidStream(words("Half an ")), says("A whole answer.")]).await;
    let mut server = server(&model, 1).await;
    let mut stream = server.stream("plain", &[("message", "Hello"), ("stream", "true")]).await;
    let seen = until(&mut stream, "RunContent").await;
    let (run, session) = (seen[0]["run_id"].as_str().unwrap(), seen[0]["session_id"].as_str().unwrap());
    server.terminate();
    let last = to_end(stream).await.pop().unwrap();
    let why = format!("The server is stopping; run {run} goes on at its next start and can be resumed");
    assert_eq!(last, json!({"event": "error", "run_id": run, "status": "running", "error": why}));
    assert_eq!(server.code().await, Some(0));
    server.restart().await;
    let body = server.at_rest("agents/plain", session, run).await;
    assert_eq!((&body["status"], &body["content"]), (&json!("COMPLETED"), &json!("A whole answer.")));
    model.assert_clean();
}

#[tokio::test]
async fn whoever_waits_for_a_run_that_is_let_go_is_told_which() {
    let model = ModelServer::start([Reply::HangBeforeHead, says("A whole answer.")]).await;
    let mut server = server(&model, 1).await;
    let form = [("message", "Hello"), ("stream", "false"), ("session_id", "s")];
    let asking = server.send_form("/agents/plain/runs", &form);
    let stopping = async {
        model.wait_for_requests(1).await;
        server.terminate();
    };
    let (response, ()) = tokio::join!(asking, stopping);
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, body) = answer(response).await;
    let run = body["run_id"].as_str().unwrap();
    let expected = json!({"detail": "the server is stopping", "run_id": run, "session_id": "s"});
    assert_eq!((status, &body), (503, &expected));
    assert_eq!(server.code().await, Some(0));
    server.restart().await;
    assert_eq!(server.at_rest("agents/plain", "s", run).await["content"], "A whole answer.");
    model.assert_clean();
}

#[tokio::test]
async fn clients_that_do_not_let_go_hold_up_no_end() {
    let model =
        ModelServer::start([Reply::Gated(vec!["x".repeat(100_000); 40], Gate::closed(), words("."))]).await;
    let mut server = server(&model, 1).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nX: ").await.unwrap();
    let stream = server.stream("plain", &[("message", "Hello"), ("stream", "true")]).await;
    model.wait_for_requests(1).await;
    server.terminate();
    assert_eq!(server.code().await, Some(0));
    let _gone = silent.shutdown().await;
    drop((slow, stream));
}

#[tokio::test]
async fn a_server_that_is_told_twice_ends_at_once() {
    let model = ModelServer::start([Reply::HangBeforeHead]).await;
    let mut server = server(&model, 3600).await;
    let form = [("message", "Hello"), ("stream", "true"), ("background", "true")];
    let _stream = server.stream("plain", &form).await;
    model.wait_for_requests(1).await;
    server.terminate();
    until_stopping(&server).await;
    server.terminate();
    assert_eq!(server.code().await, Some(130));
}
