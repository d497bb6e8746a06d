//! What slow, stuck and too many clients get, and what they cost the others.

use std::io::ErrorKind;
use std::time::Duration;

use futures::future::select_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::model_server::{Gate, ModelServer, Reply, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, TOKEN, answer, events, text, to_end, until};

/// Text in pieces, more than any buffer between a server and its client takes.
fn plenty() -> Vec<String> {
    vec!["many words ".repeat(1000); 400]
}

async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.url().strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

fn head(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{headers}\r\n")
}

/// A run whose client asks for it and then reads nothing.
async fn stuck(server: &Server, form: &str) -> TcpStream {
    let headers =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", form.len());
    let mut socket = connect(server).await;
    let request = head("POST /agents/plain/runs", &headers) + form;
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// Everything until the server closes, however it does.
async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = socket.read(&mut buffer).await {
            bytes.extend_from_slice(buffer.get(..count).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the server to close the connection");
    String::from_utf8(bytes).unwrap()
}

/// Sends a byte again and again until the server has closed.
async fn drip(socket: &mut TcpStream) {
    let dripping = async {
        loop {
            if socket.write_all(b"a").await.is_err() {
                return;
            }
            match socket.try_read(&mut [0; 4096]) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("the server to close the connection");
}

async fn until_status(server: &Server, session: &str, status: &str) -> Value {
    let path = format!("/agents/plain/runs?session_id={session}");
    let waiting = async {
        loop {
            let (code, runs) = server.get(&path).await;
            if code == 200 && runs[0]["status"] == status {
                return runs[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the run to get there")
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_its_run_cancelled() {
    let model = ModelServer::start([Reply::Gated(plenty(), Gate::closed(), words("The end."))]).await;
    let setup = Setup::default().model(&model.url()).config("[server]\nwrite_seconds = 1");
    let server = setup.start().await;
    let mut client = stuck(&server, "message=Hello&stream=true&session_id=s").await;
    model.wait_for_hang_ups(1).await;
    until_status(&server, "s", "CANCELLED").await;
    let seen = rest(&mut client).await;
    assert!(seen.contains("event: RunStarted") && !seen.contains("RunCancelled"), "{}", seen.len());
}

#[tokio::test]
async fn readers_that_are_stuck_hold_up_nobody() {
    let model = ModelServer::start([Reply::Say(plenty())]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let form = "message=Hello&stream=true&background=true&session_id=s";
    let _starter = stuck(&server, form).await;
    let run = until_status(&server, "s", "COMPLETED").await;
    let path = format!("/agents/plain/runs/{}/resume", run["run_id"].as_str().unwrap());
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut socket = connect(&server).await;
        socket.write_all(head(&format!("POST {path}"), "Content-Length: 0\r\n").as_bytes()).await.unwrap();
        readers.push(socket);
    }
    let seen = to_end(events(server.send_form(&path, &[("session_id", "s")]).await)).await;
    assert_eq!(text(&seen), plenty().concat());
}

#[tokio::test]
async fn every_head_of_a_connection_must_be_whole_in_time() {
    let limits = "[server]\nhead_seconds = 1";
    let server = Setup::default().model("http://127.0.0.1:1/v1").config(limits).start().await;
    let mut first = connect(&server).await;
    first.write_all(b"GET /health HTTP/1.1\r\nX: ").await.unwrap();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 408 "));
    let mut second = connect(&server).await;
    second.write_all(head("GET /health", "").as_bytes()).await.unwrap();
    second.read_exact(&mut [0; 15]).await.unwrap();
    second.write_all(b"GET /health HTTP/1.1\r\nX: ").await.unwrap();
    drip(&mut second).await;
}

#[tokio::test]
async fn a_body_must_be_whole_in_time() {
    let limits = "[server]\nbody_seconds = 1";
    let server = Setup::default().model("http://127.0.0.1:1/v1").config(limits).start().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 90\r\n";
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 90\r\n";
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    for (line, headers, body) in [
        ("POST /agents/plain/runs", form, "message="),
        ("POST /agents/plain/runs", multipart, "--x\r\n"),
        ("POST /sessions", chunked, "50\r\n{"),
    ] {
        let mut socket = connect(&server).await;
        socket.write_all((head(line, headers) + body).as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.ends_with(r#"{"detail":"The request body took too long to arrive"}"#), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let limits = "[server]\nidle_seconds = 1";
    let server = Setup::default().model("http://127.0.0.1:1/v1").config(limits).start().await;
    let mut socket = connect(&server).await;
    socket.write_all(head("GET /health", "").as_bytes()).await.unwrap();
    assert!(rest(&mut socket).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn runs_beyond_the_most_are_refused_until_one_ends() {
    let gate = Gate::closed();
    let gated = || Reply::Gated(words("Half an "), gate.clone(), words("answer."));
    let model = ModelServer::start([gated(), says("Another.")]).await;
    let server = Setup::default().model(&model.url()).config("[runs]\nmost_at_once = 1").start().await;
    let mut stream = server.stream("plain", &[("message", "Hello"), ("stream", "true")]).await;
    until(&mut stream, "RunContent").await;
    let form = [("message", "Hello"), ("stream", "false")];
    let refused = server.send_form("/agents/plain/runs", &form).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(answer(refused).await, (503, json!({"detail": "too many runs are going"})));
    assert_eq!(server.get("/health").await.0, 200);
    gate.open();
    to_end(stream).await;
    let waiting = async {
        // The place is given back right after the end is shown.
        while server.form("/agents/plain/runs", &form).await.0 != 200 {}
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a place");
    model.assert_clean();
}

#[tokio::test]
async fn streams_beyond_the_most_are_refused_before_anything_begins() {
    let gate = Gate::closed();
    let model =
        ModelServer::start([Reply::Gated(words("Half an "), gate.clone(), words("answer.")), says("Whole.")])
            .await;
    let server = Setup::default().model(&model.url()).config("[server]\nmost_streams = 1").start().await;
    let mut stream = server.stream("plain", &[("message", "Hello"), ("stream", "true")]).await;
    until(&mut stream, "RunContent").await;
    let form = [("message", "Hello"), ("stream", "true"), ("session_id", "s")];
    let refused = server.send_form("/agents/plain/runs", &form).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(answer(refused).await, (503, json!({"detail": "too many streams are open"})));
    assert_eq!(server.get("/sessions/s?type=agent").await.0, 404);
    gate.open();
    to_end(stream).await;
    let form = [("message", "Hello"), ("stream", "false")];
    assert_eq!(server.form("/agents/plain/runs", &form).await.0, 200);
    model.assert_clean();
}

#[tokio::test]
async fn connections_beyond_the_most_are_told_so() {
    let limits = "[server]\nmost_connections = 3";
    let server = Setup::default().model("http://127.0.0.1:1/v1").config(limits).start().await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        crowd.push(connect(&server).await);
    }
    let told = select_all(crowd.iter_mut().map(|socket| Box::pin(rest(socket)))).await.0;
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nretry-after: 1"), "{head}");
    assert_eq!(body, "{\"detail\":\"too many connections\"}\n");
    drop(crowd);
    let waiting = async {
        while server.request(Method::GET, "/health").send().await.map_or(0, |answer| answer.status().as_u16())
            != 200
        {}
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a place");
}
