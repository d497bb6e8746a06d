//! Declared HTTP tools: the bytes a server sees, and what is kept from the model.

use runhold::capability::http::Environment;
use runhold::capability::toolbox::Toolbox;
use runhold::domain::spec::ToolAction;
use runhold::domain::tool::{ToolResult, Verdict};
use serde_json::{Value, json};

use super::server::{Server, answer, redirect};
use super::{KEY, declared, registry, use_tool};

const TOKEN: &str = "tok-1234567890";

/// A tool `t` that asks `server`, with a secret from the environment in a header.
fn tool(server: &Server, method: &str, path: &str, parameters: &[&str]) -> Toolbox {
    let action = ToolAction::Http {
        method: method.into(),
        url: server.url(path),
        headers: vec![("Authorization".into(), "Bearer ${TOKEN}".into()), ("X-Plain".into(), "yes".into())],
        allow_private: vec!["127.0.0.1".into()],
    };
    compose(action, parameters)
}

fn compose(action: ToolAction, parameters: &[&str]) -> Toolbox {
    let mut tool = declared("t", action);
    let properties: serde_json::Map<_, _> =
        parameters.iter().map(|name| ((*name).into(), json!({}))).collect();
    tool.parameters = json!({"type": "object", "properties": Value::Object(properties)});
    let environment = Environment::new(|name| (name == "TOKEN").then(|| TOKEN.into()));
    registry().with_environment(environment).compose(&[], &[tool]).unwrap()
}

fn line(request: &str) -> &str {
    request.lines().next().unwrap()
}

#[tokio::test]
async fn a_get_carries_path_query_headers_and_the_idempotency_key() {
    let server = Server::start(|_| answer("200 OK", &[], "fine")).await;
    let toolbox = tool(&server, "get", "/v1/{city}/now?units={units}", &["city", "units", "days", "tags"]);
    let arguments =
        json!({"city": "São Paulo/../x?#", "units": "a&b=c", "days": 3, "tags": ["x y", "z"], "none": null});
    assert_eq!(use_tool(&toolbox, "t", arguments).await, ToolResult::done("fine"));
    let request = server.asked().remove(0);
    assert_eq!(
        line(&request),
        "GET /v1/S%C3%A3o%20Paulo%2F..%2Fx%3F%23/now?units=a%26b%3Dc&days=3&tags=x%20y&tags=z HTTP/1.1"
    );
    for header in
        [format!("authorization: Bearer {TOKEN}"), "x-plain: yes".into(), format!("idempotency-key: {KEY}")]
    {
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} in {request}");
    }
    assert!(request.ends_with("\r\n\r\n"), "no body: {request}");
}

#[tokio::test]
async fn a_post_carries_the_other_arguments_as_json() {
    let server = Server::start(|_| answer("204 No Content", &[], "")).await;
    for method in ["POST", "PUT", "PATCH"] {
        let toolbox = tool(&server, method, "/notes/{id}", &["id", "text"]);
        let result = use_tool(&toolbox, "t", json!({"id": 7, "text": "hä", "list": [1]})).await;
        assert_eq!(result, ToolResult::done("HTTP 204, no content"));
        let request = server.asked().pop().unwrap();
        assert_eq!(line(&request), format!("{method} /notes/7 HTTP/1.1"));
        assert!(request.contains("\r\ncontent-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"text\":\"hä\",\"list\":[1]}"), "{request}");
    }
}

#[tokio::test]
async fn a_value_cannot_change_which_path_is_meant() {
    let server = Server::start(|_| answer("200 OK", &[], "")).await;
    let toolbox = tool(&server, "DELETE", "/notes/{id}", &["id"]);
    for arguments in [json!({"id": ""}), json!({"id": ".."}), json!({"id": "."}), json!({})] {
        let result = use_tool(&toolbox, "t", arguments).await;
        assert_eq!(result, ToolResult::failed("the argument `id` must hold more than dots"));
    }
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn an_error_status_is_a_failure_with_its_text_and_without_the_secret() {
    let server = Server::start(|_| answer("403 Forbidden", &[], &format!("bad token Bearer {TOKEN}!"))).await;
    let result = use_tool(&tool(&server, "GET", "/", &[]), "t", json!({})).await;
    assert_eq!(result, ToolResult::failed("HTTP 403\nbad token Bearer ***!"));
}

#[tokio::test]
async fn a_redirect_that_tells_the_secret_is_not_repeated_to_the_model() {
    let server = Server::start(|_| redirect(302, &format!("http://{TOKEN}.localhost/"))).await;
    let result = use_tool(&tool(&server, "GET", "/", &[]), "t", json!({})).await;
    assert_eq!(result.verdict, Verdict::Failed);
    assert!(!result.content.contains(TOKEN) && result.content.contains("***"), "{}", result.content);
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let action = ToolAction::Http {
        method: "GET".into(),
        url: "https://example.org/".into(),
        headers: vec![("X-Key".into(), "${TOKEN}${OTHER}".into())],
        allow_private: Vec::new(),
    };
    let result = use_tool(&compose(action, &[]), "t", json!({})).await;
    assert_eq!(result, ToolResult::failed("the environment variable `OTHER` is not set"));
}

#[tokio::test]
async fn what_nobody_opened_is_not_asked() {
    let action = ToolAction::Http {
        method: "GET".into(),
        url: "http://localhost/".into(),
        headers: Vec::new(),
        allow_private: Vec::new(),
    };
    let result = use_tool(&compose(action, &[]), "t", json!({})).await;
    let reason = "`localhost` leads to a loopback address, which this tool may not reach";
    assert_eq!(result, ToolResult::failed(reason));
}

#[tokio::test]
async fn a_long_answer_is_cut_with_a_note() {
    let server = Server::start(|_| answer("200 OK", &[], &"x".repeat(500_000))).await;
    let result = use_tool(&tool(&server, "GET", "/", &[]), "t", json!({})).await;
    assert!(result.content.ends_with("xxx\n[cut: the answer is longer]"));
    assert!(result.content.len() <= 256 * 1024);
}

#[tokio::test]
async fn an_answer_cut_within_the_secret_shows_no_part_of_it() {
    let kept = 256 * 1024 - 256;
    let body = format!("{}{TOKEN}", "x".repeat(kept - TOKEN.len() + 1));
    let server = Server::start(move |_| answer("200 OK", &[], &body)).await;
    let result = use_tool(&tool(&server, "GET", "/", &[]), "t", json!({})).await;
    assert!(result.content.ends_with("xxx\n[cut: the answer is longer]"));
}
