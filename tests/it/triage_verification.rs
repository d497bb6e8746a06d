//! Drafts as issues show them, what verifies them, and recorded turns that are put to them.

use serde_json::{Value, json};

use crate::harness::board::{at, member};
use crate::harness::model_server::{Gate, ModelServer, Reply, calls, says, words};
use crate::harness::norm::{asked, attached, entries, prompted, quiet, served, setup, text};

#[tokio::test]
async fn the_draft_an_issue_shows_is_the_newest_that_is_open_whoever_changes_that() {
    let model = ModelServer::answering(|request| {
        let asked = asked(request);
        let documents = asked.snapshot["documents"].as_array().unwrap().clone();
        match documents.get(asked.results.len()) {
            Some(document) => {
                let ops = json!([{ "op": "replace", "path": "/text", "value": "Be kind." }]);
                calls([("edit_draft", json!({ "document_id": document["document_id"], "ops": ops }))])
            }
            None => says("It is done."),
        }
    })
    .await;
    let (_server, ours) = served(&model).await;
    let issue = ours.open(json!({})).await;
    attached(&ours, &issue, "one").await;
    attached(&ours, &issue, "two").await;
    prompted(&ours, &issue, "latest", "mend both").await;
    let shown = async || {
        let issue = ours.data(&at(&issue)).await;
        issue["latest_agent_session"]["draft_version"].clone()
    };
    quiet(&ours, &issue).await;
    let newest = shown().await;
    let path = format!("/documents/{}/versions/2", text(&newest, "document_id"));
    assert_eq!(ours.post(&format!("{path}/discard"), json!({})).await.0, 200);
    let other = shown().await;
    assert_ne!(other["document_id"], newest["document_id"]);
    assert_eq!((&other["version_number"], &other["status"]), (&json!(2), &json!("draft")));
    let path = format!("/documents/{}/versions/2", text(&other, "document_id"));
    assert_eq!(ours.post(&format!("{path}/publish"), json!({ "force": true })).await.0, 200);
    assert_eq!(shown().await, Value::Null);
    let feed = ours.items(&format!("{}/activity?entry_kind=issue", at(&issue))).await;
    let said: Vec<&str> = feed.iter().map(|entry| text(entry, "detail")).take(2).collect();
    assert!(
        said[0].starts_with("Published version 2 of") && said[1].starts_with("Gave up version 2 of"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_verdict_is_of_the_content_the_run_knows() {
    let gate = Gate::closed();
    let held = gate.clone();
    let model = ModelServer::answering(move |request| {
        let asked = asked(request);
        if !asked.system.contains("You are Norm") {
            return Reply::Gated(words("Half"), held.clone(), words("kind."));
        }
        let document = asked.snapshot["documents"][0]["document_id"].clone();
        let link = asked.snapshot["evidence"][0]["resource_link_id"].clone();
        let report = json!({ "document_id": document, "verdict": "pass", "summary": "Good." });
        match (asked.user.as_str(), asked.results.len()) {
            ("mend it", 0) => {
                let ops = json!([{ "op": "replace", "path": "/text", "value": "Be kind." }]);
                calls([("edit_draft", json!({ "document_id": document, "ops": ops }))])
            }
            ("mend it", _) => says("Mended."),
            (_, 0) => calls([(
                "replay_turn",
                json!({ "document_id": document, "version": "draft", "resource_link_id": link, "message_index": 0 }),
            )]),
            (_, 1 | 3) => calls([("report_verification", report)]),
            (_, 2) => calls([("read_document", json!({ "document_id": document, "version": "draft" }))]),
            _ => says("Verified."),
        }
    })
    .await;
    let (_server, ours) = served(&model).await;
    let issue = ours.open(json!({})).await;
    let document = attached(&ours, &issue, "one").await;
    let messages = json!([{ "role": "user", "text": "Hello" }, { "role": "assistant", "text": "Go away." }]);
    let call = json!({ "kind": "call", "id": "c1", "messages": messages });
    assert_eq!(ours.post("/evidence/conversations", call).await.0, 201);
    assert_eq!(ours.put(&format!("{}/calls/c1", at(&issue))).await.0, 200);
    prompted(&ours, &issue, "latest", "mend it").await;
    quiet(&ours, &issue).await;
    prompted(&ours, &issue, "latest", "/verify").await;
    model.wait_for_requests(4).await;
    let path = format!("/documents/{document}/versions/2");
    let (status, edited) = ours.patch(&path, json!({ "content": { "text": "Be rude again." } })).await;
    assert_eq!(status, 200, "{edited}");
    gate.open();
    let shown = quiet(&ours, &issue).await;
    let seen = entries(&ours, &issue).await;
    let reports: Vec<&Value> =
        seen.iter().filter(|entry| entry["metadata"]["tool"] == "report_verification").collect();
    assert_eq!(reports[0]["metadata"]["state"], "failed");
    assert!(text(&reports[0]["metadata"], "error").contains("stale_draft"));
    assert_eq!(reports[1]["metadata"]["state"], "succeeded");
    let verification = &shown["latest_agent_session"]["draft_version"]["verification"];
    assert_eq!(
        (&verification["verdict"], &verification["content_hash"]),
        (&json!("pass"), &edited["data"]["content_hash"])
    );
}

/// Reckons with a tool; told to be careful, it adds a number first.
const RECKONER: &str = "---\nname: Reckoner\nmodel: test/model\ncapabilities: [test_math]\n\
    session_state: {name: Ann}\n---\nYou reckon for {{ session_state.name }}.\n";

#[expect(clippy::too_many_lines, reason = "one story")]
#[tokio::test]
async fn a_replay_has_the_agents_tools_and_serves_what_was_recorded() {
    let model = ModelServer::answering(|request| {
        let asked = asked(request);
        let multiply = || ("multiply".to_owned(), json!({ "b": 7, "a": 6 }));
        if asked.system.contains("You are Norm") {
            let document = &asked.snapshot["documents"][0]["document_id"];
            let link = &asked.snapshot["evidence"][0]["resource_link_id"];
            let replay = json!({ "document_id": document, "version": "draft", "resource_link_id": link, "message_index": 0 });
            let ops = json!([{ "op": "replace", "path": "/instructions",
                               "value": "You reckon carefully for {{ session_state.name }}." }]);
            return match (asked.user.as_str(), asked.results.len()) {
                ("mend it", 0) => calls([("edit_draft", json!({ "document_id": document, "ops": ops }))]),
                ("mend it", _) => says("Mended."),
                (_, 0) => calls([("replay_turn", replay)]),
                (_, 1) => calls([("report_verification",
                    json!({ "document_id": document, "verdict": "pass", "summary": "Better." }))]),
                _ => says("Verified."),
            };
        }
        let careful = asked.system.contains("You reckon carefully for Ann.");
        match (careful, asked.results.as_slice()) {
            (_, []) => Reply::Calls(vec![multiply()]),
            (false, _) => says("It is 41."),
            (true, [_]) => Reply::Calls(vec![("add".into(), json!({ "a": 1, "b": 1 }))]),
            (true, [first, second]) => {
                let first: Value = serde_json::from_str(first).unwrap();
                says(&format!("It is {}; not added: {}.", first["result"], second.contains("not_recorded")))
            }
            (true, _) => says("Too many."),
        }
    })
    .await;
    let server = setup(&model).agent("reckoner", RECKONER).start().await;
    let ours = member(&server);
    let sent = json!({
        "name": "Reckoner", "kind": "agent_config", "bound_to": { "type": "agent", "id": "reckoner" },
        "content": { "instructions": "You reckon for {{ session_state.name }}." },
    });
    assert_eq!(ours.post("/documents", sent).await.0, 201);
    let fields = [("message", "What is 6 times 7?"), ("session_id", "s1"), ("stream", "false")];
    let (status, bad) = server.form("/agents/reckoner/runs", &fields).await;
    assert_eq!((status, &bad["content"]), (200, &json!("It is 41.")));
    let (status, issue) = ours.post("/issues", json!({ "run_id": bad["run_id"] })).await;
    assert_eq!(status, 201, "{issue}");
    let issue = issue["data"].clone();
    prompted(&ours, &issue, "latest", "mend it").await;
    quiet(&ours, &issue).await;
    prompted(&ours, &issue, "latest", "/verify").await;
    quiet(&ours, &issue).await;
    let seen = entries(&ours, &issue).await;
    let report = seen.iter().rfind(|entry| entry["artifact"]["type"] == "verification_report").unwrap();
    let replay = &report["artifact"]["payload"]["replays"][0];
    assert_eq!((&replay["asked"], &replay["before"]), (&json!("What is 6 times 7?"), &json!("It is 41.")));
    let product = |number: &Value| number.as_f64() == Some(42.0);
    let recorded: Value = serde_json::from_str(text(&replay["tool_calls"]["before"][0], "result")).unwrap();
    assert!(product(&recorded["result"]), "{replay}");
    let after = &replay["tool_calls"]["after"][0];
    let made = |call: &Value| (call["tool"].clone(), call["recorded"].clone());
    assert_eq!(made(&after[0]), (json!("multiply"), json!(true)));
    assert_eq!(made(&after[1]), (json!("add"), json!(false)));
    assert_eq!(after[1]["result"], Value::Null);
    let answer = replay["after"][0].as_str().unwrap();
    assert!(answer.starts_with("It is 42") && answer.ends_with("not added: true."), "{answer}");
    let offered = model.requests();
    let replayed =
        offered.iter().find(|request| request.to_string().contains("reckon carefully for Ann")).unwrap();
    assert!(replayed["tools"].to_string().contains("\"multiply\""), "{replayed}");
}
