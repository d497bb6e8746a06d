//! Workflows: their own events, their steps', and those of the runs that perform them.

use insta::{assert_json_snapshot, assert_snapshot};
use runhold::domain::fact::{Below, Fact, Failure, Outcome, RunOptions};
use runhold::domain::id::RunId;
use runhold::domain::spec::{StepAction, StepSpec};
use runhold::domain::step::{Choice, StepAnswer, StepDecision, StepKey, StepOutput};
use runhold::domain::tool::Gate;
use serde_json::json;

use super::{events, json_of, object, told, tree};
use crate::facts::*;

/// A workflow that has begun.
pub(super) fn begun_workflow(steps: Vec<StepSpec>) -> Vec<(RunId, Fact)> {
    let mut facts = begun(workflow(steps), RunOptions::default());
    facts.truncate(2);
    of(run(), facts)
}

/// A step of an agent, whole: begun, run and over.
fn performed(number: u128, key: &str, index: &[usize], answer: &str) -> Vec<(RunId, Fact)> {
    let name = key.rsplit('/').next().unwrap();
    let mut facts = of(run(), vec![step_started(key)]);
    facts.extend(whole_below(nth(number), run(), place(key, name, index), agent_named(name), answer));
    let output = StepOutput { content: answer.into(), run: Some(nth(number)), ..StepOutput::default() };
    facts.push((run(), Fact::StepFinished { step: StepKey::top(key), output, state: vec![] }));
    facts
}

fn finished() -> (RunId, Fact) {
    (run(), over(Outcome::Completed))
}

fn two_steps() -> Vec<(RunId, Fact)> {
    let mut facts = begun_workflow(vec![agent_step("read"), agent_step("write")]);
    facts.extend(performed(2, "read", &[0], "notes"));
    facts.extend(performed(3, "write", &[1], "text"));
    facts.push(finished());
    facts
}

#[test]
fn each_step_stands_around_the_events_of_its_run() {
    assert_snapshot!(told(&events(two_steps())));
}

#[test]
fn events_of_a_steps_run_name_the_workflow_and_the_step() {
    let events = events(two_steps());
    assert_eq!(
        json_of(&events[2]),
        json!({
            "created_at": 1003, "event": "RunStarted", "agent_id": "read", "agent_name": "READ",
            "run_id": nth(2), "parent_run_id": run(), "session_id": "s1",
            "workflow_id": "flow", "workflow_run_id": run(), "step_id": "read", "step_name": "read",
            "step_index": 0, "nested_depth": 0, "model": "gpt-4o", "model_provider": "OpenAI", "event_index": 2
        })
    );
    assert_json_snapshot!(json_of(&events[8]));
}

#[test]
fn a_workflows_object_has_results_runs_and_metrics_of_its_steps() {
    assert_json_snapshot!(object(&tree(two_steps())));
}

#[test]
fn steps_side_by_side_stand_within_their_pair() {
    let both = StepAction::Parallel(vec![agent_step("draft"), agent_step("title")]);
    let mut facts = begun_workflow(vec![step("both", both)]);
    facts.push((run(), step_started("both")));
    let draft = performed(2, "both/draft", &[0, 0], "d");
    let title = performed(3, "both/title", &[0, 1], "t");
    facts.extend(draft.into_iter().zip(title).flat_map(|(draft, title)| [draft, title]));
    facts.extend([(run(), step_over("both", "d\nt")), finished()]);
    let events = events(facts.clone());
    assert_snapshot!(told(&events));
    let started = json_of(&events[2]);
    assert_eq!((&started["step_name"], &started["step_index"]), (&json!("draft"), &json!([0, 0])));
    let results = &object(&tree(facts))["step_results"];
    assert_eq!(
        (&results[0]["executor_type"], &results[0]["steps"][1]["content"]),
        (&json!("parallel"), &json!("t"))
    );
}

#[test]
fn a_loop_has_a_pair_around_each_iteration() {
    let polish = StepAction::Loop { steps: vec![agent_step("edit")], until: None, max_iterations: 3 };
    let mut facts = begun_workflow(vec![step("polish", polish)]);
    facts.push((run(), step_started("polish")));
    facts.extend(performed(2, "polish[1]/edit", &[0, 0], "a"));
    facts.push((run(), step_decided("polish", Choice::Again(true))));
    facts.extend(performed(3, "polish[2]/edit", &[0, 0], "b"));
    facts.push((run(), step_decided("polish", Choice::Again(false))));
    facts.extend([(run(), step_over("polish", "b")), finished()]);
    let events = events(facts);
    assert_snapshot!(told(&events));
    let over = json_of(&events[events.len() - 2]);
    assert_eq!((&over["total_iterations"], &over["all_results"][1][0]["content"]), (&json!(2), &json!("b")));
}

#[test]
fn a_loop_at_its_cap_closes_its_last_iteration_though_nothing_was_decided() {
    let polish = StepAction::Loop { steps: vec![agent_step("edit")], until: None, max_iterations: 1 };
    let mut facts = begun_workflow(vec![step("polish", polish)]);
    facts.push((run(), step_started("polish")));
    facts.extend(performed(2, "polish[1]/edit", &[0, 0], "a"));
    facts.push((run(), step_over("polish", "a")));
    let told = told(&events(facts));
    assert!(
        told.ends_with("11 LoopIterationCompleted 1 @polish\n12 LoopExecutionCompleted 1 @polish"),
        "{told}"
    );
}

#[test]
fn a_condition_begins_with_what_it_found() {
    let check = StepAction::Condition {
        when: "true".into(),
        then: vec![agent_step("shorten")],
        otherwise: vec![agent_step("lengthen")],
    };
    let mut facts = begun_workflow(vec![step("check", check)]);
    facts.extend(of(run(), vec![step_started("check"), step_decided("check", Choice::Branch(false))]));
    facts.extend(performed(2, "check/lengthen", &[0, 0], "long"));
    facts.extend([(run(), step_over("check", "long")), finished()]);
    let events = events(facts);
    assert_snapshot!(told(&events));
    let over = json_of(&events[events.len() - 2]);
    assert_eq!(
        (&over["branch"], &over["executed_steps"], &over["condition_result"]),
        (&json!("else"), &json!(1), &json!(false))
    );
}

fn router(choose: Option<&str>) -> StepSpec {
    let routes = vec![("news".into(), vec![agent_step("n")]), ("blog".into(), vec![agent_step("b")])];
    step("pick", StepAction::Router { choose: choose.map(Into::into), several: false, routes })
}

#[test]
fn a_router_begins_with_what_it_chose() {
    let mut facts = begun_workflow(vec![router(Some("'blog'"))]);
    let chosen = step_decided("pick", Choice::Routes(vec!["blog".into()]));
    facts.extend(of(run(), vec![step_started("pick"), chosen]));
    facts.extend(performed(2, "pick/b", &[0, 0], "post"));
    facts.extend([(run(), step_over("pick", "post")), finished()]);
    let events = events(facts);
    assert_snapshot!(told(&events));
    assert_eq!(json_of(&events[1])["selected_steps"], json!(["blog"]));
}

/// The second step needs somebody's leave.
pub(super) fn before_a_step() -> Vec<(RunId, Fact)> {
    let gate = Gate { confirmation: true, message: Some("Sure?".into()), ..Gate::default() };
    let mut facts = begun_workflow(vec![agent_step("read"), StepSpec { gate, ..agent_step("write") }]);
    facts.extend(performed(2, "read", &[0], "notes"));
    facts.push((run(), waits_for_steps(&["write"])));
    facts
}

#[test]
fn a_workflow_that_waits_before_a_step_says_so_twice_and_once_more_as_an_object() {
    let mut facts = before_a_step();
    let paused = events(facts.clone());
    let last = paused.last().unwrap();
    let frame = String::from_utf8(last.frame().to_vec()).unwrap();
    let frames: Vec<&str> = frame.trim_end().split("\n\n").collect();
    assert_eq!(frames.len(), 2);
    assert!(frames[1].starts_with("event: WorkflowRunOutput\ndata: {\"run_id\""), "{}", frames[1]);
    assert!(!frames[1].contains("event_index"));
    assert_json_snapshot!(json_of(last)["step_requirements"]);
    let yes = StepDecision::Approved { values: Default::default(), routes: vec![] };
    let decisions = vec![StepAnswer { step: StepKey::top("write"), decision: yes }];
    facts.push((run(), Fact::Resumed { answers: vec![], decisions, below: Below::default() }));
    facts.extend(performed(3, "write", &[1], "text"));
    facts.push(finished());
    assert_snapshot!(told(&events(facts)));
}

#[test]
fn a_router_without_a_rule_offers_its_routes() {
    let mut facts = begun_workflow(vec![router(None)]);
    facts.push((run(), waits_for_steps(&["pick"])));
    let events = events(facts);
    let asked = json_of(&events[1]);
    assert_eq!(
        (&asked["event"], &asked["available_choices"]),
        (&json!("RouterPaused"), &json!(["news", "blog"]))
    );
}

#[test]
fn what_came_out_is_shown_to_whoever_must_look_at_it() {
    let mut facts = begun_workflow(vec![StepSpec { review: true, ..agent_step("write") }]);
    facts.extend(performed(2, "write", &[0], "text"));
    facts.push((run(), waits_for_steps(&["write"])));
    let events = events(facts);
    let names: Vec<_> =
        events[events.len() - 2..].iter().map(|event| json_of(event)["event"].clone()).collect();
    assert_eq!(names, ["StepOutputReview", "WorkflowPaused"]);
    let paused = json_of(events.last().unwrap());
    let requirement = &paused["step_requirements"][0];
    assert_eq!(
        (&requirement["requires_output_review"], &requirement["step_output"]["content"]),
        (&json!(true), &json!("text"))
    );
    assert_eq!(paused["pause_kind"], "step");
}

/// The run of a step waits.
pub(super) fn executor_waits() -> Vec<(RunId, Fact)> {
    let mut facts = begun_workflow(vec![agent_step("clean")]);
    facts.push((run(), step_started("clean")));
    let mut executor = below(run(), place("clean", "clean", &[0]), agent_named("clean"));
    let deletes = call("m1", "delete", r#"{"path":"x"}"#);
    executor.extend([called(1), answered(1, vec![deletes]), Fact::paused(vec!["m1".parse().unwrap()])]);
    facts.extend(of(nth(2), executor));
    facts.push((run(), waits_for_steps(&["clean"])));
    facts
}

#[test]
fn a_step_whose_run_waits_says_whose_it_is_and_what_it_needs() {
    let mut facts = executor_waits();
    let paused = json_of(events(facts.clone()).last().unwrap());
    assert_eq!((&paused["pause_kind"], &paused["paused_step_name"]), (&json!("executor"), &json!("clean")));
    let requirement = &paused["step_requirements"][0];
    assert_eq!(
        [&requirement["executor_id"], &requirement["executor_run_id"], &requirement["executor_type"]],
        [&json!("clean"), &json!(nth(2)), &json!("agent")]
    );
    assert_eq!(requirement["executor_requirements"][0]["tool_execution"]["tool_call_id"], "m1");
    let below = Below { calls: vec![], steps: vec![StepKey::top("clean")] };
    facts.push((nth(2), Fact::resumed(vec![])));
    facts.push((run(), Fact::Resumed { answers: vec![], decisions: vec![], below }));
    assert_snapshot!(told(&events(facts)));
}

#[test]
fn a_workflow_whose_step_fails_ends_with_workflow_error() {
    let mut facts = begun_workflow(vec![agent_step("read")]);
    facts.push((run(), step_started("read")));
    let failure = Failure::new("model_provider_error", "the provider is away");
    let mut executor = below(run(), place("read", "read", &[0]), agent_named("read"));
    executor.extend([called(1), over(Outcome::Failed(failure.clone()))]);
    facts.extend(of(nth(2), executor));
    let failed = Fact::StepFailed { step: StepKey::top("read"), attempt: 1, failure: failure.clone() };
    let output = StepOutput { error: Some(failure.message.clone()), ..StepOutput::default() };
    let given_up = Fact::StepFinished { step: StepKey::top("read"), output, state: vec![] };
    facts.extend(of(run(), vec![failed, given_up, over(Outcome::Failed(failure))]));
    let events = events(facts.clone());
    assert_snapshot!(told(&events));
    let last = json_of(events.last().unwrap());
    assert_eq!(last["error"], "the provider is away");
    assert_eq!(last.get("content"), None);
    let results = &object(&tree(facts))["step_results"];
    assert_eq!(
        (&results[0]["success"], &results[0]["error"]),
        (&json!(false), &json!("the provider is away"))
    );
}

#[test]
fn a_workflow_within_a_workflow_is_one_deeper() {
    let mut facts = begun_workflow(vec![step("inner", StepAction::Workflow("flow".parse().unwrap()))]);
    facts.push((run(), step_started("inner")));
    let inner = below(run(), place("inner", "inner", &[0]), workflow(vec![agent_step("read")]));
    facts.extend(of(nth(2), inner));
    facts.push((nth(2), step_started("read")));
    facts.extend(whole_below(nth(3), nth(2), place("read", "read", &[0]), agent_named("read"), "notes"));
    facts.extend(of(nth(2), vec![step_over("read", "notes"), over(Outcome::Completed)]));
    facts.extend([(run(), step_over("inner", "notes")), finished()]);
    let events = events(facts);
    assert_snapshot!(told(&events));
    let inside = json_of(&events[4]);
    assert_eq!((&inside["workflow_run_id"], &inside["nested_depth"]), (&json!(nth(2)), &json!(1)));
}
