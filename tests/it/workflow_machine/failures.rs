//! A step that failed and asks what becomes of it: tried again, passed over, or gone on from with what was given.

use super::*;

#[test]
fn a_step_that_failed_is_tried_again_when_somebody_says_so() {
    let mut story = Story::begin(vec![agent("one"), asking(agent("two")), agent("three")]);
    story.finish("one", "1");
    assert_eq!(story.fail("two", "model"), ["fail two: it broke", "wait for two"]);
    story.replay();
    assert_eq!(story.machine.next(), Step::Wait);
    assert_eq!(story.answer("two", yes()), ["heard two", "start two again, 2"]);
    assert_eq!(story.given(), given(&[("two", "1")]));
    assert_eq!(story.fail("two", "model"), ["fail two: it broke", "wait for two"]);
    assert_eq!(story.answer("two", yes()), ["heard two", "start two again, 3"]);
    story.finish("two", "2");
    assert_eq!(story.finish("three", "3").last().unwrap(), "completed");
}

#[test]
fn a_step_that_failed_is_passed_over_when_somebody_says_so() {
    let mut story = Story::begin(vec![asking(agent("one")), agent("two")]);
    story.fail("one", "model");
    assert_eq!(story.answer("one", no(None)), ["heard one", "skip one: it broke", "start two"]);
    assert_eq!(story.given(), given(&[("two", "go")]));
}

#[test]
fn what_a_person_gives_in_place_of_a_step_that_failed_goes_on() {
    let mut story = Story::begin(vec![asking(reviewed(agent("one"), OnReject::Skip)), agent("two")]);
    story.fail("one", "model");
    assert_eq!(story.answer("one", edited("by hand")), ["heard one", "end one: by hand", "start two"]);
    assert_eq!(story.given(), given(&[("two", "by hand")]));
}

#[test]
fn tries_that_are_left_are_made_before_anybody_is_asked_and_again_after_somebody_was() {
    let mut story = Story::begin(vec![StepSpec { retry: 1, ..asking(agent("one")) }]);
    assert_eq!(story.fail("one", "model"), ["fail one: it broke", "start one again, 2"]);
    assert_eq!(story.fail("one", "model"), ["fail one: it broke", "wait for one"]);
    assert_eq!(story.answer("one", yes()), ["heard one", "start one again, 3"]);
    assert_eq!(story.fail("one", "model"), ["fail one: it broke", "start one again, 4"]);
    assert_eq!(story.fail("one", "model"), ["fail one: it broke", "wait for one"]);
}

#[test]
fn a_tool_in_doubt_is_called_again_only_when_somebody_says_so() {
    let mut story = Story::begin(vec![StepSpec { retry: 5, ..asking(tool("publish")) }]);
    assert_eq!(story.fail("publish", workflow::IN_DOUBT), ["fail publish: it broke", "wait for publish"]);
    assert_eq!(story.answer("publish", yes()), ["heard publish", "start publish again, 2"]);
}

#[test]
fn a_step_that_holds_others_asks_too_and_does_all_of_them_again() {
    let branches = vec![agent("x"), agent("y")];
    let mut story = Story::begin(vec![asking(parallel("p", branches))]);
    story.finish("p/x", "X");
    assert_eq!(
        story.fail("p/y", "model"),
        [
            "fail p/y: it broke",
            "end p/y badly: it broke",
            "fail p: the step `p/y` failed: it broke",
            "wait for p"
        ]
    );
    assert_eq!(story.answer("p", yes()), ["heard p", "start p again, 2", "start p[2]/x", "start p[2]/y"]);
}

#[test]
fn leave_that_was_given_before_a_step_is_not_taken_for_an_answer_about_its_failure() {
    let mut story = Story::begin(vec![asking(confirmed(agent("one")))]);
    story.answer("one", yes());
    assert_eq!(story.fail("one", "model"), ["fail one: it broke", "wait for one"]);
    let sight = workflow::sight(story.machine.view(), &key("one")).unwrap();
    assert_eq!(sight.stand, workflow::Stand::WaitsForRemedy);
    assert_eq!(story.objection("one", take(&["x"])).as_deref(), Some("the step `one` has nothing to choose"));
    assert_eq!(story.answer("one", yes()), ["heard one", "start one again, 2"]);
}
