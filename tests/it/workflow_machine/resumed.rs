//! A workflow that failed goes on from there in a new run: what was finished is kept, what failed is done anew.

use super::*;

#[test]
fn finished_steps_are_kept_and_the_failed_one_begins_anew() {
    let mut story = Story::begin(vec![agent("one"), StepSpec { retry: 1, ..agent("two") }, agent("three")]);
    story.finish("one", "1");
    story.fail("two", "model");
    assert_eq!(story.fail("two", "model").last().unwrap(), "failed, model: the step `two` failed: it broke");
    let mut again = story.resumed();
    assert_eq!(again.told(), ["start one", "end one: 1", "start two"]);
    assert_eq!(again.given(), given(&[("two", "1")]));
    again.replay();
    again.finish("two", "2");
    assert_eq!(again.finish("three", "3").last().unwrap(), "completed");
}

#[test]
fn a_step_that_holds_others_keeps_those_that_were_finished() {
    let story = &mut Story::begin(vec![parallel("p", vec![agent("x"), agent("y")]), agent("z")]);
    story.finish("p/x", "X");
    story.fail("p/y", "model");
    let mut again = story.resumed();
    assert_eq!(again.told(), ["start p", "start p/x", "end p/x: X", "start p/y"]);
    assert_eq!(again.finish("p/y", "Y"), ["end p/y: Y", "end p: ## x\n\nX\n\n## y\n\nY", "start z"]);
}

#[test]
fn a_loop_goes_on_in_the_iteration_that_failed() {
    let mut story = Story::begin(vec![repeat("l", vec![agent("a"), agent("b")], None, 3)]);
    for (step, content) in [("l[1]/a", "1a"), ("l[1]/b", "1b"), ("l[2]/a", "2a")] {
        story.finish(step, content);
    }
    story.fail("l[2]/b", "model");
    let again = story.resumed();
    assert_eq!(again.given(), given(&[("l[2]/b", "2a")]));
}

#[test]
fn whoever_agreed_to_a_step_that_failed_is_asked_again() {
    let mut story = Story::begin(vec![confirmed(agent("one")), confirmed(agent("two"))]);
    story.answer("one", yes());
    story.finish("one", "1");
    story.answer("two", yes());
    story.fail("two", "model");
    let again = story.resumed();
    assert_eq!(again.told(), ["heard one", "start one", "end one: 1", "wait for two"]);
}

#[test]
fn the_way_that_was_chosen_stays_chosen() {
    let routes = vec![("news", vec![agent("n")]), ("blog", vec![agent("b")])];
    let mut story = Story::begin(vec![router("pick", None, routes)]);
    story.answer("pick", take(&["blog"]));
    story.fail("pick/b", "model");
    let again = story.resumed();
    assert_eq!(again.told(), ["heard pick", "start pick", "pick: blog", "start pick/b"]);
}

#[test]
fn what_was_passed_over_because_it_failed_is_not_done_again() {
    let mut story = Story::begin(vec![skipping(parallel("p", vec![agent("x")])), agent("two")]);
    story.fail("p/x", "model");
    story.fail("two", "model");
    let again = story.resumed();
    assert_eq!(again.given(), given(&[("two", "go")]));
}
