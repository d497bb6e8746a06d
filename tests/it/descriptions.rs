//! The surfaces' descriptions: OpenAPI 3.1 that programs can be made of.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::server::{Server, Setup};

const TRIAGE: &str = "/v1/triage/openapi.json";
const EVERRUNS: &str = "/api-doc/openapi.json";
const DOCUMENTS: [&str; 3] = ["/openapi.json", EVERRUNS, TRIAGE];

async fn described(server: &Server, path: &str) -> Value {
    // Without a token.
    let response = reqwest::get(format!("{}{path}", server.url())).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.unwrap()
}

/// Each operation with its path and method.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(|(method, it)| (path.as_str(), method.as_str(), it))
        })
        .collect()
}

fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[tokio::test]
async fn every_description_is_openapi_3_1_and_whole() {
    let server = Setup::default().start().await;
    for path in DOCUMENTS {
        let document = described(&server, path).await;
        assert_eq!(document["openapi"], "3.1.0");
        assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
        for reference in references(&document) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{path}: nothing at {reference}");
        }
        let mut names = BTreeSet::new();
        for (address, method, operation) in operations(&document) {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{path}: two operations are called {name}");
            let places: BTreeSet<&str> =
                address.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let named = parameters.filter(|it| it["in"] == "path" && it["required"] == true);
            let named: BTreeSet<&str> = named.map(|it| it["name"].as_str().unwrap()).collect();
            assert_eq!(named, places, "{path}: {method} {address}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                !answers.is_empty() && answers.values().all(|answer| answer["description"].is_string()),
                "{method} {address}"
            );
        }
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(jsonschema::meta::is_valid(schema), "{path}: {name} is no JSON Schema");
        }
    }
}

#[tokio::test]
async fn every_triage_answer_and_body_has_a_schema() {
    let server = Setup::default().start().await;
    let document = described(&server, TRIAGE).await;
    let failure = json!({"$ref": "#/components/schemas/Failure"});
    // What is told in JSON-RPC has its own schemas, and those are MCP's.
    for (address, method, operation) in
        operations(&document).into_iter().filter(|it| it.0 != "/v1/triage/mcp")
    {
        assert_eq!(operation["security"], json!([{"HTTPBearer": []}]), "{method} {address}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let schema = &answer["content"]["application/json"]["schema"];
            match (status.as_str(), answer["content"].as_object()) {
                ("204", content) => assert_eq!(content, None, "{method} {address}"),
                (status, _) if status.starts_with('4') => assert_eq!(*schema, failure, "{method} {address}"),
                (_, Some(content)) if content.contains_key("application/json") => {
                    assert!(schema["$ref"].is_string(), "{method} {address} {status}");
                }
                (_, content) => assert!(content.is_some(), "{method} {address} {status}"),
            }
        }
        let body = &operation["requestBody"]["content"]["application/json"];
        assert!(body.is_null() || body["schema"]["$ref"].is_string(), "{method} {address}");
        assert_eq!(operation["responses"]["422"], Value::Null, "{method} {address}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in
        ["Issue", "NewComment", "IssueEntry", "AgentEntry", "Flag", "Relation", "AgentSession", "NewPrompt"]
    {
        assert!(schemas.contains_key(name), "{name}");
    }
    let title = &schemas["NewIssue"]["properties"]["title"];
    assert_eq!((&title["minLength"], &title["maxLength"]), (&json!(1), &json!(200)));
    let severity = &schemas["Issue"]["properties"]["severity"]["enum"];
    assert_eq!(*severity, json!(["critical", "high", "medium", "low"]));
}

/// Operations that change something and read no body.
const BODILESS: [&str; 17] = [
    "answer_channel_questions",
    "approve_channel_tools",
    "auth_login",
    "auth_logout",
    "auth_refresh",
    "auth_register",
    "authorize_channel",
    "authorize_channel_runtime",
    "cancel_turn",
    "create_organization",
    "pause_schedule",
    "post_channel_cancel",
    "resume_schedule",
    "sync_llm_provider_models",
    "sync_provider_models",
    "trigger_schedule",
    "update_organization",
];

#[tokio::test]
async fn every_everruns_answer_and_body_has_a_schema() {
    let server = Setup::default().start().await;
    let document = described(&server, EVERRUNS).await;
    let failure = json!({"$ref": "#/components/schemas/Failure"});
    let mut bodiless = BTreeSet::new();
    for (address, method, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let schema = &answer["content"]["application/json"]["schema"];
            match (status.as_str(), answer["content"].as_object()) {
                ("204", content) => assert_eq!(content, None, "{method} {address}"),
                (status, _) if status.starts_with(['4', '5']) => {
                    assert_eq!(*schema, failure, "{method} {address}");
                }
                (_, Some(content)) if content.contains_key("application/json") => {
                    assert!(schema["$ref"].is_string(), "{method} {address} {status}");
                }
                (_, content) => assert!(content.is_some(), "{method} {address} {status}"),
            }
        }
        match operation["requestBody"]["content"].as_object() {
            Some(content) => {
                let schemas = content.values().map(|kind| &kind["schema"]["$ref"]);
                assert!(schemas.clone().count() > 0, "{method} {address}");
                schemas.for_each(|schema| assert!(schema.is_string(), "{method} {address}"));
            }
            None if ["post", "put", "patch"].contains(&method) => {
                bodiless.insert(operation["operationId"].as_str().unwrap());
            }
            None => {}
        }
    }
    assert_eq!(bodiless, BTreeSet::from(BODILESS));
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let status = &schemas["Session"]["properties"]["status"]["enum"];
    assert_eq!(*status, json!(["started", "active", "idle", "waitingfortoolresults"]));
    assert_eq!(schemas["NewAgent"]["required"], json!(["name", "system_prompt"]));
}
