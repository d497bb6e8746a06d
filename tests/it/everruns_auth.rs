//! Keys, users and the one organisation, over the Everruns surface.

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::harness::server::{Server, Setup, answer};

const ORGANIZATION: &str = "org_00000000000000000000000000000001";
const FOREIGN: &str = "org_00000000000000000000000000000002";

/// A request with this in its header, or without one.
async fn with(server: &Server, method: Method, path: &str, authorization: Option<&str>) -> Response {
    let request = Client::new().request(method, format!("{}{path}", server.url()));
    let request = authorization.into_iter().fold(request, |it, key| it.header("authorization", key));
    request.header("content-type", "application/json").send().await.unwrap()
}

async fn status(server: &Server, path: &str, authorization: Option<&str>) -> u16 {
    with(server, Method::GET, path, authorization).await.status().as_u16()
}

async fn delete(server: &Server, path: &str) -> (u16, Value) {
    answer(server.request(Method::DELETE, path).send().await.unwrap()).await
}

#[tokio::test]
async fn anybody_may_learn_that_there_are_tokens_only() {
    let server = Setup::default().start().await;
    let (code, config) = answer(with(&server, Method::GET, "/v1/auth/config", None).await).await;
    assert_eq!(code, 200);
    let told = json!({
        "mode": "token", "password_auth_enabled": false, "oauth_providers": [], "signup_enabled": false
    });
    assert_eq!(config, told);
    for word in ["login", "register", "refresh"] {
        let refused = with(&server, Method::POST, &format!("/v1/auth/{word}"), None).await;
        let (code, body) = answer(refused).await;
        assert_eq!((code, &body["error"]["code"]), (403, &json!("forbidden")), "{word}");
        assert!(body["error"]["message"].as_str().unwrap().contains("tokens only"), "{body}");
    }
    assert_eq!(with(&server, Method::POST, "/v1/auth/logout", None).await.status(), 401);
    assert_eq!(server.post("/v1/auth/logout", &json!({})).await.0, 403);
    for closed in ["/v1/auth/me", "/v1/auth/api-keys", "/v1/users", "/v1/orgs", "/v1/auth/config/x"] {
        assert_eq!(status(&server, closed, None).await, 401, "{closed}");
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_opens_what_its_maker_sees_until_it_is_deleted() {
    let mut server = Setup::default().start().await;
    let (code, made) =
        server.post("/v1/auth/api-keys", &json!({"name": "Build server", "expires_in_days": 30})).await;
    assert_eq!(code, 201, "{made}");
    let mut listed = made.clone();
    let key = listed.as_object_mut().unwrap().remove("key").unwrap();
    let key = key.as_str().unwrap();
    assert!(key.starts_with("evr_") && key.starts_with(made["key_prefix"].as_str().unwrap()));
    assert_eq!([&made["name"], &made["scopes"]], [&json!("Build server"), &json!(["*"])]);
    assert!(made["expires_at"].as_str() > made["created_at"].as_str());
    assert_eq!(server.get("/v1/auth/api-keys").await.1, json!({"data": [listed]}));
    for form in [key.to_owned(), format!("Bearer {key}"), format!("ApiKey {key}")] {
        assert_eq!(status(&server, "/v1/agents", Some(&form)).await, 200);
    }
    let (_, mine) = answer(with(&server, Method::GET, "/v1/auth/me", Some(key)).await).await;
    assert_eq!(mine, server.get("/v1/auth/me").await.1);

    server.kill();
    server.restart().await;
    assert_eq!(status(&server, "/v1/agents", Some(key)).await, 200);
    let kept = std::fs::read_to_string(server.path("data/tokens.json")).unwrap();
    assert!(!kept.contains(key) && !server.log().contains(key));

    let path = format!("/v1/auth/api-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(delete(&server, &path).await, (204, Value::Null));
    assert_eq!(status(&server, "/v1/agents", Some(key)).await, 401);
    assert_eq!(delete(&server, &path).await.0, 404);
    assert_eq!(server.get("/v1/auth/api-keys").await.1, json!({"data": []}));
}

#[tokio::test]
async fn a_key_that_would_not_be_what_was_asked_for_is_refused() {
    let server = Setup::default().start().await;
    let asked = [
        (json!({}), 422),
        (json!({"name": " "}), 400),
        (json!({"name": "x".repeat(256)}), 400),
        (json!({"name": "x", "scopes": ["agents:read"]}), 400),
        (json!({"name": "x", "expires_in_days": 0}), 422),
    ];
    for (body, expected) in asked {
        assert_eq!(server.post("/v1/auth/api-keys", &body).await.0, expected, "{body}");
    }
    assert_eq!(server.post("/v1/auth/api-keys", &json!({"name": "x", "scopes": ["*"]})).await.0, 201);
    assert_eq!(delete(&server, "/v1/auth/api-keys/first").await.0, 400);
}

#[tokio::test]
async fn there_is_one_user_and_one_organization() {
    let server = Setup::default().start().await;
    let (_, me) = server.get("/v1/auth/me").await;
    assert_eq!(
        [&me["email"], &me["name"], &me["roles"]],
        [&json!("default@localhost"), &json!("default"), &json!(["admin"])]
    );
    assert_eq!(server.get("/v1/users?search=DEFAULT").await, (200, json!({"data": [me]})));
    assert_eq!(server.get("/v1/users?search=nobody").await, (200, json!({"data": []})));

    let one = format!("/v1/orgs/{ORGANIZATION}");
    let other = format!("/v1/orgs/{FOREIGN}");
    let (code, organization) = server.get(&one).await;
    assert_eq!((code, &organization["id"]), (200, &json!(ORGANIZATION)));
    assert_eq!(server.get("/v1/orgs").await, (200, json!({"data": [organization]})));
    assert_eq!(server.get(&other).await.0, 404);
    assert_eq!(server.get("/v1/orgs/1").await.0, 400);
    assert_eq!(server.post("/v1/orgs", &json!({"name": "More"})).await.0, 403);
    assert_eq!(delete(&server, &one).await.0, 403);
    assert_eq!(delete(&server, &other).await.0, 404);
    let renamed = server.request(Method::PATCH, &one).json(&json!({"name": "New"})).send().await.unwrap();
    assert_eq!(renamed.status(), 403);
    let switched = server.post("/v1/auth/switch-org", &json!({"org_id": ORGANIZATION})).await;
    assert_eq!(switched, (200, organization));
    assert_eq!(server.post("/v1/auth/switch-org", &json!({"org_id": FOREIGN})).await.0, 403);
}

#[tokio::test]
async fn requests_about_another_organization_are_refused() {
    let server = Setup::default().start().await;
    for (organization, expected) in [(ORGANIZATION, 200), ("", 200), (FOREIGN, 403), ("mine", 403)] {
        for path in ["/v1/agents", "/v1/sessions", "/v1/orgs"] {
            let request = server.request(Method::GET, path).header("x-org-id", organization);
            let (code, body) = answer(request.send().await.unwrap()).await;
            assert_eq!(code, expected, "{organization} {path} {body}");
            assert_eq!(body["error"]["code"] == "forbidden", expected == 403, "{body}");
        }
    }
}
