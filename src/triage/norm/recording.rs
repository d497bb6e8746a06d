//! The tool calls of a recorded conversation, each with its result: what a replay serves in place of calling tools.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::message::Message;
use crate::domain::tool::{Effect, Gate, ToolCall, ToolSpec};
use crate::triage::canonical::canonical;
use crate::triage::evidence::{Said, Speaker};

/// Calls that are looked through for tools.
const MOST_CALLS: usize = 100;

/// A recorded call: the text of an action that is an object with these.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Recorded {
    pub(super) tool: String,
    /// An object, or the text of one.
    #[serde(default)]
    pub(super) arguments: Value,
    /// What came of it; `None` if that was not recorded.
    #[serde(default)]
    pub(super) result: Option<Value>,
}

impl Recorded {
    /// The call that an action says was made; `None` of any other text.
    pub(super) fn of(said: &Said) -> Option<Self> {
        let is_action = said.role == Speaker::AgentAction;
        let recorded: Self = serde_json::from_str(&said.text).ok().filter(|_| is_action)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !matches!(recorded.tool.len(), 1..=64) || !recorded.tool.chars().all(letter) {
            return None;
        }
        let arguments = object(&recorded.arguments);
        Some(Self { arguments, ..recorded })
    }

    fn key(&self) -> String {
        key(&self.tool, &self.arguments)
    }

    fn content(&self) -> Option<String> {
        let result = self.result.as_ref()?;
        Some(result.as_str().map_or_else(|| result.to_string(), str::to_owned))
    }

    /// The call and its result, as a model is shown them; `index` names it.
    pub(super) fn messages(&self, index: usize) -> Option<Vec<Message>> {
        let id: crate::domain::id::CallId = format!("recorded_{index}").parse().ok()?;
        let call =
            ToolCall { id: id.clone(), name: self.tool.clone(), arguments: self.arguments.to_string() };
        let said =
            Message::Assistant { text: String::new(), reasoning: String::new(), tool_calls: vec![call] };
        let content = self.content().unwrap_or_default();
        let (name, images) = (self.tool.clone(), Vec::new());
        Some(vec![said, Message::Tool { call: id, name, content, images, error: false }])
    }
}

/// Arguments as an object, however they were recorded.
fn object(arguments: &Value) -> Value {
    match arguments {
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| arguments.clone()),
        Value::Null => json!({}),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => arguments.clone(),
    }
}

fn key(tool: &str, arguments: &Value) -> String {
    format!("{tool} {}", canonical(arguments))
}

/// All calls of a conversation, those after the replayed turn first.
pub(super) struct Recording(Vec<Recorded>);

impl Recording {
    /// Of what was said; the turn at `asked` is replayed.
    pub(super) fn of(said: &[Said], asked: usize) -> Self {
        let (before, after) = said.split_at(asked.min(said.len()));
        Self(after.iter().chain(before).filter_map(Recorded::of).collect())
    }

    /// What was recorded of the same call: the first time the first result, then the next, and the last one ever after.
    pub(super) fn result_of(&self, call: &ToolCall, served: &mut BTreeMap<String, usize>) -> Option<String> {
        let key = key(&call.name, &object(&Value::from(call.arguments.as_str())));
        let results: Vec<String> =
            self.0.iter().filter(|one| one.key() == key).filter_map(Recorded::content).collect();
        let turn = served.entry(key).or_default();
        let result = results.get(*turn).or(results.last()).cloned();
        *turn = turn.saturating_add(1);
        result
    }

    /// The tools that were called, as far as a recording tells.
    pub(super) fn tools(&self) -> Vec<ToolSpec> {
        let mut tools: Vec<ToolSpec> = Vec::new();
        for recorded in self.0.iter().take(MOST_CALLS) {
            if tools.iter().all(|known| known.name != recorded.tool) {
                tools.push(ToolSpec {
                    name: recorded.tool.clone(),
                    description: format!("`{}`, as it was recorded", recorded.tool),
                    parameters: json!({ "type": "object" }),
                    effect: Effect::Pure,
                    timeout: Duration::ZERO,
                    gate: Gate::default(),
                });
            }
        }
        tools
    }
}
