//! The machine alone: whatever a model, tools and people do, a run's story adds up.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use proptest::prelude::*;
use runhold::domain::Object;
use runhold::domain::fact::{
    Answer, Decision, Entry, Fact, Failure, INTERRUPTED, Outcome, RunOptions, RunStart,
};
use runhold::domain::id::{CallId, RunId};
use runhold::domain::message::{Finish, Input, Message, Usage};
use runhold::domain::spec::{AgentSpec, Limits, Spec};
use runhold::domain::state::{self, Change};
use runhold::domain::tool::{ToolCall, ToolResult, Verdict};
use runhold::machine::{Heard, News, Step};
use serde_json::{Value, json};

use crate::facts::agent;
use crate::story::Log;

/// What the world does at one step, in small numbers so that things meet.
#[derive(Debug, Clone)]
enum Deed {
    /// The model answers with calls: name of the id, and whether it waits for somebody.
    Answer { calls: Vec<(u8, bool)>, tokens: u8 },
    /// The model fails.
    Fail,
    /// The process ended in the middle of an answer.
    Interrupt,
    /// One of the open calls ends so.
    Finish { which: u8, verdict: u8 },
    /// Somebody answers some of what waits.
    Decide { which: Vec<(u8, u8)> },
    /// A message joins.
    Steer,
    /// The process ended while tools were being called, and a person is to be asked about some of the calls.
    Doubt { which: u8 },
    /// Somebody cancels.
    Cancel,
    /// The process ends and the log is replayed.
    Crash,
}

fn deed() -> impl Strategy<Value = Deed> {
    let calls = prop::collection::vec((0..4_u8, prop::bool::weighted(0.3)), 0..5);
    prop_oneof![
        6 => (calls, 0..60_u8).prop_map(|(calls, tokens)| Deed::Answer { calls, tokens }),
        1 => Just(Deed::Fail),
        1 => Just(Deed::Interrupt),
        8 => (0..8_u8, 0..8_u8).prop_map(|(which, verdict)| Deed::Finish { which, verdict }),
        4 => prop::collection::vec((0..6_u8, 0..3_u8), 0..4).prop_map(|which| Deed::Decide { which }),
        1 => prop::bool::weighted(0.1).prop_map(|yes| if yes { Deed::Cancel } else { Deed::Fail }),
        2 => Just(Deed::Crash),
        2 => Just(Deed::Steer),
        2 => (0..8_u8).prop_map(|which| Deed::Doubt { which }),
    ]
}

fn spec(limits: Limits, fallbacks: usize) -> AgentSpec {
    let names = ["two/b", "three/c"].into_iter().take(fallbacks);
    let fallback_models = names.map(|name| name.parse().unwrap()).collect();
    AgentSpec { model: "one/a".parse().unwrap(), fallback_models, limits, ..agent() }
}

fn run() -> RunId {
    RunId(uuid::Uuid::from_u128(7))
}

fn start(spec: AgentSpec) -> RunStart {
    RunStart {
        spec: Arc::new(Spec::Agent(spec)),
        session: "s1".parse().unwrap(),
        user: None,
        input: Input { text: "Go".into(), media: vec![], extra: None },
        options: RunOptions::default(),
        parent: None,
        place: None,
        components: vec![],
        origin: None,
    }
}

/// A machine and its log.
struct Story(Log);

impl Deref for Story {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.0
    }
}

impl DerefMut for Story {
    fn deref_mut(&mut self) -> &mut Log {
        &mut self.0
    }
}

impl Story {
    fn begin(spec: AgentSpec) -> Self {
        let mut story = Self(Log::accepted(run(), start(spec)));
        story.tell(prepared());
        story
    }

    fn tell(&mut self, news: News) {
        self.hear(news);
    }

    /// A question that was open when the process ended has failed.
    fn replay(&mut self) {
        self.0.replay();
        if self.machine.is_asking() {
            self.tell(News::ModelFailed(Failure::new(INTERRUPTED, "stopped").retryable()));
        }
    }

    /// Does what the world does, as far as it fits where the run stands.
    fn meet(&mut self, deed: &Deed) {
        match (deed, self.machine.next()) {
            (Deed::Crash, _) => self.replay(),
            (Deed::Steer, _) => self.tell(News::Steered(joining(), None)),
            (Deed::Doubt { which }, Step::RunTools(_)) => {
                self.replay();
                let Step::RunTools(orders) = self.machine.next() else { panic!("calls are lost") };
                let doubted: Vec<_> = orders.iter().filter(|order| order.in_doubt).collect();
                let asked = doubted.iter().skip(usize::from(*which) % doubted.len().max(1));
                let asked: Vec<CallId> = asked.map(|order| order.call.id.clone()).collect();
                if !asked.is_empty() {
                    self.tell(News::ToolsDoubted(asked));
                }
            }
            (Deed::Cancel, _) => self.tell(News::Cancelled { reason: "enough".into() }),
            (Deed::Answer { calls, tokens }, Step::CallModel { turn, model }) => {
                self.tell(News::ModelCalled { turn, model, edit: Default::default() });
                self.tell(answered(calls, *tokens));
            }
            (Deed::Fail, Step::CallModel { turn, model }) => {
                self.tell(News::ModelCalled { turn, model, edit: Default::default() });
                self.tell(News::ModelFailed(Failure::new("model_provider_error", "no")));
            }
            (Deed::Interrupt, Step::CallModel { turn, model }) => {
                self.tell(News::ModelCalled { turn, model, edit: Default::default() });
                self.replay();
            }
            (Deed::Finish { which, verdict }, Step::RunTools(orders)) => {
                let order = &orders[usize::from(*which) % orders.len()];
                let result = result(*verdict);
                self.tell(News::ToolFinished { call: order.call.id.clone(), result: result.clone() });
                // A result that comes twice counts once.
                self.tell(News::ToolFinished { call: order.call.id.clone(), result });
            }
            (Deed::Decide { which }, Step::Wait) => {
                let waiting = self.machine.view().waiting.clone();
                let answers = which.iter().map(|(at, what)| decided(&waiting, *at, *what)).collect();
                self.tell(News::Answered(Heard { answers, ..Heard::default() }));
            }
            _ => {}
        }
    }

    /// Lets the world be kind, until the run is over.
    fn go_to_the_end(&mut self) {
        for _ in 0..2_000 {
            match self.machine.next() {
                Step::Prepare => self.tell(prepared()),
                Step::CallModel { .. } => self.meet(&Deed::Answer { calls: vec![], tokens: 1 }),
                Step::RunTools(_) => self.meet(&Deed::Finish { which: 0, verdict: 0 }),
                Step::Wait => self.meet(&Deed::Decide { which: vec![(0, 0)] }),
                Step::RunSteps(orders) => panic!("an agent has no steps: {orders:?}"),
                Step::Stop => return,
            }
        }
        panic!("no end in sight: {:#?}", self.machine.view());
    }
}

fn joining() -> Input {
    Input { text: "And one more thing".into(), media: vec![], extra: None }
}

fn prepared() -> News {
    News::Prepared {
        system: None,
        state: Object::new(),
        stored: Object::new(),
        history: vec![],
        kept: vec![],
    }
}

fn answered(calls: &[(u8, bool)], tokens: u8) -> News {
    let id = |number: &u8| format!("call_{number}").parse::<CallId>().unwrap();
    let call =
        |(number, _): &(u8, bool)| ToolCall { id: id(number), name: "delete".into(), arguments: "{}".into() };
    News::ModelAnswered {
        tool_calls: calls.iter().map(call).collect(),
        gated: calls.iter().filter(|(_, gated)| *gated).map(|(number, _)| id(number)).collect(),
        refused: Vec::new(),
        finish: if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls },
        usage: Usage { output: u64::from(tokens), ..Usage::default() },
        provider_id: None,
    }
}

fn result(verdict: u8) -> ToolResult {
    let verdicts = [Verdict::Done, Verdict::Done, Verdict::Failed, Verdict::Refused, Verdict::InDoubt];
    let verdict = verdicts[usize::from(verdict) % verdicts.len()];
    let state = vec![Change { path: vec!["last".into()], to: Some(json!("call")) }];
    ToolResult { state, ..ToolResult::new(verdict, "so it went") }
}

/// A decision about one of those that wait, or, past their end, about a call that does not.
fn decided(waiting: &[CallId], at: u8, what: u8) -> Answer {
    let call = waiting.get(usize::from(at)).cloned().unwrap_or_else(|| "nobody".parse().unwrap());
    let decision = match what {
        0 => Decision::Approved { values: Object::new() },
        1 => Decision::Rejected { note: None },
        _ => Decision::Executed { result: "done elsewhere".into(), failed: false },
    };
    Answer { call, decision }
}

fn ends(entries: &[Entry]) -> Vec<usize> {
    let is_end = |(at, entry): (usize, &Entry)| matches!(entry.fact, Fact::RunFinished { .. }).then_some(at);
    entries.iter().enumerate().filter_map(is_end).collect()
}

fn has_one_end(story: &Story) {
    assert_eq!(ends(&story.entries), [story.entries.len() - 1], "{:#?}", story.entries);
}

/// A call that was in doubt may begin again, when somebody says so.
fn each_call_has_its_own_name_and_at_most_one_beginning_and_result(story: &Story) {
    let mut names = BTreeSet::new();
    let mut counts: BTreeMap<(&str, &CallId), usize> = BTreeMap::new();
    for entry in &story.entries {
        match &entry.fact {
            Fact::ModelAnswered { tool_calls, .. } => {
                assert!(tool_calls.iter().all(|call| names.insert(call.id.clone())), "a name came twice");
            }
            Fact::ToolStarted { call } => *counts.entry(("started", call)).or_default() += 1,
            Fact::ToolDoubted { calls } => calls.iter().for_each(|call| {
                assert_eq!(counts.remove(&("started", call)), Some(1));
            }),
            Fact::ToolFinished { call, .. } => *counts.entry(("finished", call)).or_default() += 1,
            _ => {}
        }
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

fn limits_are_kept(story: &Story, limits: Limits) {
    let view = story.machine.view();
    assert!(view.turns.len() <= limits.model_calls as usize);
    let begun = |entry: &Entry| match &entry.fact {
        Fact::ToolStarted { call } => Some(call.clone()),
        _ => None,
    };
    let started: BTreeSet<CallId> = story.entries.iter().filter_map(begun).collect();
    assert!(started.len() <= limits.tool_calls as usize);
    // What the last answer cost cannot be known before; after it nothing more is asked or called.
    let before: u64 = view.turns.iter().rev().skip(1).map(|turn| turn.usage.total()).sum();
    assert!(limits.tokens == 0 || before <= limits.tokens);
}

fn messages_are_healed(story: &Story) {
    let mut open: Vec<CallId> = Vec::new();
    for message in story.machine.view().messages() {
        match message {
            Message::Tool { call, .. } => {
                assert_eq!(open.first(), Some(&call), "a result that nobody asked for");
                open.remove(0);
            }
            Message::Assistant { tool_calls, .. } => {
                assert!(open.is_empty(), "no result for {open:?}");
                open = tool_calls.into_iter().map(|call| call.id).collect();
            }
            Message::System { .. } | Message::User { .. } => assert!(open.is_empty()),
        }
    }
    assert!(open.is_empty(), "no result for {open:?}");
}

fn the_changes_give_the_state(story: &Story) {
    let view = story.machine.view();
    let mut state = view.stored.clone();
    let Some(Fact::RunFinished { state: changes, .. }) = story.entries.last().map(|entry| &entry.fact) else {
        panic!("no end");
    };
    state::apply(&mut state, changes);
    assert_eq!(state, view.state);
}

/// Whatever was said to the run was read by a model, unless the run was ended before.
fn messages_that_joined_were_read(story: &Story) {
    let view = story.machine.view();
    if view.outcome == Some(Outcome::Completed) {
        assert!(!view.has_unread_message(), "a message was left unread: {:#?}", story.entries);
    }
    let said = view.messages().iter().filter(|one| matches!(one, Message::User { .. })).count();
    assert_eq!(said, 1 + view.steers.len());
}

fn calls_that_began_have_a_result_at_the_end(story: &Story) {
    let open: Vec<_> =
        story.machine.view().calls().filter(|call| call.started.is_some() && call.result.is_none()).collect();
    assert!(open.is_empty(), "{open:?}");
}

fn nobody_is_called_without_leave(story: &Story) {
    let mut held: BTreeSet<&CallId> = BTreeSet::new();
    for entry in &story.entries {
        match &entry.fact {
            Fact::Paused { calls, .. } | Fact::ToolDoubted { calls } => held.extend(calls),
            Fact::Resumed { answers, .. } => {
                let agreed = answers.iter().filter(|one| matches!(one.decision, Decision::Approved { .. }));
                agreed.for_each(|one| {
                    held.remove(&one.call);
                });
            }
            Fact::ToolStarted { call } => assert!(!held.contains(call), "{call} was called without leave"),
            _ => {}
        }
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..8_u32, 1..12_u32, prop_oneof![Just(0_u64), 1..100_u64])
        .prop_map(|(model_calls, tool_calls, tokens)| Limits { model_calls, tool_calls, seconds: 60, tokens })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_runs_story_adds_up(
        deeds in prop::collection::vec(deed(), 0..40), limits in limits(), fallbacks in 0..3_usize,
    ) {
        let mut story = Story::begin(spec(limits, fallbacks));
        for deed in &deeds {
            story.meet(deed);
            messages_are_healed(&story);
        }
        story.go_to_the_end();
        has_one_end(&story);
        each_call_has_its_own_name_and_at_most_one_beginning_and_result(&story);
        limits_are_kept(&story, limits);
        messages_are_healed(&story);
        the_changes_give_the_state(&story);
        messages_that_joined_were_read(&story);
        calls_that_began_have_a_result_at_the_end(&story);
        nobody_is_called_without_leave(&story);
        let facts = story.entries.len();
        story.tell(News::Cancelled { reason: "too late".into() });
        prop_assert_eq!(story.entries.len(), facts, "nothing comes after the end");
    }

    #[test]
    fn every_beginning_of_a_story_can_be_told_to_an_end(
        deeds in prop::collection::vec(deed(), 0..25), limits in limits(), cut in 0.0..1.0_f64,
    ) {
        let mut story = Story::begin(spec(limits, 1));
        deeds.iter().for_each(|deed| story.meet(deed));
        story.go_to_the_end();
        let kept = 1 + ((story.entries.len() - 1) as f64 * cut) as usize;
        let entries = story.entries[..kept].to_vec();
        let mut again = Story(Log::read(run(), entries));
        again.replay();
        again.go_to_the_end();
        has_one_end(&again);
        each_call_has_its_own_name_and_at_most_one_beginning_and_result(&again);
        messages_are_healed(&again);
    }

    #[test]
    fn what_differs_between_two_states_turns_one_into_the_other(one in object(), other in object()) {
        let mut state = one.clone();
        state::apply(&mut state, &state::diff(&one, &other));
        prop_assert_eq!(Value::Object(state), Value::Object(other));
    }

    #[test]
    fn a_state_does_not_differ_from_itself_and_merging_nothing_changes_nothing(one in object()) {
        prop_assert_eq!(state::diff(&one, &one), vec![]);
        let mut merged = one.clone();
        state::merge(&mut merged, &Object::new());
        state::merge(&mut merged, &one);
        prop_assert_eq!(merged, one);
    }

    #[test]
    fn changes_in_different_places_do_not_undo_each_other(one in object(), other in object()) {
        let base = json!({"mine": {}, "yours": {}}).as_object().unwrap().clone();
        let (mut mine, mut yours) = (base.clone(), base.clone());
        mine.insert("mine".into(), Value::Object(one.clone()));
        yours.insert("yours".into(), Value::Object(other.clone()));
        let mut both = base.clone();
        state::apply(&mut both, &state::diff(&base, &mine));
        state::apply(&mut both, &state::diff(&base, &yours));
        prop_assert_eq!(Value::Object(both), json!({"mine": one, "yours": other}));
    }

    #[test]
    fn changes_survive_being_stored(one in object(), other in object()) {
        let changes = state::diff(&one, &other);
        let text = serde_json::to_string(&changes).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<Change>>(&text).unwrap(), changes);
    }
}

fn object() -> impl Strategy<Value = Object> {
    let leaf = prop_oneof![
        2 => (0..5_u8).prop_map(|number| json!(number)),
        1 => Just(json!([1, 2])),
        1 => Just(json!("text")),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec(("[abc]", inner), 0..3)
            .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Object>()))
    });
    prop::collection::vec(("[abc]", value), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn outcome(story: &Story) -> Outcome {
    story.machine.view().outcome.clone().unwrap()
}

fn fail(message: &str) -> News {
    News::ModelFailed(Failure::new("model_provider_error", message))
}

#[test]
fn models_that_fail_are_followed_by_the_next_and_the_last_failure_is_the_runs() {
    let mut story = Story::begin(spec(Limits::default(), 2));
    let mut asked = Vec::new();
    while let Step::CallModel { turn, model } = story.machine.next() {
        asked.push((turn, model.to_string()));
        story.tell(News::ModelCalled { turn, model: model.clone(), edit: Default::default() });
        story.tell(fail(&format!("{model} is away")));
    }
    assert_eq!(asked, ["one/a", "two/b", "three/c"].map(|name| (1, name.to_owned())));
    assert_eq!(outcome(&story), Outcome::Failed(Failure::new("model_provider_error", "three/c is away")));
}

#[test]
fn a_question_is_asked_again_of_the_same_model_after_a_crash_but_not_for_ever() {
    let mut story = Story::begin(spec(Limits::default(), 1));
    let mut asked = Vec::new();
    while let Step::CallModel { model, .. } = story.machine.next() {
        asked.push(model.to_string());
        story.meet(&Deed::Interrupt);
    }
    assert_eq!(asked, ["one/a"; 3]);
    assert!(matches!(outcome(&story), Outcome::Failed(failure) if failure.code == INTERRUPTED));
}

#[test]
fn three_calls_in_a_row_that_could_not_be_tried_end_the_run_and_one_that_was_tried_begins_the_row_anew() {
    let mut story = Story::begin(spec(Limits::default(), 0));
    for verdict in [3, 3, 2, 3, 3] {
        story.meet(&Deed::Answer { calls: vec![(0, false)], tokens: 0 });
        story.meet(&Deed::Finish { which: 0, verdict });
        assert_eq!(story.machine.view().outcome, None);
    }
    story.meet(&Deed::Answer { calls: vec![(0, false)], tokens: 0 });
    story.meet(&Deed::Finish { which: 0, verdict: 3 });
    let message = "the model made 3 tool calls in a row that could not be tried: so it went";
    assert_eq!(outcome(&story), Outcome::Failed(Failure::new("invalid_tool_calls", message)));
}

#[test]
fn calls_that_wait_for_nobody_are_made_before_the_run_waits_and_are_not_in_doubt_later() {
    let mut story = Story::begin(spec(Limits::default(), 0));
    story.meet(&Deed::Answer { calls: vec![(0, false), (1, true)], tokens: 0 });
    let Step::RunTools(orders) = story.machine.next() else { panic!("nothing to call") };
    assert_eq!(orders.iter().map(|order| order.call.id.as_str()).collect::<Vec<_>>(), ["call_0"]);
    story.meet(&Deed::Finish { which: 0, verdict: 0 });
    assert_eq!(story.machine.next(), Step::Wait);
    story.replay();
    story.meet(&Deed::Decide { which: vec![(0, 0)] });
    let Step::RunTools(orders) = story.machine.next() else { panic!("nothing to call") };
    let ready: Vec<_> = orders.iter().map(|one| (one.call.id.as_str(), one.in_doubt, one.approved)).collect();
    assert_eq!(ready, [("call_1", false, true)]);
}

#[test]
fn a_run_that_was_answered_in_part_waits_for_the_rest_and_forgets_nothing_over_a_crash() {
    let mut story = Story::begin(spec(Limits::default(), 0));
    story.meet(&Deed::Answer { calls: vec![(0, true), (1, true)], tokens: 0 });
    story.meet(&Deed::Decide { which: vec![(0, 0)] });
    assert_eq!(story.machine.next(), Step::Wait);
    story.replay();
    story.meet(&Deed::Decide { which: vec![(0, 1)] });
    let Step::RunTools(orders) = story.machine.next() else { panic!("nothing to call") };
    let ready: Vec<_> = orders.iter().map(|one| (one.call.id.as_str(), one.in_doubt, one.approved)).collect();
    assert_eq!(ready, [("call_0", false, true)]);
}
