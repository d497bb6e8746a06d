//! Sections 3, 4 and 8.1 of the Everruns contract, through the real program: what lists leave out, in which order they
//! come, and that a long log is listed as a short one is.

use serde_json::{Value, json};

use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup};

async fn server(model: &ModelServer) -> Server {
    Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await
}

/// The names or titles of a list.
async fn named(server: &Server, path: &str, field: &str) -> Vec<String> {
    let (status, list) = server.get(path).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["total"], list["data"].as_array().unwrap().len());
    let all = list["data"].as_array().unwrap().iter();
    all.map(|one| one[field].as_str().unwrap_or_default().to_owned()).collect()
}

async fn refused(server: &Server, path: &str) -> String {
    let (status, problem) = server.get(path).await;
    assert_eq!((status, &problem["error"]["code"]), (400, &json!("invalid_request")), "{problem}");
    problem["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn sessions_are_listed_by_what_goes_on_in_them() {
    let gate = Gate::closed();
    let script = [
        says("Done."),
        calls([("pick", json!({}))]),
        Reply::Gated(words("Still "), gate.clone(), words("here.")),
        says("After all."),
    ];
    let model = ModelServer::start(script).await;
    let server = server(&model).await;
    let tool = json!([{"type": "client_side", "name": "pick", "description": "", "parameters": {}}]);
    let fresh = Talk::with(&server, json!({})).await;
    let idle = Talk::with(&server, json!({})).await;
    idle.say(&server, "Hi").await;
    idle.until_idle(&server).await;
    let waiting = Talk::with(&server, json!({"tools": tool})).await;
    waiting.say(&server, "Pick").await;
    until(&mut waiting.follow(&server, "").await, "tool.call_requested").await;
    let active = Talk::with(&server, json!({})).await;
    active.say(&server, "Go").await;
    until(&mut active.follow(&server, "").await, "output.message.delta").await;
    let all =
        [("started", &fresh), ("idle", &idle), ("waitingfortoolresults", &waiting), ("active", &active)];
    for (status, talk) in all {
        // The pause is told a moment before it is everywhere.
        let found = async {
            while named(&server, &format!("/v1/sessions?status={status}"), "id").await != [talk.0.clone()] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::harness::server::PATIENCE, found).await.expect(status);
    }
    assert!(refused(&server, "/v1/sessions?status=done").await.starts_with("status must be one of: started"));
    gate.open();
}

#[tokio::test]
async fn sessions_are_sorted_as_they_are_wanted_and_none_is_pinned() {
    let model = ModelServer::start([]).await;
    let server = server(&model).await;
    let agent = server.post("/v1/agents", &json!({"name": "A", "system_prompt": ""})).await.1;
    let mut paths = Vec::new();
    for title in ["b", "C", "a"] {
        let body = json!({"agent_id": agent["id"], "title": title});
        let session = server.post("/v1/sessions", &body).await.1;
        paths.push(format!("/v1/sessions/{}", session["id"].as_str().unwrap()));
    }
    let changed = server.request(reqwest::Method::PATCH, &paths[0]).json(&json!({"tags": ["x"]}));
    assert_eq!(changed.send().await.unwrap().status(), 200);
    let orders = [
        ("", ["a", "C", "b"]),
        ("?sort=created_at", ["b", "C", "a"]),
        ("?sort=-created_at", ["a", "C", "b"]),
        ("?sort=-updated_at", ["b", "a", "C"]),
        ("?sort=title", ["a", "b", "C"]),
        ("?sort=-title&pinned=false", ["C", "b", "a"]),
    ];
    for (query, titles) in orders {
        assert_eq!(named(&server, &format!("/v1/sessions{query}"), "title").await, titles, "{query}");
    }
    assert_eq!(named(&server, "/v1/sessions?pinned=true", "title").await, Vec::<String>::new());
    assert!(refused(&server, "/v1/sessions?sort=size").await.starts_with("sort must be one of: created_at"));
    assert_eq!(refused(&server, "/v1/sessions?pinned=perhaps").await, "pinned must be true or false");
}

#[tokio::test]
async fn agents_are_listed_by_status_and_sorted() {
    let model = ModelServer::start([]).await;
    let server = server(&model).await;
    for name in ["b", "C", "a"] {
        server.post("/v1/agents", &json!({"name": name, "system_prompt": ""})).await;
    }
    let gone = server.post("/v1/agents", &json!({"name": "gone", "system_prompt": ""})).await.1;
    let path = format!("/v1/agents/{}", gone["id"].as_str().unwrap());
    server.request(reqwest::Method::DELETE, &path).send().await.unwrap();
    let names = async |query: &str| named(&server, &format!("/v1/agents{query}"), "name").await;
    assert_eq!(names("?status=archived").await, ["gone"]);
    assert_eq!(names("?status=active&sort=name").await, ["a", "b", "C", "plain"]);
    assert_eq!(names("?sort=-name").await, ["plain", "C", "b", "a"]);
    assert!(refused(&server, "/v1/agents?status=gone").await.starts_with("status must be one of: active"));
    assert!(refused(&server, "/v1/agents?sort=size").await.starts_with("sort must be one of: name"));
}

/// A session of many turns.
async fn long(server: &Server, turns: usize) -> Talk {
    let talk = Talk::with(server, json!({})).await;
    let mut frames = talk.follow(server, "").await;
    for turn in 0..turns {
        talk.say(server, &format!("{turn} {}", "x".repeat(400))).await;
        until(&mut frames, "session.idled").await;
    }
    talk
}

fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_long_log_is_listed_whole_in_parts_and_backwards() {
    let model = ModelServer::answering(|_| says("Yes.")).await;
    let server = server(&model).await;
    let talk = long(&server, 30).await;
    let all = talk.events(&server, "").await;
    let last = all.len() as u64;
    // More than goes out at once, and more than is read at once backwards.
    assert!(serde_json::to_vec(&all).unwrap().len() > 200_000 && last > 300, "{last}");
    assert_eq!(sequences(&all), (1..=last).collect::<Vec<_>>());
    let mut backwards = talk.events(&server, "?order_desc=true").await;
    assert_eq!(sequences(&backwards), (1..=last).rev().collect::<Vec<_>>());
    backwards.reverse();
    assert_eq!(backwards, all);
    assert_eq!(talk.events(&server, "?limit=5").await, all[..5]);
    let newest = talk.events(&server, "?limit=5&order_desc=true").await;
    assert_eq!(sequences(&newest), (last - 4..=last).rev().collect::<Vec<_>>());
    let middle = talk.events(&server, "?after_sequence=100&before_sequence=200").await;
    assert_eq!(middle, all[100..199]);
    let middle =
        talk.events(&server, "?after_sequence=100&before_sequence=200&order_desc=true&limit=3").await;
    assert_eq!(sequences(&middle), [199, 198, 197]);
    let since = all[149]["id"].as_str().unwrap();
    let ends = talk.events(&server, &format!("?since_id={since}&types=turn.completed&order_desc=1")).await;
    assert!(
        ends.iter().all(|event| event["type"] == "turn.completed" && event["sequence"].as_u64() > Some(150))
    );
    assert!(ends.len() > 10 && sequences(&ends).is_sorted_by(|one, next| one > next), "{}", ends.len());
    assert_eq!(talk.events(&server, "?limit=0").await, Vec::<Value>::new());
    assert_eq!(talk.events(&server, &format!("?after_sequence={last}")).await, Vec::<Value>::new());
    let messages = talk.messages(&server).await;
    assert_eq!(messages.len(), 60);
    assert!(messages.iter().step_by(2).all(|message| message["role"] == "user"));
}
