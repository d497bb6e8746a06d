//! AgentOS events are a pure projection of a run's entries.

use proptest::prelude::*;
use runhold::api::agentos::events::{Event, Projector};
use runhold::api::agentos::run_body::RunBody;
use runhold::api::agentos::tree::Tree;
use runhold::domain::Object;
use runhold::domain::fact::{Answer, Decision, Entry, Fact, Failure, Outcome, Piece, RunOptions};
use runhold::domain::spec::{Spec, TeamMode, TeamSpec};
use runhold::domain::time::Timestamp;
use runhold::domain::tool::ToolResult;
use runhold::domain::view::RunView;
use serde_json::{Value, json};

use crate::facts::*;

fn events(facts: Vec<Fact>) -> Vec<Event> {
    projected(&entries(facts))
}

fn projected(entries: &[Entry]) -> Vec<Event> {
    let mut projector = Projector::new(entries.first().unwrap()).unwrap();
    entries.iter().flat_map(|entry| projector.project(entry)).collect()
}

fn json_of(event: &Event) -> Value {
    serde_json::from_str(event.json()).unwrap()
}

fn names(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| json_of(event).get("event").and_then(Value::as_str).unwrap().to_owned())
        .collect()
}

#[test]
fn a_plain_run_has_the_events_of_section_8_numbered_from_0() {
    let mut facts = begun_agent();
    facts.extend([says(&["Fi", "ve"]), answered(1, vec![]), over(Outcome::Completed)]);
    let frames: String =
        events(facts).iter().map(|event| String::from_utf8(event.frame().to_vec()).unwrap()).collect();
    insta::assert_snapshot!(frames);
}

#[test]
fn tools_called_side_by_side_all_start_before_one_ends_and_a_failure_is_told_twice() {
    let mut facts = begun_agent();
    let calls = vec![call("c1", "add", r#"{"a":2,"b":3}"#), call("c2", "nope", "{}")];
    facts.extend([
        answered(1, calls),
        started("c1"),
        started("c2"),
        ended("c1", ToolResult::done("5")),
        ended("c2", ToolResult::failed("no such file")),
        called(2),
        says(&["5"]),
        answered(2, vec![]),
        over(Outcome::Completed),
    ]);
    let events = events(facts);
    assert_eq!(
        names(&events),
        [
            "RunStarted",
            "ModelRequestStarted",
            "ModelRequestCompleted",
            "ToolCallStarted",
            "ToolCallStarted",
            "ToolCallCompleted",
            "ToolCallCompleted",
            "ToolCallError",
            "ModelRequestStarted",
            "RunContent",
            "ModelRequestCompleted",
            "RunContentCompleted",
            "RunCompleted",
        ]
    );
    assert_eq!(
        json_of(&events[5]),
        json!({
            "created_at": 1006, "event": "ToolCallCompleted", "agent_id": "adder", "agent_name": "Adder",
            "run_id": run(), "session_id": "s1", "nested_depth": 0,
            "content": "add(a=2, b=3) completed in 2.0000s. ",
            "tool": {
                "tool_call_id": "c1", "tool_name": "add", "tool_args": {"a": 2, "b": 3},
                "tool_call_error": false, "result": "5",
                "metrics": {"start_time": 1004.0, "end_time": 1006.0, "duration": 2.0},
                "child_run_id": null, "stop_after_tool_call": false, "created_at": 1004,
                "requires_confirmation": null, "confirmed": null, "confirmation_note": null,
                "requires_user_input": null, "user_input_schema": null, "user_feedback_schema": null,
                "answered": null, "external_execution_required": null, "external_execution_silent": null,
                "approval_type": null, "approval_id": null
            },
            "event_index": 5
        })
    );
    assert_eq!(json_of(&events[7])["error"], "no such file");
}

#[test]
fn a_call_that_was_refused_is_announced_all_the_same() {
    let mut facts = begun_agent();
    facts.push(answered(1, vec![call("c1", "nope", "{}")]));
    facts.push(ended("c1", ToolResult::failed("there is no tool `nope`")));
    assert_eq!(names(&events(facts))[3..], ["ToolCallStarted", "ToolCallCompleted", "ToolCallError"]);
}

#[test]
fn a_run_that_waits_ends_with_run_paused_and_goes_on_with_run_continued() {
    let mut facts = begun_agent();
    let id: runhold::domain::id::CallId = "c1".parse().unwrap();
    facts.extend([
        answered(1, vec![call("c1", "delete", r#"{"path":"x"}"#)]),
        Fact::paused(vec![id.clone()]),
        Fact::resumed(vec![Answer { call: id, decision: Decision::Approved { values: Object::new() } }]),
        started("c1"),
        ended("c1", ToolResult::done("gone")),
    ]);
    let events = events(facts);
    assert_eq!(
        names(&events),
        [
            "RunStarted",
            "ModelRequestStarted",
            "ModelRequestCompleted",
            "RunContentCompleted",
            "RunPaused",
            "RunContinued",
            "ToolCallStarted",
            "ToolCallCompleted",
        ]
    );
    let paused = json_of(&events[4]);
    assert_eq!(paused["content"], "I have tools to execute, but I need confirmation.");
    assert_eq!(paused["tools"][0]["requires_confirmation"], true);
    assert_eq!(paused["tools"][0]["confirmed"], Value::Null);
    assert_eq!(paused["requirements"][0]["tool_execution"], paused["tools"][0]);
    assert_eq!(paused["requirements"][0]["created_at"], "1970-01-01T00:16:43+00:00");
    assert_eq!(json_of(&events[7])["tool"]["confirmed"], true);
}

#[test]
fn a_cancelled_run_ends_with_run_cancelled_and_the_text_so_far() {
    let mut facts = begun_agent();
    facts.extend([says(&["Fi"]), over(Outcome::Cancelled { reason: "enough".into() })]);
    let events = events(facts);
    assert_eq!(names(&events), ["RunStarted", "ModelRequestStarted", "RunContent", "RunCancelled"]);
    let last = json_of(&events[3]);
    assert_eq!((&last["content"], &last["reason"]), (&json!("Fi"), &json!("enough")));
}

#[test]
fn a_failed_run_ends_with_run_error() {
    let mut facts = begun_agent();
    let failure = Failure::new("model_provider_error", "the provider is away").retryable();
    facts.extend([
        says(&["Fi"]),
        Fact::ModelFailed { turn: 1, failure: failure.clone() },
        over(Outcome::Failed(failure)),
    ]);
    let events = events(facts);
    assert_eq!(names(&events), ["RunStarted", "ModelRequestStarted", "RunContent", "RunError"]);
    assert_eq!(
        json_of(&events[3]),
        json!({
            "created_at": 1005, "event": "RunError", "agent_id": "adder", "agent_name": "Adder",
            "run_id": run(), "session_id": "s1", "nested_depth": 0, "content": "the provider is away",
            "error_type": "model_provider_error", "additional_data": {"retryable": true}, "event_index": 3
        })
    );
}

#[test]
fn an_attempt_that_is_asked_again_is_said_to_be_superseded_and_is_no_part_of_the_answer() {
    let mut facts = begun_agent();
    facts.extend([
        says(&["Fo"]),
        Fact::ModelFailed { turn: 1, failure: Failure::new("interrupted", "the server stopped") },
        called(1),
        says(&["Five"]),
        answered(1, vec![]),
        over(Outcome::Completed),
    ]);
    let events = events(facts);
    assert_eq!(
        names(&events)[2..],
        [
            "RunContent",
            "CustomEvent",
            "ModelRequestStarted",
            "RunContent",
            "ModelRequestCompleted",
            "RunContentCompleted",
            "RunCompleted"
        ]
    );
    let custom = json_of(&events[3]);
    assert_eq!(
        (&custom["kind"], &custom["turn"], &custom["reason"]),
        (&json!("attempt_superseded"), &json!(1), &json!("the server stopped"))
    );
    assert_eq!(json_of(events.last().unwrap())["content"], "Five");
}

#[test]
fn reasoning_comes_beside_an_empty_content_that_clients_may_append() {
    let mut facts = begun_agent();
    facts.push(Fact::Said { pieces: vec![Piece::Reasoning("hm".into())] });
    let piece = json_of(&events(facts)[2]);
    assert_eq!((&piece["content"], &piece["reasoning_content"]), (&json!(""), &json!("hm")));
}

#[test]
fn events_of_a_team_have_its_prefix_and_its_keys() {
    let team = TeamSpec { leader: agent(), mode: TeamMode::Coordinate, members: vec![] };
    let mut facts = begun(Spec::Team(team), RunOptions::default());
    facts.extend([says(&["5"]), answered(1, vec![]), over(Outcome::Completed)]);
    let events = events(facts);
    assert_eq!(
        names(&events),
        [
            "TeamRunStarted",
            "TeamModelRequestStarted",
            "TeamRunContent",
            "TeamModelRequestCompleted",
            "TeamRunContentCompleted",
            "TeamRunCompleted"
        ]
    );
    assert_eq!(
        json_of(&events[2]),
        json!({
            "created_at": 1002, "event": "TeamRunContent", "team_id": "adder", "team_name": "Adder",
            "run_id": run(), "session_id": "s1", "nested_depth": 0, "content_type": "str", "content": "5",
            "event_index": 2
        })
    );
}

#[test]
fn an_answer_that_fits_a_schema_is_an_object_under_the_schemas_title() {
    let options =
        RunOptions { output_schema: Some(json!({"title": "Sum", "type": "object"})), ..Default::default() };
    let mut facts = begun(Spec::Agent(agent()), options);
    facts.extend([says(&["{\"sum\":", "5}"]), answered(1, vec![]), over(Outcome::Completed)]);
    let last = json_of(events(facts).last().unwrap());
    assert_eq!((&last["content"], &last["content_type"]), (&json!({"sum": 5}), &json!("Sum")));
}

#[test]
fn a_run_object_has_its_messages_tools_and_metrics_and_no_null_outside_of_tools() {
    let mut facts = begun_agent();
    facts.extend([
        answered(1, vec![call("c1", "add", r#"{"a":2,"b":3}"#)]),
        started("c1"),
        ended("c1", ToolResult::done("5")),
        called(2),
        says(&["Five"]),
        answered(2, vec![]),
        over(Outcome::Completed),
    ]);
    let view = RunView::of(run(), &entries(facts)).unwrap();
    let earlier = RunView::of(run(), &entries(begun_agent())).unwrap();
    let tree = Tree::from(view);
    insta::assert_json_snapshot!(RunBody::direct(tree.root(), &[earlier]));
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![".{0,4}".prop_map(Piece::Text), ".{0,4}".prop_map(Piece::Reasoning)]
}

proptest! {
    /// Live, pieces come one by one; replays have them together; where they are cut must not show.
    #[test]
    fn how_pieces_are_gathered_into_entries_does_not_show(
        pieces in prop::collection::vec(piece(), 1..8),
        cuts in prop::collection::vec(any::<bool>(), 8),
    ) {
        let whole = {
            let mut facts = begun_agent();
            facts.extend([
                Fact::Said { pieces: pieces.clone() },
                answered(1, vec![]),
                over(Outcome::Completed),
            ]);
            entries(facts)
        };
        let mut split = whole.clone();
        let said = split.remove(3);
        let mut groups: Vec<Vec<Piece>> = vec![vec![]];
        for (piece, cut) in pieces.iter().zip(cuts) {
            if cut && !groups.last().unwrap().is_empty() {
                groups.push(vec![]);
            }
            groups.last_mut().unwrap().push(piece.clone());
        }
        let mut seq = said.seq;
        for (place, group) in groups.into_iter().enumerate() {
            // Later groups come later; the gathered entry has the time of the first.
            let at = Timestamp(said.at.0 + place as u64 * 100_000);
            let entry = Entry { seq, run: said.run, at, fact: Fact::Said { pieces: group } };
            seq = entry.last_seq() + 1;
            split.insert(3 + place, entry);
        }
        prop_assert_eq!(projected(&whole), projected(&split));
    }
}
