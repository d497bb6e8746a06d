//! The triage board when there is much of something, or much at the same time, through the real program.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::board::{Member, at, board, failure, member};
use crate::harness::server::answer;

/// Requests that are under way at the same time.
const AT_ONCE: usize = 16;

/// Comments and relations of an issue that is too large to go in one write.
const COMMENTS: usize = 450;
const TIES: usize = 40;

fn names(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// An issue with much on it, and those it is tied to, half of them from their side.
async fn large(member: &Member) -> (Value, Vec<Value>) {
    let link = json!({"resource_links": [{"resource_type": "call", "resource_id": "c"}]});
    let issue = member.open(link).await;
    let others = join_all((0..TIES).map(|_| member.open(json!({})))).await;
    let comment = |n: usize| {
        let (member, path) = (member.clone(), format!("{}/comments", at(&issue)));
        async move { assert_eq!(member.post(&path, json!({"detail": format!("c{n}")})).await.0, 201) }
    };
    stream::iter(0..COMMENTS).map(comment).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    for (n, other) in others.iter().enumerate() {
        let (from, to) = if n.is_multiple_of(2) { (&issue, other) } else { (other, &issue) };
        let body = json!({"related_issue_id": to["id"], "relation_type": "blocks"});
        assert_eq!(member.post(&format!("{}/relations", at(from)), body).await.0, 201);
    }
    let flag = json!({"call_id": "c", "type": "odd", "note": "n"});
    assert_eq!(member.post(&format!("{}/flags", at(&issue)), flag).await.0, 201);
    (issue, others)
}

/// Nothing is left of a large issue, and those it was tied to say so.
async fn is_gone(member: &Member, issue: &Value, others: &[Value]) {
    assert_eq!(member.get(&at(issue)).await, (404, failure("not_found", "Issue not found")));
    assert_eq!(member.items("/issues").await.len(), TIES);
    assert_eq!(member.items("/flag-types").await, Vec::<Value>::new());
    for other in others {
        let now = member.data(&at(other)).await;
        assert_eq!((&now["relation_count"], &now["has_unread_activity"]), (&json!(0), &json!(true)));
        assert_eq!(member.items(&format!("{}/relations", at(other))).await, Vec::<Value>::new());
        assert_eq!(member.feed(other).await, ["relation_removed", "relation_added", "created"]);
        let removed = member.items(&format!("{}/activity", at(other))).await[0].clone();
        assert_eq!(removed["referenced_issues"][0]["id"], issue["id"]);
    }
}

#[tokio::test]
async fn a_large_issue_goes_with_all_that_hangs_on_it() {
    let (mut server, member) = board().await;
    let (issue, others) = large(&member).await;
    assert_eq!(member.delete(&at(&issue)).await, (204, Value::Null));
    is_gone(&member, &issue, &others).await;
    server.kill();
    server.restart().await;
    is_gone(&self::member(&server), &issue, &others).await;
}

#[tokio::test]
async fn a_large_issue_that_was_going_when_the_server_died_is_gone_when_it_is_back() {
    let (mut server, member) = board().await;
    let (issue, others) = large(&member).await;
    let request = member.request(Method::DELETE, &at(&issue)).send();
    let going = tokio::spawn(request);
    // As soon as it is gone for one who reads, it is gone for good.
    while member.get(&at(&issue)).await.0 == 200 {}
    server.kill();
    drop(going.await);
    server.restart().await;
    is_gone(&self::member(&server), &issue, &others).await;
}

#[tokio::test]
async fn issues_opened_at_once_are_numbered_without_gaps_whatever_their_size() {
    let (mut server, member) = board().await;
    let open = |n: usize| {
        let member = member.clone();
        // Some are as large as they may be, some are refused, and each category is written in two ways.
        let body = match n % 10 {
            0 => json!({
                "title": "😀".repeat(200), "severity": "low", "category": "Big", "description": "😀".repeat(10_000),
                "resource_links": (0..100).map(|n| json!({"resource_type": "file", "resource_id": format!("{n}")}))
                    .collect::<Vec<_>>(),
            }),
            1 => json!({"title": "", "severity": "low", "category": "Never"}),
            2..=5 => json!({"title": "t", "severity": "low", "category": "Mixed Case"}),
            _ => json!({"title": "t", "severity": "low", "category": "MIXED CASE"}),
        };
        async move { member.post("/issues", body).await }
    };
    let made = join_all((0..150).map(open)).await;
    let numbers: BTreeSet<u64> =
        made.iter().filter_map(|(_, made)| made["data"]["number"].as_u64()).collect();
    assert_eq!(made.iter().filter(|(status, _)| *status == 400).count(), 15);
    assert_eq!(numbers, (1001..=1135).collect());
    server.kill();
    server.restart().await;
    let member = self::member(&server);
    let stats = member.data("/stats").await;
    assert_eq!((&stats["total"], stats["by_category"].as_object().unwrap().len()), (&json!(135), 2));
    assert_eq!(member.items("/categories?limit=100").await.len(), 10);
    let big = member.data("/issues?limit=1&category=big").await["items"][0].clone();
    assert_eq!(big["resource_count"], 100);
    assert_eq!(member.open(json!({})).await["number"], 1136);
}

#[tokio::test]
async fn one_key_opens_one_issue_among_many_that_are_opened_at_once() {
    let (_server, member) = board().await;
    let keyed = |n: usize| {
        let body = json!({"title": "t", "severity": "low", "category": "c"});
        let request =
            member.request(Method::POST, "/issues").header("idempotency-key", format!("k{}", n % 8));
        let request = request.json(&body);
        async move { answer(request.send().await.unwrap()).await }
    };
    let made = join_all((0..48).map(keyed)).await;
    let ids: BTreeSet<&str> = made.iter().map(|(_, made)| made["data"]["id"].as_str().unwrap()).collect();
    assert!(made.iter().all(|(status, _)| *status == 201));
    assert_eq!((ids.len(), member.items("/issues").await.len()), (8, 8));
}

#[tokio::test]
async fn two_issues_can_be_tied_and_untied_from_both_sides_at_once() {
    let (_server, member) = board().await;
    let (one, other) = (member.open(json!({})).await, member.open(json!({})).await);
    let kinds = ["related_to", "blocks", "duplicate_of"];
    let tie = |n: usize| {
        let (from, to) = if n.is_multiple_of(2) { (&one, &other) } else { (&other, &one) };
        let path = format!("{}/relations", at(from));
        let body = json!({"related_issue_id": to["id"], "relation_type": kinds[n % 3]});
        let member = member.clone();
        async move { member.post(&path, body).await.0 }
    };
    let statuses = join_all((0..24).map(tie)).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 6);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 18);
    let relations = member.items(&format!("{}/relations", at(&one))).await;
    assert_eq!(relations.len(), 6);
    let untie = relations.iter().flat_map(|relation| {
        [&one, &other].map(|side| {
            let path = format!("{}/relations/{}", at(side), relation["id"].as_str().unwrap());
            let member = member.clone();
            async move { member.delete(&path).await.0 }
        })
    });
    let statuses = join_all(untie).await;
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 6);
    assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 6);
    for side in [&one, &other] {
        assert_eq!(member.data(&at(side)).await["relation_count"], 0);
    }
}

#[tokio::test]
async fn pages_repeat_nothing_and_leave_nothing_out_while_issues_move() {
    let (_server, member) = board().await;
    for n in 0..20 {
        member.open(json!({"title": format!("n{n:02}")})).await;
    }
    let path = "/issues?sort=last_activity_at&limit=4";
    let mut page = member.data(path).await;
    let mut seen: Vec<String> = Vec::new();
    let mut moved = BTreeSet::new();
    loop {
        let items = page["items"].as_array().unwrap().clone();
        seen.extend(names(&items, "title"));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        // One that was seen moves to the front, and one that was not.
        let rest = member.data(&format!("{path}&cursor={cursor}")).await;
        let late = rest["items"].as_array().unwrap().last().unwrap().clone();
        for issue in [&items[0], &late] {
            let path = format!("{}/comments", at(issue));
            assert_eq!(member.post(&path, json!({"detail": "x"})).await.0, 201);
        }
        moved.extend(late["title"].as_str().map(ToOwned::to_owned));
        page = member.data(&format!("{path}&cursor={cursor}")).await;
    }
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(once.len(), seen.len(), "{seen:?}");
    let expected: BTreeSet<String> =
        (0..20).map(|n| format!("n{n:02}")).filter(|it| !moved.contains(it)).collect();
    assert_eq!(once, expected, "only what moved before the page's place is not on a later one");
}
