//! Sections 4 and 5 of the triage contract, through the real program: the feed, comments, and watching it.

use futures::{Stream, StreamExt};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::board::{Member, at, board, failure, member};
use crate::harness::server::{PATIENCE, answer};

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Frame {
    id: Option<u64>,
    event: String,
    data: Value,
}

async fn watch(member: &Member, issue: &Value, query: &str, last: Option<u64>) -> Response {
    let mut request = member.request(Method::GET, &format!("{}/activity/stream{query}", at(issue)));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response
}

fn frames(response: Response) -> impl Stream<Item = Frame> + Unpin {
    let state = (Box::pin(response.bytes_stream()), String::new());
    Box::pin(futures::stream::unfold(state, |(mut bytes, mut text)| async move {
        loop {
            if let Some(end) = text.find("\n\n") {
                let frame: String = text.drain(..end + 2).collect();
                let line = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                if let Some(event) = line("event: ") {
                    let data = serde_json::from_str(line("data: ").unwrap()).unwrap();
                    let id = line("id: ").map(|id| id.parse().unwrap());
                    return Some((Frame { id, event: event.into(), data }, (bytes, text)));
                }
                continue;
            }
            text.push_str(std::str::from_utf8(&bytes.next().await?.ok()?).unwrap());
        }
    }))
}

async fn next(frames: &mut (impl Stream<Item = Frame> + Unpin)) -> Option<Frame> {
    tokio::time::timeout(PATIENCE, frames.next()).await.expect("an event in time")
}

async fn comment(member: &Member, issue: &Value, text: &str) -> Value {
    let (status, made) = member.post(&format!("{}/comments", at(issue)), json!({"detail": text})).await;
    assert_eq!(status, 201, "{made}");
    made["data"].clone()
}

#[tokio::test]
async fn a_comment_is_an_entry_with_the_links_it_points_at() {
    let (_server, member) = board().await;
    let made = member.open(json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]})).await;
    let link = member.items(&format!("{}/resources", at(&made))).await[0].clone();
    let comments = format!("{}/comments", at(&made));
    let body = json!({"detail": " as sent ", "resource_link_ids": [link["id"]]});
    let (status, entry) = member.post(&comments, body).await;
    let entry = entry["data"].clone();
    let actor = json!({"kind": "user", "id": "configured", "label": "configured", "avatar_url": null});
    let expected = json!({
        "entry_kind": "issue", "id": entry["id"], "issue_id": made["id"], "type": "comment", "actor": actor,
        "detail": " as sent ", "metadata": null, "created_at": entry["created_at"], "from_status": null,
        "to_status": null, "resources": [link], "referenced_issues": [],
    });
    assert_eq!((status, &entry), (201, &expected));
    assert_eq!(member.items(&format!("{}/activity", at(&made))).await[0], entry);
    let now = member.data(&at(&made)).await;
    assert_eq!((&now["last_activity_at"], &now["updated_at"]), (&entry["created_at"], &made["updated_at"]));
}

#[tokio::test]
async fn a_comment_with_anything_wrong_is_refused() {
    let (_server, member) = board().await;
    let other = member.open(json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]})).await;
    let foreign = member.items(&format!("{}/resources", at(&other))).await[0]["id"].clone();
    let made = member.open(json!({})).await;
    let comments = format!("{}/comments", at(&made));
    let wrong = [
        (json!({}), "detail: required"),
        (json!({"detail": " \n "}), "detail: must not be blank"),
        (json!({"detail": "x".repeat(4001)}), "detail: must be 1-4000 characters"),
        (
            json!({"detail": 1, "resource_link_ids": [2]}),
            "detail: must be a string; resource_link_ids.0: must be the id of a resource link",
        ),
        (
            json!({"detail": "x", "resource_link_ids": [foreign]}),
            "resource_link_ids.0: must be a resource link of this issue",
        ),
        (
            json!({"detail": "x", "resource_link_ids": vec![foreign.clone(); 51]}),
            "resource_link_ids: must hold at most 50",
        ),
    ];
    for (body, message) in wrong {
        let (status, told) = member.post(&comments, body).await;
        assert_eq!((status, &told["errors"][0]["message"]), (400, &json!(message)));
    }
    assert_eq!(member.feed(&made).await, ["created"]);
    let nowhere = "/issues/00000000-0000-0000-0000-000000000000/comments";
    assert_eq!(member.post(nowhere, json!({})).await, (404, failure("not_found", "Issue not found")));
}

#[tokio::test]
async fn a_comment_that_mentions_norm_stays_whatever_comes_of_it() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let entry = comment(&member, &made, "please @Norm /verify this").await;
    assert_eq!(entry["detail"], "please @Norm /verify this");
    assert!(entry["metadata"]["dispatch"].is_object(), "{entry}");
    let plain = comment(&member, &made, "mail me@norm or @normal").await;
    assert_eq!(plain["metadata"], Value::Null);
}

#[tokio::test]
async fn a_comment_is_written_once_under_a_key() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let keyed = async || {
        let request = member.request(Method::POST, &format!("{}/comments", at(&made)));
        answer(request.header("idempotency-key", "k").json(&json!({"detail": "x"})).send().await.unwrap())
            .await
    };
    let first = keyed().await;
    assert_eq!((first.0, keyed().await), (201, first));
    assert_eq!(member.feed(&made).await, ["comment", "created"]);
}

#[tokio::test]
async fn a_feed_is_read_in_pages_from_either_end() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    for n in 0..5 {
        comment(&member, &made, &format!("c{n}")).await;
    }
    let details = |items: &[Value]| -> Vec<String> {
        items.iter().map(|entry| entry["detail"].as_str().unwrap().to_owned()).collect()
    };
    let path = format!("{}/activity", at(&made));
    let (items, sizes) = member.pages(&format!("{path}?limit=2")).await;
    assert_eq!(
        (details(&items), sizes),
        (["c4", "c3", "c2", "c1", "c0", "Opened T-1001"].map(String::from).to_vec(), vec![2, 2, 2])
    );
    let (ascending, _) = member.pages(&format!("{path}?limit=4&order=asc")).await;
    assert_eq!(details(&ascending), details(&items.into_iter().rev().collect::<Vec<_>>()));
    assert_eq!(member.items(&format!("{path}?entry_kind=issue")).await.len(), 6);
    assert_eq!(member.items(&format!("{path}?entry_kind=agent")).await.len(), 0);
    let (status, told) =
        member.get(&format!("{path}?limit=x&order=up&entry_kind=z&session_id=1&run_id=2&cursor=3")).await;
    assert_eq!((status, told["errors"][0]["details"].as_array().unwrap().len()), (400, 6));
}

#[tokio::test]
async fn who_watches_is_told_what_happens_from_then_on() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let mut watched = frames(watch(&member, &made, "", None).await);
    let first = comment(&member, &made, "one").await;
    assert_eq!(next(&mut watched).await, Some(Frame { id: Some(2), event: "entry".into(), data: first }));
    member.patch(&at(&made), json!({"status": "done"})).await;
    let changed = next(&mut watched).await.unwrap();
    assert_eq!((changed.id, &changed.data["type"]), (Some(3), &json!("status_changed")));
    let issue = next(&mut watched).await.unwrap();
    assert_eq!((issue.id, issue.event.as_str(), &issue.data["status"]), (None, "issue", &json!("done")));
    member.delete(&at(&made)).await;
    assert_eq!(next(&mut watched).await, None, "the stream ends with the issue");
}

#[tokio::test]
async fn who_comes_back_is_told_what_was_missed_and_nothing_twice() {
    let (mut server, member) = board().await;
    let made = member.open(json!({})).await;
    let mut watched = frames(watch(&member, &made, "?after=0", None).await);
    assert_eq!(next(&mut watched).await.unwrap().data["type"], "created");
    drop(watched);
    for n in 0..120 {
        comment(&member, &made, &format!("c{n}")).await;
    }
    server.kill();
    server.restart().await;
    let member = self::member(&server);
    // The header counts more than the query.
    let mut watched = frames(watch(&member, &made, "?after=77", Some(1)).await);
    for n in 0..120_u64 {
        let told = next(&mut watched).await.unwrap();
        assert_eq!((told.id, &told.data["detail"]), (Some(n + 2), &json!(format!("c{n}"))));
    }
    assert_eq!(next(&mut watched).await.unwrap().event, "issue");
    comment(&member, &made, "live").await;
    assert_eq!(next(&mut watched).await.unwrap().id, Some(122));
    let bad =
        member.request(Method::GET, &format!("{}/activity/stream", at(&made))).header("last-event-id", "x");
    assert_eq!(answer(bad.send().await.unwrap()).await.0, 400);
}

#[tokio::test]
async fn a_place_the_feed_has_not_come_to_leaves_nothing_out() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let mut watched = frames(watch(&member, &made, "", Some(999)).await);
    let request = member.request(Method::GET, &format!("{}/activity/stream", at(&made)));
    let unseen = request.header("last-event-id", "").send().await.unwrap();
    assert_eq!(unseen.status(), 200, "who has seen nothing may say so");
    let mut unseen = frames(unseen);
    let entry = comment(&member, &made, "one").await;
    let expected = Frame { id: Some(2), event: "entry".into(), data: entry };
    assert_eq!(next(&mut watched).await.as_ref(), Some(&expected));
    assert_eq!(next(&mut unseen).await, Some(expected));
}

#[tokio::test]
async fn an_entry_that_is_changed_keeps_its_place_and_is_told_again() {
    let (_server, member) = board().await;
    let made = member.open(json!({})).await;
    let mut watched = frames(watch(&member, &made, "", None).await);
    let entry = comment(&member, &made, "@norm hello").await;
    // Norm's own entries come in between.
    let told = async {
        loop {
            let frame = next(&mut watched).await.unwrap();
            if frame.event == "entry.updated" && frame.data["id"] == entry["id"] {
                return frame.id;
            }
        }
    };
    let changed = tokio::time::timeout(crate::harness::server::PATIENCE, told).await.expect("the change");
    comment(&member, &made, "later").await;
    let details: Vec<Value> = member
        .items(&format!("{}/activity?entry_kind=issue", at(&made)))
        .await
        .into_iter()
        .map(|it| it["detail"].clone())
        .collect();
    assert_eq!(details, ["later", "@norm hello", "Opened T-1001"]);
    let mut again = frames(watch(&member, &made, "", changed.map(|id| id - 1)).await);
    let told = next(&mut again).await.unwrap();
    assert_eq!((told.id, told.event.as_str(), &told.data["id"]), (changed, "entry.updated", &entry["id"]));
}
