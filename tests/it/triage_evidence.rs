//! What issues can point at: recorded conversations, uploaded files, sessions of this runtime.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::harness::server::{Server, Setup, answer};

/// A conversation with everything that can be said of it.
fn whole() -> Value {
    json!({
        "kind": "call",
        "id": "call/ä 1",
        "title": "Angry about a refund",
        "summary": "The caller wanted a refund.",
        "started_at": "2026-05-06T21:09:57+02:00",
        "ended_at": "2026-05-06T19:12:00.5Z",
        "messages": [
            { "role": "user", "text": "I want my money back.", "created_at": "2026-05-06T19:10:00Z" },
            { "role": "assistant", "text": "No.", "node_id": "n1", "node_name": "Refusal" },
            { "role": "agent-action", "text": "hangs up" },
        ],
        "document_id": "doc-1",
        "document_version_number": 3,
        "persona": { "id": "support", "name": "Support" },
        "metadata": { "line": 7 },
    })
}

fn error(body: &Value) -> (&str, &str) {
    (body["errors"][0]["error"].as_str().unwrap(), body["errors"][0]["message"].as_str().unwrap())
}

async fn delete(server: &Server, path: &str) -> (u16, Value) {
    answer(server.request(Method::DELETE, path).send().await.unwrap()).await
}

async fn register(server: &Server, conversation: &Value) -> Value {
    let (status, body) = server.post("/v1/triage/evidence/conversations", conversation).await;
    assert_eq!((status, &body["errors"]), (201, &Value::Null), "{body}");
    body["data"].clone()
}

#[tokio::test]
async fn a_conversation_is_registered_read_and_taken_away() {
    let server = Setup::default().start().await;
    let made = register(&server, &whole()).await;
    let mut expected = whole();
    expected["org_id"] = made["org_id"].clone();
    expected["created_at"] = made["created_at"].clone();
    expected["started_at"] = json!("2026-05-06T19:09:57.000Z");
    expected["ended_at"] = json!("2026-05-06T19:12:00.500Z");
    expected["message_count"] = json!(3);
    expected["messages"] = json!([
        { "role": "user", "text": "I want my money back.", "created_at": "2026-05-06T19:10:00.000Z",
          "node_id": null, "node_name": null },
        { "role": "assistant", "text": "No.", "created_at": null, "node_id": "n1", "node_name": "Refusal" },
        { "role": "agent-action", "text": "hangs up", "created_at": null, "node_id": null, "node_name": null },
    ]);
    assert_eq!(made, expected);

    let path = "/v1/triage/evidence/conversations/call%2F%C3%A4%201";
    assert_eq!(server.get(path).await, (200, json!({ "data": expected, "errors": null })));
    assert_eq!(delete(&server, path).await, (204, Value::Null));
    for (status, body) in [server.get(path).await, delete(&server, path).await] {
        assert_eq!((status, error(&body)), (404, ("not_found", "Conversation not found")));
    }
}

#[tokio::test]
async fn a_conversation_needs_no_id_and_keeps_one_that_is_taken() {
    let server = Setup::default().start().await;
    let message = json!({ "role": "user", "text": "Hi." });
    let made = register(&server, &json!({ "kind": "sms_conversation", "messages": [message] })).await;
    assert_eq!(made["id"].as_str().unwrap().len(), 36);
    assert_eq!(
        (&made["title"], &made["persona"], &made["metadata"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let again = json!({ "kind": "call", "id": made["id"], "messages": [] });
    let (status, body) = server.post("/v1/triage/evidence/conversations", &again).await;
    assert_eq!((status, error(&body).0), (409, "already_exists"));
}

#[tokio::test]
async fn everything_wrong_with_a_conversation_is_named_at_once() {
    let server = Setup::default().start().await;
    let sent = json!({
        "kind": "letter",
        "started_at": "yesterday",
        "messages": [{ "role": "user", "text": "a" }, { "role": "robot" }],
        "persona": { "id": "" },
        "metadata": [],
    });
    let (status, body) = server.post("/v1/triage/evidence/conversations", &sent).await;
    let message = "kind: must be one of call, sms_conversation; \
         started_at: must be an RFC 3339 timestamp from 1970 on; \
         messages.1.role: must be one of user, assistant, agent-action; messages.1.text: required; \
         persona.id: must be 1-256 characters; persona.name: required; metadata: must be an object";
    assert_eq!((status, error(&body)), (400, ("bad_request", message)));
    let (status, body) = server.post("/v1/triage/evidence/conversations", &json!({})).await;
    assert_eq!((status, error(&body).1), (400, "kind: required; messages: required"));
}

#[tokio::test]
async fn conversations_are_listed_by_kind_and_document_page_by_page() {
    let server = Setup::default().start().await;
    for (id, kind, document) in
        [("a", "call", "d1"), ("b", "call", "d2"), ("c", "sms_conversation", "d1"), ("d", "call", "d1")]
    {
        let sent = json!({ "id": id, "kind": kind, "document_id": document, "messages": [] });
        register(&server, &sent).await;
    }
    let ids = async |query: &str| {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/triage/evidence/conversations?limit=2{query}{cursor}");
            let (status, body) = server.get(&path).await;
            assert_eq!(status, 200, "{body}");
            let items = body["data"]["items"].as_array().unwrap();
            assert!(items.iter().all(|item| item.get("messages").is_none()));
            found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match body["data"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found.join(""),
            }
        }
    };
    assert_eq!(ids("").await, "dcba");
    assert_eq!(ids("&kind=call").await, "dba");
    assert_eq!(ids("&document_id=d1").await, "dca");
    assert_eq!(ids("&kind=call&document_id=d1").await, "da");
    let (_, first) = server.get("/v1/triage/evidence/conversations?limit=2").await;
    let cursor = first["data"]["next_cursor"].as_str().unwrap();
    let (status, body) =
        server.get(&format!("/v1/triage/evidence/conversations?kind=call&cursor={cursor}")).await;
    assert_eq!((status, error(&body).0), (400, "bad_request"));
}

async fn upload(server: &Server, form: Form) -> (u16, Value) {
    let request = server.request(Method::POST, "/v1/triage/evidence/files").multipart(form);
    answer(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent_and_only_as_a_download() {
    let server = Setup::default().start().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
    let part = Part::bytes(bytes.clone()).file_name("röntgen \"1\".html").mime_str("text/html").unwrap();
    let (status, made) = upload(&server, Form::new().part("file", part)).await;
    assert_eq!(status, 201, "{made}");
    let file = &made["data"];
    assert_eq!(
        (&file["name"], &file["mime_type"], &file["size"]),
        (&json!("röntgen \"1\".html"), &json!("text/html"), &json!(3_000_000))
    );
    let path = format!("/v1/triage/evidence/files/{}", file["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await, (200, made.clone()));

    let content = server.request(Method::GET, &format!("{path}/content")).send().await.unwrap();
    let header = |name: &str| content.headers()[name].to_str().unwrap().to_owned();
    let disposition =
        "attachment; filename=\"r_ntgen \\\"1\\\".html\"; filename*=UTF-8''r%C3%B6ntgen%20%221%22.html";
    assert_eq!(header("content-disposition"), disposition);
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-length"), "3000000");
    assert_eq!(content.bytes().await.unwrap(), bytes);

    assert_eq!(server.get("/v1/triage/evidence/files").await.1["data"]["items"], json!([made["data"]]));
    assert_eq!(delete(&server, &path).await, (204, Value::Null));
    for path in [path.clone(), format!("{path}/content")] {
        let (status, body) = server.get(&path).await;
        assert_eq!((status, error(&body)), (404, ("not_found", "File not found")));
    }
    assert_eq!(server.get("/v1/triage/evidence/files").await.1["data"]["items"], json!([]));
}

#[tokio::test]
async fn a_file_can_be_sent_as_json() {
    let server = Setup::default().start().await;
    let path = "/v1/triage/evidence/files";
    let (status, made) = server.post(path, &json!({ "name": "a.txt", "content": "héllo" })).await;
    assert_eq!(status, 201);
    assert_eq!(
        (&made["data"]["mime_type"], &made["data"]["size"], &made["data"]["sha256"]),
        (
            &json!("text/plain"),
            &json!(6),
            &json!("3c48591d8d098a4538f5e013dfcf406e948eac4d3277b10bf614e295d6068179")
        )
    );
    let (status, made) = server.post(path, &json!({ "name": "b", "content_base64": "AAEC" })).await;
    assert_eq!((status, &made["data"]["size"]), (201, &json!(3)));
    let (status, made) = server.post(path, &json!({ "name": "empty", "content": "" })).await;
    assert_eq!((status, &made["data"]["size"]), (201, &json!(0)));
    let (status, made) = upload(&server, Form::new().text("file", "a part without a filename")).await;
    assert_eq!(
        (status, &made["data"]["name"], &made["data"]["mime_type"], &made["data"]["size"]),
        (201, &json!("file"), &json!("text/plain"), &json!(25))
    );
    let (_, body) = server.post(path, &json!({ "content": "a", "content_base64": "!" })).await;
    let message = "name: required; content_base64: must be base64; \
                   content: either this or content_base64 is required";
    assert_eq!(error(&body), ("bad_request", message));
}

#[tokio::test]
async fn a_file_over_25_mib_is_refused_and_nothing_of_it_is_kept() {
    let server = Setup::default().start().await;
    let part = Part::bytes(vec![b'a'; 25 * 1024 * 1024 + 1]).file_name("large");
    let (status, body) = upload(&server, Form::new().part("file", part)).await;
    assert_eq!((status, error(&body).0), (413, "payload_too_large"));
    let (status, body) = upload(&server, Form::new().text("other", "x")).await;
    assert_eq!((status, error(&body)), (400, ("bad_request", "file: required")));
    assert_eq!(server.get("/v1/triage/evidence/files").await.1["data"]["items"], json!([]));
}

#[tokio::test]
async fn evidence_outlives_a_crash() {
    let mut server = Setup::default().start().await;
    let made = register(&server, &whole()).await;
    let (_, file) = server.post("/v1/triage/evidence/files", &json!({ "name": "a", "content": "abc" })).await;
    server.kill();
    server.restart().await;
    let path = "/v1/triage/evidence/conversations/call%2F%C3%A4%201";
    assert_eq!(server.get(path).await.1["data"], made);
    let path = format!("/v1/triage/evidence/files/{}/content", file["data"]["id"].as_str().unwrap());
    let content = server.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(content.text().await.unwrap(), "abc");
}

async fn put(server: &Server, path: &str) -> (u16, Value) {
    answer(server.request(Method::PUT, path).send().await.unwrap()).await
}

/// An issue about these calls; its path.
async fn issue(server: &Server, calls: &[&str]) -> String {
    let links: Vec<Value> =
        calls.iter().map(|call| json!({ "resource_type": "call", "resource_id": call })).collect();
    let sent =
        json!({ "title": "Rude", "severity": "high", "category": "Dialogue", "resource_links": links });
    let (status, body) = server.post("/v1/triage/issues", &sent).await;
    assert_eq!(status, 201, "{body}");
    format!("/v1/triage/issues/{}", body["data"]["id"].as_str().unwrap())
}

#[tokio::test]
async fn evidence_is_attached_only_if_it_is_there_and_is_seen_to_be_gone() {
    let server = Setup::default().start().await;
    let issue = issue(&server, &[]).await;
    let resources = format!("{issue}/resources");
    let call = json!({ "resource_type": "call", "resource_id": "c1" });
    let (status, body) = server.post(&resources, &call).await;
    assert_eq!((status, error(&body)), (404, ("not_found", "Resource not found")));
    let message = json!({ "role": "user", "text": "Hello?" });
    register(&server, &json!({ "kind": "call", "id": "c1", "messages": [message] })).await;
    let as_text = json!({ "resource_type": "sms_conversation", "resource_id": "c1" });
    assert_eq!(server.post(&resources, &as_text).await.0, 404, "a call is no conversation in writing");
    let (status, body) = server.post(&resources, &call).await;
    assert_eq!((status, &body["data"]["title"]), (201, &json!("Hello?")));
    assert_eq!(body["data"]["status"], "available");
    let (_, file) = server.post("/v1/triage/evidence/files", &json!({ "name": "log", "content": "" })).await;
    let file = json!({ "resource_type": "file", "resource_id": file["data"]["id"] });
    let (status, body) = server.post(&resources, &file).await;
    assert_eq!((status, &body["data"]["title"]), (201, &json!("log")));
    assert_eq!(delete(&server, "/v1/triage/evidence/conversations/c1").await.0, 204);
    let (_, list) = server.get(&resources).await;
    let statuses: Vec<&str> = list["data"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["available", "unavailable"]);
}

#[tokio::test]
async fn what_an_issue_affects_is_added_up() {
    let model =
        crate::harness::model_server::ModelServer::start([crate::harness::model_server::says("ok")]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let content = json!({ "instructions": "You greet." });
    let sent = json!({ "name": "Plain", "kind": "agent_config", "content": content,
                       "bound_to": { "type": "agent", "id": "plain" } });
    let (_, document) = server.post("/v1/triage/documents", &sent).await;
    let document = document["data"]["id"].clone();
    let version = server
        .get(&format!("/v1/triage/documents/{}/versions/1", document.as_str().unwrap()))
        .await
        .1["data"]["id"]
        .clone();
    let persona = json!({ "id": "plain", "name": "plain" });
    register(
        &server,
        &json!({ "kind": "call", "id": "c1", "title": "One", "messages": [],
        "document_id": document, "document_version_number": 1, "persona": persona }),
    )
    .await;
    let (status, _) = server
        .form("/agents/plain/runs", &[("message", "Hello there"), ("stream", "false"), ("session_id", "s1")])
        .await;
    assert_eq!(status, 200);
    let issue = issue(&server, &["c1", "s1", "4d6e79af-0000"]).await;
    let (_, body) = server.get(&format!("{issue}/affected")).await;
    let found = &body["data"];
    let titles: Vec<&Value> = found["calls"].as_array().unwrap().iter().map(|call| &call["title"]).collect();
    let mut sorted: Vec<&str> = titles.iter().map(|title| title.as_str().unwrap()).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, ["Call 4d6e79af", "Hello there", "One"]);
    let gone =
        found["calls"].as_array().unwrap().iter().find(|call| call["call_id"] == "4d6e79af-0000").unwrap();
    assert_eq!(
        gone,
        &json!({ "call_id": "4d6e79af-0000", "title": "Call 4d6e79af", "started_at": null, "pathway_id": null,
                 "pathway_name": null, "pathway_version_id": null, "version_number": null, "version_label": null,
                 "persona_id": null, "persona_name": null })
    );
    let rows = |name: &str| {
        let mut rows = found[name].clone();
        for row in rows.as_array_mut().unwrap() {
            let ids = row["call_ids"].as_array_mut().unwrap();
            ids.sort_by_key(ToString::to_string);
        }
        rows
    };
    assert_eq!(
        rows("pathways"),
        json!([{ "pathway_id": document, "pathway_name": "Plain", "pathway_version_id": version,
                 "version_number": 1, "version_label": null, "call_count": 2, "call_ids": ["c1", "s1"] }])
    );
    assert_eq!(
        rows("personas"),
        json!([{ "persona_id": "plain", "persona_name": "plain", "call_count": 2, "call_ids": ["c1", "s1"] }])
    );
}

#[tokio::test]
async fn an_issue_is_linked_with_documents_by_hand() {
    let server = Setup::default().start().await;
    let issue = issue(&server, &[]).await;
    let sent = json!({ "name": "Greeting", "kind": "prompt", "content": "a" });
    let (_, document) = server.post("/v1/triage/documents", &sent).await;
    let path = format!("{issue}/documents/{}", document["data"]["id"].as_str().unwrap());
    for _ in 0..2 {
        let (status, body) = put(&server, &path).await;
        assert_eq!((status, &body["data"]["title"]), (200, &json!("Rude")));
    }
    assert_eq!(delete(&server, &path).await, (204, Value::Null));
    let (status, body) = delete(&server, &path).await;
    assert_eq!((status, error(&body)), (404, ("not_found", "Document not found")));
    let missing = format!("{issue}/documents/00000000-0000-4000-8000-000000000000");
    assert_eq!(put(&server, &missing).await.0, 404);
    let (status, body) = put(&server, &path.replace("/issues/", "/issues/0")).await;
    assert_eq!((status, error(&body).1), (404, "Issue not found"));
}
