//! Documents: drafted, compared, published, given up, gone back to; and the agents bound to them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup, answer};

const DOCUMENTS: &str = "/v1/triage/documents";

fn error(body: &Value) -> (&str, &str) {
    (body["errors"][0]["error"].as_str().unwrap(), body["errors"][0]["message"].as_str().unwrap())
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    let (status, body) = server.post(path, body).await;
    assert!((200..300).contains(&status), "{path}: {body}");
    body["data"].clone()
}

async fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.get(path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body["data"].clone()
}

async fn patch(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(Method::PATCH, path).json(body).send().await.unwrap()).await
}

/// A prompt with one version, `{"text": "one"}`; its path.
async fn prompt(server: &Server) -> String {
    let sent = json!({ "name": " Greeting ", "kind": "prompt", "content": { "text": "one" } });
    let made = post(server, DOCUMENTS, &sent).await;
    format!("{DOCUMENTS}/{}", made["id"].as_str().unwrap())
}

async fn refused(server: &Server, path: &str, body: &Value) -> (u16, String) {
    let (status, body) = server.post(path, body).await;
    (status, error(&body).0.to_owned())
}

#[tokio::test]
async fn a_document_begins_with_a_version_that_is_live() {
    let server = Setup::default().start().await;
    let path = prompt(&server).await;
    let document = get(&server, &path).await;
    let expected = json!({
        "id": document["id"], "org_id": document["org_id"], "name": "Greeting", "kind": "prompt",
        "bound_to": null, "production_version_number": 1, "latest_version_number": 1,
        "created_at": document["created_at"], "updated_at": document["created_at"],
    });
    assert_eq!(document, expected);
    let version = get(&server, &format!("{path}/versions/production")).await;
    let by = &version["created_by"];
    let expected = json!({
        "id": version["id"], "document_id": document["id"], "version_number": 1, "status": "published",
        "is_production": true, "base_version_number": null, "content": { "text": "one" },
        "content_hash": "5a16c51629b5175a9faa934c172b836ff2553ca8adf18c8c53a8ccbae5f16e77",
        "summary": "", "label": null, "issue_id": null, "session_id": null,
        "created_by": { "kind": "user", "id": by["id"], "label": by["id"], "avatar_url": null },
        "verification": null, "created_at": document["created_at"], "updated_at": document["created_at"],
        "published_at": document["created_at"],
    });
    assert_eq!(version, expected);
    assert_eq!(server.get(&format!("{path}/versions/draft")).await.0, 404);
}

#[tokio::test]
async fn a_draft_is_made_changed_compared_and_published() {
    let server = Setup::default().start().await;
    let path = prompt(&server).await;
    let sent = json!({ "content": { "text": "two", "more": [1] }, "summary": "Better." });
    let draft = post(&server, &format!("{path}/versions"), &sent).await;
    assert_eq!(
        (&draft["version_number"], &draft["status"], &draft["base_version_number"], &draft["is_production"]),
        (&json!(2), &json!("draft"), &json!(1), &json!(false))
    );
    let diff = get(&server, &format!("{path}/versions/draft/diff")).await;
    let changes = json!([
        { "op": "replace", "path": "/text", "old": "one", "new": "two" },
        { "op": "add", "path": "/more", "old": null, "new": [1] },
    ]);
    assert_eq!(diff, json!({ "from": 1, "to": 2, "changes": changes }));

    let sent = json!({ "content": { "text": "three" }, "label": " greeting " });
    let (status, changed) = patch(&server, &format!("{path}/versions/2"), &sent).await;
    let changed = &changed["data"];
    assert_eq!(
        (status, &changed["label"], &changed["summary"]),
        (200, &json!("greeting"), &json!("Better."))
    );
    assert_ne!(changed["content_hash"], draft["content_hash"]);
    assert_eq!(get(&server, &format!("{path}/versions/2")).await["content"], json!({ "text": "three" }));
    let (_, cleared) = patch(&server, &format!("{path}/versions/2"), &json!({ "label": null })).await;
    assert_eq!(cleared["data"]["label"], Value::Null);

    let live = post(&server, &format!("{path}/versions/2/publish"), &json!({})).await;
    assert_eq!((&live["production_version_number"], &live["latest_version_number"]), (&json!(2), &json!(2)));
    let version = get(&server, &format!("{path}/versions/production")).await;
    assert_eq!((&version["status"], &version["is_production"]), (&json!("published"), &json!(true)));
    assert!(version["published_at"].is_string());
    assert_eq!(server.post(&format!("{path}/versions/2/publish"), &json!({})).await.0, 200);
}

#[tokio::test]
async fn what_is_not_a_draft_is_never_changed() {
    let server = Setup::default().start().await;
    let path = prompt(&server).await;
    post(&server, &format!("{path}/versions"), &json!({ "content": "two" })).await;
    let given_up = post(&server, &format!("{path}/versions/2/discard"), &json!({})).await;
    assert_eq!((&given_up["status"], &given_up["content"]), (&json!("discarded"), &json!("two")));
    for number in [1, 2] {
        let (status, body) =
            patch(&server, &format!("{path}/versions/{number}"), &json!({"summary": "x"})).await;
        assert_eq!((status, error(&body).0), (409, "version_not_draft"));
        let discard = format!("{path}/versions/{number}/discard");
        assert_eq!(refused(&server, &discard, &json!({})).await, (409, "version_not_draft".into()));
    }
    let publish = format!("{path}/versions/2/publish");
    assert_eq!(refused(&server, &publish, &json!({"force": true})).await, (409, "version_not_draft".into()));
}

#[tokio::test]
async fn a_draft_made_from_what_is_not_live_any_more_is_stale_and_an_old_version_can_be_gone_back_to() {
    let server = Setup::default().start().await;
    let path = prompt(&server).await;
    for content in ["two", "three"] {
        post(&server, &format!("{path}/versions"), &json!({ "content": content })).await;
    }
    post(&server, &format!("{path}/versions/3/publish"), &json!({})).await;
    for body in [json!({}), json!({ "force": true })] {
        let publish = format!("{path}/versions/2/publish");
        assert_eq!(refused(&server, &publish, &body).await, (409, "stale_draft".into()));
    }
    let back = post(&server, &format!("{path}/versions/1/publish"), &json!({})).await;
    assert_eq!((&back["production_version_number"], &back["latest_version_number"]), (&json!(1), &json!(3)));
    let version = get(&server, &format!("{path}/versions/3")).await;
    assert_eq!((&version["status"], &version["is_production"]), (&json!("published"), &json!(false)));
    post(&server, &format!("{path}/versions/2/publish"), &json!({})).await;
    assert_eq!(get(&server, &format!("{path}/versions/production")).await["content"], "two");
}

#[tokio::test]
async fn versions_are_listed_newest_first_without_their_contents() {
    let server = Setup::default().start().await;
    let path = prompt(&server).await;
    for content in ["two", "three"] {
        post(&server, &format!("{path}/versions"), &json!({ "content": content })).await;
    }
    let first = get(&server, &format!("{path}/versions?limit=2")).await;
    let numbers = |page: &Value| -> Vec<u64> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["version_number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers(&first), [3, 2]);
    assert!(first["items"][0].get("content").is_none());
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(&server, &format!("{path}/versions?limit=2&cursor={cursor}")).await;
    assert_eq!((numbers(&second), &second["next_cursor"]), (vec![1], &Value::Null));
}

#[tokio::test]
async fn what_is_wrong_with_a_document_is_named() {
    let server = Setup::default().start().await;
    let said = async |body: Value| {
        let (status, body) = server.post(DOCUMENTS, &body).await;
        assert_eq!(status, 400);
        error(&body).1.to_owned()
    };
    assert_eq!(said(json!({})).await, "name: required; kind: required; content: required");
    assert_eq!(
        said(json!({ "name": " ", "kind": "poem", "content": 1, "bound_to": { "type": "team" } })).await,
        "name: must be 1-200 characters; kind: must be one of agent_config, workflow, prompt; \
         bound_to.type: must be one of agent; bound_to.id: required"
    );
    let agent = json!({ "instructions": "", "model": 1, "tools": {} });
    assert_eq!(
        said(json!({ "name": "a", "kind": "agent_config", "content": agent })).await,
        "content.instructions: must be a string, and not blank; content.model: must be a string; \
         content.tools: must be an array"
    );
    let path = prompt(&server).await;
    let (status, body) = server.post(&format!("{path}/versions"), &json!({ "content": 7 })).await;
    assert_eq!((status, error(&body).1), (400, "content: must be a string or an object"));
    for (path, message) in [
        (format!("{DOCUMENTS}/x"), "Document not found"),
        (format!("{DOCUMENTS}/00000000-0000-4000-8000-000000000000/versions"), "Document not found"),
        (format!("{path}/versions/9"), "Version not found"),
        (format!("{path}/versions/last"), "Version not found"),
        (format!("{path}/versions/1/diff?against=9"), "Version not found"),
    ] {
        let (status, body) = server.get(&path).await;
        assert_eq!((status, error(&body)), (404, ("not_found", message)), "{path}");
    }
}

/// What the model was told by the run of this agent that was asked last.
async fn instructions_of(server: &Server, model: &ModelServer, agent: &str) -> String {
    let (status, body) =
        server.form(&format!("/agents/{agent}/runs"), &[("message", "hi"), ("stream", "false")]).await;
    assert_eq!(status, 200, "{body}");
    let asked = model.requests().pop().unwrap();
    asked["messages"][0]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn publishing_changes_the_agent_for_new_runs_and_going_back_changes_it_back() {
    let model = ModelServer::start((0..4).map(|_| says("ok"))).await;
    let server = Setup::default().model(&model.url()).start().await;
    assert_eq!(instructions_of(&server, &model, "plain").await, "You answer in words.");
    let bound = json!({ "type": "agent", "id": "plain" });
    let content = json!({ "instructions": "You greet.", "model": "test/model" });
    let sent = json!({ "name": "Plain", "kind": "agent_config", "content": content, "bound_to": bound });
    let made = post(&server, DOCUMENTS, &sent).await;
    assert_eq!(made["bound_to"], bound);
    assert_eq!(instructions_of(&server, &model, "plain").await, "You greet.");
    assert_eq!(refused(&server, DOCUMENTS, &sent).await, (409, "already_exists".into()));

    let path = format!("{DOCUMENTS}/{}", made["id"].as_str().unwrap());
    let content = json!({ "instructions": "You greet {{ 'warm' }}ly." });
    post(&server, &format!("{path}/versions"), &json!({ "content": content })).await;
    assert_eq!(model.requests().len(), 2, "a draft is not live");
    post(&server, &format!("{path}/versions/draft/publish"), &json!({})).await;
    assert_eq!(instructions_of(&server, &model, "plain").await, "You greet warmly.");
    post(&server, &format!("{path}/versions/1/publish"), &json!({})).await;
    assert_eq!(instructions_of(&server, &model, "plain").await, "You greet.");
    model.assert_clean();
}

#[tokio::test]
async fn an_agent_cannot_be_given_programs_or_requests_by_a_document() {
    let agent = "---\nmodel: test/model\ntools:\n  - name: look\n    description: Looks.\n    kind: process\n    \
                 command: [\"true\"]\n---\nYou look.\n";
    let model = ModelServer::start([]).await;
    let server = Setup::default().model(&model.url()).agent("looker", agent).start().await;
    let with = |tools: Value| {
        let content = json!({ "instructions": "You look.", "tools": tools });
        let bound = json!({ "type": "agent", "id": "looker" });
        json!({ "name": "Looker", "kind": "agent_config", "content": content, "bound_to": bound })
    };
    let said = async |tools: Value| {
        let (status, body) = server.post(DOCUMENTS, &with(tools)).await;
        assert_eq!(status, 400, "{body}");
        error(&body).1.to_owned()
    };
    let program = json!({ "name": "rm", "kind": "process", "command": ["rm"], "description": "Removes." });
    assert_eq!(
        said(json!([program])).await,
        "content.tools.0.kind: only tools of the agent's file run programs or send requests"
    );
    assert_eq!(said(json!(["rm"])).await, "content.tools.0: the agent's file has no such tool");
    let reworded = json!([{ "name": "look", "description": "Looks closely.", "command": ["rm"] }]);
    post(&server, DOCUMENTS, &with(reworded)).await;
    let (_, shown) = server.get("/agents/looker").await;
    assert!(shown.to_string().contains("Looks closely."), "{shown}");
}

#[tokio::test]
async fn a_document_needs_an_agent_that_is_there_and_can_be_defined_so() {
    let model = ModelServer::start([]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let said = async |agent: &str, kind: &str, content: Value| {
        let bound = json!({ "type": "agent", "id": agent });
        let sent = json!({ "name": "x", "kind": kind, "content": content, "bound_to": bound });
        let (status, body) = server.post(DOCUMENTS, &sent).await;
        assert_eq!(status, 400, "{body}");
        error(&body).1.to_owned()
    };
    let good = json!({ "instructions": "a" });
    assert_eq!(said("nobody", "agent_config", good).await, "bound_to.id: there is no such agent");
    let prompt = json!("a");
    assert_eq!(
        said("plain", "prompt", prompt).await,
        "bound_to: only an agent_config can be bound to an agent"
    );
    let foreign = json!({ "instructions": "a", "model": "nobody/x" });
    assert_eq!(said("plain", "agent_config", foreign).await, "content.model: there is no model `nobody/x`");
    let broken = said("plain", "agent_config", json!({ "instructions": "{% if %}" })).await;
    assert!(broken.starts_with("content.instructions: must be a template: "), "{broken}");
    let strange = json!({ "instructions": "a", "capabilities": ["no_such_thing"] });
    assert!(said("plain", "agent_config", strange).await.starts_with("content: "));
    assert_eq!(server.get(DOCUMENTS).await.1["data"]["items"], json!([]), "nothing was kept");
}
