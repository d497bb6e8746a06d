//! The protocol itself, message by message.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::board::{Member, board, failure, member, somebody};
use crate::harness::server::{Setup, answer};

/// A message as it is sent by hand.
fn post(member: &Member, message: &Value) -> RequestBuilder {
    member.request(Method::POST, "/mcp").json(message)
}

async fn told(request: RequestBuilder) -> (u16, Value) {
    answer(request.send().await.unwrap()).await
}

fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

/// Status, id and code of what is refused by the protocol.
async fn code(request: RequestBuilder) -> (u16, Value, i64) {
    let (status, body) = told(request).await;
    assert_eq!(body["jsonrpc"], "2.0", "{body}");
    (status, body["id"].clone(), body["error"]["code"].as_i64().unwrap_or_default())
}

#[tokio::test]
async fn tools_show_and_change_what_their_caller_may_and_nothing_else() {
    let (server, owner) = board().await;
    let made = owner.open(json!({})).await;
    let stranger = somebody(&server, "eve", "acme").await;
    let ann = somebody(&server, "ann", "default").await;
    let get =
        request(1, "tools/call", json!({"name": "get_triage_issue", "arguments": {"issue_id": made["id"]}}));
    let (status, hers) = told(post(&stranger, &get)).await;
    assert_eq!((status, &hers["result"]["isError"]), (200, &json!(true)));
    assert_eq!(hers["result"]["structuredContent"]["message"], "Issue not found");
    let (_, anns) = told(post(&ann, &get)).await;
    assert_eq!(anns["result"]["structuredContent"]["has_unread_activity"], true, "she has not seen it");
    let arguments = json!({"issue_id": made["id"], "detail": "Hello"});
    let say = request(2, "tools/call", json!({"name": "add_triage_comment", "arguments": arguments}));
    let (_, entry) = told(post(&ann, &say)).await;
    assert_eq!(entry["result"]["structuredContent"]["actor"]["id"], "ann");

    let unknown = reqwest::Client::new().post(format!("{}/v1/triage/mcp", server.url())).json(&get);
    let (status, body) = told(unknown).await;
    assert_eq!((status, body), (401, failure("AUTH_FAILURE", "Unauthorized")));
}

#[tokio::test]
async fn a_version_is_agreed_on_and_then_held_to() {
    let (_server, member) = board().await;
    let known = ["2025-03-26", "2025-06-18", "2025-11-25"];
    let hello = |version: &str| {
        let client = json!({"name": "test", "version": "1"});
        request(
            "a",
            "initialize",
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client}),
        )
    };
    for version in known {
        let (status, body) = told(post(&member, &hello(version))).await;
        assert_eq!(
            (status, &body["id"], &body["result"]["protocolVersion"]),
            (200, &json!("a"), &json!(version))
        );
        assert_eq!(body["result"]["capabilities"], json!({"tools": {}}));
        assert!(body["result"]["serverInfo"]["name"].is_string());
        let ping = post(&member, &request(1, "ping", json!({}))).header("mcp-protocol-version", version);
        assert_eq!(told(ping).await, (200, json!({"jsonrpc": "2.0", "id": 1, "result": {}})));
        let batch = json!([request(1, "ping", json!({})), {"jsonrpc": "2.0", "method": "notifications/x"}]);
        let batch = told(post(&member, &batch).header("mcp-protocol-version", version)).await;
        if version == "2025-03-26" {
            assert_eq!(batch, (200, json!([{"jsonrpc": "2.0", "id": 1, "result": {}}])));
        } else {
            assert_eq!((batch.0, &batch.1["error"]["code"]), (400, &json!(-32_600)));
        }
    }
    for version in ["2024-11-05", "2026-07-28", "nonsense"] {
        let (_, body) = told(post(&member, &hello(version)).header("mcp-protocol-version", version)).await;
        assert_eq!(body["result"]["protocolVersion"], "2025-11-25", "the newest that is spoken here");
        let ping = post(&member, &request(1, "ping", json!({}))).header("mcp-protocol-version", version);
        assert_eq!(code(ping).await, (400, json!(1), -32_600));
    }
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(told(post(&member, &initialized)).await, (202, Value::Null));
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let response = member.request(method, "/mcp").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn what_the_protocol_does_not_allow_is_refused_in_its_own_codes() {
    let (_server, member) = board().await;
    let raw = |body: &[u8]| member.request(Method::POST, "/mcp").body(body.to_vec());
    for broken in [&b""[..], b"{", b"\xff", br#"{"a":"\ud800"}"#, "[".repeat(1000).as_bytes()] {
        assert_eq!(code(raw(broken)).await, (400, Value::Null, -32_700));
    }
    for invalid in ["7", "null", "\"x\"", "{}", "[]", r#"{"jsonrpc":"1.0","method":"ping"}"#] {
        assert_eq!(code(raw(invalid.as_bytes())).await, (400, Value::Null, -32_600), "{invalid}");
    }
    let refused = [
        (request(1, "tools/nothing", json!({})), -32_601),
        (request(1, "resources/list", json!({})), -32_601),
        (request(1, "server/discover", json!({})), -32_601),
        (request(1, "initialize", json!({})), -32_602),
        (request(1, "tools/list", json!({"cursor": "x"})), -32_602),
        (request(1, "tools/call", json!({})), -32_602),
        (request(1, "tools/call", json!({"name": 7})), -32_602),
        (request(1, "tools/call", json!({"name": "delete_triage_issue"})), -32_602),
        (request(1, "tools/call", json!({"name": "get_triage_issue", "arguments": [1]})), -32_602),
    ];
    for (message, expected) in refused {
        assert_eq!(code(post(&member, &message)).await, (200, json!(1), expected), "{message}");
    }
    let large = request(1, "tools/call", json!({"name": "get_triage_issue", "x": "x".repeat(1024 * 1024)}));
    assert_eq!(told(post(&member, &large)).await.0, 413);

    let create = |id: u64, title: &str| {
        let body = json!({"title": title, "severity": "low", "category": "Bug"});
        request(id, "tools/call", json!({"name": "create_triage_issue", "arguments": body}))
    };
    let batch = json!([create(1, "a"), 7, request(2, "initialize", json!({})), create(3, "")]);
    let (status, answers) = told(post(&member, &batch)).await;
    assert_eq!((status, answers.as_array().unwrap().len()), (200, 4));
    assert_eq!(answers[0]["result"]["structuredContent"]["triage_id"], "T-1001");
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&Value::Null, &json!(-32_600)));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!(2), &json!(-32_600)));
    assert_eq!(answers[3]["result"]["isError"], true);
    let many: Vec<Value> = (0..101).map(|id| request(id, "ping", json!({}))).collect();
    assert_eq!(code(post(&member, &json!(many))).await, (400, Value::Null, -32_600));
}

#[tokio::test]
async fn pages_of_strange_origins_may_not_call() {
    let server =
        Setup::default().config("[server]\ncors_origins = [\"https://board.example\"]").start().await;
    let member = member(&server);
    let ping = request(1, "ping", json!({}));
    let from = |origin: &'static str| told(post(&member, &ping).header("origin", origin));
    for known in ["https://board.example", "https://os.agno.com"] {
        assert_eq!(from(known).await.0, 200, "{known}");
    }
    for strange in ["https://evil.example", "null", "http://127.0.0.1", "https://board.example.evil.example"]
    {
        let (status, body) = from(strange).await;
        assert_eq!((status, &body["error"]["code"]), (403, &json!(-32_600)), "{strange}");
    }
}

#[tokio::test]
async fn a_tool_that_makes_something_does_it_once_under_a_key() {
    let (server, member) = board().await;
    let body = json!({"title": "Once", "severity": "low", "category": "Bug"});
    let create = request(7, "tools/call", json!({"name": "create_triage_issue", "arguments": body}));
    let keyed = |who: &Member| told(post(who, &create).header("idempotency-key", "k1"));
    let first = keyed(&member).await;
    assert_eq!(keyed(&member).await, first);
    let ann = somebody(&server, "ann", "default").await;
    let hers = keyed(&ann).await;
    assert_eq!(hers.1["result"]["structuredContent"]["triage_id"], "T-1002", "her key is her own");
    let other = request(
        8,
        "tools/call",
        json!({"name": "create_triage_issue", "arguments": {"title": "x", "severity": "low", "category": "y"}}),
    );
    let (_, refused) = told(post(&member, &other).header("idempotency-key", "k1")).await;
    assert_eq!(refused["result"]["structuredContent"]["error"], "idempotency_conflict");
    assert_eq!(member.items("/issues").await.len(), 2);
}
