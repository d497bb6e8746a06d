//! MCP servers over the Everruns surface.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{KEY, hostile, shown, until};
use crate::harness::server::{Server, Setup, answer};

async fn patch(server: &Server, id: &Value, body: Value) -> (u16, Value) {
    let path = format!("/v1/mcp-servers/{}", id.as_str().unwrap());
    answer(server.request(Method::PATCH, &path).json(&body).send().await.unwrap()).await
}

async fn delete(server: &Server, id: &Value) -> u16 {
    let path = format!("/v1/mcp-servers/{}", id.as_str().unwrap());
    server.request(Method::DELETE, &path).send().await.unwrap().status().as_u16()
}

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_server_is_added_read_changed_and_removed_and_its_secrets_are_never_shown() {
    let server = Setup::default().env("SECRETS_ENCRYPTION_KEY", KEY).start().await;
    let body = json!({
        "name": "weather", "url": "https://weather.invalid/mcp", "description": "Rain",
        "api_key": "secret-one", "headers": {"X-Team": "secret-two"},
    });
    let (status, added) = server.post("/v1/mcp-servers", &body).await;
    assert_eq!(status, 201, "{added}");
    let id = &added["id"];
    assert!(id.as_str().unwrap().starts_with("mcp_"));
    assert_eq!(
        [&added["name"], &added["url"], &added["transport_type"], &added["status"], &added["headers"]],
        [&body["name"], &body["url"], &json!("http"), &json!("active"), &json!({"X-Team": "***"})]
    );
    let (_, capability) =
        server.get(&format!("/v1/capabilities/{}", added["capability_id"].as_str().unwrap())).await;
    assert_eq!((&capability["is_mcp"], &capability["name"]), (&json!(true), &json!("weather")));

    let (status, taken) =
        server.post("/v1/mcp-servers", &json!({"name": "Weather", "url": "https://b.invalid/"})).await;
    assert_eq!((status, message(&taken)), (409, "There is an MCP server named Weather already"));

    let change = json!({"name": "climate", "headers": {"X-Team": "***", "X-More": "secret-three"}, "status": "disabled"});
    let (status, changed) = patch(&server, id, change).await;
    assert_eq!((status, &changed["name"], &changed["status"]), (200, &json!("climate"), &json!("disabled")));
    assert_eq!(changed["headers"], json!({"X-More": "***", "X-Team": "***"}));
    assert_eq!(changed["api_key_set"], true);
    let path = format!("/v1/capabilities/{}", added["capability_id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.0, 404, "a disabled server can be given to nobody");
    assert_eq!(
        server.post("/v1/mcp-servers", &json!({"name": "weather", "url": "https://b.invalid/"})).await.0,
        201
    );

    assert_eq!(delete(&server, id).await, 204);
    assert_eq!(delete(&server, id).await, 404);
    let all = server.get("/v1/mcp-servers").await.1.to_string() + &server.log();
    for secret in ["secret-one", "secret-two", "secret-three"] {
        assert!(!all.contains(secret) && !added.to_string().contains(secret), "{secret} is shown");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_the_reason() {
    let server = Setup::default().start().await;
    let refused = [
        (json!({"url": "https://a.invalid/"}), 400, "name is required"),
        (json!({"name": "a"}), 400, "url is required"),
        (json!({"name": "a", "url": "no url"}), 400, "`url` is no URL"),
        (
            json!({"name": "a", "url": "http://127.0.0.1:1/"}),
            400,
            "`127.0.0.1` leads to a loopback address, which this tool may not reach",
        ),
        (
            json!({"name": "a", "url": "https://a.invalid/", "transport_type": "stdio"}),
            400,
            "transport_type must be http; programs are named in the configuration",
        ),
        (
            json!({"name": "a", "url": "https://a.invalid/", "api_key": "k"}),
            503,
            "Secrets cannot be kept: the server has no SECRETS_ENCRYPTION_KEY",
        ),
    ];
    for (body, status, told) in refused {
        let (got, answer) = server.post("/v1/mcp-servers", &body).await;
        assert_eq!((got, message(&answer)), (status, told), "{body}");
    }
    let agent = json!({"name": "A", "system_prompt": "", "capabilities": [{"ref": "mcp:nobody"}]});
    assert_eq!(server.post("/v1/agents", &agent).await.0, 400);
}

#[tokio::test]
async fn a_server_of_the_configuration_can_be_read_and_not_changed() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Setup::default().config(&hostile(folder.path(), "description = \"Beware\"")).start().await;
    let one = shown(&server, "hostile").await;
    assert_eq!(
        [&one["transport_type"], &one["readonly"], &one["capability_id"], &one["description"]],
        [&json!("stdio"), &json!(true), &json!("mcp:hostile"), &json!("Beware")]
    );
    let (status, refused) = patch(&server, &one["id"], json!({"name": "other"})).await;
    let told = "The MCP server stands in the server's configuration; it can only be changed there";
    assert_eq!((status, message(&refused)), (409, told));
    assert_eq!(delete(&server, &one["id"]).await, 409);
    let taken =
        server.post("/v1/mcp-servers", &json!({"name": "hostile", "url": "https://a.invalid/"})).await;
    assert_eq!(taken.0, 409);
}

#[tokio::test]
async fn a_server_is_a_capability_with_its_tools_and_a_preview_shows_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Setup::default().config(&hostile(folder.path(), "")).start().await;
    until(&server, "hostile", "connected").await;
    let (status, found) = server.get("/v1/capabilities/mcp:hostile").await;
    assert_eq!((status, &found["is_mcp"]), (200, &json!(true)));
    let tools = found["tool_definitions"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("mcp_hostile__")), "{names:?}");
    assert!(tools.iter().all(|tool| tool["type"] == "builtin" && tool["parameters"].is_object()));
    let (_, all) = server.get("/v1/capabilities?search=mcp:hostile").await;
    assert_eq!(all["data"], json!([found]));
    let order = json!({"system_prompt": "Mine.", "capabilities": [{"ref": "mcp:hostile"}]});
    let (status, preview) = server.post("/v1/agents/preview", &order).await;
    let previewed: Vec<&str> =
        preview["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!((status, &preview["system_prompt"], previewed), (200, &json!("Mine."), names));
}
