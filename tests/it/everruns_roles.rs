//! What is of a high risk is assigned by admins only, through the real program.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::harness::server::{Server, Setup, answer};

const SHOUTER: &str = "---\nname: Shouter\nmodel: demo/talker\ntools:\n  - name: shout\n    description: Shouts.\n    kind: \
                       process\n    command: [tr, a-z, A-Z]\n---\nYou shout.\n";

async fn started() -> Server {
    let config = "default_model = \"demo/talker\"\n[providers.demo]\nkind = \"scripted\"";
    Setup::default().agent("shouter", SHOUTER).config(config).start().await
}

/// A key that may not assign what is of a high risk.
async fn member(server: &Server) -> String {
    let (status, key) = server.post("/v1/auth/api-keys", &json!({"name": "CI", "scopes": ["member"]})).await;
    assert_eq!((status, &key["scopes"]), (201, &json!(["member"])), "{key}");
    key["key"].as_str().unwrap().to_owned()
}

async fn with(server: &Server, key: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = Client::new().request(method, format!("{}{path}", server.url())).bearer_auth(key);
    let request = match body.as_str() {
        Some(text) => request.header("content-type", "text/plain").body(text.to_owned()),
        None => request.json(&body),
    };
    answer(request.send().await.unwrap()).await
}

fn agent(capability: &str) -> Value {
    json!({"name": "Helper", "system_prompt": "You help.", "capabilities": [{"ref": capability}]})
}

/// The sentence of a refusal.
fn refusal((status, body): (u16, Value)) -> String {
    assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")), "{body}");
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_an_admin_gives_an_agent_or_a_session_a_capability_of_a_high_risk() {
    let server = started().await;
    let key = member(&server).await;
    let risky = "declarative:shout";
    let (status, made) = server.post("/v1/agents", &agent(risky)).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/v1/agents/{}", made["id"].as_str().unwrap());
    let (_, plain) = with(&server, &key, Method::POST, "/v1/agents", agent("test_math")).await;
    let plain_path = format!("/v1/agents/{}", plain["id"].as_str().unwrap());
    let refs = json!({"capabilities": [{"ref": risky}]});
    let session = json!({"agent_id": plain["id"], "capabilities": [{"ref": risky}]});
    let file = format!("---\nname: Helper\ncapabilities: [\"{risky}\"]\n---\nYou help.\n");
    let (_, agents) = server.get("/v1/agents").await;
    let of_file = agents["data"].as_array().unwrap().iter().find(|one| one["name"] == "Shouter").unwrap();
    let copy_of_file = format!("/v1/agents/{}/copy", of_file["id"].as_str().unwrap());
    let ways = [
        (Method::POST, "/v1/agents".to_owned(), agent(risky)),
        (Method::PUT, plain_path.clone(), agent(risky)),
        (Method::PATCH, plain_path.clone(), refs.clone()),
        (Method::POST, "/v1/agents/import".into(), file.into()),
        (Method::POST, format!("{path}/copy"), json!({})),
        (Method::POST, "/v1/sessions".into(), session.clone()),
    ];
    for (method, path, body) in ways {
        let text = refusal(with(&server, &key, method, &path, body).await);
        assert_eq!(
            text,
            format!("The capability {risky} is of a high risk: only an admin may assign it"),
            "{path}"
        );
    }
    let copied = refusal(with(&server, &key, Method::POST, &copy_of_file, json!({})).await);
    assert!(copied.contains("shout runs a program"), "{copied}");
    // What is not there yet may be anything.
    let unborn = refusal(with(&server, &key, Method::POST, "/v1/agents", agent("declarative:later")).await);
    assert!(unborn.contains("declarative:later"), "{unborn}");
    assert_eq!(server.get(&plain_path).await.1["capabilities"], plain["capabilities"]);

    // What an agent has is not given to it by being said again, and whoever may assign it may.
    let renamed = json!({"name": "Other", "capabilities": [{"ref": risky}]});
    assert_eq!(with(&server, &key, Method::PATCH, &path, renamed).await.0, 200);
    assert_eq!(server.post("/v1/sessions", &session).await.0, 201);
    assert_eq!(server.post(&copy_of_file, &json!({})).await.0, 201);
    let of_risky = json!({"agent_id": made["id"]});
    assert_eq!(with(&server, &key, Method::POST, "/v1/sessions", of_risky).await.0, 201);
}

#[tokio::test]
async fn a_key_is_told_by_its_scopes_and_makes_none_that_opens_more() {
    let mut server = started().await;
    let key = member(&server).await;
    let me = async |server: &Server| {
        with(server, &key, Method::GET, "/v1/auth/me", json!({})).await.1["roles"].clone()
    };
    assert_eq!(me(&server).await, json!(["member"]));
    assert_eq!(server.get("/v1/auth/me").await.1["roles"], json!(["admin"]));
    let (status, second) =
        with(&server, &key, Method::POST, "/v1/auth/api-keys", json!({"name": "More", "scopes": ["*"]}))
            .await;
    assert_eq!((status, &second["scopes"]), (201, &json!(["member"])));
    let second = second["key"].as_str().unwrap();
    refusal(with(&server, second, Method::POST, "/v1/agents", agent("declarative:shout")).await);
    let (status, body) =
        server.post("/v1/auth/api-keys", &json!({"name": "x", "scopes": ["agents:read"]})).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("agents:read"), "{body}");
    server.kill();
    server.restart().await;
    assert_eq!(me(&server).await, json!(["member"]));
}

#[tokio::test]
async fn a_document_gives_no_agent_a_capability_of_a_high_risk() {
    let plain = "---\nmodel: demo/talker\ncapabilities: [test_math]\n---\nYou help.\n";
    let config = "default_model = \"demo/talker\"\n[providers.demo]\nkind = \"scripted\"";
    let server =
        Setup::default().agent("shouter", SHOUTER).agent("plain", plain).config(config).start().await;
    let document = |capability: &str| {
        let content = json!({"instructions": "You help.", "capabilities": [capability]});
        json!({"name": "Plain", "kind": "agent_config", "content": content,
            "bound_to": {"type": "agent", "id": "plain"}})
    };
    let (status, refused) = server.post("/v1/triage/documents", &document("declarative:shout")).await;
    assert_eq!(status, 400, "{refused}");
    assert!(refused.to_string().contains("`declarative:shout` is of a high risk"), "{refused}");
    let (status, made) = server.post("/v1/triage/documents", &document("test_weather")).await;
    assert_eq!(status, 201, "{made}");
}
