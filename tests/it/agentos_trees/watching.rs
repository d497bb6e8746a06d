//! Whoever watches is shown the same events, whether what was said is still held or was read again.

use futures::StreamExt;
use futures::stream;
use runhold::api::agentos::run_events::RunEvents;
use runhold::domain::fact::{Fact, Outcome, Place};
use runhold::domain::id::RunId;
use runhold::domain::spec::{DELEGATE_TO_ONE, TeamMode};
use runhold::domain::tool::ToolResult;

use super::teams::delegating;
use super::{events, json_of};
use crate::facts::*;

/// Longer than what is held of it.
fn long(text: &str) -> String {
    text.repeat(5000)
}

/// What a stream about the run shows.
async fn watched(facts: Vec<(RunId, Fact)>) -> Vec<String> {
    let entries = entries_of(facts);
    let log = move |after| {
        let rest: Vec<_> = entries.iter().filter(|entry| entry.seq > after).cloned().collect();
        stream::iter(rest).map(|entry| Ok(entry.into())).chain(stream::pending()).boxed()
    };
    RunEvents::of((run(), 1), Box::new(log), 0).map(|event| event.json().to_owned()).collect().await
}

fn shown(facts: Vec<(RunId, Fact)>) -> Vec<String> {
    events(facts).iter().map(|event| event.json().to_owned()).collect()
}

#[tokio::test]
async fn a_long_answer_is_whole_in_the_last_event() {
    let mut facts = begun_agent();
    facts.extend([
        says(&[&long("first "), "and "]),
        answered(1, vec![call("c1", "add", "{}")]),
        started("c1"),
        ended("c1", ToolResult::done(long("result "))),
        called(2),
        says(&["cut off "]),
        called(2),
        says(&["then ", &long("last ")]),
        answered(2, vec![]),
        over(Outcome::Completed),
    ]);
    let events = watched(of(run(), facts.clone())).await;
    assert_eq!(events, shown(of(run(), facts)));
    let last: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["content"], format!("{}and then {}", long("first "), long("last ")));
}

#[tokio::test]
async fn a_run_that_is_cancelled_tells_what_it_said() {
    let mut facts = begun_agent();
    facts.extend([says(&[&long("so far ")]), over(Outcome::Cancelled { reason: "enough".into() })]);
    assert_eq!(watched(of(run(), facts.clone())).await, shown(of(run(), facts)));
}

#[tokio::test]
async fn members_of_a_team_tell_what_they_said_and_their_team_tells_it_again() {
    let place = || Place::Call("c1".parse().unwrap());
    let arguments = r#"{"member_id":"anna","task":"2+3?"}"#;
    let mut facts = delegating(TeamMode::Coordinate, DELEGATE_TO_ONE, arguments);
    facts.extend(whole_below(nth(2), run(), place(), agent_named("anna"), &long("five ")));
    facts.extend(of(run(), vec![ended("c1", ToolResult::done(long("five "))), called(2)]));
    facts.extend(of(run(), vec![says(&["It is 5"]), answered(2, vec![]), over(Outcome::Completed)]));
    let last = json_of(events(facts.clone()).last().unwrap());
    assert_eq!(last["member_responses"][0]["content"], long("five "));
    assert_eq!(watched(facts.clone()).await, shown(facts));
}

#[tokio::test]
async fn a_workflow_that_waits_tells_what_its_steps_said() {
    let mut facts =
        of(run(), begun(workflow(vec![agent_step("draft"), agent_step("check")]), Default::default()));
    facts.truncate(2);
    facts.extend(of(run(), vec![step_started("draft")]));
    facts.extend(whole_below(
        nth(2),
        run(),
        place("draft", "draft", &[0]),
        agent_named("draft"),
        &long("text "),
    ));
    facts.extend(of(run(), vec![step_over("draft", &long("text ")), waits_for_steps(&["check"])]));
    assert_eq!(watched(facts.clone()).await, shown(facts));
}
