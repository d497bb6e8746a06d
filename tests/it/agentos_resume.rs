//! A client that comes back gets what it missed, under the same numbers, with frames that say where it stands.

use std::sync::Arc;

use futures::StreamExt;
use runhold::api::agentos::resume::Standing;
use runhold::api::agentos::run_events::{ReadAfter, RunEvents};
use runhold::domain::Object;
use runhold::domain::fact::{Answer, Decision, Entry, Fact, Outcome};

use crate::facts::*;

/// The frames of a client that has the event `last`, of a run that had come to `known` facts when it asked and
/// has all of `facts` in the end. Events are shown as `name index`, control frames as they are.
async fn frames(facts: Vec<Fact>, known: usize, last: Option<u64>) -> Vec<String> {
    let entries = entries(facts);
    let standing = Standing::of(run(), entries.get(..known).unwrap(), last).unwrap();
    let events = RunEvents::of((run(), 1), log(entries), standing.settled());
    standing.frames(events).map(|frame| short(std::str::from_utf8(&frame).unwrap())).collect().await
}

/// A log that goes on: what ends a stream of it must be an event.
fn log(entries: Vec<Entry>) -> ReadAfter {
    Box::new(move |after| {
        let rest: Vec<_> = entries.iter().filter(|entry| entry.seq > after).cloned().map(Arc::new).collect();
        futures::stream::iter(rest).map(Ok).chain(futures::stream::pending()).boxed()
    })
}

fn short(frame: &str) -> String {
    let lines: Vec<_> = frame.strip_suffix("\n\n").unwrap().lines().collect();
    let data: serde_json::Value = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
    match data.get("event_index").and_then(serde_json::Value::as_u64) {
        Some(index) => {
            assert_eq!(lines[2..], [format!("id: {index}")], "the number is the frame's id, too");
            format!("{} {index}", lines[0].strip_prefix("event: ").unwrap())
        }
        None => frame.to_owned(),
    }
}

/// Seven events: started, asked, two pieces, answered, content completed, completed.
fn whole() -> Vec<Fact> {
    let mut facts = begun_agent();
    facts.extend([says(&["Fi", "ve"]), answered(1, vec![]), over(Outcome::Completed)]);
    facts
}

const ID: &str = "00000000-0000-0000-0000-000000000001";

#[tokio::test]
async fn of_a_run_that_goes_on_first_what_was_missed_and_then_what_comes() {
    assert_eq!(
        frames(whole(), 4, Some(1)).await,
        [
            format!(
                "event: catch_up\ndata: {{\"event\": \"catch_up\", \"run_id\": \"{ID}\", \"status\": \"running\", \
                 \"missed_events\": 2, \"current_event_count\": 4, \
                 \"message\": \"Catching up on 2 missed events\"}}\n\n"
            ),
            "RunContent 2".into(),
            "RunContent 3".into(),
            format!(
                "event: subscribed\ndata: {{\"event\": \"subscribed\", \"run_id\": \"{ID}\", \
                 \"status\": \"running\", \"current_event_count\": 4, \
                 \"message\": \"Subscribed to the run; events follow as they happen\"}}\n\n"
            ),
            "ModelRequestCompleted 4".into(),
            "RunContentCompleted 5".into(),
            "RunCompleted 6".into(),
        ]
    );
}

#[tokio::test]
async fn of_a_run_that_goes_on_and_of_which_nothing_was_missed_what_comes() {
    let frames = frames(whole(), 4, Some(3)).await;
    assert!(frames[0].starts_with("event: subscribed\n"), "{}", frames[0]);
    assert_eq!(frames[1..], ["ModelRequestCompleted 4", "RunContentCompleted 5", "RunCompleted 6"]);
}

#[tokio::test]
async fn of_a_run_that_is_over_what_follows_the_number() {
    assert_eq!(
        frames(whole(), 6, Some(4)).await,
        [
            format!(
                "event: replay\ndata: {{\"event\": \"replay\", \"run_id\": \"{ID}\", \"status\": \"COMPLETED\", \
                 \"total_events\": 2, \"total_buffered\": 7, \"last_event_index_requested\": 4, \
                 \"message\": \"The run is completed; replaying 2 events\"}}\n\n"
            ),
            "RunContentCompleted 5".into(),
            "RunCompleted 6".into(),
        ]
    );
}

#[tokio::test]
async fn without_a_number_everything_and_with_one_too_large_nothing() {
    let all = frames(whole(), 6, None).await;
    assert!(all[0].contains("\"total_events\": 7") && all[0].contains("\"last_event_index_requested\": -1"));
    assert_eq!(all.len(), 8);
    let none = frames(whole(), 6, Some(99)).await;
    assert!(none[0].contains("\"total_events\": 0"));
    assert_eq!(none.len(), 1);
}

/// Six events up to the pause that is number 4; the run is then continued and completed.
fn paused_and_continued() -> Vec<Fact> {
    let id: runhold::domain::id::CallId = "c1".parse().unwrap();
    let mut facts = begun_agent();
    facts.extend([
        answered(1, vec![call("c1", "delete", "{}")]),
        Fact::paused(vec![id.clone()]),
        Fact::resumed(vec![Answer { call: id, decision: Decision::Approved { values: Object::new() } }]),
        over(Outcome::Completed),
    ]);
    facts
}

#[tokio::test]
async fn a_run_that_waits_is_replayed_up_to_its_pause() {
    let frames = frames(paused_and_continued(), 5, Some(2)).await;
    assert!(frames[0].contains("\"status\": \"PAUSED\""), "{}", frames[0]);
    assert_eq!(frames[1..], ["RunContentCompleted 3", "RunPaused 4"]);
}

#[tokio::test]
async fn a_pause_that_is_over_does_not_end_the_stream() {
    let frames = frames(paused_and_continued(), 6, Some(3)).await;
    assert!(frames[0].starts_with("event: catch_up\n"), "{}", frames[0]);
    assert_eq!(frames[1..3], ["RunPaused 4", "RunContinued 5"]);
    assert!(frames[3].starts_with("event: subscribed\n"), "{}", frames[3]);
    assert_eq!(frames[4..], ["RunContentCompleted 6", "RunCompleted 7"]);
}

#[tokio::test]
async fn numbers_that_a_power_cut_took_are_passed_over_and_what_is_new_is_still_told_apart() {
    let mut facts = begun_agent();
    facts.push(Fact::Lost { pieces: 10 });
    facts.extend([says(&["Five"]), answered(1, vec![]), over(Outcome::Completed)]);
    let frames = frames(facts, 4, Some(1)).await;
    assert!(frames[0].starts_with("event: catch_up\n"), "{}", frames[0]);
    assert!(frames[1].starts_with("event: subscribed\n"), "{}", frames[1]);
    assert_eq!(
        frames[2..],
        ["RunContent 12", "ModelRequestCompleted 13", "RunContentCompleted 14", "RunCompleted 15"]
    );
}
