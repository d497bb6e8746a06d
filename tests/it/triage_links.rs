//! Sections 6 and 7 of the triage contract, through the real program: evidence links, flags, relations, categories.

use serde_json::{Value, json};

use crate::harness::board::{Member, at, board, failure, member};

/// A text of an item, of each.
fn each<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[name].as_str().unwrap()).collect()
}

async fn counts(member: &Member, issue: &Value) -> Value {
    let now = member.data(&at(issue)).await;
    json!([now["resource_count"], now["flag_count"], now["relation_count"]])
}

#[tokio::test]
async fn evidence_is_attached_once_and_must_be_known() {
    let (_server, member) = board().await;
    member.conversation("call 1/ä", "A bad call").await;
    let made = member.open(json!({})).await;
    let resources = format!("{}/resources", at(&made));
    let body = json!({"resource_type": "call", "resource_id": "call 1/ä"});
    let (status, link) = member.post(&resources, body.clone()).await;
    let link = link["data"].clone();
    let expected = json!({
        "id": link["id"], "issue_id": made["id"], "org_id": "default", "resource_type": "call",
        "resource_id": "call 1/ä", "title": "A bad call", "status": "available", "metadata": link["metadata"],
        "attached_by_id": "configured", "created_at": link["created_at"],
    });
    assert_eq!((status, &link), (201, &expected));
    assert_eq!(member.post(&resources, body).await, (200, json!({"data": link, "errors": null})));
    assert_eq!(member.items(&resources).await, std::slice::from_ref(&link));
    assert_eq!(member.feed(&made).await, ["resource_added", "created"]);
    assert_eq!(member.items(&format!("{}/activity", at(&made))).await[0]["resources"], json!([link]));
    let unknown = json!({"resource_type": "call", "resource_id": "nobody knows"});
    assert_eq!(member.post(&resources, unknown).await, (404, failure("not_found", "Resource not found")));
    let (status, told) = member.post(&resources, json!({"resource_type": "fax"})).await;
    let message = "resource_type: must be one of call, sms_conversation, file; resource_id: required";
    assert_eq!((status, &told["errors"][0]["message"]), (400, &json!(message)));
    assert_eq!(counts(&member, &made).await, json!([1, 0, 0]));
}

#[tokio::test]
async fn detaching_takes_the_links_id_and_the_flags_with_it() {
    let (_server, member) = board().await;
    member.conversation("c1", "Call one").await;
    let other = member.open(json!({})).await;
    let made = member
        .open(json!({"resource_links": [
        {"resource_type": "call", "resource_id": "c1"}, {"resource_type": "call", "resource_id": "c2"},
        {"resource_type": "call", "resource_id": "c1"}]}))
        .await;
    assert_eq!(counts(&member, &made).await, json!([2, 0, 0]));
    for call in ["c1", "c1", "c2"] {
        let flag = json!({"call_id": call, "type": "Missed Handoff"});
        assert_eq!(member.post(&format!("{}/flags", at(&made)), flag).await.0, 201);
    }
    let links = member.items(&format!("{}/resources", at(&made))).await;
    let link = links.iter().find(|link| link["resource_id"] == "c1").unwrap();
    let path = |issue: &Value, id: &str| format!("{}/resources/{id}", at(issue));
    let missing = (404, failure("not_found", "Resource not found"));
    for wrong in [path(&made, "c1"), path(&other, link["id"].as_str().unwrap())] {
        assert_eq!(member.delete(&wrong).await, missing, "{wrong}");
    }
    assert_eq!(member.delete(&path(&made, link["id"].as_str().unwrap())).await, (204, Value::Null));
    assert_eq!(counts(&member, &made).await, json!([1, 1, 0]));
    let feed = member.feed(&made).await;
    assert_eq!(feed[..3], ["resource_removed", "flag_removed", "flag_removed"]);
    assert_eq!(member.items("/flag-types").await[0]["usage_count"], 1);
    assert_eq!(member.delete(&path(&made, link["id"].as_str().unwrap())).await, missing);
}

#[tokio::test]
async fn a_call_is_attached_and_detached_by_its_own_id() {
    let (_server, member) = board().await;
    member.conversation("a/b c", "Call").await;
    let made = member.open(json!({})).await;
    let path = format!("{}/calls/a%2Fb%20c", at(&made));
    for _ in 0..2 {
        let (status, issue) = member.put(&path).await;
        assert_eq!(
            (status, &issue["data"]["id"], &issue["data"]["resource_count"]),
            (200, &made["id"], &json!(1))
        );
    }
    let missing = (404, failure("not_found", "Resource not found"));
    assert_eq!(member.put(&format!("{}/calls/unknown", at(&made))).await, missing);
    assert_eq!(member.delete(&path).await, (204, Value::Null));
    assert_eq!(member.delete(&path).await, missing);
    assert_eq!(member.feed(&made).await, ["resource_removed", "resource_added", "created"]);
}

#[tokio::test]
async fn a_flag_marks_a_moment_of_an_attached_call() {
    let (_server, member) = board().await;
    let made = member.open(json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]})).await;
    let flags = format!("{}/flags", at(&made));
    let body = json!({"call_id": "c", "type": " missedHandoff ", "note": "n", "node_id": "1", "node_name": "End",
        "message_index": 4, "message_text": "bye"});
    let (status, flag) = member.post(&flags, body).await;
    let flag = flag["data"].clone();
    let expected = json!({
        "id": flag["id"], "org_id": "default", "issue_id": made["id"], "call_id": "c", "type": "missed_handoff",
        "note": "n", "node_id": "1", "node_name": "End", "message_index": 4, "message_text": "bye",
        "author_id": "configured", "created_at": flag["created_at"],
    });
    assert_eq!((status, &flag), (201, &expected));
    let (_, bare) = member.post(&flags, json!({"call_id": "c", "type": "missed-handoff"})).await;
    let told = json!([bare["data"]["note"], bare["data"]["node_id"], bare["data"]["message_index"]]);
    assert_eq!(told, json!(["", null, null]));
    let entry = &member.items(&format!("{}/activity", at(&made))).await[1];
    let metadata = json!({"flag_id": flag["id"], "type": "missed_handoff", "message_index": 4});
    assert_eq!((&entry["type"], &entry["metadata"]), (&json!("flag_added"), &metadata));
    assert_eq!(entry["resources"][0]["resource_id"], "c");
    assert_eq!(member.items(&flags).await, [bare["data"].clone(), flag.clone()]);
    let gone = format!("{flags}/{}", flag["id"].as_str().unwrap());
    assert_eq!(member.delete(&gone).await, (204, Value::Null));
    assert_eq!(member.delete(&gone).await, (404, failure("not_found", "Flag not found")));
    assert_eq!(counts(&member, &made).await, json!([1, 1, 0]));
}

#[tokio::test]
async fn a_flag_is_refused_in_the_order_of_the_contract() {
    let (_server, member) = board().await;
    let made = member.open(json!({"resource_links": [{"resource_type": "file", "resource_id": "c"}]})).await;
    let nowhere = "/issues/00000000-0000-0000-0000-000000000000/flags";
    assert_eq!(member.post(nowhere, json!({})).await, (404, failure("not_found", "Issue not found")));
    let flags = format!("{}/flags", at(&made));
    let wrong = json!({"type": "--", "note": "", "message_index": -1, "node_id": 7});
    let (status, told) = member.post(&flags, wrong).await;
    let message = "call_id: required; type: must be 1-64 characters of letters and digits; \
        note: must be 1-4000 characters; node_id: must be a string; \
        message_index: must be an integer of at least 0";
    assert_eq!((status, &told["errors"][0]["message"]), (400, &json!(message)));
    let refused = failure("call_not_attached", "Call must be attached to issue first");
    assert_eq!(member.post(&flags, json!({"call_id": "c", "type": "x"})).await, (409, refused));
}

#[tokio::test]
async fn types_of_flags_tell_how_they_are_used_also_after_a_restart() {
    let (mut server, member) = board().await;
    let made = member.open(json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]})).await;
    let flags = format!("{}/flags", at(&made));
    for (kind, note) in [("b", Some("first")), ("b", Some("second")), ("b", None), ("a", None), ("c", None)] {
        let mut body = json!({"call_id": "c", "type": kind});
        if let Some(note) = note {
            body["note"] = json!(note);
        }
        assert_eq!(member.post(&flags, body).await.0, 201);
    }
    let types = member.items("/flag-types").await;
    let told: Vec<Value> =
        types.iter().map(|it| json!([it["type"], it["usage_count"], it["description"]])).collect();
    assert_eq!(told, [json!(["b", 3, "second"]), json!(["a", 1, ""]), json!(["c", 1, ""])]);
    let newest = member.items(&flags).await[0]["created_at"].clone();
    assert_eq!(types[2]["last_used_at"], newest);
    let (items, sizes) = member.pages("/flag-types?limit=2").await;
    assert_eq!((items, sizes), (types.clone(), vec![2, 1]));
    server.kill();
    server.restart().await;
    assert_eq!(self::member(&server).items("/flag-types").await, types);
}

#[tokio::test]
async fn a_relation_is_seen_from_both_sides_and_undone_from_either() {
    let (_server, member) = board().await;
    let one = member.open(json!({"title": "one"})).await;
    let two = member.open(json!({"title": "two"})).await;
    let relations = |issue: &Value| format!("{}/relations", at(issue));
    let body = json!({"related_issue_id": two["id"], "relation_type": "blocks"});
    let (status, made) = member.post(&relations(&one), body.clone()).await;
    let made = made["data"].clone();
    let expected = json!({
        "id": made["id"], "org_id": "default", "issue_id": one["id"], "related_issue_id": two["id"],
        "related_triage_id": "T-1002", "related_title": "two", "relation_type": "blocks", "direction": "outgoing",
        "created_by_id": "configured", "created_at": made["created_at"],
    });
    assert_eq!((status, &made), (201, &expected));
    assert_eq!(member.post(&relations(&one), body).await, (200, json!({"data": made, "errors": null})));
    member.patch(&at(&one), json!({"title": "renamed"})).await;
    let seen = member.items(&relations(&two)).await;
    let told = json!([
        seen[0]["id"],
        seen[0]["issue_id"],
        seen[0]["related_issue_id"],
        seen[0]["related_title"],
        seen[0]["direction"]
    ]);
    assert_eq!(told, json!([made["id"], two["id"], one["id"], "renamed", "incoming"]));
    for issue in [&one, &two] {
        assert_eq!(member.feed(issue).await, ["relation_added", "created"]);
        assert_eq!(counts(&member, issue).await, json!([0, 0, 1]));
    }
    let entry = &member.items(&format!("{}/activity", at(&two))).await[0];
    let other = json!([{"id": one["id"], "triage_id": "T-1001", "title": "one", "status": "todo"}]);
    assert_eq!(entry["referenced_issues"], other);
    let gone = format!("{}/{}", relations(&two), made["id"].as_str().unwrap());
    assert_eq!(member.delete(&gone).await, (204, Value::Null));
    assert_eq!(member.delete(&gone).await, (404, failure("not_found", "Relation not found")));
    assert_eq!(counts(&member, &one).await, json!([0, 0, 0]));
    assert_eq!(member.feed(&one).await[0], "relation_removed");
}

#[tokio::test]
async fn a_relation_needs_two_issues_and_a_type() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let relations = format!("{}/relations", at(&made));
    let (status, told) = member.post(&relations, json!({"related_issue_id": "T-1001"})).await;
    let message = "related_issue_id: must be a UUID; relation_type: required";
    assert_eq!((status, &told["errors"][0]["message"]), (400, &json!(message)));
    let itself = json!({"related_issue_id": made["id"], "relation_type": "related_to"});
    assert_eq!(member.post(&relations, itself).await.0, 400);
    let nobody = "00000000-0000-0000-0000-000000000000";
    let unknown = json!({"related_issue_id": nobody, "relation_type": "related_to"});
    assert_eq!(member.post(&relations, unknown).await, (404, failure("not_found", "Issue not found")));
}

#[tokio::test]
async fn with_an_issue_goes_all_that_hangs_on_it() {
    let (_server, member) = board().await;
    let left = member.open(json!({})).await;
    let made = member.open(json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]})).await;
    member.post(&format!("{}/flags", at(&made)), json!({"call_id": "c", "type": "x"})).await;
    member.post(&format!("{}/comments", at(&made)), json!({"detail": "hello"})).await;
    for kind in ["blocks", "related_to"] {
        let body = json!({"related_issue_id": left["id"], "relation_type": kind});
        assert_eq!(member.post(&format!("{}/relations", at(&made)), body).await.0, 201);
    }
    assert_eq!(counts(&member, &left).await, json!([0, 0, 2]));
    assert_eq!(member.delete(&at(&made)).await, (204, Value::Null));
    assert_eq!(counts(&member, &left).await, json!([0, 0, 0]));
    assert_eq!(member.items(&format!("{}/relations", at(&left))).await, Vec::<Value>::new());
    assert_eq!(member.items("/flag-types").await, Vec::<Value>::new());
    assert_eq!(member.items("/issues").await.len(), 1);
    for path in ["", "/activity", "/resources", "/flags", "/relations"] {
        assert_eq!(member.get(&format!("{}{path}", at(&made))).await.0, 404, "{path}");
    }
    assert_eq!(member.delete(&at(&made)).await.0, 404);
}

#[tokio::test]
async fn categories_are_those_built_in_and_those_that_were_made_or_used() {
    let (mut server, member) = board().await;
    let built_in = member.items("/categories").await;
    let names = ["Bug", "Dialogue", "Latency", "Routing", "Speech", "Telephony", "Tools", "Transcription"];
    assert_eq!(each(&built_in, "name"), names);
    assert_eq!(built_in[0]["id"], "built-in:bug");
    let (status, made) = member.post("/categories", json!({"name": " latecomers "})).await;
    assert_eq!((status, &made["data"]["name"]), (201, &json!("latecomers")));
    assert_eq!(member.post("/categories", json!({"name": "LateComers"})).await, (200, made));
    let (status, known) = member.post("/categories", json!({"name": "bUG"})).await;
    assert_eq!((status, &known["data"]["id"]), (200, &json!("built-in:bug")));
    member.open(json!({"category": "Used"})).await;
    let issue = member.open(json!({"category": "routing"})).await;
    member.patch(&at(&issue), json!({"category": "Änderung"})).await;
    let expected = [
        "Bug",
        "Dialogue",
        "latecomers",
        "Latency",
        "Routing",
        "Speech",
        "Telephony",
        "Tools",
        "Transcription",
        "Used",
        "Änderung",
    ];
    assert_eq!(each(&member.items("/categories").await, "name"), expected);
    let first = member.data("/categories?limit=3").await;
    assert_eq!(first["next_cursor"], "latecomers");
    let (items, sizes) = member.pages("/categories?limit=4").await;
    assert_eq!((each(&items, "name"), sizes), (expected.to_vec(), vec![4, 4, 3]));
    for wrong in [json!({}), json!({"name": " "}), json!({"name": "x".repeat(65)}), json!({"name": 7})] {
        assert_eq!(member.post("/categories", wrong.clone()).await.0, 400, "{wrong}");
    }
    server.kill();
    server.restart().await;
    assert_eq!(each(&self::member(&server).items("/categories").await, "name"), expected);
}
