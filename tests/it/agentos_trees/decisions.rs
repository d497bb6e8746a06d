//! What a client sends back is read as decisions about the runs that wait, wherever in the tree they are.

use runhold::api::agentos::decisions::{Sent, answers};
use runhold::api::agentos::tree::Tree;
use runhold::domain::Object;
use runhold::domain::fact::{Answer, Decision, Fact};
use runhold::domain::run::Answers;
use runhold::domain::spec::{StepAction, StepSpec};
use runhold::domain::step::{StepAnswer, StepDecision, StepKey};
use runhold::domain::tool::Gate;
use serde_json::{Value, json};

use super::workflows::{before_a_step, begun_workflow, executor_waits};
use super::{object, teams, tree};
use crate::facts::*;

fn objects(list: Value) -> Vec<Object> {
    serde_json::from_value(list).unwrap()
}

fn about_requirements(tree: &Tree, list: Value) -> Result<Answers, String> {
    answers(tree.root(), &Sent { requirements: objects(list), ..Sent::default() })
        .map_err(|error| error.to_string())
}

fn about_steps(tree: &Tree, list: Value) -> Result<Answers, String> {
    answers(tree.root(), &Sent { steps: objects(list), ..Sent::default() }).map_err(|error| error.to_string())
}

fn of_member(decision: Decision) -> Answers {
    let answer = Answer { call: "m1".parse().unwrap(), decision };
    Answers { calls: vec![(nth(2), answer)], steps: vec![] }
}

fn of_step(step: &str, decision: StepDecision) -> Answers {
    Answers { calls: vec![], steps: vec![(run(), StepAnswer { step: StepKey::top(step), decision })] }
}

fn yes() -> StepDecision {
    StepDecision::Approved { values: Object::new(), routes: vec![] }
}

#[test]
fn a_decision_on_the_requirement_or_on_its_tool_reaches_the_member() {
    let tree = tree(teams::waiting());
    let mut shown = object(&tree)["requirements"].clone();
    shown[0]["confirmation"] = json!(true);
    let approved = of_member(Decision::Approved { values: Object::new() });
    assert_eq!(about_requirements(&tree, shown.clone()), Ok(approved));
    shown[0]["confirmation"] = Value::Null;
    shown[0]["tool_execution"]["confirmed"] = json!(false);
    shown[0]["tool_execution"]["confirmation_note"] = json!("keep it");
    let rejected = of_member(Decision::Rejected { note: Some("keep it".into()) });
    assert_eq!(about_requirements(&tree, shown), Ok(rejected));
}

#[test]
fn tools_alone_are_enough_where_they_name_one_call_only() {
    let tree = tree(teams::waiting());
    let tools = objects(json!([{"tool_call_id": "m1", "confirmed": true}]));
    let sent = Sent { tools, ..Sent::default() };
    assert_eq!(answers(tree.root(), &sent).unwrap(), of_member(Decision::Approved { values: Object::new() }));
}

#[test]
fn a_requirement_that_names_another_run_decides_nothing() {
    let tree = tree(teams::waiting());
    let mut shown = object(&tree)["requirements"].clone();
    (shown[0]["confirmation"], shown[0]["member_run_id"]) = (json!(true), json!(nth(7)));
    let why =
        "Invalid structure or content for requirements: no decision about any of the calls that wait: m1";
    assert_eq!(about_requirements(&tree, shown), Err(why.into()));
}

#[test]
fn a_step_is_confirmed_or_refused_with_a_reason() {
    let tree = tree(before_a_step());
    let mut shown = object(&tree)["step_requirements"].clone();
    let undecided = about_steps(&tree, shown.clone()).unwrap_err();
    assert!(undecided.ends_with("no decision about any of the steps that wait: write"), "{undecided}");
    shown[0]["confirmed"] = json!(true);
    assert_eq!(about_steps(&tree, shown.clone()), Ok(of_step("write", yes())));
    (shown[0]["confirmed"], shown[0]["rejection_feedback"]) = (json!(false), json!("too soon"));
    let no = StepDecision::Rejected { feedback: Some("too soon".into()) };
    assert_eq!(about_steps(&tree, shown), Ok(of_step("write", no)));
}

#[test]
fn the_values_a_step_asks_for_stand_in_its_input_or_in_its_schema() {
    let gate = Gate { user_input: vec!["tone".into()], ..Gate::default() };
    let mut facts = begun_workflow(vec![StepSpec { gate, ..agent_step("write") }]);
    facts.push((run(), waits_for_steps(&["write"])));
    let tree = tree(facts);
    let shown = object(&tree)["step_requirements"].clone();
    assert_eq!(
        shown[0]["user_input_schema"],
        json!([{"name": "tone", "field_type": "str", "description": null, "value": null, "required": true}])
    );
    let values = json!({"tone": "dry"}).as_object().unwrap().clone();
    let given = of_step("write", StepDecision::Approved { values, routes: vec![] });
    let mut input = shown.clone();
    input[0]["user_input"] = json!({"tone": "dry", "other": 1});
    assert_eq!(about_steps(&tree, input), Ok(given.clone()));
    let mut schema = shown;
    schema[0]["user_input_schema"][0]["value"] = json!("dry");
    assert_eq!(about_steps(&tree, schema), Ok(given));
}

#[test]
fn of_routes_only_known_ones_and_only_as_many_as_may_be() {
    let routes = vec![("news".into(), vec![agent_step("n")]), ("blog".into(), vec![agent_step("b")])];
    let router = StepAction::Router { choose: None, several: false, routes };
    let mut facts = begun_workflow(vec![step("pick", router)]);
    facts.push((run(), waits_for_steps(&["pick"])));
    let tree = tree(facts);
    let chosen = |names: Value| about_steps(&tree, json!([{"step_id": "pick", "selected_choices": names}]));
    let blog = StepDecision::Approved { values: Object::new(), routes: vec!["blog".into()] };
    assert_eq!(chosen(json!(["blog"])), Ok(of_step("pick", blog)));
    assert!(chosen(json!(["sport"])).unwrap_err().ends_with("`sport` is none of the choices: news, blog"));
    assert!(
        chosen(json!(["news", "blog"])).unwrap_err().ends_with("only one of the choices may be selected")
    );
}

#[test]
fn an_output_is_taken_or_replaced() {
    let mut facts = begun_workflow(vec![StepSpec { review: true, ..agent_step("write") }]);
    facts.extend(of(
        run(),
        vec![step_started("write"), step_over("write", "text"), waits_for_steps(&["write"])],
    ));
    let tree = tree(facts);
    let decided = |over: Value| about_steps(&tree, json!([over]));
    assert_eq!(decided(json!({"step_id": "write", "confirmed": true})), Ok(of_step("write", yes())));
    let edited = StepDecision::Edited { content: "better".into() };
    let sent = json!({"step_id": "write", "confirmed": true, "edited_output": "better"});
    assert_eq!(decided(sent), Ok(of_step("write", edited)));
}

#[test]
fn what_the_run_of_a_step_needs_is_decided_inside_the_steps_requirement() {
    let tree = tree(executor_waits());
    let mut shown = object(&tree)["step_requirements"].clone();
    shown[0]["executor_requirements"][0]["tool_execution"]["confirmed"] = json!(true);
    assert_eq!(about_steps(&tree, shown), Ok(of_member(Decision::Approved { values: Object::new() })));
}

#[test]
fn steps_of_a_workflow_within_are_decided_inside_its_step() {
    let mut facts = begun_workflow(vec![step("inner", StepAction::Workflow("flow".parse().unwrap()))]);
    facts.push((run(), step_started("inner")));
    let gate = Gate { confirmation: true, ..Gate::default() };
    let spec = workflow(vec![StepSpec { gate, ..agent_step("read") }]);
    facts.extend(of(nth(2), below(run(), place("inner", "inner", &[0]), spec)));
    facts.push((nth(2), waits_for_steps(&["read"])));
    facts.push((run(), waits_for_steps(&["inner"])));
    let tree = tree(facts);
    let mut shown = object(&tree)["step_requirements"].clone();
    assert_eq!(shown[0]["executor_type"], "workflow");
    shown[0]["executor_requirements"][0]["confirmed"] = json!(true);
    let answer = StepAnswer { step: StepKey::top("read"), decision: yes() };
    assert_eq!(about_steps(&tree, shown), Ok(Answers { calls: vec![], steps: vec![(nth(2), answer)] }));
}

#[test]
fn two_members_that_wait_for_calls_of_one_name_must_be_told_apart() {
    let mut facts = teams::waiting();
    let pause = facts.pop().unwrap();
    let second = facts.clone().into_iter().filter(|(run, _)| *run == nth(2)).map(|(_, fact)| (nth(3), fact));
    facts.extend(second.collect::<Vec<(_, Fact)>>());
    facts.push(pause);
    let tree = tree(facts);
    let tools = objects(json!([{"tool_call_id": "m1", "confirmed": true}]));
    let why = answers(tree.root(), &Sent { tools, ..Sent::default() }).unwrap_err().to_string();
    assert!(why.ends_with("several runs wait for the call m1: name one in member_run_id"), "{why}");
    let mut shown = object(&tree)["requirements"].clone();
    shown[1]["confirmation"] = json!(true);
    let answer =
        Answer { call: "m1".parse().unwrap(), decision: Decision::Approved { values: Object::new() } };
    assert_eq!(
        about_requirements(&tree, shown),
        Ok(Answers { calls: vec![(nth(3), answer)], steps: vec![] })
    );
}
