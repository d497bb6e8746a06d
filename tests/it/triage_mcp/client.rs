//! Asked by a client of the protocol, and by a Runhold that has another as its server.

use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use rmcp::service::{RoleClient, RunningService, serve_client};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use crate::harness::board::{at, board, failure};
use crate::harness::model_server::{ModelServer, calls, says};
use crate::harness::server::{PATIENCE, Server, Setup, TOKEN};

/// The maker's own names, in the order they are told in.
const TOOLS: [&str; 12] = [
    "list_triage_issues",
    "get_triage_issue",
    "create_triage_issue",
    "update_triage_issue",
    "add_triage_comment",
    "add_triage_resource",
    "remove_triage_resource",
    "add_triage_flag",
    "remove_triage_flag",
    "add_triage_relation",
    "remove_triage_relation",
    "list_triage_activity",
];

/// A client of the protocol that shook hands.
struct Client(RunningService<RoleClient, ()>);

impl Client {
    async fn of(server: &Server) -> Self {
        let url = format!("{}/v1/triage/mcp", server.url());
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(TOKEN);
        let transport = StreamableHttpClientTransport::with_client(reqwest::Client::new(), config);
        Self(serve_client((), transport).await.unwrap())
    }

    async fn tools(&self) -> Vec<Tool> {
        self.0.peer().list_all_tools().await.unwrap()
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let order = CallToolRequestParams::new(tool).with_arguments(arguments.as_object().unwrap().clone());
        self.0.peer().call_tool(order).await.unwrap()
    }

    /// What comes of a call that goes well, which its text says as well.
    async fn done(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(false), "{result:?}");
        let told = result.structured_content.unwrap();
        let text = &result.content[0].as_text().unwrap().text;
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), told);
        told
    }

    /// What is told of a call that does not: the error, whose sentence is the text.
    async fn refused(&self, tool: &'static str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{result:?}");
        let told = result.structured_content.unwrap();
        assert_eq!(json!(result.content[0].as_text().unwrap().text), told["message"]);
        told
    }
}

#[tokio::test]
async fn the_tools_have_the_makers_names_and_schemas_that_name_what_they_take() {
    let (server, _) = board().await;
    let tools = Client::of(&server).await.tools().await;
    assert_eq!(tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), TOOLS);
    for tool in &tools {
        let schema = Value::Object((*tool.input_schema).clone());
        assert!(jsonschema::meta::is_valid(&schema), "{}", tool.name);
        assert_eq!(schema["type"], "object");
        assert!(tool.description.as_ref().is_some_and(|text| !text.is_empty()));
        let reads = tool.annotations.as_ref().and_then(|hints| hints.read_only_hint);
        assert_eq!(reads, Some(tool.name.starts_with("list_") || tool.name.starts_with("get_")));
    }
    let create = Value::Object((*tools[2].input_schema).clone());
    assert_eq!(create["required"], json!(["title", "severity", "category"]));
    assert_eq!(create["properties"]["severity"]["enum"], json!(["critical", "high", "medium", "low"]));
    let flag = Value::Object((*tools[7].input_schema).clone());
    assert_eq!(flag["required"], json!(["issue_id", "call_id", "type"]));
    let list = Value::Object((*tools[0].input_schema).clone());
    assert_eq!(list["properties"]["status"]["type"], "array");
}

#[tokio::test]
async fn an_issue_lives_its_life_through_tools_and_is_the_same_issue_over_rest() {
    let (server, member) = board().await;
    let client = Client::of(&server).await;
    member.conversation("call-1", "The call").await;
    let body = json!({"title": "It fails", "severity": "high", "category": "Routing"});
    let made = client.done("create_triage_issue", body).await;
    assert_eq!((&made["triage_id"], &made["author_id"]), (&json!("T-1001"), &json!("configured")));
    let id = &made["id"];
    assert_eq!(member.data(&at(&made)).await, made);

    let change = json!({"issue_id": id, "status": "in_progress", "assignee_id": null});
    assert_eq!(client.done("update_triage_issue", change).await["status"], "in_progress");
    let comment = client.done("add_triage_comment", json!({"issue_id": id, "detail": "Seen."})).await;
    assert_eq!((&comment["type"], &comment["detail"]), (&json!("comment"), &json!("Seen.")));

    let evidence = json!({"issue_id": id, "resource_type": "call", "resource_id": "call-1"});
    let link = client.done("add_triage_resource", evidence.clone()).await;
    assert_eq!(client.done("add_triage_resource", evidence).await, link, "attached already");
    let mark = json!({"issue_id": id, "call_id": "call-1", "type": "Missed Handoff", "message_index": 3});
    let flag = client.done("add_triage_flag", mark).await;
    assert_eq!(flag["type"], "missed_handoff");
    let other = member.open(json!({"title": "Another"})).await;
    let tie = json!({"issue_id": id, "related_issue_id": other["id"], "relation_type": "blocks"});
    let relation = client.done("add_triage_relation", tie).await;
    assert_eq!(relation["related_triage_id"], "T-1002");

    let removed = json!({"removed": true});
    let gone = json!({"issue_id": id, "flag_id": flag["id"]});
    assert_eq!(client.done("remove_triage_flag", gone.clone()).await, removed);
    assert_eq!(
        client.refused("remove_triage_flag", gone).await,
        json!({"error": "not_found", "message": "Flag not found"})
    );
    let gone = json!({"issue_id": other["id"], "relation_id": relation["id"]});
    assert_eq!(client.done("remove_triage_relation", gone).await, removed, "from the other side");
    let gone = json!({"issue_id": id, "resource_link_id": link["id"]});
    assert_eq!(client.done("remove_triage_resource", gone).await, removed);

    let feed = client.done("list_triage_activity", json!({"issue_id": id, "limit": 3})).await;
    let types = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect()
    };
    assert_eq!(types(&feed), ["resource_removed", "relation_removed", "flag_removed"]);
    let next = json!({"issue_id": id, "limit": 3, "cursor": feed["next_cursor"]});
    assert_eq!(
        types(&client.done("list_triage_activity", next).await),
        ["relation_added", "flag_added", "resource_added"]
    );
    assert_eq!(client.done("get_triage_issue", json!({"issue_id": id})).await, member.data(&at(&made)).await);

    let found = |filter: Value| client.done("list_triage_issues", filter);
    let page = found(json!({"status": ["todo", "in_progress"], "order": "asc", "sort": "created_at"})).await;
    assert_eq!(page, member.data("/issues?status=todo&status=in_progress&order=asc&sort=created_at").await);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert_eq!(found(json!({"status": "done", "search": null})).await["items"], json!([]));
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_in_the_sentences_of_the_surface() {
    let (server, member) = board().await;
    let client = Client::of(&server).await;
    let made = member.open(json!({})).await;
    let issue = at(&made);
    let bodies = [
        (
            "create_triage_issue",
            "/issues".to_owned(),
            json!({"title": " ", "severity": "bad", "resource_links": [7]}),
        ),
        ("create_triage_issue", "/issues".to_owned(), json!({"title": "a\u{0}b"})),
        ("add_triage_comment", format!("{issue}/comments"), json!({"resource_link_ids": ["x"]})),
        ("add_triage_resource", format!("{issue}/resources"), json!({"resource_type": "fax"})),
        (
            "add_triage_resource",
            format!("{issue}/resources"),
            json!({"resource_type": "call", "resource_id": "none"}),
        ),
        ("add_triage_flag", format!("{issue}/flags"), json!({"message_index": -1, "note": ""})),
        ("add_triage_flag", format!("{issue}/flags"), json!({"call_id": "far", "type": "x"})),
        ("add_triage_relation", format!("{issue}/relations"), json!({"related_issue_id": "T-1001"})),
    ];
    for (tool, path, mut body) in bodies {
        let (_, rest) = member.post(&path, body.clone()).await;
        if path != "/issues" {
            body["issue_id"] = made["id"].clone();
        }
        assert_eq!(client.refused(tool, body).await, rest["errors"][0], "{tool}");
    }
    let (_, rest) = member.patch(&issue, json!({"title": null, "status": "x"})).await;
    let change = json!({"issue_id": made["id"], "title": null, "status": "x"});
    assert_eq!(client.refused("update_triage_issue", change).await, rest["errors"][0]);
    let (_, rest) = member.get("/issues?limit=0&status=x&cursor=y").await;
    let filter = json!({"limit": 0, "status": ["x"], "cursor": "y"});
    assert_eq!(client.refused("list_triage_issues", filter).await["details"].as_array().unwrap().len(), 3);
    assert_eq!(rest["errors"][0]["details"].as_array().unwrap().len(), 3);

    let ids = [
        ("get_triage_issue", json!({}), "issue_id: required"),
        ("get_triage_issue", json!({"issue_id": 7}), "issue_id: must be a string"),
        ("remove_triage_flag", json!({"flag_id": null}), "issue_id: required; flag_id: required"),
        ("add_triage_comment", json!({"detail": " "}), "issue_id: required; detail: must not be blank"),
        (
            "list_triage_activity",
            json!({"limit": 101, "order": {}}),
            "issue_id: required; order: must be a string or a number; limit: must be an integer from 1 to 100",
        ),
        ("list_triage_issues", json!({"sort": ["status"]}), "sort: must be a string or a number"),
    ];
    for (tool, arguments, sentence) in ids {
        let told = client.refused(tool, arguments).await;
        assert_eq!((&told["error"], &told["message"]), (&json!("bad_request"), &json!(sentence)), "{tool}");
    }
    for id in ["T-1001", "x", "00000000-0000-4000-8000-000000000000"] {
        let told = client.refused("get_triage_issue", json!({"issue_id": id})).await;
        assert_eq!(told, failure("not_found", "Issue not found")["errors"][0]);
    }
    assert_eq!(member.feed(&made).await, ["created"]);
    assert_eq!(member.items("/issues").await.len(), 1, "nothing was made");
}

#[tokio::test]
async fn another_runhold_uses_the_tools_as_those_of_any_server() {
    let (desk, member) = board().await;
    let body = json!({"title": "From afar", "severity": "low", "category": "Bug"});
    let model = ModelServer::answering(move |request| {
        let messages = request.body["messages"].as_array().unwrap();
        match messages.iter().rev().find(|message| message["role"] == "tool") {
            None => calls([("mcp_desk__create_triage_issue", body.clone())]),
            Some(_) => says("It is open."),
        }
    })
    .await;
    let config = format!(
        "[mcp.desk]\nurl = \"{}/v1/triage/mcp\"\nallow_private = [\"127.0.0.1\"]\nheaders = [\"Authorization: Bearer {TOKEN}\"]\n",
        desk.url()
    );
    let agent = "---\nmodel: test/ann\ncapabilities:\n  - {ref: mcp, config: {server: desk}}\n---\nYou open issues.\n";
    let server = Setup::default().model(&model.url()).config(&config).agent("ann", agent).start().await;
    let connected = async {
        loop {
            let (_, list) = server.get("/v1/mcp-servers").await;
            if list["data"][0]["connection"] == "connected" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("the server to be connected");
    let (status, run) = server.form("/agents/ann/runs", &[("message", "Go"), ("stream", "false")]).await;
    assert_eq!((status, &run["content"]), (200, &json!("It is open.")), "{run}");
    let issues = member.items("/issues").await;
    assert_eq!((issues.len(), &issues[0]["title"]), (1, &json!("From afar")));
    assert_eq!(model.requests()[0]["tools"].as_array().unwrap().len(), 12);
}
