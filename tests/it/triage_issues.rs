//! Sections 1 to 3 of the triage contract, through the real program: issues.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::board::{Member, at, board, failure, member, somebody};
use crate::harness::server::{TOKEN, answer};

/// Names the fields that differ from run to run.
fn steady(mut issue: Value) -> Value {
    for name in ["created_at", "updated_at", "last_activity_at"] {
        let text = issue[name].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
        issue[name] = json!("<time>");
    }
    assert_eq!(issue["id"].as_str().unwrap().len(), 36);
    issue["id"] = json!("<uuid>");
    issue
}

async fn titles(member: &Member, query: &str) -> Vec<String> {
    let items = member.items(&format!("/issues{query}")).await;
    items.iter().map(|issue| issue["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_documented_issue_is_opened_as_it_is_documented() {
    let (_server, member) = board().await;
    let body = json!({
        "title": "Agent skipped the verification step",
        "severity": "high",
        "category": "Routing",
        "description": "On the Aug 12 demo flow the agent jumped to the closing node without asking for the email confirmation.",
        "assignee_id": "beed099d-e493-4142-a68b-af13bd72c035",
        "resource_links": [{"resource_type": "call", "resource_id": "d8ef6e50-830b-4c73-a956-3b04a1f28550"}],
    });
    let (status, made) = member.post("/issues", body).await;
    assert_eq!((status, &made["errors"]), (201, &Value::Null));
    assert_eq!(made["data"]["created_at"], made["data"]["updated_at"]);
    assert_eq!(made["data"]["created_at"], made["data"]["last_activity_at"]);
    let names: Vec<&str> = made["data"].as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "id",
        "triage_id",
        "org_id",
        "number",
        "title",
        "description",
        "status",
        "severity",
        "source",
        "category",
        "owner_id",
        "assignee_id",
        "author_id",
        "external_link",
        "created_at",
        "updated_at",
        "last_activity_at",
        "resource_count",
        "flag_count",
        "relation_count",
        "latest_agent_session",
        "is_processing",
        "has_unread_activity",
    ];
    assert_eq!(names, documented);
    let expected = json!({
        "id": "<uuid>", "triage_id": "T-1001", "org_id": "default", "number": 1001,
        "title": "Agent skipped the verification step",
        "description": "On the Aug 12 demo flow the agent jumped to the closing node without asking for the email confirmation.",
        "status": "todo", "severity": "high", "source": "manual", "category": "Routing", "owner_id": null,
        "assignee_id": "beed099d-e493-4142-a68b-af13bd72c035", "author_id": "configured", "external_link": null,
        "created_at": "<time>", "updated_at": "<time>", "last_activity_at": "<time>", "resource_count": 1,
        "flag_count": 0, "relation_count": 0, "latest_agent_session": null, "is_processing": false,
        "has_unread_activity": false,
    });
    assert_eq!(steady(made["data"].clone()), expected);
    assert_eq!(member.data(&at(&made["data"])).await, made["data"]);
    assert_eq!(member.feed(&made["data"]).await, ["resource_added", "created"]);
    let links = member.items(&format!("{}/resources", at(&made["data"]))).await;
    assert_eq!((&links[0]["status"], &links[0]["title"]), (&json!("unavailable"), &json!("Call d8ef6e50")));
}

#[tokio::test]
async fn defaults_are_filled_in_and_what_is_unknown_is_passed_over() {
    let (_server, member) = board().await;
    let given = json!({
        "title": "  T  ", "severity": "low", "category": " c ", "description": " as sent ", "status": null,
        "source": "client", "owner_id": "u", "resource_links": null, "number": 7, "unknown": {"x": 1},
    });
    let (status, made) = member.post("/issues", given).await;
    assert_eq!(status, 201);
    let made = &made["data"];
    let told = json!([
        made["title"],
        made["category"],
        made["description"],
        made["status"],
        made["source"],
        made["owner_id"],
        made["number"],
        made["resource_count"]
    ]);
    assert_eq!(told, json!(["T", "c", " as sent ", "todo", "client", "u", 1001, 0]));
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named_at_once_and_no_number_is_used() {
    let (_server, member) = board().await;
    let given = json!({
        "title": "   ", "severity": "urgent", "category": "x".repeat(65), "description": "ä".repeat(10_001),
        "status": 7, "source": "robot", "owner_id": "", "assignee_id": ["x"],
        "resource_links": [{"resource_type": "call"}, "x", {"resource_type": "fax", "resource_id": "1"}],
    });
    let (status, answer) = member.post("/issues", given).await;
    assert_eq!((status, &answer["data"]), (400, &Value::Null));
    let error = &answer["errors"][0];
    assert_eq!(error["error"], "bad_request");
    let message = "title: must be 1-200 characters; severity: must be one of critical, high, medium, low; \
        category: must be 1-64 characters; description: must be at most 10000 characters; \
        status: must be one of backlog, todo, in_progress, in_review, done, closed; \
        source: must be one of manual, automated, client; owner_id: must be 1-128 characters; \
        assignee_id: must be a string; resource_links.0.resource_id: required; \
        resource_links.1: must be an object; \
        resource_links.2.resource_type: must be one of call, sms_conversation, file";
    assert_eq!(error["message"], message);
    assert_eq!(error["details"][0], json!({"path": "title", "message": "must be 1-200 characters"}));
    assert_eq!(error["details"].as_array().unwrap().len(), 11);
    let (_, answer) = member.post("/issues", json!({})).await;
    assert_eq!(answer["errors"][0]["message"], "title: required; severity: required; category: required");
    assert_eq!(member.open(json!({})).await["number"], 1001);
}

#[tokio::test]
async fn hostile_bodies_are_refused_in_the_envelope() {
    let (_server, member) = board().await;
    let raw = |body: Vec<u8>| member.request(Method::POST, "/issues").body(body);
    let bodies: [&[u8]; 9] = [
        b"{",
        b"[1]",
        b"null",
        b"7",
        b"\"x\"",
        b"\xff\xfe",
        br#"{"title":"\ud800"}"#,
        br#"{"a":"\u0000"}"#,
        b"\x00",
    ];
    for body in bodies {
        let (status, answer) = answer(raw(body.to_vec()).send().await.unwrap()).await;
        assert_eq!((status, &answer["errors"][0]["error"]), (400, &json!("bad_request")), "{body:?}");
        assert_eq!(answer["data"], Value::Null);
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    assert_eq!(raw(deep.into_bytes()).send().await.unwrap().status(), 400);
    let large = json!({"title": "x".repeat(1024 * 1024)}).to_string();
    let (status, told) = answer(raw(large.into_bytes()).send().await.unwrap()).await;
    assert_eq!((status, &told["errors"][0]["error"]), (413, &json!("payload_too_large")));
    let (status, told) = answer(raw(Vec::new()).send().await.unwrap()).await;
    assert_eq!(status, 400, "an empty body is an object without fields: {told}");
    let (status, _) =
        answer(raw(br#"{"title":"t","severity":"low","category":"c"}"#.to_vec()).send().await.unwrap()).await;
    assert_eq!(status, 201, "the content type does not matter");
}

#[tokio::test]
async fn a_key_may_stand_bare_or_as_a_bearers_and_without_one_nothing_is_looked_at() {
    let (server, _) = board().await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/triage/issues", server.url());
    for good in [TOKEN.to_owned(), format!("Bearer {TOKEN}"), format!("bEaReR   {TOKEN}")] {
        assert_eq!(
            client.get(&url).header("authorization", &good).send().await.unwrap().status(),
            200,
            "{good}"
        );
    }
    let refused = failure("AUTH_FAILURE", "Unauthorized");
    for bad in ["", "wrong", "Bearer", "Bearer wrong", "Basic abc"] {
        let asked = client.post(&url).header("authorization", bad).body("{");
        assert_eq!(answer(asked.send().await.unwrap()).await, (401, refused.clone()), "{bad}");
    }
    for path in ["/v1/triage", "/v1/triage/nowhere", "/v1/triage/issues/x"] {
        let asked = client.delete(format!("{}{path}", server.url()));
        assert_eq!(answer(asked.send().await.unwrap()).await, (401, refused.clone()), "{path}");
    }
    let elsewhere = client.get(format!("{}/config", server.url())).header("authorization", TOKEN);
    let (status, told) = answer(elsewhere.send().await.unwrap()).await;
    assert_eq!((status, told), (401, json!({"detail": "Invalid authentication token"})));
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_envelope() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let nothing = failure("not_found", "Issue not found");
    for id in ["T-1001", "1001", "x", "00000000-0000-0000-0000-000000000000", "%20", "é"] {
        for path in ["", "/activity", "/resources", "/flags", "/relations", "/activity/stream"] {
            assert_eq!(
                member.get(&format!("/issues/{id}{path}")).await,
                (404, nothing.clone()),
                "{id}{path}"
            );
        }
        assert_eq!(member.patch(&format!("/issues/{id}"), json!({})).await, (404, nothing.clone()));
        assert_eq!(member.put(&format!("/issues/{id}/view")).await, (404, nothing.clone()));
        assert_eq!(member.delete(&format!("/issues/{id}")).await, (404, nothing.clone()));
    }
    let nowhere = failure("not_found", "There is nothing at this address");
    assert_eq!(member.get("/nothing").await, (404, nowhere.clone()));
    assert_eq!(member.get("").await, (404, nowhere));
    let response = member.request(Method::POST, &at(&made)).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET, PATCH, DELETE, HEAD");
    assert_eq!(answer(response).await, (405, failure("method_not_allowed", "Method Not Allowed")));
}

#[tokio::test]
async fn sixty_four_that_open_issues_at_once_get_consecutive_numbers() {
    let (server, member) = board().await;
    let made = join_all((0..64).map(|n| {
        let member = member.clone();
        async move { member.open(json!({"title": format!("n{n}")})).await["number"].as_u64().unwrap() }
    }));
    let numbers: BTreeSet<u64> = made.await.into_iter().collect();
    assert_eq!(numbers, (1001..=1064).collect());
    drop(server);
}

#[tokio::test]
async fn a_number_is_not_used_again_and_all_is_there_after_a_crash() {
    let (mut server, member) = board().await;
    let kept = member.open(json!({"title": "kept"})).await;
    let gone = member.open(json!({"title": "gone"})).await;
    assert_eq!(member.delete(&at(&gone)).await, (204, Value::Null));
    member.post(&format!("{}/comments", at(&kept)), json!({"detail": "hello"})).await;
    let before = (member.data("/issues").await, member.data(&format!("{}/activity", at(&kept))).await);
    server.kill();
    server.restart().await;
    let member = self::member(&server);
    assert_eq!((member.data("/issues").await, member.data(&format!("{}/activity", at(&kept))).await), before);
    assert_eq!(member.get(&at(&gone)).await.0, 404);
    assert_eq!(member.open(json!({})).await["triage_id"], "T-1003");
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_says_so_for_what_really_changes() {
    let (_server, member) = board().await;
    let made = member.open(json!({"assignee_id": "ann"})).await;
    let patch = json!({
        "title": "New", "description": "More", "status": "in_progress", "severity": "high", "category": "Speech",
        "owner_id": "bob", "assignee_id": null,
        "external_link": {"provider": "github", "url": "https://example.org/12", "external_id": "o/r#12"},
    });
    let (status, changed) = member.patch(&at(&made), patch).await;
    assert_eq!(status, 200);
    let changed = &changed["data"];
    let told = json!([
        changed["title"],
        changed["description"],
        changed["status"],
        changed["severity"],
        changed["category"],
        changed["owner_id"],
        changed["assignee_id"],
        changed["external_link"],
        changed["has_unread_activity"]
    ]);
    let link = json!({"provider": "github", "url": "https://example.org/12", "external_id": "o/r#12", "label": null});
    assert_eq!(told, json!(["New", "More", "in_progress", "high", "Speech", "bob", null, link, true]));
    let feed = ["owner_changed", "assignee_changed", "category_changed", "status_changed", "created"];
    assert_eq!(member.feed(&made).await, feed);
    let entries = member.items(&format!("{}/activity", at(&made))).await;
    let moved = &entries[3];
    let told = json!([moved["from_status"], moved["to_status"], moved["metadata"], moved["actor"]]);
    let actor = json!({"kind": "user", "id": "configured", "label": "configured", "avatar_url": null});
    assert_eq!(told, json!(["todo", "in_progress", {"from": "todo", "to": "in_progress"}, actor]));
    assert_eq!(entries[1]["metadata"], json!({"from": "ann", "to": null}));
    assert_eq!((&entries[0]["from_status"], &entries[0]["resources"]), (&Value::Null, &json!([])));
    for same in [json!({}), json!({"status": "in_progress", "title": "New"})] {
        let (status, again) = member.patch(&at(&made), same).await;
        assert_eq!((status, &again["data"]), (200, changed));
    }
    let (_, cleared) = member.patch(&at(&made), json!({"external_link": null, "owner_id": null})).await;
    assert_eq!(
        (&cleared["data"]["external_link"], &cleared["data"]["owner_id"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_patch_with_anything_wrong_changes_nothing() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let patch = json!({"title": "New", "status": null, "severity": "x", "external_link": {"url": "ftp://x"}, "category": ""});
    let (status, told) = member.patch(&at(&made), patch).await;
    let message = "status: must not be null; severity: must be one of critical, high, medium, low; \
        category: must be 1-64 characters; external_link.url: must be an http or https address";
    assert_eq!((status, &told["errors"][0]["message"]), (400, &json!(message)));
    assert_eq!(member.data(&at(&made)).await, made);
    let (status, _) = member.patch(&at(&made), json!({"source": "client", "number": 3})).await;
    assert_eq!((status, member.data(&at(&made)).await), (200, made));
}

#[tokio::test]
async fn a_link_to_another_system_is_a_web_address() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let link = |url: &str| json!({"external_link": {"url": url}});
    for good in ["https://example.org/o/r/12", "HTTP://example.org", "https://user@example.org:8443/?q=1#x"] {
        let (status, told) = member.patch(&at(&made), link(good)).await;
        assert_eq!((status, &told["data"]["external_link"]["url"]), (200, &json!(good)));
    }
    let wrong = json!("external_link.url: must be an http or https address");
    for bad in
        ["https://", "https:example.org", "https://a b", "https://\n", "//example.org", "javascript:alert(1)"]
    {
        let (status, told) = member.patch(&at(&made), link(bad)).await;
        assert_eq!((status, &told["errors"][0]["message"]), (400, &wrong), "{bad}");
    }
}

#[tokio::test]
async fn issues_are_filtered_and_sorted() {
    let (_server, member) = board().await;
    let issues = [
        json!({"title": "Alpha one", "severity": "low", "status": "backlog", "category": "Speech", "owner_id": "ann"}),
        json!({"title": "Beta two", "severity": "critical", "status": "done", "description": "ALPHA inside"}),
        json!({"title": "Gamma", "severity": "medium", "assignee_id": "bob", "category": "SPEECH",
            "resource_links": [{"resource_type": "file", "resource_id": "f"}]}),
    ];
    for issue in issues {
        member.open(issue).await;
    }
    let expected = [
        ("", vec!["Gamma", "Beta two", "Alpha one"]),
        ("?sort=created_at&order=asc", vec!["Alpha one", "Beta two", "Gamma"]),
        ("?sort=severity", vec!["Beta two", "Gamma", "Alpha one"]),
        ("?sort=status&order=asc", vec!["Alpha one", "Gamma", "Beta two"]),
        ("?search=alpha", vec!["Beta two", "Alpha one"]),
        ("?search=%20one%20ALPHA%20", vec!["Alpha one"]),
        ("?search=one%20two", vec![]),
        ("?status=todo&status=done", vec!["Gamma", "Beta two"]),
        ("?status=todo&severity=critical", vec![]),
        ("?category=speech", vec!["Gamma", "Alpha one"]),
        ("?category=spee", vec![]),
        ("?resource_type=file", vec!["Gamma"]),
        ("?resource_type=call", vec![]),
        ("?owner_id=ann", vec!["Alpha one"]),
        ("?assignee_id=bob", vec!["Gamma"]),
        ("?date_range=24h&date_field=created_at", vec!["Gamma", "Beta two", "Alpha one"]),
    ];
    for (query, expected) in expected {
        assert_eq!(titles(&member, query).await, expected, "{query}");
    }
    let (status, told) =
        member.get("/issues?status=x&severity=y&sort=z&order=up&limit=0&date_range=1h&cursor=!").await;
    let details = told["errors"][0]["details"].as_array().unwrap();
    let wrong: BTreeSet<&str> = details.iter().map(|detail| detail["path"].as_str().unwrap()).collect();
    assert_eq!(status, 400);
    assert_eq!(wrong, ["status", "severity", "sort", "order", "limit", "date_range", "cursor"].into());
}

#[tokio::test]
async fn pages_hold_each_issue_once_while_others_are_opened() {
    let (_server, member) = board().await;
    for n in 0..7 {
        member.open(json!({"title": format!("n{n}")})).await;
    }
    let first = member.data("/issues?sort=created_at&limit=3").await;
    member.open(json!({"title": "late"})).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = member.data(&format!("/issues?sort=created_at&limit=4&cursor={cursor}")).await;
    let all = first["items"].as_array().unwrap().iter().chain(second["items"].as_array().unwrap());
    let titles: Vec<&str> = all.map(|issue| issue["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]);
    assert_eq!(second["next_cursor"], Value::Null, "the last page is exactly full");
    let (status, _) = member.get(&format!("/issues?sort=created_at&order=asc&cursor={cursor}")).await;
    assert_eq!(status, 400, "a cursor of another order");
    let (items, sizes) = member.pages("/issues?limit=3&sort=severity").await;
    assert_eq!((items.len(), sizes), (8, vec![3, 3, 2]));
}

#[tokio::test]
async fn everybody_has_an_unread_state_of_their_own_and_reading_leaves_it() {
    let (server, member) = board().await;
    let other = somebody(&server, "ann", "default").await;
    let made = member.open(json!({})).await;
    let unread = async |who: &Member| who.data(&at(&made)).await["has_unread_activity"].clone();
    assert_eq!((unread(&member).await, unread(&other).await), (json!(false), json!(true)));
    let (status, viewed) = other.put(&format!("{}/view", at(&made))).await;
    assert_eq!((status, &viewed["data"]["issue_id"]), (200, &made["id"]));
    assert_eq!(viewed["data"]["last_viewed_at"].as_str().unwrap().len(), 24);
    assert_eq!((unread(&member).await, unread(&other).await), (json!(false), json!(false)));
    let (_, comment) = member.post(&format!("{}/comments", at(&made)), json!({"detail": "x"})).await;
    assert_eq!(comment["data"]["actor"]["id"], "configured");
    assert_eq!((unread(&member).await, unread(&other).await), (json!(true), json!(true)));
    other.data(&format!("{}/activity", at(&made))).await;
    assert_eq!(other.items("/issues").await[0]["has_unread_activity"], true);
    member.put(&format!("{}/view", at(&made))).await;
    assert_eq!((unread(&member).await, unread(&other).await), (json!(false), json!(true)));
    let after = member.data(&at(&made)).await;
    assert_eq!(after["updated_at"], made["updated_at"]);
}

#[tokio::test]
async fn another_orgs_issue_is_one_that_does_not_exist() {
    let (server, member) = board().await;
    let stranger = somebody(&server, "eve", "acme").await;
    let made = member.open(json!({"category": "Mine"})).await;
    let nothing = failure("not_found", "Issue not found");
    assert_eq!(stranger.get(&at(&made)).await, (404, nothing.clone()));
    assert_eq!(stranger.patch(&at(&made), json!({"title": "x"})).await, (404, nothing.clone()));
    assert_eq!(stranger.delete(&at(&made)).await, (404, nothing));
    assert_eq!(stranger.items("/issues").await, Vec::<Value>::new());
    assert_eq!(stranger.open(json!({})).await["triage_id"], "T-1001");
    assert_eq!(stranger.items("/categories").await.len(), 8);
}

#[tokio::test]
async fn counts_tell_how_many_issues_there_are_of_what() {
    let (_server, member) = board().await;
    member.open(json!({"status": "done", "category": "routing"})).await;
    member.open(json!({"severity": "low", "category": "Own"})).await;
    let expected = json!({
        "total": 2, "open": 1, "processing": 0, "awaiting_input": 0,
        "by_status": {"backlog": 0, "todo": 1, "in_progress": 0, "in_review": 0, "done": 1, "closed": 0},
        "by_severity": {"critical": 0, "high": 1, "medium": 0, "low": 1},
        "by_category": {"Own": 1, "Routing": 1},
    });
    assert_eq!(member.data("/stats").await, expected);
}

#[tokio::test]
async fn an_issue_is_opened_once_under_a_key() {
    let (_server, member) = board().await;
    let keyed = |body: Value| {
        let request = member.request(Method::POST, "/issues").header("idempotency-key", "k1").json(&body);
        async move { answer(request.send().await.unwrap()).await }
    };
    let body = json!({"title": "Once", "severity": "high", "category": "Bug"});
    let (first, second) = tokio::join!(keyed(body.clone()), keyed(body.clone()));
    assert_eq!((first.0, &first), (201, &second));
    member.patch(&at(&first.1["data"]), json!({"title": "Changed"})).await;
    assert_eq!(keyed(body).await, first, "the first answer, as it was");
    let (status, told) = keyed(json!({"title": "Other", "severity": "high", "category": "Bug"})).await;
    assert_eq!((status, &told["errors"][0]["error"]), (409, &json!("idempotency_conflict")));
    assert_eq!(member.items("/issues").await.len(), 1);
}

#[tokio::test]
async fn a_key_is_its_callers_own_and_members_of_one_org_may_choose_the_same() {
    let (server, member) = board().await;
    let ann = somebody(&server, "ann", "default").await;
    let made = member.open(json!({})).await;
    let body = json!({"title": "Once", "severity": "high", "category": "Bug"});
    let keyed = async |who: &Member, path: &str, body: &Value| {
        let request = who.request(Method::POST, path).header("idempotency-key", "k1");
        answer(request.json(body).send().await.unwrap()).await
    };
    let first = keyed(&member, "/issues", &body).await;
    let hers = keyed(&ann, "/issues", &body).await;
    assert_eq!((first.0, hers.0), (201, 201));
    assert_ne!(first.1["data"]["id"], hers.1["data"]["id"]);
    assert_eq!(hers.1["data"]["author_id"], "ann");
    assert_eq!(keyed(&member, "/issues", &body).await, first);
    assert_eq!(keyed(&ann, "/issues", &body).await, hers);
    let comment = json!({"detail": "x"});
    let path = format!("{}/comments", at(&made));
    let said = keyed(&ann, &path, &comment).await;
    assert_eq!(said.0, 201, "a key counts for its path");
    assert_eq!(keyed(&ann, &path, &comment).await, said);
    let (status, refused) = keyed(&ann, &path, &json!({"detail": "y"})).await;
    assert_eq!((status, &refused["errors"][0]["error"]), (409, &json!("idempotency_conflict")), "{refused}");
    assert_eq!(member.items("/issues").await.len(), 3);
}
