//! Section 18 of the AgentOS contract, through the real program: workflows over a WebSocket.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::harness::model_server::{Gate, ModelServer, Reply, says, words};
use crate::harness::server::{PATIENCE, Server, Setup, TOKEN};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(server: &Server) -> Self {
        let url = server.url().replace("http://", "ws://") + "/workflows/ws";
        let (socket, _) = connect_async(url).await.unwrap();
        let mut socket = Self(socket);
        let greeting = socket.json().await;
        assert_eq!((&greeting["event"], &greeting["requires_auth"]), (&json!("connected"), &json!(true)));
        socket
    }

    async fn known(server: &Server) -> Self {
        let mut socket = Self::open(server).await;
        let answer = socket.asks(json!({"action": "authenticate", "token": TOKEN})).await;
        assert_eq!(answer["event"], "authenticated");
        socket
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn asks(&mut self, message: Value) -> Value {
        self.say(&message.to_string()).await;
        self.json().await
    }

    /// The next text; `None` once the socket is closed.
    async fn text(&mut self) -> Option<String> {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message, which must be bare JSON.
    async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await.unwrap()).unwrap()
    }

    /// The data of framed events up to and with this one.
    async fn until(&mut self, name: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let text = self.text().await.unwrap();
            let (head, data) = text.split_once("\ndata: ").unwrap_or_else(|| panic!("no frame: {text}"));
            events.push(serde_json::from_str(data.lines().next().unwrap()).unwrap());
            if head == format!("event: {name}") {
                return events;
            }
        }
    }
}

fn error(text: &str) -> Value {
    json!({"event": "error", "error": text})
}

const FLOW: &str =
    "---\nkind: workflow\nsteps: [{name: read, agent: plain}, {name: write, agent: plain}]\n---\n";

async fn idle() -> Server {
    Setup::default().model("http://127.0.0.1:1/v1").agent("flow", FLOW).start().await
}

#[tokio::test]
async fn nothing_is_done_for_whoever_has_not_shown_a_token() {
    let server = idle().await;
    let mut socket = Socket::open(&server).await;
    let refused =
        socket.asks(json!({"action": "start-workflow", "workflow_id": "flow", "message": "Go"})).await;
    assert_eq!(refused["event"], "auth_required");
    for _ in 0..3 {
        let wrong = socket.asks(json!({"action": "authenticate", "token": "guess"})).await;
        assert_eq!(
            (&wrong["event"], &wrong["error"]),
            (&json!("auth_error"), &json!("Invalid authentication token"))
        );
    }
    assert_eq!(socket.text().await, None);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_ends_nothing() {
    let server = idle().await;
    let mut socket = Socket::known(&server).await;
    for broken in ["{", "[]", "1"] {
        socket.say(broken).await;
        assert_eq!(socket.json().await["event"], "error");
    }
    let run = "01a20444-dea8-7321-bf98-9663b2d3bf99";
    for (asked, answer) in [
        (json!({"action": "dance"}), "Unknown action: dance"),
        (json!({"action": "start-workflow", "message": "Go"}), "workflow_id is required"),
        (
            json!({"action": "start-workflow", "workflow_id": "none", "message": "Go"}),
            "Workflow none not found",
        ),
        (json!({"action": "start-workflow", "workflow_id": "flow"}), "message: Field required"),
        (json!({"action": "reconnect"}), "run_id is required for reconnection"),
        (
            json!({"action": "reconnect", "run_id": run}),
            "Run 01a20444-dea8-7321-bf98-9663b2d3bf99 not found in buffer or database",
        ),
        (
            json!({"action": "continue-workflow", "workflow_id": "flow", "run_id": run, "session_id": "s"}),
            "Run 01a20444-dea8-7321-bf98-9663b2d3bf99 not found",
        ),
    ] {
        assert_eq!(socket.asks(asked).await, error(answer));
    }
    assert_eq!(socket.asks(json!({"action": "ping"})).await, json!({"event": "pong"}));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let server = idle().await;
    let mut socket = Socket::known(&server).await;
    socket.say(&json!({"action": "ping", "more": "x".repeat(70 * 1024)}).to_string()).await;
    assert_eq!(socket.text().await, None);
}

#[tokio::test]
async fn a_request_that_is_no_handshake_is_told_so() {
    let server = idle().await;
    let (status, _) = server.get("/workflows/ws").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_workflow_is_started_survives_the_socket_and_is_watched_again() {
    let model = ModelServer::start([says("Notes."), says("Text.")]).await;
    let server = Setup::default().model(&model.url()).agent("flow", FLOW).start().await;
    let mut socket = Socket::known(&server).await;
    let start =
        json!({"action": "start-workflow", "workflow_id": "flow", "message": "Go", "session_id": "s"});
    socket.say(&start.to_string()).await;
    let first = socket.until("StepStarted").await;
    let run = first[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!((&first[0]["event"], &first[0]["event_index"]), (&json!("WorkflowStarted"), &json!(0)));
    drop(socket);
    model.wait_for_requests(2).await;

    let mut socket = Socket::known(&server).await;
    let again = json!({"action": "reconnect", "run_id": run, "workflow_id": "flow", "last_event_index": 0});
    let note = socket.asks(again.clone()).await;
    assert!(["catch_up", "replay"].contains(&note["event"].as_str().unwrap()), "{note}");
    let mut index = 1;
    loop {
        let text = socket.text().await.unwrap();
        let json =
            text.split_once("\ndata: ").map_or(text.as_str(), |(_, data)| data.lines().next().unwrap());
        let event: Value = serde_json::from_str(json).unwrap();
        if event["event"] == "subscribed" {
            continue;
        }
        assert_eq!(event["event_index"], index);
        index += 1;
        if event["event"] == "WorkflowCompleted" {
            assert_eq!(event["content"], "Text.");
            break;
        }
    }
    let note = socket.asks(again).await;
    assert_eq!((&note["event"], &note["status"]), (&json!("replay"), &json!("COMPLETED")));
}

#[tokio::test]
async fn a_workflow_that_waits_goes_on_over_the_socket() {
    let gated =
        "---\nkind: workflow\nsteps: [{name: write, agent: plain, requires_confirmation: true}]\n---\n";
    let model = ModelServer::start([says("Text.")]).await;
    let server = Setup::default().model(&model.url()).agent("flow", gated).start().await;
    let mut socket = Socket::known(&server).await;
    let start =
        json!({"action": "start-workflow", "workflow_id": "flow", "message": "Go", "session_id": "s"});
    socket.say(&start.to_string()).await;
    let paused = socket.until("WorkflowPaused").await.pop().unwrap();
    let mut requirements = paused["step_requirements"].clone();
    let go_on = |requirements: &Value| {
        json!({
            "action": "continue-workflow", "workflow_id": "flow", "run_id": paused["run_id"], "session_id": "s",
            "step_requirements": requirements,
        })
    };
    let undecided = socket.asks(go_on(&requirements)).await;
    assert_eq!(undecided["event"], "error");
    requirements[0]["confirmed"] = json!(true);
    socket.say(&go_on(&requirements).to_string()).await;
    let rest = socket.until("WorkflowCompleted").await;
    assert_eq!(rest[0]["event"], "StepContinued");
    let over = socket.asks(go_on(&requirements)).await;
    assert_eq!(over, error("Run is not paused (status=COMPLETED)"));
}

#[tokio::test]
async fn what_a_socket_watches_counts_among_the_streams_there_may_be() {
    let held = Gate::closed();
    let model = ModelServer::start([Reply::Gated(vec![], held.clone(), words("Text.")), says("Text.")]).await;
    let flow = "---\nkind: workflow\nsteps: [{name: write, agent: plain}]\n---\n";
    let setup = Setup::default().model(&model.url()).agent("flow", flow).config("[server]\nmost_streams = 1");
    let server = setup.start().await;
    let (mut one, mut other) = (Socket::known(&server).await, Socket::known(&server).await);
    let start = json!({"action": "start-workflow", "workflow_id": "flow", "message": "Go"});
    one.say(&start.to_string()).await;
    one.until("StepStarted").await;
    assert_eq!(other.asks(start.clone()).await, error("too many streams are open"));
    held.open();
    one.until("WorkflowCompleted").await;
    assert_eq!(one.asks(json!({"action": "ping"})).await, json!({"event": "pong"}));
    other.say(&start.to_string()).await;
    other.until("WorkflowCompleted").await;
}

#[tokio::test]
async fn who_watches_on_a_socket_is_told_when_the_server_lets_go_and_holds_up_no_end() {
    let model = ModelServer::start([Reply::HangMidStream(words("Half an "))]).await;
    let setup = Setup::default().model(&model.url()).agent("flow", FLOW).config("[runs]\ndrain_seconds = 1");
    let mut server = setup.start().await;
    let mut socket = Socket::known(&server).await;
    let start = json!({"action": "start-workflow", "workflow_id": "flow", "message": "Go"});
    socket.say(&start.to_string()).await;
    let run = socket.until("RunContent").await[0]["run_id"].clone();
    server.terminate();
    let mut last = None;
    while let Some(text) = socket.text().await {
        last = Some(text);
    }
    let last: Value = serde_json::from_str(&last.unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["run_id"], &last["status"]),
        (&json!("error"), &run, &json!("running"))
    );
    assert_eq!(server.code().await, Some(0));
}
