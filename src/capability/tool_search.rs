//! Where an agent has more tools than a model can choose among well, it is offered one to search for the others; what
//! it found, it is offered from its next turn on.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Invocation, Tool};
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec, Verdict};

/// Up to so many tools are offered at once.
pub(super) const MOST_OFFERED: usize = 30;

/// The tool that searches for the others.
pub(super) const SEARCH_TOOLS: &str = "search_tools";

/// Most tools that one search finds.
const MOST_FOUND: usize = 10;

/// What the model is told of it.
pub(super) const PROMPT: &str = "You have more tools than are listed. Call `search_tools` with words for what you want to \
                                 do; the tools it finds are yours from your next turn on.";

/// The tool, over what there is to find.
pub(super) struct ToolSearch {
    spec: ToolSpec,
    tools: Vec<ToolSpec>,
}

impl ToolSearch {
    pub(super) fn over(tools: Vec<ToolSpec>) -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {"query": {"type": "string", "minLength": 1, "description": "As in: read a file"}},
            "required": ["query"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            name: SEARCH_TOOLS.into(),
            description: "Finds tools by words in their names and descriptions.".into(),
            parameters,
            effect: Effect::Pure,
            timeout: std::time::Duration::from_secs(30),
            gate: Gate::default(),
        };
        Self { spec, tools }
    }

    /// The tools that fit best, best first; equal ones in their own order.
    fn find(&self, query: &str) -> Vec<&ToolSpec> {
        let words: Vec<String> = words(query).collect();
        let mut found: Vec<(usize, &ToolSpec)> = self
            .tools
            .iter()
            .map(|tool| (score(tool, &words), tool))
            .filter(|(score, _)| *score > 0)
            .collect();
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().take(MOST_FOUND).map(|(_, tool)| tool).collect()
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// A word of the name counts more than one of the description, and the beginning of a word less than all of it.
fn score(tool: &ToolSpec, wanted: &[String]) -> usize {
    let weigh = |text: &str, weight: usize| {
        let there: Vec<String> = words(text).collect();
        let fits = |word: &String| {
            if there.contains(word) {
                2 * weight
            } else if word.len() > 2 && there.iter().any(|other| other.starts_with(word.as_str())) {
                weight
            } else {
                0
            }
        };
        wanted.iter().map(fits).sum::<usize>()
    };
    weigh(&tool.name, 4).saturating_add(weigh(&tool.description, 1))
}

#[async_trait]
impl Tool for ToolSearch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn is_search(&self) -> bool {
        true
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let found = self.find(call.arguments.get("query").and_then(Value::as_str).unwrap_or_default());
        let tools: Vec<Value> =
            found.iter().map(|tool| json!({"name": tool.name, "description": tool.description})).collect();
        ToolResult::done(json!({"tools": tools, "count": found.len(), "of": self.tools.len()}).to_string())
    }
}

/// The names that a search came to.
pub(super) fn found(result: &ToolResult) -> Vec<String> {
    if result.verdict != Verdict::Done {
        return Vec::new();
    }
    let told: Value = serde_json::from_str(&result.content).unwrap_or_default();
    let tools = told.get("tools").and_then(Value::as_array).into_iter().flatten();
    tools.filter_map(|tool| Some(tool.get("name")?.as_str()?.to_owned())).collect()
}
