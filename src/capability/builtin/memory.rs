//! Facts that an agent remembers of its user from session to session.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{answered, spec};
use crate::capability::memory::{KeptFact, MemoryError};
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Most facts a model reads at once.
const MAX_RECALLED: usize = 50;

/// `memory`.
pub(super) struct Memory(About);

impl Memory {
    pub(super) fn new() -> Self {
        let about = "Remembers facts about the user from session to session.";
        Self(About::new("memory", "Memory", about).listed("Storage", "brain"))
    }
}

impl Capability for Memory {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "You can remember facts about the user from one session to the next: who they are, what they prefer, \
                      what was decided. Recall before you ask for something they may have told you before; remember \
                      what will matter again; forget what turns out wrong. Never remember secrets.";
        let tools = [What::Remember, What::Recall, What::Forget];
        let tools = tools.into_iter().map(|what| Arc::new(Remembering::new(what)) as Arc<dyn Tool>);
        Ok(Contribution { prompt: Some(prompt.into()), tools: tools.collect(), ..Contribution::default() })
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Remember,
    Recall,
    Forget,
}

struct Remembering {
    what: What,
    spec: ToolSpec,
}

impl Remembering {
    fn new(what: What) -> Self {
        let name = json!({"type": "string", "minLength": 1, "maxLength": 255, "description": "As in favourite_colour"});
        let (tool, about, effect, properties, required) = match what {
            What::Remember => (
                "remember",
                "Keeps a fact, in place of the one of its name.",
                Effect::Idempotent,
                json!({"name": name, "fact": {"type": "string", "minLength": 1}}),
                json!(["name", "fact"]),
            ),
            What::Recall => (
                "recall",
                "Finds facts, the latest first.",
                Effect::Pure,
                json!({"query": {"type": "string", "description": "Words that stand in them. Default: all facts"}}),
                json!([]),
            ),
            What::Forget => {
                ("forget", "Forgets a fact.", Effect::Idempotent, json!({"name": name}), json!(["name"]))
            }
        };
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        Self { what, spec: spec(tool, about, effect, parameters) }
    }
}

#[async_trait]
impl Tool for Remembering {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn class(&self) -> Option<&'static str> {
        Some("memory")
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let text = |name: &str| call.arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let (memory, name) = (call.host.memory(), text("name"));
        let answer = match self.what {
            What::Remember => {
                memory.remember(name, text("fact")).await.map(|()| json!({"name": name, "remembered": true}))
            }
            What::Recall => memory.facts().await.map(|facts| found(&facts, text("query"))),
            What::Forget => memory.forget(name).await.map(|found| json!({"name": name, "forgotten": found})),
        };
        answered(answer.map_err(|error: MemoryError| error.to_string()))
    }
}

/// The facts in which every word of the query stands.
fn found(facts: &[KeptFact], query: &str) -> Value {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    let fits = |fact: &&KeptFact| {
        let text = format!("{} {}", fact.name, fact.fact).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let found: Vec<&KeptFact> = facts.iter().filter(fits).collect();
    let shown = found.iter().take(MAX_RECALLED);
    let shown: Vec<Value> = shown
        .map(|fact| json!({"name": fact.name, "fact": fact.fact, "updated_at": fact.updated.to_string()}))
        .collect();
    json!({"facts": shown, "count": found.len()})
}
