//! The machine of a workflow alone: what its steps are given, where it waits, and how it ends.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod failures;
mod gates;
mod resumed;
mod steps;
mod stories;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use runhold::domain::Object;
use runhold::domain::fact::{Below, Fact, Failure, Outcome, RunOptions, RunStart};
use runhold::domain::id::RunId;
use runhold::domain::message::Input;
use runhold::domain::spec::{
    DeclaredTool, OnError, OnReject, Spec, StepAction, StepSpec, ToolAction, WorkflowSpec,
};
use runhold::domain::step::{Choice, StepAnswer, StepDecision, StepKey, StepOutput};
use runhold::domain::time::Timestamp;
use runhold::domain::tool::{Effect, Gate};
use runhold::machine::workflow;
use runhold::machine::{Heard, Machine, News, Step, StepOrder, StepWork};
use serde_json::{Value, json};

use crate::story::Log;

fn run() -> RunId {
    RunId(uuid::Uuid::from_u128(9))
}

fn step(name: &str, action: StepAction) -> StepSpec {
    StepSpec {
        name: name.into(),
        description: None,
        action,
        retry: 0,
        timeout: None,
        on_error: OnError::Fail,
        gate: Gate::default(),
        review: false,
        on_reject: OnReject::Skip,
    }
}

fn agent(name: &str) -> StepSpec {
    step(name, StepAction::Agent("a".parse().unwrap()))
}

fn tool(name: &str) -> StepSpec {
    step(name, StepAction::Tool("publish".into()))
}

fn parallel(name: &str, steps: Vec<StepSpec>) -> StepSpec {
    step(name, StepAction::Parallel(steps))
}

fn condition(name: &str, when: &str, then: Vec<StepSpec>, otherwise: Vec<StepSpec>) -> StepSpec {
    step(name, StepAction::Condition { when: when.into(), then, otherwise })
}

fn repeat(name: &str, steps: Vec<StepSpec>, until: Option<&str>, max_iterations: u32) -> StepSpec {
    step(name, StepAction::Loop { steps, until: until.map(Into::into), max_iterations })
}

fn router(name: &str, choose: Option<&str>, routes: Vec<(&str, Vec<StepSpec>)>) -> StepSpec {
    let routes = routes.into_iter().map(|(name, steps)| (name.to_owned(), steps)).collect();
    step(name, StepAction::Router { choose: choose.map(Into::into), several: false, routes })
}

fn confirmed(spec: StepSpec) -> StepSpec {
    StepSpec { gate: Gate { confirmation: true, ..spec.gate }, ..spec }
}

fn reviewed(spec: StepSpec, on_reject: OnReject) -> StepSpec {
    StepSpec { review: true, on_reject, ..spec }
}

fn skipping(spec: StepSpec) -> StepSpec {
    StepSpec { on_error: OnError::Skip, ..spec }
}

fn asking(spec: StepSpec) -> StepSpec {
    StepSpec { on_error: OnError::Pause, ..spec }
}

fn declared(gate: Gate) -> DeclaredTool {
    DeclaredTool {
        name: "publish".into(),
        description: "Publishes.".into(),
        parameters: json!({"type": "object", "properties": {"text": {"type": "string"}}}),
        effect: Effect::Once,
        timeout: std::time::Duration::from_secs(1),
        gate,
        action: ToolAction::External,
    }
}

fn start(steps: Vec<StepSpec>, tools: Vec<DeclaredTool>, input: &str) -> RunStart {
    let workflow = WorkflowSpec {
        id: "w".parse().unwrap(),
        name: "w".into(),
        description: None,
        steps,
        tools,
        session_state: Object::new(),
        metadata: Object::new(),
    };
    RunStart {
        spec: Arc::new(Spec::Workflow(workflow)),
        session: "s1".parse().unwrap(),
        user: None,
        input: Input { text: input.into(), media: vec![], extra: None },
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
    fn begin(steps: Vec<StepSpec>) -> Self {
        Self::of(start(steps, vec![declared(Gate::default())], "go"))
    }

    fn of(start: RunStart) -> Self {
        let mut story = Self::accepted(start);
        story.prepare();
        story
    }

    /// A new run that begins with what is kept of one that failed.
    fn resumed(&self) -> Self {
        let Fact::RunStarted(start) = &self.entries[0].fact else { panic!("no start") };
        let mut story = Self::accepted(start.as_ref().clone());
        let kept = workflow::kept(self.machine.view(), self.entries.iter().map(|entry| &entry.fact));
        let (state, stored) = (Object::new(), Object::new());
        story.tell(News::Prepared { system: None, state, stored, history: vec![], kept });
        story
    }

    fn accepted(start: RunStart) -> Self {
        Self(Log::accepted(run(), start))
    }

    /// What happened since the run's turn came, in a short form.
    fn told(&self) -> Vec<String> {
        self.entries.iter().skip(2).map(|entry| short(&entry.fact)).collect()
    }

    fn prepare(&mut self) {
        assert_eq!(self.machine.next(), Step::Prepare);
        let state = json!({"mood": "good"}).as_object().unwrap().clone();
        self.tell(News::Prepared {
            system: None,
            state: state.clone(),
            stored: state,
            history: vec![],
            kept: vec![],
        });
    }

    /// Tells the news; what followed, in a short form.
    fn tell(&mut self, news: News) -> Vec<String> {
        self.hear(news).iter().map(short).collect()
    }

    fn finish(&mut self, step: &str, content: &str) -> Vec<String> {
        let output = StepOutput { content: content.into(), ..StepOutput::default() };
        self.tell(News::StepFinished { step: key(step), output, state: vec![] })
    }

    fn fail(&mut self, step: &str, code: &str) -> Vec<String> {
        self.tell(News::StepFailed { step: key(step), failure: Failure::new(code, "it broke") })
    }

    fn answer(&mut self, step: &str, decision: StepDecision) -> Vec<String> {
        let decisions = vec![StepAnswer { step: key(step), decision }];
        self.tell(News::Answered(Heard { decisions, ..Heard::default() }))
    }

    fn answer_below(&mut self, steps: &[&str]) -> Vec<String> {
        let below = Below { calls: vec![], steps: steps.iter().map(|step| key(step)).collect() };
        self.tell(News::Answered(Heard { below, ..Heard::default() }))
    }

    fn orders(&self) -> Vec<StepOrder> {
        match self.machine.next() {
            Step::RunSteps(orders) => orders,
            other => panic!("nothing to perform: {other:?}"),
        }
    }

    /// What each step that is to be performed is given.
    fn given(&self) -> Vec<(String, String)> {
        let given = |order: StepOrder| (order.place.step.to_string(), order.input.text);
        self.orders().into_iter().map(given).collect()
    }

    fn outcome(&self) -> Outcome {
        self.machine.view().outcome.clone().unwrap()
    }

    fn content(&self) -> String {
        self.machine.view().answer()
    }

    fn objection(&self, step: &str, decision: StepDecision) -> Option<String> {
        workflow::objection(self.machine.view(), &StepAnswer { step: key(step), decision })
    }
}

fn key(text: &str) -> StepKey {
    StepKey::top(text)
}

fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(step, text)| ((*step).to_owned(), (*text).to_owned())).collect()
}

fn yes() -> StepDecision {
    StepDecision::Approved { values: Object::new(), routes: vec![] }
}

fn yes_with(values: Value) -> StepDecision {
    StepDecision::Approved { values: values.as_object().unwrap().clone(), routes: vec![] }
}

fn take(routes: &[&str]) -> StepDecision {
    let routes = routes.iter().map(|route| (*route).to_owned()).collect();
    StepDecision::Approved { values: Object::new(), routes }
}

fn no(feedback: Option<&str>) -> StepDecision {
    StepDecision::Rejected { feedback: feedback.map(Into::into) }
}

fn edited(content: &str) -> StepDecision {
    StepDecision::Edited { content: content.into() }
}

/// A fact in a few words.
fn short(fact: &Fact) -> String {
    let keys = |steps: &[StepKey]| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match fact {
        Fact::RunPrepared { .. } => "prepared".into(),
        Fact::StepStarted { step, attempt: 1 } => format!("start {step}"),
        Fact::StepStarted { step, attempt } => format!("start {step} again, {attempt}"),
        Fact::StepDecided { step, choice } => match choice {
            Choice::Branch(holds) => format!("{step}: {holds}"),
            Choice::Routes(routes) => format!("{step}: {}", routes.join(" ")),
            Choice::Again(again) => format!("{step}: {}", if *again { "again" } else { "enough" }),
        },
        Fact::StepFailed { step, failure, .. } => format!("fail {step}: {}", failure.message),
        Fact::StepFinished { step, output, .. } => match (&output.error, output.skipped) {
            (None, false) => format!("end {step}: {}", output.content),
            (None, true) => format!("skip {step}"),
            (Some(error), false) => format!("end {step} badly: {error}"),
            (Some(error), true) => format!("skip {step}: {error}"),
        },
        Fact::Paused { steps, .. } => format!("wait for {}", keys(steps)),
        Fact::Resumed { decisions, below, .. } => {
            let decided: Vec<StepKey> = decisions.iter().map(|answer| answer.step.clone()).collect();
            format!("heard {}{}", keys(&decided), keys(&below.steps))
        }
        Fact::RunFinished { outcome, .. } => match outcome {
            Outcome::Completed => "completed".into(),
            Outcome::Cancelled { reason } => format!("cancelled: {reason}"),
            Outcome::Failed(failure) => format!("failed, {}: {}", failure.code, failure.message),
        },
        other => format!("{other:?}"),
    }
}
