//! Section 8.2 of the Everruns contract, through the real program: how streams begin, live and end, and what comes
//! twice under one key.

use std::time::Duration;

use futures::StreamExt;
use reqwest::Method;
use serde_json::json;

use crate::harness::everruns::{Talk, types, until};
use crate::harness::model_server::{Gate, ModelServer, Reply, says, words};
use crate::harness::server::{PATIENCE, Setup, answer};

fn setup(model: &ModelServer) -> Setup {
    Setup::default().config("default_model = \"test/model\"").model(&model.url())
}

#[tokio::test]
async fn a_stream_says_that_it_is_open_and_later_asks_its_client_to_come_back() {
    let model = ModelServer::start([says("One.")]).await;
    let server = setup(&model).env("SSE_REALTIME_CYCLE_SECS", "1").start().await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "1").await;
    let mut frames = talk.follow(&server, "").await;
    let mut seen = until(&mut frames, "disconnecting").await;
    let bye = seen.pop().unwrap();
    assert_eq!(bye.data, json!({"reason": "connection_cycle", "retry_ms": 100}));
    assert_eq!((seen[0].event.as_str(), &seen[0].data), ("connected", &json!({"status": "connected"})));
    assert!(frames.next().await.is_none());
    let last = seen.iter().rev().find_map(|frame| frame.id.clone()).unwrap();
    let path = talk.path("/sse");
    let back = server.request(Method::GET, &path).header("last-event-id", &last).send().await.unwrap();
    assert_eq!(back.headers()["cache-control"], "no-cache");
    assert_eq!(back.headers()["x-accel-buffering"], "no");
    let text = back.text().await.unwrap();
    let known = seen.iter().filter_map(|frame| frame.id.as_deref());
    assert!(known.into_iter().all(|id| !text.contains(id)), "{text}");
}

#[tokio::test]
async fn silence_is_filled_with_comments() {
    let model = ModelServer::start([]).await;
    let server = setup(&model).env("SSE_HEARTBEAT_INTERVAL_SECS", "1").start().await;
    let talk = Talk::with(&server, json!({})).await;
    let response = server.request(Method::GET, &talk.path("/sse")).send().await.unwrap();
    let mut bytes = response.bytes_stream();
    let mut text = String::new();
    let heard = async {
        while !text.contains(": heartbeat\n\n") {
            text.push_str(std::str::from_utf8(&bytes.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("a comment in time");
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_the_turn_goes_on_after_it() {
    let gate = Gate::closed();
    let model =
        ModelServer::start([Reply::Gated(words("One "), gate, words("two.")), says("One two.")]).await;
    let mut server = setup(&model).config("").env("RUNHOLD_RUNS__DRAIN_SECONDS", "1").start().await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "Count").await;
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "output.message.delta").await;
    server.terminate();
    let bye = until(&mut frames, "disconnecting").await.pop().unwrap();
    assert_eq!(bye.data, json!({"reason": "shutdown", "retry_ms": 1000}));
    server.code().await;
    server.restart().await;
    let events = talk.until_idle(&server).await;
    assert_eq!(types(&events).iter().filter(|kind| **kind == "reason.started").count(), 1);
    assert!(types(&events).contains(&"reason.recovered"));
    assert_eq!(talk.messages(&server).await[1]["content"][0]["text"], "One two.");
}

#[tokio::test]
async fn a_deleted_session_ends_its_streams() {
    let model = ModelServer::start([says("One.")]).await;
    let server = setup(&model).start().await;
    let talk = Talk::with(&server, json!({})).await;
    talk.say(&server, "1").await;
    let mut frames = talk.follow(&server, "").await;
    until(&mut frames, "session.idled").await;
    let gone = server.request(Method::DELETE, &talk.path("")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let end = tokio::time::timeout(Duration::from_secs(30), frames.next()).await.expect("an end in time");
    assert!(end.is_none(), "{end:?}");
    assert_eq!(server.get(&talk.path("/events")).await.0, 404);
}

#[tokio::test]
async fn a_message_that_comes_twice_under_one_key_is_said_once() {
    let model = ModelServer::start([says("One.")]).await;
    let server = setup(&model).start().await;
    let talk = Talk::with(&server, json!({})).await;
    let send = async |text: &str| {
        let body = json!({"message": {"content": [{"type": "text", "text": text}]}, "metadata": {"a": 1},
            "controls": {"reasoning": {"effort": "low"}}, "tags": ["x"]});
        let request = server.request(Method::POST, &talk.path("/messages")).json(&body);
        answer(request.header("idempotency-key", "k1").send().await.unwrap()).await
    };
    let first = send("Hi").await;
    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(first.1["controls"], json!({"reasoning": {"effort": "low"}}));
    assert_eq!((&first.1["metadata"], &first.1["tags"]), (&json!({"a": 1}), &json!(["x"])));
    assert_eq!(send("Hi").await, first);
    assert_eq!(send("Other").await.0, 409);
    let session = server.request(Method::POST, "/v1/sessions").header("idempotency-key", "k1");
    let agent = server.get(&talk.path("")).await.1["agent_id"].clone();
    let other = answer(session.json(&json!({"agent_id": agent})).send().await.unwrap()).await;
    assert_eq!(other.0, 201, "a key counts for its path: {}", other.1);
    talk.until_idle(&server).await;
    assert_eq!(talk.messages(&server).await.len(), 2);
    assert_eq!(model.requests()[0]["reasoning_effort"], "low");
}
