//! Section 15 of the Everruns contract: a prefix before everything.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::server::{Setup, TOKEN, answer};

#[tokio::test]
async fn everything_is_behind_the_prefix_and_nothing_beside_it() {
    let server = Setup::default().env("API_PREFIX", "/api/").model("http://127.0.0.1:1/v1").start().await;
    for path in
        ["/health", "/api/health", "/api/v1/agents", "/api/agents", "/api/v1/triage/issues", "/api/docs"]
    {
        let response = server.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    for path in ["/", "/v1/agents", "/agents", "/apiv1/agents", "/api/api/v1/agents", "/docs"] {
        let response = server.request(Method::GET, path).send().await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(response.status(), 404, "{path}");
    }
    let (status, problem) = server.get("/v1/agents").await;
    assert_eq!((status, &problem["error"]["code"]), (404, &json!("not_found")));
    // The door is behind it too.
    let url = format!("{}/api/v1/agents", server.url());
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 401);
    let bare = reqwest::Client::new().get(&url).header("authorization", TOKEN).send().await.unwrap();
    assert_eq!(bare.status(), 200);
}

#[tokio::test]
async fn what_names_addresses_names_them_with_the_prefix() {
    let server =
        Setup::default().config("[server]\nprefix = \"/a/b\"").model("http://127.0.0.1:1/v1").start().await;
    let (_, card) = server.get("/a/b/v1/channels/plain").await;
    assert_eq!(card["links"]["sessions"], "/a/b/v1/channels/plain/sessions");
    for path in ["/a/b/openapi.json", "/a/b/api-doc/openapi.json"] {
        assert_eq!(server.get(path).await.1["servers"], json!([{"url": "/a/b"}]), "{path}");
    }
    // The page's own links are relative to it.
    let page = server.request(Method::GET, "/a/b/docs").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("=\"/"), "{page}");
    for link in ["docs/icon.svg", "docs/style.css", "docs/app.js", "openapi.json"] {
        assert!(page.contains(&format!("=\"{link}\"")), "{link}");
        let found = server.request(Method::GET, &format!("/a/b/{link}")).send().await.unwrap();
        assert_eq!(found.status(), 200, "{link}");
    }
    let made = server.post("/a/b/v1/agents", &json!({"name": "A", "system_prompt": ""})).await;
    assert_eq!(made.0, 201);
    let wrong = server.request(Method::PUT, "/a/b/v1/sessions").send().await.unwrap();
    let (status, problem): (u16, Value) = answer(wrong).await;
    assert_eq!((status, &problem["error"]["code"]), (405, &json!("invalid_request")));
}
