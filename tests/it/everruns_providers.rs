//! Providers and models over the Everruns surface.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::everruns::Talk;
use crate::harness::model_server::{ModelServer, Reply, says};
use crate::harness::server::{Server, Setup, answer};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

async fn started() -> Server {
    let setup = Setup::default().config("[network]\nallow_private = [\"127.0.0.1\"]");
    setup.env("SECRETS_ENCRYPTION_KEY", KEY).start().await
}

async fn patch(server: &Server, path: &str, body: Value) -> (u16, Value) {
    answer(server.request(Method::PATCH, path).json(&body).send().await.unwrap()).await
}

async fn delete(server: &Server, path: &str) -> u16 {
    server.request(Method::DELETE, path).send().await.unwrap().status().as_u16()
}

async fn list(server: &Server, path: &str) -> Vec<Value> {
    let (status, body) = server.get(path).await;
    assert_eq!(status, 200, "{body}");
    body["data"].as_array().unwrap().clone()
}

fn path(root: &str, one: &Value) -> String {
    format!("{root}/{}", one["id"].as_str().unwrap())
}

fn defaults(models: &[Value]) -> Vec<&str> {
    models
        .iter()
        .filter(|one| one["is_default"] == true)
        .map(|one| one["model_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_provider_added_over_the_api_answers_with_its_own_key() {
    let model = ModelServer::start([says("From the new one.")]).await;
    let server = started().await;
    let body = json!({
        "name": "My Models", "provider_type": "openai_completions", "base_url": model.url(), "api_key": "key-of-mine",
    });
    let (status, provider) = server.post("/v1/llm-providers", &body).await;
    assert_eq!(status, 201, "{provider}");
    assert_eq!(
        [&provider["name"], &provider["api_key_set"], &provider["status"], &provider["base_url"]],
        [&json!("My Models"), &json!(true), &json!("active"), &json!(model.url())]
    );
    let models = format!("{}/models", path("/v1/llm-providers", &provider));
    let body = json!({"model_id": "grand", "display_name": "Grand", "is_default": true});
    let (status, grand) = server.post(&models, &body).await;
    assert_eq!((status, &grand["provider_id"], &grand["source"]), (201, &provider["id"], &json!("manual")));
    assert_eq!(server.post(&models, &body).await.0, 409);

    let talk = Talk::with(&server, json!({"default_model_id": grand["id"]})).await;
    talk.say(&server, "Hello").await;
    talk.until_idle(&server).await;
    let asked = &model.whole_requests()[0];
    assert_eq!(asked.headers["authorization"], "Bearer key-of-mine");
    assert_eq!(asked.body["model"], "grand");
    let all = server.get("/v1/providers").await.1.to_string() + &server.log();
    assert!(!all.contains("key-of-mine"), "the key is shown");
}

#[tokio::test]
async fn exactly_one_model_is_the_default_and_a_disabled_one_is_asked_by_nobody() {
    let server = started().await;
    let before = list(&server, "/v1/llm-models").await;
    assert_eq!(defaults(&before), ["demo"]);
    let configured = list(&server, "/v1/llm-providers").await;
    let scripted = configured.iter().find(|one| one["name"] == "scripted").unwrap();
    assert_eq!((&scripted["provider_type"], &scripted["readonly"]), (&json!("llmsim"), &json!(true)));
    let models = format!("{}/models", path("/v1/llm-providers", scripted));
    let (status, other) = server.post(&models, &json!({"model_id": "other", "display_name": "Other"})).await;
    assert_eq!(status, 201, "{other}");
    let (_, chosen) = patch(&server, &path("/v1/llm-models", &other), json!({"is_default": true})).await;
    assert_eq!(chosen["is_default"], true);
    assert_eq!(defaults(&list(&server, "/v1/models").await), ["other"]);

    let (_, free) = patch(&server, &path("/v1/llm-models", &other), json!({"is_default": false})).await;
    assert_eq!(free["is_default"], false);
    assert_eq!(defaults(&list(&server, "/v1/llm-models").await), ["demo"]);
    let (_, off) = patch(&server, &path("/v1/llm-models", &other), json!({"status": "disabled"})).await;
    assert_eq!((&off["status"], &off["enabled"]), (&json!("disabled"), &json!(false)));
    assert!(!list(&server, "/v1/llm-models").await.iter().any(|one| one["id"] == other["id"]));
    assert!(
        list(&server, "/v1/llm-models?include_stale=true").await.iter().any(|one| one["id"] == other["id"])
    );
    assert_eq!(delete(&server, &path("/v1/llm-models", &other)).await, 204);
    assert_eq!(server.get(&path("/v1/llm-models", &other)).await.0, 404);
    assert_eq!(delete(&server, &path("/v1/llm-models", &before[0])).await, 409);
}

#[tokio::test]
async fn a_provider_is_asked_which_models_it_has_and_takes_them_along_when_it_goes() {
    let listed = json!({"object": "list", "data": [{"id": "small"}, {"id": "large"}]}).to_string();
    let plain = vec![("content-type".into(), "application/json".into())];
    let model = ModelServer::start([Reply::Status(200, listed, plain)]).await;
    let server = started().await;
    let body = json!({"name": "m", "provider_type": "openai", "base_url": model.url()});
    let (_, provider) = server.post("/v1/providers", &body).await;
    let one = path("/v1/providers", &provider);
    let (status, synced) = server.post(&format!("{one}/sync-models"), &json!({})).await;
    assert_eq!(status, 200, "{synced}");
    let ids: Vec<_> = synced["data"].as_array().unwrap().iter().map(|one| one["model_id"].clone()).collect();
    assert_eq!(ids.len(), 2, "{synced}");
    assert!(ids.contains(&json!("small")) && ids.contains(&json!("large")));
    assert!(server.get(&one).await.1["last_synced_at"].is_string());
    assert_eq!(list(&server, "/v1/models?source=discovered").await.len(), 2);
    assert_eq!(delete(&server, &one).await, 204);
    assert_eq!(list(&server, "/v1/models?source=discovered").await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let server = Setup::default().start().await;
    let new = |more: Value| {
        let mut body = json!({"name": "m", "provider_type": "openai"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let refused = [
        (json!({"provider_type": "openai"}), 400, "name is required"),
        (json!({"name": "m"}), 400, "provider_type is required"),
        (
            new(json!({"provider_type": "own"})),
            400,
            "provider_type must be one of openai, openai_completions, anthropic, gemini, llmsim",
        ),
        (
            new(json!({"base_url": "http://10.0.0.1/v1"})),
            400,
            "`10.0.0.1` leads to a private address, which this tool may not reach",
        ),
        (
            new(json!({"api_key": "k"})),
            503,
            "Secrets cannot be kept: the server has no SECRETS_ENCRYPTION_KEY",
        ),
    ];
    for (body, status, told) in refused {
        let (got, answer) = server.post("/v1/llm-providers", &body).await;
        assert_eq!((got, answer["error"]["message"].as_str().unwrap()), (status, told), "{body}");
    }
    let configured = &list(&server, "/v1/llm-providers").await[0];
    assert_eq!(patch(&server, &path("/v1/llm-providers", configured), json!({"name": "x"})).await.0, 409);
}

#[tokio::test]
async fn a_provider_whose_name_leads_into_a_private_network_is_not_asked() {
    let model = ModelServer::start([says("Never."), says("Reached.")]).await;
    let port = model.url().rsplit(':').next().unwrap().to_owned();
    let base_url = format!("http://localhost:{port}");
    for (opened, reached) in [("[]", 0), ("[\"localhost\"]", 1)] {
        let config = format!("[network]\nallow_private = {opened}");
        let server = Setup::default().config(&config).env("SECRETS_ENCRYPTION_KEY", KEY).start().await;
        let body = json!({"name": "Near", "provider_type": "openai_completions", "base_url": base_url, "api_key": "k"});
        let (status, provider) = server.post("/v1/llm-providers", &body).await;
        assert_eq!(status, 201, "{provider}");
        let models = format!("{}/models", path("/v1/llm-providers", &provider));
        let (status, grand) = server.post(&models, &json!({"model_id": "m", "display_name": "M"})).await;
        assert_eq!(status, 201, "{grand}");
        let talk = Talk::with(&server, json!({"default_model_id": grand["id"]})).await;
        talk.say(&server, "Hello").await;
        let events = talk.until_idle(&server).await;
        let failed = events.iter().filter(|event| event["type"] == "turn.failed").count();
        assert_eq!((model.requests().len(), failed), (reached, 1 - reached), "{opened}");
    }
}
