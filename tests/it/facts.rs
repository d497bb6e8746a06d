//! Runs written down by hand, fact by fact.

use std::sync::Arc;
use std::time::Duration;

use runhold::domain::Object;
use runhold::domain::fact::{Entry, Fact, Outcome, Piece, RunOptions, RunStart};
use runhold::domain::id::RunId;
use runhold::domain::message::{Finish, Input, Usage};
use runhold::domain::spec::{AgentSpec, DeclaredTool, Limits, Spec, ToolAction};
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
            input: Input { text: "2+3?".into(), media: vec![] },
            options,
            parent: None,
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
    Fact::ModelCalled { turn, model: "openai/gpt-4o".parse().unwrap() }
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
    let mut seq = 1;
    let mut entries = Vec::new();
    for (second, fact) in facts.into_iter().enumerate() {
        let entry = Entry { seq, run: run(), at: Timestamp((1000 + second as u64) * 1_000_000), fact };
        seq = entry.last_seq() + 1;
        entries.push(entry);
    }
    entries
}
