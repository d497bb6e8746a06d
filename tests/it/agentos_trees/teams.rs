//! Teams: the leader's events with its members' among them.

use insta::assert_snapshot;
use runhold::domain::fact::{Fact, Outcome, Place, RunOptions};
use runhold::domain::id::RunId;
use runhold::domain::spec::{DELEGATE_TO_ALL, DELEGATE_TO_ONE, Spec, TeamMode, TeamSpec};
use runhold::domain::tool::ToolResult;
use serde_json::{Value, json};

use super::{events, events_of, json_of, object, told, tree};
use crate::facts::*;

fn team(mode: TeamMode) -> Spec {
    Spec::Team(TeamSpec {
        leader: agent(),
        mode,
        members: vec!["anna".parse().unwrap(), "bert".parse().unwrap()],
    })
}

fn handed(id: &str) -> Place {
    Place::Call(id.parse().unwrap())
}

/// The leader has handed something to a member, or to all.
pub(super) fn delegating(mode: TeamMode, tool: &str, arguments: &str) -> Vec<(RunId, Fact)> {
    let mut facts = begun(team(mode), RunOptions::default());
    facts.extend([answered(1, vec![call("c1", tool, arguments)]), started("c1")]);
    of(run(), facts)
}

fn coordinated() -> Vec<(RunId, Fact)> {
    let arguments = r#"{"member_id":"anna","task":"2+3?"}"#;
    let mut facts = delegating(TeamMode::Coordinate, DELEGATE_TO_ONE, arguments);
    facts.extend(whole_below(nth(2), run(), handed("c1"), agent_named("anna"), "5"));
    facts.extend(of(
        run(),
        vec![
            ended("c1", ToolResult::done("5")),
            called(2),
            says(&["It is 5"]),
            answered(2, vec![]),
            over(Outcome::Completed),
        ],
    ));
    facts
}

#[test]
fn a_members_whole_run_stands_between_the_start_and_the_end_of_the_call_that_handed_it_the_task() {
    assert_snapshot!(told(&events(coordinated())));
}

#[test]
fn a_members_events_name_it_and_the_run_above() {
    let started = json_of(&events(coordinated())[4]);
    assert_eq!(
        started,
        json!({
            "created_at": 1005, "event": "RunStarted", "agent_id": "anna", "agent_name": "ANNA",
            "run_id": nth(2), "parent_run_id": run(), "session_id": "s1", "nested_depth": 0,
            "model": "gpt-4o", "model_provider": "OpenAI", "event_index": 4
        })
    );
}

#[test]
fn a_members_own_stream_counts_for_itself_and_ends_with_the_members_end() {
    assert_snapshot!(told(&events_of(nth(2), &entries_of(coordinated()))));
}

#[test]
fn members_that_are_asked_at_once_are_told_as_they_come_under_one_numbering() {
    let mut facts = delegating(TeamMode::Broadcast, DELEGATE_TO_ALL, r#"{"task":"2+3?"}"#);
    let anna = whole_below(nth(2), run(), handed("c1"), agent_named("anna"), "5");
    let bert = whole_below(nth(3), run(), handed("c1"), agent_named("bert"), "five");
    facts.extend(anna.into_iter().zip(bert).flat_map(|(anna, bert)| [anna, bert]));
    facts.extend(of(run(), vec![ended("c1", ToolResult::done("5, five")), called(2)]));
    assert_snapshot!(told(&events(facts)));
}

#[test]
fn where_a_member_answers_for_the_team_its_answer_is_the_teams() {
    let arguments = r#"{"member_id":"anna","task":"2+3?"}"#;
    let mut facts = delegating(TeamMode::Route, DELEGATE_TO_ONE, arguments);
    facts.extend(whole_below(nth(2), run(), handed("c1"), agent_named("anna"), "5"));
    let last = vec![ended("c1", ToolResult::done("5")), says(&["5"]), over(Outcome::Completed)];
    facts.extend(of(run(), last));
    assert_snapshot!(told(&events(facts)));
}

#[test]
fn a_member_that_is_a_team_has_its_prefix_and_members_of_its_own() {
    let arguments = r#"{"member_id":"adder","task":"2+3?"}"#;
    let mut facts = delegating(TeamMode::Coordinate, DELEGATE_TO_ONE, arguments);
    let mut inner = below(run(), handed("c1"), team(TeamMode::Coordinate));
    inner.extend([called(1), answered(1, vec![call("d1", DELEGATE_TO_ONE, arguments)]), started("d1")]);
    facts.extend(of(nth(2), inner));
    facts.extend(whole_below(nth(3), nth(2), handed("d1"), agent_named("anna"), "5"));
    facts.extend(of(nth(2), vec![ended("d1", ToolResult::done("5")), over(Outcome::Completed)]));
    assert_snapshot!(told(&events(facts)));
}

#[test]
fn a_run_that_belongs_to_nobody_here_has_no_events() {
    let mut facts = coordinated();
    facts.extend(of(nth(9), begun_agent()));
    facts.extend(whole_below(nth(8), nth(9), handed("c1"), agent_named("anna"), "5"));
    assert_eq!(events(facts).len(), events(coordinated()).len());
}

/// A member waits, and so does the team.
pub(super) fn waiting() -> Vec<(RunId, Fact)> {
    let arguments = r#"{"member_id":"anna","task":"delete x"}"#;
    let mut facts = delegating(TeamMode::Coordinate, DELEGATE_TO_ONE, arguments);
    let mut member = below(run(), handed("c1"), agent_named("anna"));
    let deletes = call("m1", "delete", r#"{"path":"x"}"#);
    member.extend([called(1), answered(1, vec![deletes]), Fact::paused(vec!["m1".parse().unwrap()])]);
    facts.extend(of(nth(2), member));
    facts.push((run(), Fact::paused(vec!["c1".parse().unwrap()])));
    facts
}

#[test]
fn a_member_that_waits_pauses_the_team_and_only_that_ends_the_stream() {
    let events = events(waiting());
    assert_snapshot!(told(&events));
    let last = json_of(events.last().unwrap());
    assert_eq!(last["content"], "I have tools to execute, but I need confirmation.");
    let requirement = &last["requirements"][0];
    assert_eq!(
        [&requirement["member_agent_id"], &requirement["member_agent_name"], &requirement["member_run_id"]],
        [&json!("anna"), &json!("ANNA"), &json!(nth(2))]
    );
    assert_eq!(requirement["tool_execution"]["tool_call_id"], "m1");
    assert_eq!(requirement["tool_execution"]["requires_confirmation"], true);
    assert_eq!(last["requirements"].as_array().unwrap().len(), 1);
}

#[test]
fn the_call_that_was_handed_on_asks_nobody_for_anything_itself() {
    let tree = tree(waiting());
    let body = object(&tree);
    assert_eq!(body["status"], "PAUSED");
    assert_eq!(body["tools"][0]["tool_name"], DELEGATE_TO_ONE);
    assert_eq!(body["tools"][0]["requires_confirmation"], Value::Null);
    assert_eq!(body["tools"][0]["child_run_id"], json!(nth(2)));
}

#[test]
fn a_teams_object_holds_the_runs_of_its_members() {
    insta::assert_json_snapshot!(object(&tree(coordinated())));
}
