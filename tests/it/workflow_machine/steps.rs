//! Steps: what each is given, what follows from one, what a failure does.

use super::*;

#[test]
fn each_step_is_given_what_the_one_before_it_made_and_the_first_what_was_asked() {
    let mut story = Story::begin(vec![agent("one"), agent("two"), tool("three")]);
    assert_eq!(story.given(), given(&[("one", "go")]));
    assert_eq!(story.finish("one", "uno"), ["end one: uno", "start two"]);
    assert_eq!(story.given(), given(&[("two", "uno")]));
    assert_eq!(story.finish("two", "dos"), ["end two: dos", "start three"]);
    let arguments = json!({"text": "dos"}).as_object().unwrap().clone();
    assert_eq!(story.orders()[0].work, StepWork::Tool("publish".into(), arguments));
    assert_eq!(story.finish("three", "tres"), ["end three: tres", "completed"]);
    assert_eq!((story.content().as_str(), story.machine.next()), ("tres", Step::Stop));
}

#[test]
fn steps_side_by_side_are_given_the_same_and_hand_on_their_outputs_in_order() {
    let branches = vec![agent("draft"), agent("title")];
    let mut story = Story::begin(vec![agent("one"), parallel("write", branches), agent("last")]);
    let started = ["end one: uno", "start write", "start write/draft", "start write/title"];
    assert_eq!(story.finish("one", "uno"), started);
    assert_eq!(story.given(), given(&[("write/draft", "uno"), ("write/title", "uno")]));
    assert_eq!(story.orders()[1].place.index, [1, 1]);
    assert_eq!(story.finish("write/title", "T"), ["end write/title: T"]);
    story.finish("write/draft", "D");
    assert_eq!(story.given(), given(&[("last", "## draft\n\nD\n\n## title\n\nT")]));
}

#[test]
fn a_condition_takes_one_of_two_ways_at_once_and_without_one_hands_on_what_it_was_given() {
    let check = |when: &str| {
        let steps =
            vec![agent("one"), condition("check", when, vec![agent("shorten")], vec![]), agent("last")];
        Story::begin(steps)
    };
    let mut story = check("previous.content | length > 2");
    let facts = ["end one: uno", "start check", "check: true", "start check/shorten"];
    assert_eq!(story.finish("one", "uno"), facts);
    assert_eq!(story.finish("check/shorten", "u"), ["end check/shorten: u", "end check: u", "start last"]);
    let mut story =
        check("steps.one.content != 'uno' or previous.name != 'one' or session_state.mood != 'good'");
    let facts = ["end one: uno", "start check", "check: false", "skip check", "start last"];
    assert_eq!(story.finish("one", "uno"), facts);
    assert_eq!(story.given(), given(&[("last", "uno")]));
}

#[test]
fn a_loop_goes_on_until_its_expression_holds_or_it_has_been_round_often_enough() {
    let until = "'DONE' in previous.content or iteration > 5";
    let mut story = Story::begin(vec![repeat("polish", vec![agent("edit")], Some(until), 3), agent("last")]);
    assert_eq!(
        story.finish("polish[1]/edit", "a"),
        ["end polish[1]/edit: a", "polish: again", "start polish[2]/edit"]
    );
    assert_eq!(story.given(), given(&[("polish[2]/edit", "a")]));
    assert_eq!(
        story.finish("polish[2]/edit", "DONE"),
        ["end polish[2]/edit: DONE", "polish: enough", "end polish: DONE", "start last"]
    );
    let mut story = Story::begin(vec![repeat("polish", vec![agent("edit")], None, 2)]);
    story.finish("polish[1]/edit", "a");
    assert_eq!(
        story.finish("polish[2]/edit", "b"),
        ["end polish[2]/edit: b", "polish: enough", "end polish: b", "completed"]
    );
}

#[test]
fn a_router_goes_the_ways_its_expression_names_one_after_the_other() {
    let routes = || vec![("news", vec![agent("n")]), ("blog", vec![agent("n"), agent("b")])];
    let of = |choose: &str, input: &str| {
        Story::of(start(vec![router("pick", Some(choose), routes())], vec![], input))
    };
    let mut story = of("input.kind", r#"{"kind": "blog"}"#);
    assert_eq!(story.orders()[0].place.step, key("pick/n"));
    story.finish("pick/n", "1");
    assert_eq!(story.finish("pick/b", "2"), ["end pick/b: 2", "end pick: 2", "completed"]);
    let mut story = of("['news', 'blog', 'news']", "go");
    story.finish("pick/n", "1");
    assert_eq!(story.given(), given(&[("pick[2]/n", "1")]));
    assert_eq!(story.orders()[0].place.index, [0, 1]);
    story.finish("pick[2]/n", "2");
    assert_eq!(story.orders()[0].place.index, [0, 2]);
    let failed = |story: Story| match story.outcome() {
        Outcome::Failed(failure) => (failure.code, failure.message),
        other => panic!("{other:?}"),
    };
    let message = "the step `pick` failed: `'neither'` gives `neither`; its routes are `news`, `blog`";
    assert_eq!(failed(of("'neither'", "go")), ("unknown_route".into(), message.into()));
    assert_eq!(of("[]", "go").outcome(), Outcome::Completed);
}

#[test]
fn an_expression_that_cannot_be_computed_fails_its_step_and_is_named() {
    let failed = |when: &str| {
        let story = Story::begin(vec![condition("check", when, vec![agent("a")], vec![])]);
        match story.outcome() {
            Outcome::Failed(failure) => failure.message,
            other => panic!("{other:?}"),
        }
    };
    let said = |when: &str, why: &str| format!("the step `check` failed: the expression `{when}`: {why}");
    assert_eq!(failed("nope"), said("nope", "undefined value"));
    assert_eq!(
        failed("steps.nope.content"),
        said("steps.nope.content", "undefined value: `steps.nope` is undefined")
    );
    let endless = "range(90000) | map('string') | join | length > range(90000) | sum";
    assert_eq!(failed(endless), said(endless, "engine ran out of fuel"));
    let mut skipped = condition("check", "nope", vec![agent("a")], vec![]);
    skipped.on_error = OnError::Skip;
    assert_eq!(Story::begin(vec![skipped, agent("last")]).given(), given(&[("last", "go")]));
}

#[test]
fn a_step_is_tried_as_often_as_it_may_and_then_fails_the_workflow_or_is_passed_over() {
    let twice = StepSpec { retry: 1, ..agent("one") };
    let mut story = Story::begin(vec![twice.clone(), agent("two")]);
    assert_eq!(story.fail("one", "model_provider_error"), ["fail one: it broke", "start one again, 2"]);
    story.replay();
    assert_eq!(story.orders()[0].place.attempt, 2);
    assert_eq!(
        story.fail("one", "model_provider_error"),
        [
            "fail one: it broke",
            "end one badly: it broke",
            "failed, model_provider_error: the step `one` failed: it broke"
        ]
    );
    let mut story = Story::begin(vec![skipping(twice), agent("two")]);
    story.fail("one", "x");
    assert_eq!(story.fail("one", "x"), ["fail one: it broke", "skip one: it broke", "start two"]);
    assert_eq!(story.given(), given(&[("two", "go")]));
    story.finish("two", "dos");
    assert_eq!((story.outcome(), story.content().as_str()), (Outcome::Completed, "dos"));
}

#[test]
fn a_tool_that_may_have_taken_effect_is_not_called_again() {
    let mut story = Story::begin(vec![StepSpec { retry: 3, ..tool("out") }]);
    assert!(!story.orders()[0].in_doubt);
    story.replay();
    assert!(story.orders()[0].in_doubt);
    let facts = story.fail("out", workflow::IN_DOUBT);
    let end = "failed, in_doubt: the step `out` failed: it broke";
    assert_eq!(facts, ["fail out: it broke", "end out badly: it broke", end]);
}

#[test]
fn an_agent_that_was_begun_before_a_crash_is_not_in_doubt() {
    let mut story = Story::begin(vec![agent("one")]);
    story.replay();
    assert!(!story.orders()[0].in_doubt);
}

#[test]
fn a_branch_that_fails_lets_the_others_finish_and_then_fails_what_it_is_in() {
    let inner = condition("inner", "true", vec![agent("x")], vec![]);
    let mut story = Story::begin(vec![parallel("p", vec![inner, agent("y")]), agent("last")]);
    assert_eq!(
        story.fail("p/inner/x", "boom"),
        [
            "fail p/inner/x: it broke",
            "end p/inner/x badly: it broke",
            "fail p/inner: the step `p/inner/x` failed: it broke",
            "end p/inner badly: the step `p/inner/x` failed: it broke"
        ]
    );
    assert_eq!(story.given(), given(&[("p/y", "go")]));
    let end = "failed, boom: the step `p/inner/x` failed: it broke";
    assert_eq!(story.finish("p/y", "Y").last().unwrap(), end);
}

#[test]
fn a_workflow_that_is_cancelled_or_broken_gives_up_what_is_going_from_the_inside_out() {
    let steps = || vec![parallel("p", vec![agent("x"), agent("y")])];
    let given_up = |end: &str| {
        let up = |step: &str| format!("end {step} badly: given up when the run ended");
        vec![up("p/y"), up("p/x"), up("p"), end.to_owned()]
    };
    let cancelled = Story::begin(steps()).tell(News::Cancelled { reason: "enough".into() });
    assert_eq!(cancelled, given_up("cancelled: enough"));
    let broken = Story::begin(steps()).tell(News::Broken(Failure::new("limit", "too long")));
    assert_eq!(broken, given_up("failed, limit: too long"));
}

#[test]
fn what_steps_changed_in_the_state_is_seen_by_expressions_and_is_the_runs_change() {
    let check = condition("check", "session_state.mood == 'bad'", vec![agent("cheer")], vec![]);
    let mut story = Story::begin(vec![agent("one"), check]);
    let state = vec![runhold::domain::state::Change { path: vec!["mood".into()], to: Some(json!("bad")) }];
    let output = StepOutput::default();
    story.tell(News::StepFinished { step: key("one"), output, state: state.clone() });
    story.finish("check/cheer", "there");
    let Some(Fact::RunFinished { state: changes, .. }) = story.entries.last().map(|entry| &entry.fact) else {
        panic!("no end")
    };
    assert_eq!(*changes, state);
}

#[test]
fn a_loop_that_never_ends_is_ended() {
    let mut story = Story::begin(vec![repeat("l", vec![agent("x")], Some("false"), u32::MAX)]);
    for number in 1.. {
        if story.finish(&format!("l[{number}]/x"), "x").last().is_some_and(|fact| fact.starts_with("failed"))
        {
            break;
        }
    }
    let failure = Failure::new("limit", "the run reached the limit of 1000 steps");
    assert_eq!(story.outcome(), Outcome::Failed(failure));
    let nothing = Story::begin(vec![repeat("l", vec![], None, u32::MAX)]);
    assert_eq!(nothing.outcome(), Outcome::Completed);
}

#[test]
fn news_about_steps_that_are_not_going_change_nothing() {
    let mut story = Story::begin(vec![agent("one"), agent("two")]);
    story.finish("one", "uno");
    let nothing: [&str; 0] = [];
    assert_eq!(story.finish("one", "again"), nothing);
    assert_eq!(story.finish("nobody", "x"), nothing);
    assert_eq!(story.fail("one", "x"), nothing);
    assert_eq!(story.answer("two", yes()), nothing);
    assert_eq!(story.tell(News::Steered(Input::default(), None)), nothing);
}
