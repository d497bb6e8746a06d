//! The Everruns surface, operation by operation: what it takes and what it answers are as its description says.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::described::{hold_everruns, hold_sent};
use crate::harness::everruns::{Talk, until};
use crate::harness::model_server::{ModelServer, Reply, calls, says};
use crate::harness::server::{Server, Setup, answer};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NO_MODEL: &str = "http://127.0.0.1:1/v1";

async fn at(model: &str) -> Server {
    let setup = Setup::default().config("default_model = \"test/model\"").model(model);
    let setup = setup.config("[network]\nallow_private = [\"127.0.0.1\"]");
    setup.env("SECRETS_ENCRYPTION_KEY", KEY).start().await
}

async fn with(script: Vec<Reply>) -> (ModelServer, Server) {
    let model = ModelServer::start(script).await;
    let server = at(&model.url()).await;
    (model, server)
}

/// What came of something that is done: taken and answered as described.
async fn done(server: &Server, method: Method, path: &str, body: Value) -> Value {
    let request = server.request(method.clone(), &format!("/v1{path}")).json(&body);
    let response = request.send().await.unwrap();
    let url = response.url().clone();
    let (status, told) = answer(response).await;
    assert!((200..300).contains(&status), "{method} {path}: {status} {told}");
    hold_everruns(&url, &method, status, &told).await;
    if !body.is_null() {
        hold_sent(&url, &method, &body).await;
    }
    told
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    done(server, Method::POST, path, body).await
}

async fn patch(server: &Server, path: &str, body: Value) -> Value {
    done(server, Method::PATCH, path, body).await
}

async fn delete(server: &Server, path: &str) {
    done(server, Method::DELETE, path, Value::Null).await;
}

/// Reads what is at each of these.
async fn seen(server: &Server, paths: &[&str]) {
    for path in paths {
        done(server, Method::GET, path, Value::Null).await;
    }
}

fn below(root: &str, one: &Value) -> String {
    format!("{root}/{}", one["id"].as_str().unwrap())
}

#[tokio::test]
async fn agents_and_what_they_can_be_given() {
    let server = at(NO_MODEL).await;
    let model = server.get("/v1/models").await.1["data"][0]["id"].clone();
    let tool = json!({"type": "client_side", "name": "here", "description": "Where.", "parameters": {"type": "object"}});
    let whole = json!({
        "name": "Helper", "description": "It helps.", "system_prompt": "You help.", "default_model_id": model,
        "tags": ["a"], "capabilities": [{"ref": "test_math", "config": {}}, {"ref": "current_time"}], "tools": [tool],
    });
    let agent = post(&server, "/agents", whole.clone()).await;
    let path = below("/agents", &agent);
    done(&server, Method::PUT, &path, whole).await;
    patch(&server, &path, json!({"name": "Other", "status": "active", "tags": []})).await;
    post(&server, &format!("{path}/copy"), json!({"name": "Third"})).await;
    post(&server, &format!("{path}/copy"), Value::Null).await;
    let order = json!({"system_prompt": "You add.", "capabilities": [{"ref": "test_math"}]});
    post(&server, "/agents/preview", order).await;
    let request = server.request(Method::POST, "/v1/agents/import").body("You import.");
    let (status, imported) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, 201);
    seen(&server, &[&path, &below("/agents", &imported), "/agents", "/agents?limit=1", "/capabilities"])
        .await;
    seen(
        &server,
        &["/capabilities/test_math", "/harnesses", &below("/harnesses", &json!({"id": agent["harness_id"]}))],
    )
    .await;
    delete(&server, &path).await;
}

#[tokio::test]
async fn sessions_messages_and_events_of_turns_that_call_fail_and_are_cancelled() {
    let here = || {
        calls([("here", json!({})), ("add", json!({"a": 1, "b": 1})), ("divide", json!({"a": 1, "b": 0}))])
    };
    let (_model, server) = with(vec![here(), says("Here."), here()]).await;
    let tool =
        json!({"name": "here", "description": "Where.", "parameters": {"type": "object", "properties": {}}});
    let agent = post(&server, "/agents", json!({"name": "Helper", "system_prompt": ""})).await;
    let session = json!({
        "agent_id": agent["id"], "title": "One", "tags": ["x"], "capabilities": [{"ref": "test_math"}], "tools": [tool],
        "initial_files": [{"path": "/a.txt", "content": "a", "encoding": "text", "is_readonly": true}],
    });
    let session = post(&server, "/sessions", session).await;
    post(&server, "/sessions", json!({"agent_name": "plain"})).await;
    let talk = Talk(session["id"].as_str().unwrap().to_owned());
    let path = below("/sessions", &session);
    let said = json!({
        "message": {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
        "controls": {"reasoning": {"effort": "low"}}, "metadata": {"a": 1}, "tags": ["y"],
    });
    post(&server, &format!("{path}/messages"), said.clone()).await;
    let frames = until(&mut talk.follow(&server, "").await, "tool.call_requested").await;
    let call = frames.last().unwrap().data["data"]["tool_calls"][0]["id"].clone();
    let results = json!({"tool_results": [{"tool_call_id": call, "result": {"lat": 1}}]});
    post(&server, &format!("{path}/tool-results"), results).await;
    until(&mut talk.follow(&server, "").await, "session.idled").await;
    seen(&server, &[&path, "/sessions", &format!("{path}/events"), &format!("{path}/messages")]).await;
    let last = talk.events(&server, "").await.last().unwrap()["id"].clone();
    let after = format!("?since_id={}", last.as_str().unwrap());
    post(&server, &format!("{path}/messages"), said.clone()).await;
    until(&mut talk.follow(&server, &after).await, "tool.call_requested").await;
    assert_eq!(post(&server, &format!("{path}/cancel"), Value::Null).await["status"], "cancelled");
    assert_eq!(post(&server, &format!("{path}/cancel"), Value::Null).await["status"], "no_op");
    // The script has no answer more.
    let last = talk.events(&server, "").await.last().unwrap()["id"].clone();
    let after = format!("?since_id={}", last.as_str().unwrap());
    post(&server, &format!("{path}/messages"), said).await;
    until(&mut talk.follow(&server, &after).await, "turn.failed").await;
    patch(&server, &path, json!({"title": "Two", "tags": []})).await;
    seen(&server, &[&path, "/sessions?limit=1", &format!("{path}/events"), &format!("{path}/messages")])
        .await;
    delete(&server, &path).await;
}

#[tokio::test]
async fn what_the_application_of_an_agent_sees() {
    let (_model, server) = with(vec![says("Hello.")]).await;
    let session = post(&server, "/channels/plain/sessions", json!({"title": "One"})).await;
    let path = below("/channels/plain/sessions", &session);
    let said = json!({"message": {"content": [{"type": "text", "text": "Hello"}]}});
    post(&server, &format!("{path}/messages"), said).await;
    let talk = Talk(session["id"].as_str().unwrap().to_owned());
    until(&mut talk.follow(&server, "").await, "session.idled").await;
    post(&server, &format!("{path}/cancel"), Value::Null).await;
    post(&server, "/channels/plain/sessions", Value::Null).await;
    seen(&server, &["/channels/plain", "/channels/plain/sessions?limit=1", &path]).await;
    seen(&server, &[&format!("{path}/events"), &format!("{path}/messages")]).await;
}

#[tokio::test]
async fn files_values_secrets_and_databases_of_a_session() {
    let server = at(NO_MODEL).await;
    let talk = Talk::with(&server, json!({})).await;
    let path = format!("/sessions/{}", talk.0);
    let at = |rest: &str| format!("{path}{rest}");
    post(
        &server,
        &at("/fs/a/b.txt"),
        json!({"content": "one\ntwo", "encoding": "text", "is_readonly": false}),
    )
    .await;
    post(&server, &at("/fs/raw"), json!({"content": "AP8=", "encoding": "base64"})).await;
    post(&server, &at("/fs/folder"), json!({"is_directory": true})).await;
    done(&server, Method::PUT, &at("/fs/a/b.txt"), json!({"content": "three"})).await;
    post(&server, &at("/fs/_/copy"), json!({"src_path": "/a", "dst_path": "/c"})).await;
    post(&server, &at("/fs/_/move"), json!({"src_path": "/c/b.txt", "dst_path": "/d.txt"})).await;
    let found = post(&server, &at("/fs/_/grep"), json!({"pattern": "thr", "path_pattern": "**/*.txt"})).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    post(&server, &at("/fs/_/stat"), json!({"path": "/d.txt"})).await;
    seen(&server, &[&at("/fs"), &at("/fs?recursive=true"), &at("/fs/a"), &at("/fs/a/b.txt"), &at("/fs/raw")])
        .await;
    delete(&server, &at("/fs/a?recursive=true")).await;
    done(&server, Method::PUT, &at("/storage/secrets"), json!({"secrets": {"TOKEN": "x"}})).await;
    post(&server, &at("/databases"), json!({"name": "facts"})).await;
    seen(&server, &[&at("/storage/keys"), &at("/storage/secrets"), &at("/databases")]).await;
    seen(&server, &[&at("/databases/facts"), &at("/databases/facts/schema")]).await;
    delete(&server, &at("/databases/facts")).await;
}

#[tokio::test]
async fn providers_models_and_mcp_servers() {
    let server = at(NO_MODEL).await;
    let provider = json!({
        "name": "Mine", "provider_type": "openai_completions", "base_url": NO_MODEL, "api_key": "k", "status": "active",
    });
    let provider = post(&server, "/llm-providers", provider).await;
    let path = below("/llm-providers", &provider);
    patch(&server, &path, json!({"name": "My own"})).await;
    let model = json!({
        "model_id": "grand", "display_name": "Grand", "capabilities": ["vision"], "is_default": true,
        "is_favorite": true,
    });
    let model = post(&server, &format!("{path}/models"), model).await;
    patch(&server, &below("/llm-models", &model), json!({"display_name": "Grander", "status": "disabled"}))
        .await;
    seen(&server, &["/providers", "/llm-providers", &path, &format!("{path}/models")]).await;
    seen(&server, &["/models", "/llm-models?include_stale=true", &below("/models", &model)]).await;
    delete(&server, &path).await;
    let mcp = json!({
        "name": "Far", "url": "http://127.0.0.1:1/mcp", "description": "Nobody is there.", "transport_type": "http",
        "headers": {"x-a": "1"}, "api_key": "k", "status": "active",
    });
    let mcp = post(&server, "/mcp-servers", mcp).await;
    let path = below("/mcp-servers", &mcp);
    patch(&server, &path, json!({"description": "Somebody was.", "headers": {"x-a": "***"}})).await;
    seen(&server, &["/mcp-servers", &path, "/capabilities"]).await;
    delete(&server, &path).await;
}

#[tokio::test]
async fn schedules_and_their_executions() {
    let (_model, server) = with(vec![says("Done.")]).await;
    let talk = Talk::with(&server, json!({})).await;
    let input = json!({"session_id": talk.0, "text": "Look around."});
    let schedule = json!({
        "name": "look", "description": "Around.", "cron_expression": "0 0 1 1 *", "timezone": "UTC", "enabled": true,
        "target": {"type": "workflow", "name": "session_message", "input": input}, "catch_up_missed": true,
        "max_catch_up": 2, "max_concurrent": 1, "retry_policy": {"max_attempts": 2},
    });
    let schedule = post(&server, "/durable/schedules", schedule).await;
    let path = below("/durable/schedules", &schedule);
    patch(&server, &path, json!({"description": "All around."})).await;
    post(&server, &format!("{path}/pause"), Value::Null).await;
    post(&server, &format!("{path}/resume"), Value::Null).await;
    let triggered = post(&server, &format!("{path}/trigger"), Value::Null).await;
    until(&mut talk.follow(&server, "").await, "session.idled").await;
    let execution = format!("/durable/executions/{}", triggered["execution_id"].as_str().unwrap());
    seen(&server, &["/durable/schedules", "/durable/schedules?target_type=activity", &path, &execution])
        .await;
    seen(&server, &[&format!("{path}/stats"), &format!("{path}/executions")]).await;
    delete(&server, &path).await;
}

#[tokio::test]
async fn callers_keys_and_pictures() {
    let server = at(NO_MODEL).await;
    let key = json!({"name": "Mine", "scopes": ["member"], "expires_in_days": 1});
    let key = post(&server, "/auth/api-keys", key).await;
    seen(&server, &["/auth/api-keys", "/auth/me", "/auth/config", "/users", "/orgs"]).await;
    let organization = server.get("/v1/orgs").await.1["data"][0].clone();
    seen(&server, &[&below("/orgs", &organization)]).await;
    post(&server, "/auth/switch-org", json!({"org_id": organization["id"]})).await;
    delete(&server, &below("/auth/api-keys", &key)).await;
    let picture = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\r\nGIF89a\r\n--cut--\r\n";
    let request = server.request(Method::POST, "/v1/images").body(picture);
    let request = request.header("content-type", "multipart/form-data; boundary=cut");
    let response = request.send().await.unwrap();
    let url = response.url().clone();
    let (status, image) = answer(response).await;
    assert_eq!(status, 201, "{image}");
    hold_everruns(&url, &Method::POST, status, &image).await;
    seen(&server, &["/images"]).await;
    delete(&server, &below("/images", &image)).await;
}

#[tokio::test]
#[should_panic(expected = "is not as described")]
async fn an_answer_with_a_field_that_is_not_described_is_found_out() {
    let server = at(NO_MODEL).await;
    let mut list = server.get("/v1/harnesses").await.1;
    list["data"][0]["surprise"] = true.into();
    let url = format!("{}/v1/harnesses", server.url()).parse().unwrap();
    hold_everruns(&url, &Method::GET, 200, &list).await;
}

#[tokio::test]
#[should_panic(expected = "takes what is not described")]
async fn a_body_with_a_field_that_is_not_described_is_found_out() {
    let server = at(NO_MODEL).await;
    let body = json!({"name": "Helper", "system_prompt": "", "surprise": true});
    post(&server, "/agents", body).await;
}
