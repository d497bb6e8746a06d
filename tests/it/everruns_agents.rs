//! Sections 3 and 9.1 of the Everruns contract, through the real program: agents and what they can be given.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{ModelServer, says};
use crate::harness::server::{Server, Setup, answer};

const NO_MODEL: &str = "http://127.0.0.1:1/v1";

async fn server() -> Server {
    Setup::default().model(NO_MODEL).start().await
}

async fn send(server: &Server, method: Method, path: &str, body: &Value) -> (u16, Value) {
    answer(server.request(method, path).json(body).send().await.unwrap()).await
}

async fn made(server: &Server, body: Value) -> Value {
    let (status, agent) = server.post("/v1/agents", &body).await;
    assert_eq!(status, 201, "{agent}");
    agent
}

async fn imported(server: &Server, text: &str) -> (u16, Value) {
    let request = server.request(Method::POST, "/v1/agents/import").header("content-type", "text/plain");
    answer(request.body(text.to_owned()).send().await.unwrap()).await
}

async fn exported(server: &Server, agent: &Value) -> String {
    let response = server.request(Method::GET, &format!("{}/export", path(agent))).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/markdown; charset=utf-8");
    assert!(
        response.headers()["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"")
    );
    response.text().await.unwrap()
}

fn path(agent: &Value) -> String {
    format!("/v1/agents/{}", agent["id"].as_str().unwrap())
}

/// Without what every copy has of its own.
fn content(agent: &Value) -> Value {
    let mut content = agent.clone();
    for own in ["id", "created_at", "updated_at"] {
        content.as_object_mut().unwrap().remove(own);
    }
    content
}

async fn names(server: &Server, query: &str) -> Vec<String> {
    let listed = server.get(&format!("/v1/agents{query}")).await.1;
    let all = listed["data"].as_array().unwrap();
    all.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
}

/// The agent of the file `plain.md`.
async fn of_file(server: &Server) -> Value {
    let listed = server.get("/v1/agents").await.1;
    listed["data"].as_array().unwrap().iter().find(|agent| agent["name"] == "plain").unwrap().clone()
}

#[tokio::test]
async fn an_agent_shows_what_was_given() {
    let mut server = server().await;
    let model = of_file(&server).await["default_model_id"].clone();
    let tool = json!({"type": "client_side", "name": "pick", "description": "Picks", "parameters":
        {"type": "object", "properties": {}}});
    let body = json!({
        "name": "Über agent 1", "system_prompt": "Literal {{ braces }}", "description": "Does things",
        "default_model_id": model, "tags": ["a", "b"],
        "capabilities": [{"ref": "test_math"}, {"ref": "unknown_one", "config": {"x": [1]}}],
        "tools": [tool], "harness_id": "ignored", "max_turns": 3,
    });
    let agent = made(&server, body).await;
    let expected = json!({
        "id": agent["id"], "name": "Über agent 1", "description": "Does things",
        "system_prompt": "Literal {{ braces }}", "default_model_id": model, "tags": ["a", "b"],
        "capabilities": [{"ref": "test_math", "config": {}}, {"ref": "unknown_one", "config": {"x": [1]}}],
        "tools": [tool], "status": "active", "created_at": agent["created_at"],
        "updated_at": agent["created_at"], "harness_id": "harness_00000000000000000000000000000001",
    });
    assert_eq!(agent, expected);
    server.kill();
    server.restart().await;
    assert_eq!(server.get(&path(&agent)).await, (200, agent.clone()));
    let elsewhere = server.get(&format!("/agents/{}", agent["id"].as_str().unwrap())).await;
    assert_eq!((elsewhere.0, &elsewhere.1["name"]), (200, &json!("Über agent 1")));
}

#[tokio::test]
async fn an_id_that_is_given_makes_creation_an_upsert() {
    let server = server().await;
    let id = "agent_01933b5a000070008000000000000001";
    let first = made(&server, json!({"id": id, "name": "A", "system_prompt": "a", "tags": ["x"]})).await;
    assert_eq!(first["id"], id);
    let (status, second) =
        server.post("/v1/agents", &json!({"id": id, "name": "B", "system_prompt": ""})).await;
    assert_eq!((status, &second["name"], &second["tags"]), (200, &json!("B"), &json!([])));
    assert_eq!(second["created_at"], first["created_at"]);
    let put = json!({"name": "C", "system_prompt": "c"});
    assert_eq!(send(&server, Method::PUT, &path(&first), &put).await.0, 200);
    let other = "/v1/agents/agent_01933b5a000070008000000000000002";
    assert_eq!(send(&server, Method::PUT, other, &put).await.0, 201);
    assert_eq!(
        server.post("/v1/agents", &json!({"id": "x", "name": "A", "system_prompt": "a"})).await.0,
        400
    );
    assert_eq!(send(&server, Method::PUT, "/v1/agents/x", &put).await.0, 400);
}

#[tokio::test]
async fn what_is_no_agent_is_refused() {
    let server = server().await;
    let wrong = [
        (422, json!({})),
        (422, json!({"name": "A"})),
        (422, json!({"system_prompt": "a"})),
        (422, json!({"name": 7, "system_prompt": "a"})),
        (422, json!([])),
        (422, json!({"name": "A", "system_prompt": "a", "tools": [{"name": 7}]})),
        (400, json!({"name": " ", "system_prompt": "a"})),
        (400, json!({"name": "A".repeat(2049), "system_prompt": "a"})),
        (400, json!({"name": "A", "system_prompt": "a", "description": "d".repeat(10_241)})),
        (400, json!({"name": "A", "system_prompt": "a".repeat(1024 * 1024 + 1)})),
        (400, json!({"name": "A", "system_prompt": "a", "default_model_id": "gpt"})),
        (400, json!({"name": "A", "system_prompt": "a", "capabilities": vec![json!({"ref": "x"}); 251]})),
        (
            404,
            json!({"name": "A", "system_prompt": "a",
            "default_model_id": "model_01933b5a000070008000000000000001"}),
        ),
    ];
    for (expected, body) in wrong {
        let (status, answer) = server.post("/v1/agents", &body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"]["message"].is_string());
    }
    let large = json!({"name": "A".repeat(2048), "system_prompt": "ä".repeat(512 * 1024)});
    assert_eq!(made(&server, large.clone()).await["system_prompt"], large["system_prompt"]);
}

#[tokio::test]
async fn what_is_given_is_changed_and_null_leaves_it() {
    let server = server().await;
    let before =
        made(&server, json!({"name": "A", "system_prompt": "a", "tags": ["x"], "description": "d"})).await;
    let body =
        json!({"name": "B", "tags": [], "description": null, "capabilities": [{"ref": "current_time"}]});
    let (status, after) = send(&server, Method::PATCH, &path(&before), &body).await;
    let mut expected = before.clone();
    expected["name"] = json!("B");
    expected["tags"] = json!([]);
    expected["capabilities"] = json!([{"ref": "current_time", "config": {}}]);
    expected["updated_at"] = after["updated_at"].clone();
    assert_eq!((status, after), (200, expected));
    let wrong = json!({"status": "gone"});
    assert_eq!(send(&server, Method::PATCH, &path(&before), &wrong).await.0, 422);
}

#[tokio::test]
async fn an_archived_agent_can_be_read_and_nothing_begins_with_it() {
    let server = server().await;
    let agent = made(&server, json!({"name": "A", "system_prompt": "a"})).await;
    let session = server.post("/v1/sessions", &json!({"agent_id": agent["id"]})).await.1;
    assert_eq!(send(&server, Method::DELETE, &path(&agent), &Value::Null).await, (204, Value::Null));
    assert_eq!(server.get(&path(&agent)).await.1["status"], "archived");
    assert_eq!(send(&server, Method::DELETE, &path(&agent), &Value::Null).await.0, 404);
    assert_eq!(names(&server, "").await, ["plain"]);
    assert_eq!(names(&server, "?include_archived=true").await, ["A", "plain"]);
    assert_eq!(server.post("/v1/sessions", &json!({"agent_id": agent["id"]})).await.0, 400);
    let seen = server.get(&format!("/v1/sessions/{}", session["id"].as_str().unwrap())).await;
    assert_eq!(seen, (200, session));
    let back = send(&server, Method::PATCH, &path(&agent), &json!({"status": "active"})).await;
    assert_eq!((back.0, &back.1["status"]), (200, &json!("active")));
    assert_eq!(server.post("/v1/sessions", &json!({"agent_id": agent["id"]})).await.0, 201);
}

#[tokio::test]
async fn a_list_is_newest_first_and_can_be_searched() {
    let server = server().await;
    for (name, description) in [("One", "first"), ("Two", "second ONE"), ("Three", "third")] {
        made(&server, json!({"name": name, "description": description, "system_prompt": ""})).await;
    }
    assert_eq!(names(&server, "").await, ["Three", "Two", "One", "plain"]);
    assert_eq!(names(&server, "?search=one").await, ["Two", "One"]);
    assert_eq!(names(&server, "?offset=1&limit=2").await, ["Two", "One"]);
}

#[tokio::test]
async fn an_agent_of_a_file_is_read_only_and_can_be_copied() {
    let server = server().await;
    let file = of_file(&server).await;
    assert_eq!(server.get(&path(&file)).await, (200, file.clone()));
    let body = json!({"name": "x", "system_prompt": "y"});
    for (method, body) in [(Method::PATCH, &body), (Method::PUT, &body), (Method::DELETE, &Value::Null)] {
        let (status, answer) = send(&server, method, &path(&file), body).await;
        assert_eq!(status, 409);
        assert!(answer["error"]["message"].as_str().unwrap().contains("read-only"));
    }
    let with_id = json!({"id": file["id"], "name": "x", "system_prompt": "y"});
    assert_eq!(server.post("/v1/agents", &with_id).await.0, 409);
    let (status, copy) = send(&server, Method::POST, &format!("{}/copy", path(&file)), &Value::Null).await;
    assert_eq!((status, &copy["name"]), (201, &json!("plain (copy)")));
    assert_eq!(copy["system_prompt"], file["system_prompt"]);
    assert_eq!(send(&server, Method::PATCH, &path(&copy), &json!({"name": "Mine"})).await.1["name"], "Mine");
}

#[tokio::test]
async fn a_team_resolves_but_is_no_agent_of_the_list() {
    let team = "---\nkind: team\nmodel: test/model\nmembers: [plain]\n---\nYou lead.\n";
    let server = Setup::default().model(NO_MODEL).agent("crew", team).start().await;
    server.post("/sessions?type=team", &json!({"session_id": "t", "team_id": "crew"})).await;
    let session = server.get("/v1/sessions").await.1["data"][0].clone();
    let found = server.get(&format!("/v1/agents/{}", session["agent_id"].as_str().unwrap())).await;
    assert_eq!(
        (found.0, &found.1["name"], &found.1["system_prompt"]),
        (200, &json!("crew"), &json!("You lead."))
    );
    assert_eq!(names(&server, "").await, ["plain"]);
    assert_eq!(send(&server, Method::POST, &format!("{}/copy", path(&found.1)), &Value::Null).await.0, 400);
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let server = server().await;
    let model = of_file(&server).await["default_model_id"].clone();
    let tool = json!({"type": "client_side", "name": "pick", "description": "A \"quoted\" word: x", "parameters":
        {"type": "object", "properties": {"a": {"type": "string"}}}});
    let agents = [
        json!({"name": "Plain", "system_prompt": "a"}),
        json!({"name": "Full: \"x\" # ä\n", "description": "- yes\ttab", "system_prompt": "Line\n---\n\nname: x\n{{ y }}",
            "tags": ["no", "1", "a: b"], "default_model_id": model, "tools": [tool],
            "capabilities": [{"ref": "current_time"}, {"ref": "web_fetch", "config": {"a": [1, "x: y"], "b": null}}]}),
        json!({"name": "Spaces", "system_prompt": "\n  a \n"}),
        json!({"name": "Nothing", "system_prompt": ""}),
    ];
    for agent in agents {
        let agent = made(&server, agent).await;
        let text = exported(&server, &agent).await;
        let (status, again) = imported(&server, &text).await;
        assert_eq!((status, content(&again)), (201, content(&agent)), "{text}");
        assert_eq!(exported(&server, &again).await, text);
    }
}

#[tokio::test]
async fn the_file_of_an_agent_is_an_import_too_and_stays_what_it_is() {
    let file = "---\nname: Keeper\nmodel: test/model\ncapabilities:\n  - session_state\nsession_state:\n  notes: [a]\n\
                history_runs: 5\ntools:\n  - name: pick\n    kind: external\n    description: Picks\n---\n\
                Notes: {{ session_state.notes | length }}\n";
    let model = ModelServer::start([says("ok"), says("ok")]).await;
    let server = Setup::default().model(&model.url()).agent("keeper", file).start().await;
    let (status, agent) = imported(&server, file).await;
    assert_eq!((status, &agent["name"]), (201, &json!("Keeper")), "{agent}");
    let text = exported(&server, &agent).await;
    assert!(text.contains("history_runs: 5\n"), "{text}");
    assert_eq!(content(&imported(&server, &text).await.1), content(&agent));
    for id in ["keeper", agent["id"].as_str().unwrap()] {
        let run =
            server.form(&format!("/agents/{id}/runs"), &[("message", "Hi"), ("stream", "false")]).await.1;
        assert_eq!(run["content"], "ok", "{run}");
    }
    let told = |number: usize| model.requests()[number]["messages"][0]["content"].clone();
    assert!(told(0).as_str().unwrap().ends_with("Notes: 1"));
    assert_eq!(told(0), told(1));
}

#[tokio::test]
async fn a_text_is_imported_as_what_it_looks_like() {
    let server = server().await;
    let cases = [
        ("---\nname: A\nsystem_prompt: front\n---\nbody wins\n", "A", "body wins"),
        ("---\nname: A\nsystem_prompt: front\n---\n", "A", "front"),
        (
            "{\"name\": \"J\", \"system_prompt\": \"p\", \"capabilities\": [\"noop\", {\"ref\": \"x\"}]}",
            "J",
            "p",
        ),
        ("name: Y\nsystem_prompt: |\n  two\n  lines\n", "Y", "two\nlines\n"),
    ];
    for (text, name, prompt) in cases {
        let (status, agent) = imported(&server, text).await;
        assert_eq!(
            (status, &agent["name"], &agent["system_prompt"]),
            (201, &json!(name), &json!(prompt)),
            "{agent}"
        );
    }
    let (_, agent) = imported(&server, "You are a pirate: answer so.\n").await;
    assert_eq!(agent["system_prompt"], "You are a pirate: answer so.");
    let name = agent["name"].as_str().unwrap();
    assert!(name.starts_with("agent-") && name.len() == "agent-20260101-000000".len(), "{name}");
}

#[tokio::test]
async fn a_text_that_says_too_little_or_too_much_is_refused() {
    let server = server().await;
    let process = "---\nname: A\ntools:\n  - name: sh\n    kind: process\n    description: x\n    command: [sh]\n---\nx\n";
    let http = "---\nname: A\ntools:\n  - name: get\n    kind: http\n    description: x\n    url: http://x\n---\nx\n";
    let bomb = "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nname: [*e,*e,*e,*e,*e,*e,*e]\n---\nx\n";
    let wrong = [
        "",
        "  \n",
        "---\nname: A\n---\n",
        "---\nname: A\n",
        "{\"name\": \"A\"}",
        "{\"name\":",
        "---\nname: [\n---\nx\n",
        "---\nkind: team\nmembers: [a]\n---\nx\n",
        "---\ntags: x\n---\nx\n",
        "---\nmodel: nonsense\n---\nx\n",
        "---\nmodel: test/model\ncapabilities: [nobody_knows]\n---\nx\n",
        "---\nmodel: test/model\n---\n{% if %}\n",
        process,
        http,
        bomb,
    ];
    for text in wrong {
        let (status, answer) = imported(&server, text).await;
        assert_eq!((status, answer["error"]["message"].is_string()), (400, true), "{text} {answer}");
    }
    assert_eq!(imported(&server, &"x".repeat(3 * 1024 * 1024 + 1)).await.0, 413);
    assert_eq!(names(&server, "").await, ["plain"]);
}

#[tokio::test]
async fn a_preview_is_what_a_model_would_be_told() {
    let model = ModelServer::start([says("ok")]).await;
    let server = Setup::default().config("default_model = \"test/model\"").model(&model.url()).start().await;
    let capabilities = json!([{"ref": "test_math"}, {"ref": "session_state"}, {"ref": "nobody_knows"}]);
    let order = json!({"system_prompt": "Mine.", "capabilities": capabilities});
    let (status, preview) = server.post("/v1/agents/preview", &order).await;
    assert_eq!(status, 200);
    let agent =
        made(&server, json!({"name": "A", "system_prompt": "Mine.", "capabilities": capabilities})).await;
    let run = format!("/agents/{}/runs", agent["id"].as_str().unwrap());
    server.form(&run, &[("message", "Hi"), ("stream", "false")]).await;
    let asked = model.requests()[0].clone();
    assert_eq!(asked["messages"][0]["content"], preview["system_prompt"]);
    assert!(preview["system_prompt"].as_str().unwrap().ends_with("\n\nMine."));
    let names = |tools: &Value, name: fn(&Value) -> Value| {
        tools.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    let told = names(&asked["tools"], |tool| tool["function"]["name"].clone());
    assert_eq!(names(&preview["tools"], |tool| tool["name"].clone()), told);
    let empty = json!({"system_prompt": "", "tools": []});
    assert_eq!(server.post("/v1/agents/preview", &json!({})).await, (200, empty));
}

#[tokio::test]
async fn capabilities_are_listed_with_what_they_bring() {
    let server = server().await;
    let (status, all) = server.get("/v1/capabilities").await;
    assert_eq!(status, 200);
    let found = all["data"].as_array().unwrap().iter().find(|one| one["id"] == "test_math").unwrap();
    assert_eq!(server.get("/v1/capabilities/test_math").await, (200, found.clone()));
    assert_eq!((&found["status"], &found["is_mcp"]), (&json!("available"), &json!(false)));
    assert!(!found["system_prompt"].as_str().unwrap().is_empty());
    let tools = found["tool_definitions"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["add", "subtract", "multiply", "divide"]);
    assert!(tools.iter().all(|tool| tool["type"] == "builtin" && tool["parameters"]["type"] == "object"));
    assert_eq!(server.get("/v1/capabilities/nothing").await.0, 404);
    let searched = server.get("/v1/capabilities?search=MATH&limit=1").await.1;
    assert_eq!((&searched["data"][0]["id"], &searched["total"]), (&json!("test_math"), &json!(1)));
}
