//! Section 13 of the AgentOS contract, through the real program: sessions.

use std::collections::BTreeMap;
use std::process::Command;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::server::{Server, Setup, answer, to_end, until};
use crate::harness::steady::steady;

const NO_MODEL: &str = "http://127.0.0.1:1/v1";

async fn server() -> Server {
    Setup::default().model(NO_MODEL).start().await
}

async fn send(server: &Server, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = server.request(method, path);
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request.send().await.unwrap()).await
}

async fn made(server: &Server, kind: &str, body: Value) -> Value {
    let (status, made) = server.post(&format!("/sessions?type={kind}"), &body).await;
    assert_eq!(status, 201, "{made}");
    made
}

fn detail(text: &str) -> Value {
    json!({ "detail": text })
}

/// The first complaint: where, and of which kind.
fn complaint(body: &Value) -> (Value, Value) {
    (body["detail"][0]["loc"].clone(), body["detail"][0]["type"].clone())
}

#[tokio::test]
async fn a_new_session_shows_what_was_given_and_leaves_out_the_rest() {
    let server = server().await;
    let given = json!({
        "session_id": "s 1/ä", "session_name": "N", "session_state": {"k": null, "deep": {"x": [1]}},
        "metadata": {"m": 1}, "user_id": "u", "agent_id": "Agent nobody knows", "team_id": "t",
        "created_at": "1970-01-01T00:00:00Z", "metrics": {"input_tokens": 9}, "owner": "b", "unknown": 1,
    });
    let shown = made(&server, "agent", given).await;
    assert_eq!(shown["created_at"], shown["updated_at"]);
    let expected = json!({
        "agent_session_id": "s 1/ä", "session_id": "s 1/ä", "session_name": "N",
        "session_state": {"k": null, "deep": {"x": [1]}}, "metadata": {"m": 1}, "user_id": "u",
        "agent_id": "Agent nobody knows", "metrics": {}, "chat_history": [],
        "created_at": "<time>", "updated_at": "<time>",
    });
    assert_eq!(steady(shown.clone()), expected);
    assert_eq!(server.get("/sessions/s%201%2F%C3%A4").await, (200, shown));
}

#[tokio::test]
async fn each_kind_of_session_has_its_shape() {
    let server = server().await;
    let owners = json!({"agent_id": "a", "team_id": "t", "workflow_id": "w"});
    let times = json!({"created_at": "<time>", "updated_at": "<time>"});
    let shapes = [
        ("agent", json!({"agent_session_id": "<uuid>", "agent_id": "a", "metrics": {}, "chat_history": []})),
        ("team", json!({"team_id": "t", "metrics": {}, "chat_history": []})),
        ("workflow", json!({"workflow_id": "w"})),
    ];
    for (kind, own) in shapes {
        let mut expected = json!({"session_id": "<uuid>", "session_name": ""});
        for more in [&own, &times] {
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        assert_eq!(steady(made(&server, kind, owners.clone()).await), expected, "{kind}");
    }
}

#[tokio::test]
async fn a_session_needs_no_body_and_nothing_in_it() {
    let server = server().await;
    let expected = json!({
        "agent_session_id": "<uuid>", "session_id": "<uuid>", "session_name": "", "metrics": {},
        "chat_history": [], "created_at": "<time>", "updated_at": "<time>",
    });
    let nulls = json!({
        "session_id": null, "session_name": null, "session_state": null, "metadata": null, "user_id": null,
        "agent_id": null, "team_id": null, "workflow_id": null,
    });
    for body in [None, Some(Value::Null), Some(json!({})), Some(nulls)] {
        let (status, shown) = send(&server, Method::POST, "/sessions", body.clone()).await;
        assert_eq!((status, steady(shown)), (201, expected.clone()), "{body:?}");
    }
}

#[tokio::test]
async fn a_taken_id_is_refused_whatever_its_type() {
    let server = server().await;
    made(&server, "agent", json!({"session_id": "X", "session_name": "first"})).await;
    let taken = detail("Session with id 'X' already exists. Use PATCH /sessions/X to update it.");
    for kind in ["agent", "team", "workflow"] {
        let answer = server.post(&format!("/sessions?type={kind}"), &json!({"session_id": "X"})).await;
        assert_eq!(answer, (409, taken.clone()), "{kind}");
    }
    assert_eq!(server.get("/sessions/X").await.1["session_name"], "first");
}

#[tokio::test]
async fn of_twenty_creations_of_one_id_at_once_exactly_one_succeeds() {
    let server = server().await;
    let tries = (0..20).map(|number| {
        let body = json!({"session_id": "X", "session_name": number.to_string()});
        let server = &server;
        async move { server.post("/sessions", &body).await }
    });
    let answers = join_all(tries).await;
    let mut counts = BTreeMap::new();
    for (status, _) in &answers {
        *counts.entry(*status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(201, 1), (409, 19)]));
    let winner = answers.into_iter().find(|(status, _)| *status == 201).unwrap().1;
    assert_eq!(server.get("/sessions/X").await, (200, winner));
}

#[tokio::test]
async fn what_is_not_there_is_named_in_agnos_words() {
    let server = server().await;
    made(&server, "agent", json!({"session_id": "s", "user_id": "u"})).await;
    let cases = [
        ("/sessions/x", "Session with id 'x' not found"),
        ("/sessions/x?type=agent", "Agent Session with id 'x' not found"),
        ("/sessions/s?type=team", "Team Session with id 's' not found"),
        ("/sessions/s?type=workflow", "Workflow Session with id 's' not found"),
        ("/sessions/s?user_id=v", "Session with id 's' not found"),
    ];
    for (path, text) in cases {
        assert_eq!(server.get(path).await, (404, detail(text)), "{path}");
        let patched = send(&server, Method::PATCH, path, Some(json!({"session_name": "N"}))).await;
        assert_eq!(patched, (404, detail(text)), "{path}");
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        let renamed = server.post(&format!("{place}/rename?{query}"), &json!({"session_name": "N"})).await;
        assert_eq!(renamed, (404, detail(text)), "{path}");
    }
    assert_eq!(server.get("/sessions/s?type=agent&user_id=u").await.1["session_name"], "");
    assert_eq!(server.get("/sessions/x/runs").await, (404, detail("Session with ID x not found")));
    assert_eq!(server.get("/sessions/x/runs/r").await, (404, detail("Session with ID x not found")));
    assert_eq!(server.get("/sessions/s/runs").await, (200, json!([])));
    assert_eq!(server.get("/sessions/s/runs/r").await, (404, detail("Session with ID s has no runs")));
}

#[tokio::test]
async fn a_change_replaces_what_it_names_whole_and_says_what_is_unset() {
    let server = server().await;
    let given = json!({"session_id": "s", "session_state": {"a": 1, "b": {"c": 2}}, "agent_id": "plain"});
    let before = made(&server, "agent", given).await;
    let mut expected = json!({
        "user_id": null, "agent_session_id": "s", "session_id": "s", "session_name": "New name",
        "session_summary": null, "session_state": {"a": 1, "b": {"c": 2}}, "agent_id": "plain",
        "total_tokens": null, "agent_data": null, "metrics": {}, "metadata": null, "chat_history": [],
        "created_at": "<time>", "updated_at": "<time>",
    });
    let renamed = server.post("/sessions/s/rename", &json!({"session_name": "New name"})).await;
    assert_eq!((renamed.0, steady(renamed.1.clone())), (200, expected.clone()));
    assert_eq!(renamed.1["created_at"], before["created_at"]);
    assert!(renamed.1["updated_at"].as_str() > before["updated_at"].as_str());

    let changes =
        json!({"session_state": {"b": {"d": 3}}, "summary": {"summary": "x"}, "metadata": {"m": 1}});
    let (status, changed) = send(&server, Method::PATCH, "/sessions/s", Some(changes)).await;
    expected["session_state"] = json!({"b": {"d": 3}});
    expected["session_summary"] = json!({"summary": "x"});
    expected["metadata"] = json!({"m": 1});
    assert_eq!((status, steady(changed)), (200, expected.clone()));

    let nulls = json!({"session_state": null, "summary": null, "metadata": null, "session_name": null});
    let (status, changed) = send(&server, Method::PATCH, "/sessions/s", Some(nulls)).await;
    assert_eq!((status, steady(changed)), (200, expected));
}

#[tokio::test]
async fn a_new_name_must_be_there_and_be_text() {
    let server = server().await;
    made(&server, "agent", json!({"session_id": "s"})).await;
    let place = json!(["body", "session_name"]);
    let cases = [
        (json!({}), "missing"),
        (json!({"session_name": null}), "missing"),
        (json!({"session_name": 1}), "string_type"),
    ];
    for (body, kind) in cases {
        let (status, answer) = server.post("/sessions/s/rename", &body).await;
        assert_eq!((status, complaint(&answer)), (422, (place.clone(), json!(kind))), "{body}");
    }
}

#[tokio::test]
async fn deleting_is_silent_and_asks_whose_session_it_is() {
    let server = server().await;
    for (id, user) in [("a", "u"), ("b", "u"), ("c", "v")] {
        made(&server, "agent", json!({"session_id": id, "user_id": user})).await;
    }
    let gone = (204, Value::Null);
    assert_eq!(send(&server, Method::DELETE, "/sessions/unknown", None).await, gone);
    assert_eq!(send(&server, Method::DELETE, "/sessions/a?user_id=v", None).await, gone);
    assert_eq!(server.get("/sessions/a").await.0, 200);
    assert_eq!(send(&server, Method::DELETE, "/sessions/a?user_id=u", None).await, gone);
    assert_eq!(server.get("/sessions/a").await.0, 404);

    let all = |ids: Value, kinds: Value| Some(json!({"session_ids": ids, "session_types": kinds}));
    let differ = detail("Session IDs and session types must have the same length");
    let wrong = all(json!(["b", "c"]), json!(["agent"]));
    assert_eq!(send(&server, Method::DELETE, "/sessions", wrong).await, (400, differ));
    let empty = send(&server, Method::DELETE, "/sessions", all(json!([]), json!([]))).await;
    assert_eq!((empty.0, complaint(&empty.1)), (422, (json!(["body", "session_ids"]), json!("too_short"))));
    let unknown = send(&server, Method::DELETE, "/sessions", all(json!(["b"]), json!(["x"]))).await;
    assert_eq!(
        (unknown.0, complaint(&unknown.1)),
        (422, (json!(["body", "session_types", 0]), json!("enum")))
    );
    let both = || all(json!(["b", "c", "unknown"]), json!(["agent", "agent", "team"]));
    assert_eq!(send(&server, Method::DELETE, "/sessions?user_id=u", both()).await, gone);
    assert_eq!((server.get("/sessions/b").await.0, server.get("/sessions/c").await.0), (404, 200));
    assert_eq!(send(&server, Method::DELETE, "/sessions", both()).await, gone);
    assert_eq!(server.get("/sessions").await.1["data"], json!([]));
}

async fn ids(server: &Server, query: &str) -> Vec<String> {
    let (status, page) = server.get(&format!("/sessions?{query}")).await;
    assert_eq!(status, 200, "{query}: {page}");
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(|row| row["session_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_filtered_by_any_of_its_filters_together() {
    let server = server().await;
    let sessions = [
        ("agent", json!({"session_id": "1", "agent_id": "x", "user_id": "u", "session_name": "Red apple"})),
        ("agent", json!({"session_id": "2", "agent_id": "y y", "session_state": {"fruit": "apple"}})),
        ("team", json!({"session_id": "3", "team_id": "x", "user_id": "u"})),
        ("workflow", json!({"session_id": "4", "workflow_id": "x", "user_id": "v", "session_name": "APPLE"})),
    ];
    for (kind, body) in sessions {
        made(&server, kind, body).await;
    }
    let cases = [
        ("", &["4", "3", "2", "1"][..]),
        ("type=agent", &["2", "1"]),
        ("type=team&component_id=x", &["3"]),
        ("component_id=x", &["4", "3", "1"]),
        ("component_id=y%20y", &["2"]),
        ("component_id=y+y&type=agent", &["2"]),
        ("user_id=u", &["3", "1"]),
        ("user_id=u&type=agent", &["1"]),
        ("user_id=u&component_id=x&type=team", &["3"]),
        ("user_id=v&component_id=x&session_name=app", &["4"]),
        ("session_name=apple", &["4", "2", "1"]),
        ("session_name=apple&type=agent&user_id=u", &["1"]),
        ("session_name=fruit", &["2"]),
        ("session_name=pear", &[]),
        ("user_id=nobody", &[]),
        ("sort_order=asc", &["1", "2", "3", "4"]),
        ("sort_by=unknown&sort_order=asc", &["1", "2", "3", "4"]),
        ("sort_by=session_name&sort_order=desc&session_name=apple&type=agent", &["1", "2"]),
        ("user_id=&component_id=&session_name=&sort_by=", &["4", "3", "2", "1"]),
        ("db_id=runhold&table=agno_sessions&type=team", &["3"]),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(&server, query).await, expected, "{query}");
    }
    server.post("/sessions/1/rename", &json!({"session_name": "Red apple"})).await;
    assert_eq!(ids(&server, "sort_by=updated_at").await, ["1", "4", "3", "2"]);
}

#[tokio::test]
async fn a_row_leaves_out_what_is_unset() {
    let server = server().await;
    made(&server, "agent", json!({})).await;
    let body = json!({
        "session_id": "t", "session_name": "N", "team_id": "x", "agent_id": "y", "user_id": "u",
        "session_state": {"k": null}, "metadata": {},
    });
    made(&server, "team", body).await;
    let (_, page) = server.get("/sessions").await;
    let times = ("<time>", "<time>");
    assert_eq!(
        steady(page),
        json!({
            "data": [
                {"session_id": "t", "session_name": "N", "session_type": "team", "team_id": "x", "user_id": "u",
                 "session_state": {"k": null}, "metadata": {}, "metrics": {},
                 "created_at": times.0, "updated_at": times.1},
                {"session_id": "<uuid>", "session_name": "", "session_type": "agent", "metrics": {},
                 "created_at": times.0, "updated_at": times.1},
            ],
            "meta": {"page": 1, "limit": 20, "total_pages": 1, "total_count": 2, "search_time_ms": 0.0},
        })
    );
}

#[tokio::test]
async fn pages_count_from_one_and_an_empty_one_is_a_page_too() {
    let server = server().await;
    for number in 1..=5 {
        made(&server, "agent", json!({"session_id": number.to_string()})).await;
    }
    let cases = [
        ("limit=2", &["5", "4"][..], 3),
        ("limit=2&page=0", &["5", "4"], 3),
        ("limit=2&page=3", &["1"], 3),
        ("limit=2&page=4", &[], 3),
        ("limit=2&page=9223372036854775807", &[], 3),
        ("limit=5", &["5", "4", "3", "2", "1"], 1),
        ("limit=9223372036854775807", &["5", "4", "3", "2", "1"], 1),
        ("limit=2&page=2&session_name=&sort_by=session_name", &["3", "2"], 3),
    ];
    for (query, expected, pages) in cases {
        assert_eq!(ids(&server, query).await.len(), expected.len(), "{query}");
        let meta = server.get(&format!("/sessions?{query}")).await.1["meta"].clone();
        assert_eq!((&meta["total_count"], &meta["total_pages"]), (&json!(5), &json!(pages)), "{query}");
        if !query.contains("sort_by") {
            assert_eq!(ids(&server, query).await, expected, "{query}");
        }
    }
    let refused = [
        ("limit=0", "limit", "greater_than_equal"),
        ("limit=-1", "limit", "greater_than_equal"),
        ("page=-1", "page", "greater_than_equal"),
        ("limit=x", "limit", "int_parsing"),
        ("limit=1.5", "limit", "int_parsing"),
        ("page=99999999999999999999", "page", "int_parsing"),
        ("type=x", "type", "enum"),
        ("sort_order=up", "sort_order", "enum"),
    ];
    for (query, field, kind) in refused {
        let (status, body) = server.get(&format!("/sessions?{query}")).await;
        assert_eq!((status, complaint(&body)), (422, (json!(["query", field]), json!(kind))), "{query}");
    }
}

#[tokio::test]
async fn there_is_one_database_and_the_list_says_404_to_every_other_choice() {
    let server = server().await;
    made(&server, "agent", json!({"session_id": "s"})).await;
    let cases = [
        ("db_id=x", 404, "No database found with id 'x'"),
        ("table=agno_sessions", 400, "The db_id query parameter is required when passing a table"),
        ("db_id=runhold&table=t", 404, "No database with id 'runhold' has table 't'"),
    ];
    for (query, status, text) in cases {
        let list = server.get(&format!("/sessions?{query}")).await;
        assert_eq!(list, (404, detail(&format!("{status}: {text}"))));
        let name = || Some(json!({"session_name": "N"}));
        let all = json!({"session_ids": ["s"], "session_types": ["agent"]});
        let others = [
            (Method::POST, format!("/sessions?{query}"), None),
            (Method::GET, format!("/sessions/s?{query}"), None),
            (Method::PATCH, format!("/sessions/s?{query}"), name()),
            (Method::POST, format!("/sessions/s/rename?{query}"), name()),
            (Method::DELETE, format!("/sessions/s?{query}"), None),
            (Method::DELETE, format!("/sessions?{query}"), Some(all)),
            (Method::GET, format!("/sessions/s/runs?{query}"), None),
            (Method::GET, format!("/sessions/s/runs/r?{query}"), None),
        ];
        for (method, path, body) in others {
            let answer = send(&server, method.clone(), &path, body).await;
            assert_eq!(answer, (status, detail(text)), "{method} {path}");
        }
    }
    assert_eq!(ids(&server, "").await, ["s"]);
}

async fn run(server: &Server, agent: &str, fields: &[(&str, &str)]) -> Value {
    let mut all = vec![("stream", "false")];
    all.extend(fields);
    let (status, body) = server.form(&format!("/agents/{agent}/runs"), &all).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[tokio::test]
async fn what_was_said_is_in_the_detail_with_its_cost_and_gives_the_session_a_name() {
    let model =
        ModelServer::start([calls([("add", json!({"a": 2, "b": 3}))]), says("Five."), says("Six.")]).await;
    let adder = "---\nmodel: test/model\ncapabilities: [test_math]\n---\nYou add.\n";
    let server = Setup::default().model(&model.url()).agent("adder", adder).start().await;
    run(&server, "adder", &[("message", "2+3?"), ("session_id", "s"), ("user_id", "u")]).await;
    run(&server, "adder", &[("message", "3+3?"), ("session_id", "s")]).await;
    let (_, shown) = server.get("/sessions/s").await;
    insta::assert_json_snapshot!(steady(shown));
    let (_, page) = server.get("/sessions").await;
    insta::assert_json_snapshot!(steady(page));
    let (_, runs) = server.get("/sessions/s/runs").await;
    insta::assert_json_snapshot!(steady(runs.clone()));
    let id = runs[1]["run_id"].as_str().unwrap();
    let (_, one) = server.get(&format!("/sessions/s/runs/{id}")).await;
    insta::assert_json_snapshot!(steady(one));
    let other = server.get("/sessions/s/runs/01a20444-dea8-7321-bf98-9663b2d3bf99").await;
    let missing = "Run with ID 01a20444-dea8-7321-bf98-9663b2d3bf99 not found in session s";
    assert_eq!(other, (404, detail(missing)));
    model.assert_clean();
}

#[tokio::test]
async fn a_rename_and_a_change_while_a_run_goes_are_kept_beside_what_it_wrote() {
    let gate = Gate::closed();
    let set = calls([("set_session_state", json!({"changes": {"from_tool": 1}}))]);
    let model = ModelServer::start([set, Reply::Gated(words("Half "), gate.clone(), words("done."))]).await;
    let server = Setup::default().model(&model.url()).agent("keeper", &keeper("")).start().await;
    made(&server, "agent", json!({"session_id": "s", "session_state": {"old": 1}})).await;
    let mut stream = server.stream("keeper", &[("message", "Go"), ("session_id", "s")]).await;
    until(&mut stream, "ToolCallCompleted").await;
    until(&mut stream, "RunContent").await;
    assert_eq!(server.post("/sessions/s/rename", &json!({"session_name": "Mine"})).await.0, 200);
    let changes = json!({"metadata": {"m": 1}, "session_state": {"old": 1, "from_patch": 2}});
    assert_eq!(send(&server, Method::PATCH, "/sessions/s", Some(changes)).await.0, 200);
    gate.open();
    let last = to_end(stream).await.pop().unwrap();
    assert_eq!(last["event"], "RunCompleted");
    let (_, shown) = server.get("/sessions/s").await;
    let kept = (&shown["session_name"], &shown["metadata"], &shown["agent_id"], &shown["session_state"]);
    let state = json!({"old": 1, "from_patch": 2, "from_tool": 1});
    assert_eq!(kept, (&json!("Mine"), &json!({"m": 1}), &json!("keeper"), &state));
    model.assert_clean();
}

fn keeper(more: &str) -> String {
    format!("---\nmodel: test/model\ncapabilities: [session_state]\n{more}---\nYou keep.\n")
}

#[tokio::test]
async fn state_is_the_agents_under_the_sessions_under_the_calls_under_what_tools_did() {
    let model = ModelServer::start([
        calls([("set_session_state", json!({"changes": {"d": {"tool": 1}}, "remove": ["gone"]}))]),
        says("Done."),
    ])
    .await;
    let defaults = "session_state: {a: default, b: default, c: default, d: {default: 1}}\n";
    let server = Setup::default().model(&model.url()).agent("keeper", &keeper(defaults)).start().await;
    let stored = json!({"b": "stored", "c": "stored", "d": {"stored": 1}, "list": [1, 2], "gone": 1});
    made(&server, "agent", json!({"session_id": "s", "session_state": stored})).await;
    let call = json!({"c": "call", "d": {"call": 1}, "list": [3]}).to_string();
    let fields = [("message", "Go"), ("session_id", "s"), ("session_state", call.as_str())];
    let answer = run(&server, "keeper", &fields).await;
    let expected = json!({
        "a": "default", "b": "stored", "c": "call", "list": [3],
        "d": {"default": 1, "stored": 1, "call": 1, "tool": 1},
    });
    assert_eq!(answer["session_state"], expected);
    assert_eq!(server.get("/sessions/s").await.1["session_state"], expected);
    model.assert_clean();
}

#[tokio::test]
async fn eight_runs_at_once_in_one_session_are_all_kept_with_what_each_wrote() {
    let model = ModelServer::answering(|_| says("ok")).await;
    let server = Setup::default().model(&model.url()).start().await;
    let runs = (0..8).map(|number| {
        let state = json!({format!("k{number}"): number}).to_string();
        let message = format!("m{number}");
        let server = &server;
        async move {
            let fields = [("message", message.as_str()), ("session_id", "s"), ("session_state", &state)];
            run(server, "plain", &fields).await["status"].clone()
        }
    });
    assert_eq!(join_all(runs).await, vec![json!("COMPLETED"); 8]);
    let (_, shown) = server.get("/sessions/s").await;
    let expected: Value = (0..8).map(|number| (format!("k{number}"), json!(number))).collect();
    assert_eq!(shown["session_state"], expected);
    assert_eq!(shown["total_tokens"], 8 * 30);
    assert_eq!(shown["chat_history"].as_array().unwrap().len(), 16);
    let (_, kept) = server.get("/sessions/s/runs").await;
    let mut inputs: Vec<_> =
        kept.as_array().unwrap().iter().map(|run| run["run_input"].as_str().unwrap()).collect();
    inputs.sort_unstable();
    assert_eq!(inputs, ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]);
}

#[tokio::test]
async fn deleting_a_session_ends_its_run_and_the_session_stays_gone() {
    let gate = Gate::closed();
    let model = ModelServer::start([Reply::Gated(words("Half "), gate.clone(), words("never"))]).await;
    let server = Setup::default().model(&model.url()).start().await;
    let mut stream = server.stream("plain", &[("message", "Go"), ("session_id", "s")]).await;
    let started = until(&mut stream, "RunContent").await;
    assert_eq!(send(&server, Method::DELETE, "/sessions/s", None).await, (204, Value::Null));
    to_end(stream).await;
    model.wait_for_hang_ups(1).await;
    gate.open();
    let run = started[0]["run_id"].as_str().unwrap();
    let gone = server.get(&format!("/agents/plain/runs/{run}?session_id=s")).await;
    assert_eq!(gone, (404, detail("Run not found")));
    assert_eq!(server.get("/sessions/s").await.0, 404);
    assert_eq!(ids(&server, "").await, Vec::<String>::new());
}

/// A token of another owner, made beside the running server.
fn token_of(server: &Server, owner: &str) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_runhold"))
        .args(["token", "--data"])
        .arg(server.path("data"))
        .args(["new", owner, "--owner", owner])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

async fn as_owner(server: &Server, token: &str, method: &Method, path: &str, body: &Value) -> (u16, String) {
    let client = reqwest::Client::new();
    let url = format!("{}{path}", server.url());
    let mut request = client.request(method.clone(), url).bearer_auth(token);
    if !body.is_null() {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A token made beside a running server counts within a second.
async fn until_it_counts(server: &Server, token: &str) {
    while as_owner(server, token, &Method::GET, "/sessions", &Value::Null).await.0 != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_belongs_to_another_owner_is_as_good_as_missing() {
    let model = ModelServer::answering(|_| says("ok")).await;
    let server = Setup::default().model(&model.url()).start().await;
    let mine = run(&server, "plain", &[("message", "secret"), ("session_id", "foreign")]).await;
    let run_id = mine["run_id"].as_str().unwrap();
    let before = server.get("/sessions/foreign").await;
    let stranger = token_of(&server, "b");
    until_it_counts(&server, &stranger).await;

    let missing_run = "01a20444-dea8-7321-bf98-9663b2d3bf99";
    let name = json!({"session_name": "N"});
    let message = json!({"message": "x"});
    let last = json!({"last_event_index": 0});
    let none = Value::Null;
    let all = json!({"session_ids": ["foreign"], "session_types": ["agent"]});
    let requests = [
        (Method::GET, "/sessions/SESSION", &none),
        (Method::PATCH, "/sessions/SESSION", &name),
        (Method::POST, "/sessions/SESSION/rename", &name),
        (Method::GET, "/sessions/SESSION/runs", &none),
        (Method::GET, "/sessions/SESSION/runs/RUN", &none),
        (Method::GET, "/sessions/SESSION/run-previews", &none),
        (Method::GET, "/agents/plain/runs?session_id=SESSION", &none),
        (Method::GET, "/agents/plain/runs/RUN?session_id=SESSION", &none),
        (Method::POST, "/agents/plain/runs/RUN/cancel?session_id=SESSION", &none),
        (Method::POST, "/agents/plain/runs/RUN/cancel", &none),
        (Method::POST, "/agents/plain/runs/RUN/resume", &last),
        (Method::DELETE, "/sessions/SESSION", &none),
        (Method::DELETE, "/sessions", &all),
    ];
    for (method, path, body) in requests {
        let there = path.replace("SESSION", "foreign").replace("RUN", run_id);
        let nowhere = path.replace("SESSION", "missing").replace("RUN", missing_run);
        let (status, text) = as_owner(&server, &stranger, &method, &there, body).await;
        let (missing_status, missing_text) = as_owner(&server, &stranger, &method, &nowhere, body).await;
        let alike = missing_text.replace("missing", "foreign").replace(missing_run, run_id);
        assert_eq!((status, text), (missing_status, alike), "{method} {path}");
    }
    assert_eq!(server.get("/sessions/foreign").await, before);

    let own = json!({"session_id": "foreign", "session_name": "of b", "owner": "default"});
    assert_eq!(as_owner(&server, &stranger, &Method::POST, "/sessions", &own).await.0, 201);
    let path = "/agents/plain/runs?session_id=foreign";
    assert_eq!(as_owner(&server, &stranger, &Method::GET, path, &none).await, (200, "[]".into()));
    assert_eq!(as_owner(&server, &stranger, &Method::POST, "/agents/plain/runs", &message).await.0, 200);
    assert_eq!(server.get("/sessions/foreign").await, before);
    assert_eq!(ids(&server, "").await, ["foreign"]);
}
