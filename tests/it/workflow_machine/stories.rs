//! Whatever steps, people and crashes do, a workflow's story adds up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use runhold::domain::run::Status;

use super::*;

/// What the world does, in small numbers so that things meet.
#[derive(Debug, Clone)]
enum Deed {
    /// One of the steps that are going ends well, or badly.
    Finish { which: u8, well: bool },
    /// What goes on waits below, all of it or all but the first.
    Wait { all: bool },
    /// Somebody answers some of what waits.
    Decide { which: Vec<(u8, u8)> },
    /// The runs below are answered.
    Below,
    /// Somebody cancels.
    Cancel,
    /// The process ends and the log is replayed.
    Crash,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        10 => (0..6_u8, prop::bool::weighted(0.8)).prop_map(|(which, well)| Deed::Finish { which, well }),
        2 => any::<bool>().prop_map(|all| Deed::Wait { all }),
        6 => prop::collection::vec((0..4_u8, 0..5_u8), 1..3).prop_map(|which| Deed::Decide { which }),
        2 => Just(Deed::Below),
        1 => prop::bool::weighted(0.2).prop_map(|yes| if yes { Deed::Cancel } else { Deed::Crash }),
        2 => Just(Deed::Crash),
    ]
}

/// What a step says beside what it does: tries, failing, gates, reviews, refusals.
fn manners() -> impl Strategy<Value = (u32, OnError, bool, bool, OnReject)> {
    let on_error = prop_oneof![Just(OnError::Fail), Just(OnError::Skip), Just(OnError::Pause)];
    let on_reject = prop_oneof![
        4 => Just(OnReject::Skip),
        1 => Just(OnReject::Cancel),
        2 => Just(OnReject::Else),
        3 => Just(OnReject::Retry),
    ];
    (0..3_u32, on_error, prop::bool::weighted(0.25), prop::bool::weighted(0.25), on_reject)
}

/// Neighbours get names of their own.
fn list(step: impl Strategy<Value = StepSpec>, most: usize) -> impl Strategy<Value = Vec<StepSpec>> {
    prop::collection::vec(step, 0..=most).prop_map(|steps| {
        let named = |(at, spec): (usize, StepSpec)| StepSpec { name: format!("s{at}"), ..spec };
        steps.into_iter().enumerate().map(named).collect()
    })
}

fn expression() -> impl Strategy<Value = String> {
    let texts = ["true", "false", "previous.success", "'1' in previous.content", "nope", "iteration > 1"];
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn tree() -> impl Strategy<Value = Vec<StepSpec>> {
    let leaf = prop_oneof![3 => Just(agent("a")), 1 => Just(tool("t"))];
    let step = leaf.prop_recursive(3, 10, 3, |inner| {
        let steps = move || list(inner.clone(), 3);
        prop_oneof![
            steps().prop_map(|steps| parallel("p", steps)),
            (expression(), steps(), steps())
                .prop_map(|(when, then, other)| condition("c", &when, then, other)),
            (prop::option::of(expression()), steps(), 1..4_u32).prop_map(|(until, steps, most)| repeat(
                "l",
                steps,
                until.as_deref(),
                most
            )),
            (
                prop::sample::select(vec![None, Some("'x'"), Some("['y', 'x']"), Some("[]"), Some("'z'")]),
                steps(),
                steps()
            )
                .prop_map(|(choose, x, y)| router("r", choose, vec![("x", x), ("y", y)])),
        ]
    });
    let mannered =
        (step, manners()).prop_map(|(spec, (retry, on_error, leave, review, on_reject))| StepSpec {
            retry,
            on_error,
            review,
            on_reject,
            gate: Gate { confirmation: leave, ..Gate::default() },
            ..spec
        });
    list(mannered, 4)
}

impl Story {
    fn meet(&mut self, deed: &Deed) {
        match (deed, self.machine.next()) {
            (Deed::Crash, _) => {
                self.replay();
                if let Step::RunSteps(orders) = self.machine.next() {
                    let doubts =
                        |order: &StepOrder| order.in_doubt == matches!(order.work, StepWork::Tool(..));
                    assert!(orders.iter().all(doubts), "{orders:#?}");
                }
            }
            (Deed::Cancel, _) => drop(self.tell(News::Cancelled { reason: "enough".into() })),
            (Deed::Finish { which, well }, Step::RunSteps(orders)) => {
                let order = &orders[usize::from(*which) % orders.len()];
                let (step, content) = (order.place.step.to_string(), format!("{} {which}", order.place.step));
                if *well {
                    self.finish(&step, &content)
                } else {
                    self.fail(&step, "broken")
                };
            }
            (Deed::Wait { all }, Step::RunSteps(orders)) => {
                let runs = orders.into_iter().filter(|order| matches!(order.work, StepWork::Run(..)));
                let runs = runs.map(|order| order.place.step).skip(usize::from(!all)).collect();
                self.tell(News::StepsWait(runs));
            }
            (Deed::Below, _) => {
                let below = Below { calls: vec![], steps: self.machine.view().waiting_steps.clone() };
                self.tell(News::Answered(Heard { below, ..Heard::default() }));
            }
            (Deed::Decide { which }, _) => {
                let waiting = self.machine.view().waiting_steps.clone();
                let decisions = which.iter().filter_map(|(at, what)| {
                    let step = waiting.get(usize::from(*at) % waiting.len().max(1))?.clone();
                    let decision = match what {
                        0 => take(&["x"]),
                        1 => no(Some("why")),
                        2 => edited("edited"),
                        _ => yes(),
                    };
                    Some(StepAnswer { step, decision })
                });
                let decisions = decisions.collect();
                self.tell(News::Answered(Heard { decisions, ..Heard::default() }));
            }
            _ => {}
        }
    }

    /// Lets the world be kind, until the run is over.
    fn go_to_the_end(&mut self) {
        for _ in 0..3_000 {
            match self.machine.next() {
                Step::Prepare => self.prepare(),
                Step::RunSteps(_) => self.meet(&Deed::Finish { which: 0, well: true }),
                Step::Wait => {
                    let before = self.entries.len();
                    let which = vec![(0, 3)];
                    self.meet(&Deed::Decide { which });
                    self.meet(&Deed::Decide { which: vec![(0, 0)] });
                    self.meet(&Deed::Below);
                    self.pass_over_what_fails_again();
                    assert!(self.entries.len() > before, "nobody can answer: {:#?}", self.machine.view());
                }
                Step::Stop => return,
                other => panic!("a workflow does not ask for {other:?}"),
            }
        }
        panic!("no end in sight: {:#?}", self.machine.view());
    }

    fn pass_over_what_fails_again(&mut self) {
        for step in self.machine.view().waiting_steps.clone() {
            let sight = workflow::sight(self.machine.view(), &step).unwrap();
            if sight.stand == workflow::Stand::WaitsForRemedy {
                self.answer(step.as_str(), no(None));
            }
        }
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.entries.iter().map(|entry| &entry.fact)
    }
}

fn key_of(fact: &Fact) -> StepKey {
    match fact {
        Fact::StepStarted { step, .. } => step.clone(),
        other => panic!("{other:?} begins nothing"),
    }
}

fn has_one_end(story: &Story) {
    let ends: Vec<usize> = story
        .facts()
        .enumerate()
        .filter_map(|(at, fact)| matches!(fact, Fact::RunFinished { .. }).then_some(at))
        .collect();
    assert_eq!(ends, [story.entries.len() - 1], "{:#?}", story.entries);
}

/// Tries are numbered without gaps, and each has one end at most, after its beginning.
fn tries_begin_and_end_once(story: &Story) {
    let (mut tries, mut open) = (BTreeMap::<&StepKey, u32>::new(), BTreeSet::<&StepKey>::new());
    let mut failed = BTreeSet::<&StepKey>::new();
    for fact in story.facts() {
        match fact {
            Fact::StepStarted { step, attempt } => {
                let tried = tries.entry(step).or_default();
                *tried += 1;
                assert_eq!(*tried, *attempt, "{step}");
                assert!(open.insert(step), "{step} began twice");
                failed.remove(step);
            }
            Fact::StepFailed { step, attempt, .. } => {
                assert_eq!(tries.get(step), Some(attempt));
                assert!(open.remove(step), "{step} failed without having begun");
                failed.insert(step);
            }
            Fact::StepFinished { step, output, .. } => {
                let was_never_begun = output.skipped && !tries.contains_key(step);
                let was_open = open.remove(step);
                let had_failed = failed.remove(step);
                assert!(was_open || had_failed || was_never_begun, "{step} ended twice");
                tries.entry(step).or_default();
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} have no end");
}

fn nothing_begins_without_leave(story: &Story) {
    let view = story.machine.view();
    let sights = workflow::outline(view);
    for sight in sights.iter().filter(|sight| sight.gate.confirmation && sight.step.attempt > 0) {
        let granted = match sight.step.decisions.first() {
            Some(StepDecision::Approved { .. }) => true,
            Some(StepDecision::Rejected { .. }) => sight.spec.on_reject == OnReject::Else,
            _ => false,
        };
        assert!(granted, "{} began without leave", sight.place.step);
    }
}

/// Whatever began is found again, under the place it was ordered with.
fn every_step_has_its_place(story: &Story) {
    let view = story.machine.view();
    let seen: BTreeSet<StepKey> = workflow::outline(view).into_iter().map(|sight| sight.place.step).collect();
    let lost: Vec<_> = view.steps.iter().filter(|step| !seen.contains(&step.key)).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    if let Step::RunSteps(orders) = story.machine.next() {
        for order in orders {
            let sight = workflow::sight(view, &order.place.step).unwrap();
            assert_eq!(sight.place, order.place);
            assert_eq!(sight.stand, workflow::Stand::Going);
        }
    }
}

/// Whoever is waited for can answer, and nothing else is going meanwhile.
fn waits_only_for_what_can_be_answered(story: &Story) {
    let view = story.machine.view();
    if view.status == Status::Paused {
        assert_eq!(story.machine.next(), Step::Wait);
        let stands = view.waiting_steps.iter().map(|step| workflow::sight(view, step).unwrap().stand);
        for stand in stands {
            assert!(!matches!(stand, workflow::Stand::Going | workflow::Stand::Over), "{view:#?}");
        }
    }
}

/// Only who cancels a workflow, or its limit, ends it while steps are going.
fn nothing_is_dropped(story: &Story) {
    let may_drop = match story.outcome() {
        Outcome::Cancelled { .. } => true,
        Outcome::Failed(failure) => failure.code == "limit",
        Outcome::Completed => false,
    };
    let dropped = story.facts().map(short).find(|fact| fact.ends_with("given up when the run ended"));
    assert!(may_drop || dropped.is_none(), "{dropped:?}");
}

fn adds_up(story: &Story) {
    has_one_end(story);
    tries_begin_and_end_once(story);
    nothing_begins_without_leave(story);
    every_step_has_its_place(story);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_workflows_story_adds_up(
        steps in tree(), deeds in prop::collection::vec(deed(), 0..40),
    ) {
        let mut story = Story::begin(steps);
        for deed in &deeds {
            story.meet(deed);
            every_step_has_its_place(&story);
            waits_only_for_what_can_be_answered(&story);
        }
        story.go_to_the_end();
        adds_up(&story);
        nothing_is_dropped(&story);
        let facts = story.entries.len();
        story.tell(News::Cancelled { reason: "too late".into() });
        prop_assert_eq!(story.entries.len(), facts, "nothing comes after the end");
    }

    #[test]
    fn every_beginning_of_a_workflows_story_can_be_told_to_an_end(
        steps in tree(), deeds in prop::collection::vec(deed(), 0..20), cut in 0.0..1.0_f64,
    ) {
        let mut story = Story::begin(steps);
        deeds.iter().for_each(|deed| story.meet(deed));
        story.go_to_the_end();
        let kept = 1 + ((story.entries.len() - 1) as f64 * cut) as usize;
        let entries = story.entries[..kept].to_vec();
        let mut again = Story(Log::read(run(), entries));
        again.go_to_the_end();
        adds_up(&again);
    }

    #[test]
    fn a_replay_at_every_fact_is_the_machine_as_it_was(
        steps in tree(), deeds in prop::collection::vec(deed(), 0..20),
    ) {
        let mut story = Story::begin(steps);
        deeds.iter().for_each(|deed| story.meet(deed));
        story.go_to_the_end();
        let Fact::RunStarted(start) = &story.entries[0].fact else { panic!("no start") };
        let mut live = Machine::accept(run(), Timestamp(1), start).unwrap();
        for (at, entry) in story.entries.iter().enumerate().skip(1) {
            live.apply(entry.at, &entry.fact).unwrap();
            let replayed = Machine::replay(run(), &story.entries[..=at]).unwrap();
            prop_assert_eq!(replayed.view(), live.view());
        }
    }

    #[test]
    fn a_workflow_that_failed_goes_on_and_does_nothing_again_that_was_finished(
        steps in tree(), deeds in prop::collection::vec(deed(), 0..30), breaks in any::<bool>(),
    ) {
        let mut story = Story::begin(steps);
        deeds.iter().for_each(|deed| story.meet(deed));
        if breaks {
            story.tell(News::Broken(Failure::new("limit", "enough")));
        }
        story.go_to_the_end();
        if let Outcome::Failed(_) = story.outcome() {
            let mut again = story.resumed();
            let begun = |story: &Story| {
                let started = |fact: &Fact| matches!(fact, Fact::StepStarted { .. });
                let keys = story.facts().filter(|fact| started(fact)).map(key_of);
                keys.fold(BTreeMap::<StepKey, usize>::new(), |mut begun, key| {
                    *begun.entry(key).or_default() += 1;
                    begun
                })
            };
            let before = begun(&again);
            let finished: Vec<StepKey> = again.machine.view().steps.iter()
                .filter(|step| step.output.is_some())
                .map(|step| step.key.clone())
                .collect();
            again.go_to_the_end();
            adds_up(&again);
            let after = begun(&again);
            for step in finished {
                prop_assert_eq!(before.get(&step), after.get(&step), "{} was done again", step);
            }
        }
    }

    #[test]
    fn outputs_side_by_side_stand_in_the_order_of_the_file(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let branches = (0..4).map(|at| agent(&format!("b{at}"))).collect();
        let mut story = Story::begin(vec![parallel("p", branches)]);
        for at in order {
            story.finish(&format!("p/b{at}"), &at.to_string());
        }
        prop_assert_eq!(story.content(), "## b0\n\n0\n\n## b1\n\n1\n\n## b2\n\n2\n\n## b3\n\n3");
    }
}
