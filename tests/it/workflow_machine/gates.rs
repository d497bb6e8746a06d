//! People: leave before a step, a look at what came out, a choice of ways, and runs below that wait.

use super::*;

#[test]
fn a_step_that_needs_leave_waits_for_it_and_then_begins() {
    let mut story = Story::begin(vec![agent("one"), confirmed(agent("two")), agent("last")]);
    assert_eq!(story.finish("one", "uno"), ["end one: uno", "wait for two"]);
    story.replay();
    assert_eq!(story.machine.next(), Step::Wait);
    assert_eq!(story.answer("two", yes()), ["heard two", "start two"]);
    story.finish("two", "dos");
    assert_eq!(story.given(), given(&[("last", "dos")]));
}

#[test]
fn a_refused_step_is_passed_over_or_ends_the_workflow() {
    let refused = |on_reject| {
        let two = StepSpec { on_reject, ..confirmed(agent("two")) };
        let mut story = Story::begin(vec![agent("one"), two, agent("last")]);
        story.finish("one", "uno");
        story.answer("two", no(Some("too dear")))
    };
    for on_reject in [OnReject::Skip, OnReject::Retry, OnReject::Else] {
        assert_eq!(refused(on_reject), ["heard two", "skip two", "start last"]);
    }
    assert_eq!(refused(OnReject::Cancel), ["heard two", "cancelled: the step `two` was rejected: too dear"]);
}

#[test]
fn a_refused_condition_may_take_its_other_way() {
    let check = confirmed(condition("check", "true", vec![agent("yes")], vec![agent("no")]));
    let mut story = Story::begin(vec![StepSpec { on_reject: OnReject::Else, ..check.clone() }]);
    let facts = story.answer("check", no(None));
    assert_eq!(facts, ["heard check", "start check", "check: false", "start check/no"]);
    let mut story = Story::begin(vec![check]);
    assert_eq!(story.answer("check", no(None)), ["heard check", "skip check", "completed"]);
}

#[test]
fn what_a_person_gave_is_read_by_agents_laid_over_a_tools_arguments_and_known_to_expressions() {
    let ask =
        |spec: StepSpec| StepSpec { gate: Gate { user_input: vec!["city".into()], ..spec.gate }, ..spec };
    let check = condition("check", "user_input.city == 'Rome'", vec![agent("rome")], vec![]);
    let mut story = Story::begin(vec![ask(agent("one")), check]);
    let objection = story.objection("one", yes());
    assert_eq!(objection.as_deref(), Some("the step `one` needs `city`"));
    assert!(story.answer("one", yes()).is_empty());
    story.answer("one", yes_with(json!({"city": "Rome"})));
    let text = "go\n\n<user_input>\n{\"city\":\"Rome\"}\n</user_input>";
    assert_eq!(story.given(), given(&[("one", text)]));
    assert_eq!(story.finish("one", "")[2..], ["check: true", "start check/rome"]);
    let mut story = Story::begin(vec![ask(tool("out"))]);
    story.answer("out", yes_with(json!({"city": "Rome"})));
    let arguments = json!({"text": "go", "city": "Rome"}).as_object().unwrap().clone();
    assert_eq!(story.orders()[0].work, StepWork::Tool("publish".into(), arguments));
}

#[test]
fn a_tools_own_gate_holds_for_its_step_too() {
    let gate = Gate { confirmation: true, message: Some("Sure?".into()), ..Gate::default() };
    let mut story = Story::of(start(vec![tool("out")], vec![declared(gate)], "go"));
    assert_eq!(story.machine.next(), Step::Wait);
    let sight = workflow::sight(story.machine.view(), &key("out")).unwrap();
    assert_eq!((sight.stand, sight.gate.message.as_deref()), (workflow::Stand::WaitsForLeave, Some("Sure?")));
    assert_eq!(story.answer("out", yes()), ["heard out", "start out"]);
}

#[test]
fn a_tool_that_is_done_elsewhere_has_the_result_it_is_given() {
    let gate = Gate { external: true, ..Gate::default() };
    let mut story = Story::of(start(vec![tool("out"), agent("last")], vec![declared(gate)], "go"));
    let objection = story.objection("out", yes());
    assert_eq!(objection.as_deref(), Some("the step `out` is done elsewhere: its result must be given"));
    assert!(story.answer("out", yes()).is_empty());
    let facts = story.answer("out", edited("sent"));
    assert_eq!(facts, ["heard out", "start out", "end out: sent", "start last"]);
}

#[test]
fn an_output_is_looked_at_before_it_is_handed_on() {
    let reviewed_one = || {
        let mut story = Story::begin(vec![reviewed(agent("one"), OnReject::Skip), agent("last")]);
        assert_eq!(story.finish("one", "uno"), ["end one: uno", "wait for one"]);
        story.replay();
        story
    };
    let mut story = reviewed_one();
    assert_eq!(story.answer("one", yes()), ["heard one", "start last"]);
    assert_eq!(story.given(), given(&[("last", "uno")]));
    let mut story = reviewed_one();
    story.answer("one", edited("better"));
    assert_eq!(story.given(), given(&[("last", "better")]));
    let mut story = reviewed_one();
    story.answer("one", no(None));
    assert_eq!(story.given(), given(&[("last", "go")]));
    assert!(story.machine.view().step(&key("one")).unwrap().output.as_ref().unwrap().skipped);
}

#[test]
fn a_refused_output_is_made_again_with_what_was_said_about_it_three_times_at_most() {
    let mut story = Story::begin(vec![reviewed(agent("one"), OnReject::Retry), agent("last")]);
    for again in 2..5 {
        story.finish("one", "bad");
        let facts = story.answer("one", no(Some("shorter")));
        assert_eq!(facts, ["heard one".to_owned(), format!("start one again, {again}")]);
        story.replay();
    }
    let feedback = "\n\n<feedback>\nshorter\n</feedback>".repeat(3);
    assert_eq!(story.given(), given(&[("one", &format!("go{feedback}"))]));
    story.finish("one", "bad");
    assert_eq!(story.answer("one", no(None)), ["heard one", "start last"]);
    assert_eq!(story.given(), given(&[("last", "go")]));
}

#[test]
fn a_step_with_leave_and_review_asks_for_leave_once() {
    let one = confirmed(reviewed(agent("one"), OnReject::Retry));
    let mut story = Story::begin(vec![one]);
    story.answer("one", yes_with(json!({"a": 1})));
    story.finish("one", "bad");
    assert_eq!(story.answer("one", no(None)), ["heard one", "start one again, 2"]);
    story.finish("one", "good");
    assert_eq!(story.answer("one", yes()), ["heard one", "completed"]);
}

#[test]
fn steps_that_hold_others_are_done_again_under_new_names() {
    let again = |spec: StepSpec, first: &str, second: &str| {
        let mut story = Story::begin(vec![reviewed(spec, OnReject::Retry)]);
        story.finish(first, "bad");
        let facts = story.answer("s", no(None));
        assert_eq!(facts, ["heard s".to_owned(), "start s again, 2".into(), format!("start {second}")]);
        story.finish(second, "good");
        assert_eq!(story.answer("s", yes()), ["heard s", "completed"]);
        let seen: Vec<String> = workflow::outline(story.machine.view())
            .iter()
            .map(|sight| sight.place.step.to_string())
            .collect();
        assert_eq!(seen, ["s", first, second]);
    };
    again(parallel("s", vec![agent("x")]), "s/x", "s[2]/x");
    again(condition("s", "true", vec![agent("x")], vec![]), "s/x", "s[2]/x");
    again(router("s", Some("'r'"), vec![("r", vec![agent("x")])]), "s/x", "s[2]/x");
    again(repeat("s", vec![agent("x")], None, 1), "s[1]/x", "s[2]/x");
}

#[test]
fn a_person_chooses_the_way_where_no_expression_does() {
    let routes = || vec![("news", vec![agent("n")]), ("blog", vec![agent("b")])];
    let mut story = Story::begin(vec![router("pick", None, routes())]);
    assert_eq!(story.machine.next(), Step::Wait);
    let objections = [
        (yes(), "the step `pick` needs a choice of `news`, `blog`"),
        (take(&["nope"]), "the step `pick` has no route `nope`; its routes are `news`, `blog`"),
        (take(&["news", "blog"]), "the step `pick` takes one route"),
        (edited("x"), "the step `pick` has no output yet that could be edited"),
    ];
    for (answer, objection) in objections {
        assert_eq!(story.objection("pick", answer.clone()).as_deref(), Some(objection));
        assert!(story.answer("pick", answer).is_empty());
    }
    let facts = ["heard pick", "start pick", "pick: blog", "start pick/b"];
    assert_eq!(story.answer("pick", take(&["blog"])), facts);
    let StepSpec { action: StepAction::Router { routes, .. }, .. } = router("pick", None, routes()) else {
        panic!("no router")
    };
    let many = step("pick", StepAction::Router { choose: None, several: true, routes });
    let mut story = Story::begin(vec![many]);
    let twice = story.objection("pick", take(&["news", "news"]));
    assert_eq!(twice.as_deref(), Some("the step `pick` takes each route once"));
    story.answer("pick", take(&["blog", "news"]));
    assert_eq!(story.finish("pick/b", "b"), ["end pick/b: b", "start pick[2]/n"]);
}

#[test]
fn the_run_waits_once_nothing_else_is_going() {
    let branches = vec![confirmed(agent("x")), agent("y"), reviewed(agent("z"), OnReject::Skip)];
    let mut story = Story::begin(vec![parallel("p", branches)]);
    assert_eq!(story.given(), given(&[("p/y", "go"), ("p/z", "go")]));
    assert_eq!(story.finish("p/z", "Z"), ["end p/z: Z"]);
    assert_eq!(story.objection("p/z", yes()).as_deref(), Some("the step `p/z` does not wait"));
    assert_eq!(story.finish("p/y", "Y"), ["end p/y: Y", "wait for p/x p/z"]);
    assert_eq!(story.answer("p/z", yes()), ["heard p/z", "wait for p/x"]);
    assert_eq!(story.answer("p/x", yes()), ["heard p/x", "start p/x"]);
    assert_eq!(story.finish("p/x", "X").last().unwrap(), "completed");
}

#[test]
fn steps_whose_runs_wait_are_waited_for_and_go_on_when_those_were_answered() {
    let branches = vec![agent("x"), agent("y"), confirmed(agent("z"))];
    let mut story = Story::begin(vec![parallel("p", branches)]);
    let nothing: [&str; 0] = [];
    assert_eq!(story.tell(News::StepsWait(vec![key("p/x")])), nothing);
    let waits = story.tell(News::StepsWait(vec![key("p/x"), key("p/y")]));
    assert_eq!(waits, ["wait for p/x p/y p/z"]);
    story.replay();
    assert_eq!(story.machine.next(), Step::Wait);
    assert_eq!(
        story.objection("p/x", yes()).as_deref(),
        Some("the step `p/x` is not asked about: its run waits")
    );
    assert_eq!(story.answer_below(&["p/x", "p/z"]), ["heard p/x"]);
    assert_eq!(story.given(), given(&[("p/x", "go")]));
    assert_eq!(story.finish("p/x", "X"), ["end p/x: X", "wait for p/y p/z"]);
    story.answer_below(&["p/y"]);
    assert_eq!(story.answer("p/z", yes()), ["heard p/z", "start p/z"]);
    assert_eq!(story.given(), given(&[("p/y", "go"), ("p/z", "go")]));
    assert_eq!(story.tell(News::StepsWait(vec![key("p/y"), key("p/z")])), ["wait for p/y p/z"]);
}

#[test]
fn who_cancels_while_others_are_asked_ends_the_run_for_all() {
    let stop = StepSpec { on_reject: OnReject::Cancel, ..confirmed(agent("x")) };
    let mut story = Story::begin(vec![parallel("p", vec![stop, confirmed(agent("y"))])]);
    assert_eq!(
        story.answer("p/x", no(None)),
        ["heard p/x", "end p badly: given up when the run ended", "cancelled: the step `p/x` was rejected"]
    );
}

#[test]
fn of_two_answers_for_one_step_the_first_counts() {
    let mut story = Story::begin(vec![confirmed(agent("one"))]);
    let decision = |decision| StepAnswer { step: key("one"), decision };
    let decisions = vec![decision(yes()), decision(no(None))];
    let facts = story.tell(News::Answered(Heard { decisions, ..Heard::default() }));
    assert_eq!(facts, ["heard one", "start one"]);
}
