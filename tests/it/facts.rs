//! Runs written down by hand, fact by fact.

use std::sync::Arc;
use std::time::Duration;

use runhold::domain::Object;
use runhold::domain::fact::{Entry, Fact, Outcome, Piece, Place, RunOptions, RunStart};
use runhold::domain::id::RunId;
use runhold::domain::message::{Finish, Input, Usage};
use runhold::domain::spec::{
    AgentSpec, DeclaredTool, Limits, Spec, StepAction, StepSpec, ToolAction, WorkflowSpec,
};
use runhold::domain::step::{Choice, StepKey, StepOutput, StepPlace};
use runhold::domain::time::Timestamp;
use runhold::domain::tool::{Effect, Gate, ToolCall, ToolResult};
use serde_json::json;

pub(crate) fn agent() -> AgentSpec {
    AgentSpec {
        id: "adder".parse().unwrap(),
        name: "Adder".into(),
        description: None,
        instructions: "Add.".into(),
        model: "openai/gpt-4o".parse().unwrap(),
        fallback_models: vec![],
        capabilities: vec![],
        tools: vec![DeclaredTool {
            name: "delete".into(),
            description: "Deletes.".into(),
            parameters: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
            effect: Effect::Once,
            timeout: Duration::from_secs(1),
            gate: Gate { confirmation: true, ..Gate::default() },
            action: ToolAction::External,
        }],
        history_runs: 3,
        session_state: Object::new(),
        limits: Limits::default(),
        on_second_message: Default::default(),
        in_doubt: Default::default(),
        on_disconnect: Default::default(),
        output_schema: None,
        metadata: Object::new(),
        quick_prompts: vec![],
        source: Default::default(),
        additions: Default::default(),
    }
}

pub(crate) fn run() -> RunId {
    RunId(uuid::Uuid::from_u128(1))
}

/// The start of a run of `spec`, ready, and its model called.
pub(crate) fn begun(spec: Spec, options: RunOptions) -> Vec<Fact> {
    vec![
        Fact::RunStarted(Box::new(RunStart {
            spec: Arc::new(spec),
            session: "s1".parse().unwrap(),
            user: None,
            input: Input { text: "2+3?".into(), media: vec![], extra: None },
            options,
            parent: None,
            place: None,
            components: vec![],
            origin: None,
        })),
        Fact::RunPrepared {
            system: Some("Add.".into()),
            state: Object::new(),
            stored: Object::new(),
            history: vec![],
        },
        called(1),
    ]
}

pub(crate) fn begun_agent() -> Vec<Fact> {
    begun(Spec::Agent(agent()), RunOptions::default())
}

pub(crate) fn called(turn: u32) -> Fact {
    Fact::ModelCalled { turn, model: "openai/gpt-4o".parse().unwrap(), edit: Default::default() }
}

pub(crate) fn says(pieces: &[&str]) -> Fact {
    Fact::Said { pieces: pieces.iter().map(|piece| Piece::Text((*piece).into())).collect() }
}

pub(crate) fn answered(turn: u32, tool_calls: Vec<ToolCall>) -> Fact {
    let finish = if tool_calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
    let usage = Usage { input: 3, output: 2, ..Usage::default() };
    Fact::ModelAnswered { turn, tool_calls, finish, usage, provider_id: Some("chatcmpl-1".into()) }
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.parse().unwrap(), name: name.into(), arguments: arguments.into() }
}

pub(crate) fn started(id: &str) -> Fact {
    Fact::ToolStarted { call: id.parse().unwrap() }
}

pub(crate) fn ended(id: &str, result: ToolResult) -> Fact {
    Fact::ToolFinished { call: id.parse().unwrap(), result }
}

pub(crate) fn over(outcome: Outcome) -> Fact {
    Fact::RunFinished { outcome, state: vec![] }
}

/// Entries a second apart, from second 1000.
pub(crate) fn entries(facts: Vec<Fact>) -> Vec<Entry> {
    entries_of(facts.into_iter().map(|fact| (run(), fact)).collect())
}

/// Entries of several runs, a second apart, from second 1000.
pub(crate) fn entries_of(facts: Vec<(RunId, Fact)>) -> Vec<Entry> {
    let mut seq = 1;
    let mut entries = Vec::new();
    for (second, (run, fact)) in facts.into_iter().enumerate() {
        let entry = Entry { seq, run, at: Timestamp((1000 + second as u64) * 1_000_000), fact };
        seq = entry.last_seq() + 1;
        entries.push(entry);
    }
    entries
}

/// A run of that number.
pub(crate) fn nth(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

/// An agent under another name.
pub(crate) fn agent_named(id: &str) -> Spec {
    Spec::Agent(AgentSpec { id: id.parse().unwrap(), name: id.to_uppercase(), ..agent() })
}

/// What a run below another begins with; its model is not called yet.
pub(crate) fn below(parent: RunId, place: Place, spec: Spec) -> Vec<Fact> {
    let mut facts = begun(spec, RunOptions::default());
    facts.truncate(2);
    if let Some(Fact::RunStarted(start)) = facts.first_mut() {
        (start.parent, start.place) = (Some(parent), Some(place));
    }
    facts
}

/// A place in a workflow.
pub(crate) fn place(step: &str, name: &str, index: &[usize]) -> Place {
    let step = StepKey::top(step);
    Place::Step(StepPlace { step, name: name.into(), index: index.to_vec(), attempt: 1 })
}

/// All facts of one run.
pub(crate) fn of(run: RunId, facts: Vec<Fact>) -> Vec<(RunId, Fact)> {
    facts.into_iter().map(|fact| (run, fact)).collect()
}

/// A run below another, whole: it says so and is over.
pub(crate) fn whole_below(
    run: RunId,
    parent: RunId,
    place: Place,
    spec: Spec,
    says_so: &str,
) -> Vec<(RunId, Fact)> {
    let mut facts = below(parent, place, spec);
    facts.extend([called(1), says(&[says_so]), answered(1, vec![]), over(Outcome::Completed)]);
    of(run, facts)
}

/// A step of a workflow that needs nobody.
pub(crate) fn step(name: &str, action: StepAction) -> StepSpec {
    StepSpec {
        name: name.into(),
        description: None,
        action,
        retry: 0,
        timeout: None,
        on_error: Default::default(),
        gate: Gate::default(),
        review: false,
        on_reject: Default::default(),
    }
}

/// A step that runs the agent of its own name.
pub(crate) fn agent_step(name: &str) -> StepSpec {
    step(name, StepAction::Agent(name.parse().unwrap()))
}

/// A workflow of these steps.
pub(crate) fn workflow(steps: Vec<StepSpec>) -> Spec {
    Spec::Workflow(WorkflowSpec {
        id: "flow".parse().unwrap(),
        name: "Flow".into(),
        description: None,
        steps,
        tools: vec![],
        session_state: Object::new(),
        metadata: Object::new(),
    })
}

pub(crate) fn step_started(key: &str) -> Fact {
    Fact::StepStarted { step: StepKey::top(key), attempt: 1 }
}

pub(crate) fn step_decided(key: &str, choice: Choice) -> Fact {
    Fact::StepDecided { step: StepKey::top(key), choice }
}

pub(crate) fn step_over(key: &str, content: &str) -> Fact {
    let output = StepOutput { content: content.into(), ..StepOutput::default() };
    Fact::StepFinished { step: StepKey::top(key), output, state: vec![] }
}

pub(crate) fn waits_for_steps(keys: &[&str]) -> Fact {
    let steps = keys.iter().map(|key| StepKey::top(key)).collect();
    Fact::Paused { calls: vec![], steps, until: None }
}
