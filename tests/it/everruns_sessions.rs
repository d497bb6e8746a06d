//! Sections 1, 2 and 4 of the Everruns contract, through the real program: sessions, and the seed to the letter.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup, TOKEN, answer};

const NO_MODEL: &str = "http://127.0.0.1:1/v1";
/// Who answers where nothing is said.
const MODEL: &str = "default_model = \"test/model\"";
const HARNESS: &str = "harness_00000000000000000000000000000001";
const ORGANIZATION: &str = "org_00000000000000000000000000000001";

async fn server() -> Server {
    Setup::default().model(NO_MODEL).start().await
}

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(method, path).json(body).send().await.unwrap()).await
}

async fn agent(server: &Server, more: Value) -> Value {
    let mut body = json!({"name": "Helper", "system_prompt": "You help."});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, agent) = server.post("/v1/agents", &body).await;
    assert_eq!(status, 201, "{agent}");
    agent
}

async fn made(server: &Server, body: Value) -> Value {
    let (status, session) = server.post("/v1/sessions", &body).await;
    assert_eq!(status, 201, "{session}");
    session
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, Value) {
    let titles =
        [(400, "Bad Request"), (401, "Unauthorized"), (404, "Not Found"), (405, "Method Not Allowed")];
    let title = titles.iter().find(|(known, _)| *known == status).unwrap().1;
    let error = json!({"code": code, "message": message});
    (status, json!({"error": error, "title": title, "status": status, "detail": message}))
}

/// The hex of an id of this kind.
fn hex<'a>(id: &'a Value, prefix: &str) -> &'a str {
    let hex = id.as_str().unwrap().strip_prefix(prefix).unwrap();
    assert!(
        hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    );
    hex
}

/// As the core writes the same id.
fn hyphenated(id: &Value) -> String {
    hex(id, "session_").parse::<uuid::Uuid>().unwrap().hyphenated().to_string()
}

fn is_moment(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z') && text.contains('.')
}

#[tokio::test]
async fn the_seed_is_answered_field_by_field() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    let models = server.get("/v1/agents").await.1;
    let model =
        models["data"].as_array().unwrap().iter().find_map(|agent| agent["default_model_id"].as_str());
    let tool = json!({"type": "client_side", "name": "pick", "description": "Picks one",
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    let request = json!({
        "agent_id": agent["id"], "title": "Debug login issue", "tags": ["debugging", "urgent"], "model_id": model,
        "capabilities": [{"ref": "test_math", "config": {}}, {"ref": "nobody_knows", "config": {"a": [1]}}],
        "tools": [tool], "harness_id": HARNESS, "locale": "en", "hints": {"a": 1}, "unknown": true,
    });
    let session = made(&server, request).await;
    let uuid = hex(&session["id"], "session_");
    assert!(is_moment(&session["created_at"]));
    let expected = json!({
        "id": format!("session_{uuid}"), "organization_id": ORGANIZATION, "agent_id": agent["id"],
        "title": "Debug login issue", "tags": ["debugging", "urgent"], "model_id": model,
        "capabilities": [{"ref": "test_math", "config": {}}, {"ref": "nobody_knows", "config": {"a": [1]}}],
        "tools": [tool], "status": "started", "created_at": session["created_at"],
        "updated_at": session["created_at"], "harness_id": HARNESS, "workspace_id": format!("wsp_{uuid}"),
    });
    assert_eq!(session, expected);
    let path = format!("/v1/sessions/session_{uuid}");
    assert_eq!(server.get(&path).await, (200, session.clone()));
    let page = json!({"data": [session], "total": 1, "offset": 0, "limit": 20});
    assert_eq!(server.get("/v1/sessions").await, (200, page));
}

#[tokio::test]
async fn an_agent_is_all_that_a_session_needs() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    let session =
        made(&server, json!({"agent_id": agent["id"], "title": null, "tags": null, "tools": null})).await;
    let names: Vec<&String> = session.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "organization_id",
        "agent_id",
        "tags",
        "capabilities",
        "tools",
        "status",
        "created_at",
        "updated_at",
        "harness_id",
        "workspace_id",
    ];
    assert_eq!(names, expected);
    let empty = json!([]);
    assert_eq!([&session["tags"], &session["capabilities"], &session["tools"]], [&empty, &empty, &empty]);
}

#[tokio::test]
async fn an_agent_may_be_called_by_its_name() {
    let server = server().await;
    let agent = agent(&server, json!({"name": "researcher"})).await;
    let session = made(&server, json!({"agent_name": "researcher"})).await;
    assert_eq!(session["agent_id"], agent["id"]);
    let (status, said) = server.post("/v1/sessions", &json!({"agent_name": "nobody"})).await;
    assert_eq!((status, &said["error"]["message"]), (404, &json!("Agent not found")));
    let (status, said) = server.post("/v1/sessions", &json!({"agent_name": 7})).await;
    assert_eq!(status, 422, "{said}");
    let (status, said) = server.post("/v1/sessions", &json!({"title": "Nobody's"})).await;
    assert_eq!((status, &said["error"]["message"]), (422, &json!("agent_id: Field required")));
}

#[tokio::test]
async fn ids_are_read_to_the_letter() {
    let server = server().await;
    let malformed = [
        "agent_01933b5a00007000800000000000001",
        "agent_01933B5A000070008000000000000001",
        "agent_01933b5a-0000-7000-8000-000000000001",
        "01933b5a000070008000000000000001",
        "session_01933b5a000070008000000000000001",
        "",
    ];
    for id in malformed {
        let answer = server.post("/v1/sessions", &json!({"agent_id": id})).await;
        assert_eq!(answer, refusal(400, "invalid_request", "Invalid agent ID"), "{id}");
    }
    let nobody = "agent_01933b5a000070008000000000000001";
    let missing = refusal(404, "not_found", "Agent not found");
    assert_eq!(server.post("/v1/sessions", &json!({"agent_id": nobody})).await, missing);
    assert_eq!(server.get(&format!("/v1/agents/{nobody}")).await, missing);
    let bad = refusal(400, "invalid_request", "Invalid session ID");
    assert_eq!(server.get("/v1/sessions/01933b5a-0000-7000-8000-000000000001").await, bad);
    let missing = refusal(404, "not_found", "Session not found");
    for version in ["7", "5"] {
        let path = format!("/v1/sessions/session_01933b5a0000{version}0008000000000000001");
        assert_eq!(server.get(&path).await, missing);
        assert_eq!(send(&server, Method::PATCH, &path, &json!({"title": "x"})).await, missing);
        assert_eq!(send(&server, Method::DELETE, &path, &Value::Null).await, missing);
    }
    let agent = agent(&server, json!({})).await;
    let model = |id: &str| json!({"agent_id": agent["id"], "model_id": id});
    let bad = refusal(400, "invalid_request", "Invalid model ID");
    assert_eq!(server.post("/v1/sessions", &model("gpt-4")).await, bad);
    let missing = refusal(404, "not_found", "Model not found");
    assert_eq!(server.post("/v1/sessions", &model("model_01933b5a000070008000000000000001")).await, missing);
}

#[tokio::test]
async fn bodies_of_a_wrong_shape_are_refused_and_nothing_is_made() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    let id = &agent["id"];
    let wrong = [
        json!([1]),
        json!("x"),
        json!(7),
        json!({}),
        Value::Null,
        json!({"agent_id": 7}),
        json!({"agent_id": id, "title": {}}),
        json!({"agent_id": id, "tags": [1]}),
        json!({"agent_id": id, "capabilities": {}}),
        json!({"agent_id": id, "capabilities": ["x"]}),
        json!({"agent_id": id, "capabilities": [{"config": {}}]}),
        json!({"agent_id": id, "capabilities": [{"ref": "a", "config": 1}]}),
        json!({"agent_id": id, "tools": [{"type": "other", "name": "x"}]}),
        json!({"agent_id": id, "tools": [{"type": "client_side"}]}),
        json!({"agent_id": id, "title": "\u{0}"}),
    ];
    for body in wrong {
        let (status, answer) = server.post("/v1/sessions", &body).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("invalid_request")), "{body} {answer}");
    }
    for (text, expected) in [("{", 422), ("", 422), ("\u{7f}", 422)] {
        let request = server.request(Method::POST, "/v1/sessions").header("content-type", "application/json");
        let (status, answer) = answer(request.body(text).send().await.unwrap()).await;
        assert_eq!((status, answer["error"].is_object()), (expected, true), "{text}");
    }
    let refused = [
        json!({"agent_id": id, "tools": [{"type": "client_side", "name": "two words"}]}),
        json!({"agent_id": id, "capabilities": [{"ref": "mcp:01933b5a-0000-7000-8000-000000000001"}]}),
        json!({"agent_id": id, "capabilities": vec![json!({"ref": "x"}); 251]}),
    ];
    for body in refused {
        assert_eq!(server.post("/v1/sessions", &body).await.0, 400, "{body}");
    }
    assert_eq!(server.get("/v1/sessions").await.1["total"], 0);
}

#[tokio::test]
async fn what_needs_no_body_takes_any_empty_one() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    for body in ["", "{}", "null", " "] {
        let session = made(&server, json!({"agent_id": agent["id"]})).await;
        let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
        for (method, expected) in [(Method::GET, 200), (Method::PATCH, 200), (Method::DELETE, 204)] {
            let request = server.request(method.clone(), &path).header("content-type", "application/json");
            let status = request.body(body).send().await.unwrap().status();
            assert_eq!(status, expected, "{method} {body:?}");
        }
    }
}

#[tokio::test]
async fn a_list_is_newest_first_and_comes_in_pages() {
    let server = server().await;
    let (one, other) = (agent(&server, json!({})).await, agent(&server, json!({})).await);
    let mut ids = Vec::new();
    for number in 0..5 {
        let who = if number == 3 { &other } else { &one };
        let tags = json!([format!("t{}", number % 2)]);
        let session =
            made(&server, json!({"agent_id": who["id"], "title": format!("N{number}"), "tags": tags})).await;
        ids.push(session["id"].clone());
    }
    let listed = async |query: &str| {
        let (status, page) = server.get(&format!("/v1/sessions?{query}")).await;
        assert_eq!(status, 200, "{page}");
        let ids: Vec<Value> = page["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
        (ids, page["total"].clone(), page["offset"].clone(), page["limit"].clone())
    };
    let newest: Vec<Value> = ids.iter().rev().cloned().collect();
    assert_eq!(listed("").await, (newest.clone(), json!(5), json!(0), json!(20)));
    assert_eq!(listed("offset=1&limit=2").await, (newest[1..3].to_vec(), json!(5), json!(1), json!(2)));
    assert_eq!(listed("limit=0").await, (newest[..1].to_vec(), json!(5), json!(0), json!(1)));
    assert_eq!(listed("limit=1000").await.3, json!(100));
    let of_other = format!("agent_id={}", other["id"].as_str().unwrap());
    assert_eq!(listed(&of_other).await.0, [ids[3].clone()]);
    assert_eq!(listed("search=n2").await.0, [ids[2].clone()]);
    assert_eq!(
        listed("tags=t1").await,
        (vec![ids[3].clone(), ids[1].clone()], json!(2), json!(0), json!(20))
    );
    assert_eq!(listed("agent_id=agent_01933b5a000070008000000000000001").await.1, json!(0));
    assert_eq!(server.get("/v1/sessions?agent_id=x").await.0, 400);
    assert_eq!(server.get("/v1/sessions?limit=x").await.0, 400);
}

#[tokio::test]
async fn title_and_tags_are_changed_and_nothing_else() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    let before = made(&server, json!({"agent_id": agent["id"], "title": "old", "tags": ["a"]})).await;
    let path = format!("/v1/sessions/{}", before["id"].as_str().unwrap());
    let body = json!({"title": "new", "tags": ["b", "c"], "status": "idle", "agent_id": "x", "model_id": 7});
    let (status, after) = send(&server, Method::PATCH, &path, &body).await;
    assert_eq!(status, 200);
    let mut expected = before.clone();
    expected["title"] = json!("new");
    expected["tags"] = json!(["b", "c"]);
    expected["updated_at"] = after["updated_at"].clone();
    assert_eq!(after, expected);
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    assert_eq!(send(&server, Method::PATCH, &path, &json!({"title": null})).await, (200, after.clone()));
    assert_eq!(send(&server, Method::PATCH, &path, &json!({"title": 7})).await.0, 422);
    assert_eq!(send(&server, Method::DELETE, &path, &Value::Null).await, (204, Value::Null));
    assert_eq!(server.get(&path).await.0, 404);
}

#[tokio::test]
async fn both_surfaces_work_on_the_same_session_by_turns() {
    let model = ModelServer::start([says("One."), says("Two.")]).await;
    let mut server = Setup::default().config(MODEL).model(&model.url()).start().await;
    let agent = agent(&server, json!({"tags": ["x"]})).await;
    let session = made(&server, json!({"agent_id": agent["id"], "title": "Shared"})).await;
    let path = format!("/v1/sessions/{}", session["id"].as_str().unwrap());
    let id = hyphenated(&session["id"]);
    let seen = server.get(&format!("/sessions/{id}")).await.1;
    assert_eq!((&seen["session_name"], &seen["agent_id"]), (&json!("Shared"), &agent["id"]));
    let run = format!("/agents/{}/runs", agent["id"].as_str().unwrap());
    let fields = [("message", "First?"), ("session_id", &*id), ("stream", "false")];
    assert_eq!(server.form(&run, &fields).await.1["content"], "One.");
    let after = server.get(&path).await.1;
    let shown = [&after["status"], &after["preview"], &after["output_preview"]];
    assert_eq!(shown, [&json!("idle"), &json!("First?"), &json!("One.")]);
    assert!(is_moment(&after["started_at"]) && after["finished_at"].is_null());
    assert!(after["usage"]["input_tokens"].as_u64().unwrap() > 0);
    let renamed = send(&server, Method::PATCH, &path, &json!({"title": "Renamed"})).await.1;
    assert_eq!(server.get(&format!("/sessions/{id}")).await.1["session_name"], "Renamed");
    server.kill();
    server.restart().await;
    assert_eq!(server.get(&path).await, (200, renamed));
    let usage = server.get(&format!("/v1/agents/{}", agent["id"].as_str().unwrap())).await.1["usage"].clone();
    assert_eq!(usage, after["usage"]);
    assert_eq!(model.requests()[0]["messages"][0]["content"], "You help.");
}

#[tokio::test]
async fn a_session_that_another_surface_named_has_an_id_here_for_ever() {
    let model = ModelServer::start([says("Hello.")]).await;
    let mut server = Setup::default().model(&model.url()).start().await;
    let fields = [("message", "Hi"), ("session_id", "my chat/1"), ("stream", "false")];
    assert_eq!(server.form("/agents/plain/runs", &fields).await.0, 200);
    server.post("/sessions?type=team", &json!({"session_id": "nobody's"})).await;
    let listed = server.get("/v1/sessions").await.1;
    let all = listed["data"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    let chat = all.iter().find(|session| session["preview"] == "Hi").unwrap();
    assert_eq!(chat["status"], "idle");
    server.kill();
    server.restart().await;
    for session in all {
        let id = session["id"].as_str().unwrap();
        assert_eq!(server.get(&format!("/v1/sessions/{id}")).await, (200, session.clone()));
    }
    let plain = server.get(&format!("/v1/agents/{}", chat["agent_id"].as_str().unwrap())).await;
    assert_eq!((plain.0, &plain.1["name"]), (200, &json!("plain")));
    let of_plain = format!("/v1/sessions?agent_id={}", chat["agent_id"].as_str().unwrap());
    assert_eq!(server.get(&of_plain).await.1["data"], json!([chat]));
    let id = chat["id"].as_str().unwrap();
    assert_eq!(send(&server, Method::DELETE, &format!("/v1/sessions/{id}"), &Value::Null).await.0, 204);
    assert_eq!(server.get("/sessions/my%20chat%2F1").await.0, 404);
    assert_eq!(server.get(&format!("/v1/sessions/{id}")).await.0, 404);
}

#[tokio::test]
async fn the_same_key_makes_one_session() {
    let server = server().await;
    let agent = agent(&server, json!({})).await;
    let order = async |title: &str| {
        let body = json!({"agent_id": agent["id"], "title": title});
        let request = server.request(Method::POST, "/v1/sessions").header("idempotency-key", "k1");
        answer(request.json(&body).send().await.unwrap()).await
    };
    let first = order("a").await;
    assert_eq!(first.0, 201);
    assert_eq!(order("a").await, first);
    let (status, refused) = order("b").await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("conflict")));
    assert_eq!(server.get("/v1/sessions").await.1["total"], 1);
}

#[tokio::test]
async fn the_door_takes_a_token_in_three_dresses_and_answers_in_this_surfaces_words() {
    let server = server().await;
    let asked = async |header: Option<String>| {
        let mut request = reqwest::Client::new().get(format!("{}/v1/sessions", server.url()));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        answer(request.send().await.unwrap()).await
    };
    for good in [TOKEN.to_owned(), format!("Bearer {TOKEN}"), format!("ApiKey {TOKEN}")] {
        assert_eq!(asked(Some(good.clone())).await.0, 200, "{good}");
    }
    for bad in [None, Some("x".to_owned()), Some("Bearer x".into()), Some(format!("Basic {TOKEN}"))] {
        let (status, body) = asked(bad.clone()).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{bad:?}");
        assert!(body["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_told_as_everything_else() {
    let server = server().await;
    let nothing = refusal(404, "not_found", "There is nothing at this address");
    assert_eq!(server.get("/v1").await, nothing);
    assert_eq!(server.get("/v1/nothing/here").await, nothing);
    let wrong = refusal(405, "invalid_request", "Method Not Allowed");
    assert_eq!(send(&server, Method::PUT, "/v1/sessions", &json!({})).await, wrong);
    assert_eq!(server.get("/v1/harnesses").await.1["data"][0]["id"], HARNESS);
    assert_eq!(server.get("/health").await.1["status"], "ok");
}
