//! Questions to a person, each with answers to choose from: the run waits until somebody chose.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::tool::{ASK_USER, Effect, Gate, ToolResult, ToolSpec};

/// `ask_user`.
pub(super) struct AskUser(About);

impl AskUser {
    pub(super) fn new() -> Self {
        Self(
            About::new(
                "ask_user",
                "Ask User",
                "Asks a person, who chooses among answers; the run waits meanwhile.",
            )
            .listed("People", "message-circle-question"),
        )
    }
}

impl Capability for AskUser {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "When you need the user to choose between specific options, call `ask_user` with clear questions \
                      and 2 to 4 options each.";
        Ok(Contribution {
            prompt: Some(prompt.into()),
            tools: vec![Arc::new(Asking(questions()))],
            ..Contribution::default()
        })
    }
}

struct Asking(ToolSpec);

fn questions() -> ToolSpec {
    let option = json!({
        "type": "object",
        "required": ["label"],
        "properties": {
            "label": {"type": "string", "minLength": 1, "description": "Short text of this option"},
            "description": {"type": "string", "description": "What it means"},
        },
    });
    let question = json!({
        "type": "object",
        "required": ["question", "options"],
        "properties": {
            "question": {"type": "string", "minLength": 1, "description": "What is asked"},
            "header": {"type": "string", "description": "A word or two above it"},
            "options": {"type": "array", "minItems": 1, "maxItems": 20, "items": option},
            "multi_select": {"type": "boolean", "description": "Whether more than one may be chosen"},
        },
    });
    let parameters = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["questions"],
        "properties": {"questions": {"type": "array", "minItems": 1, "maxItems": 10, "items": question}},
    });
    let about = "Asks the user questions with options to choose from, and returns what was chosen.";
    ToolSpec {
        gate: Gate { feedback: true, ..Gate::default() },
        ..spec(ASK_USER, about, Effect::Pure, parameters)
    }
}

#[async_trait]
impl Tool for Asking {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    /// Only somebody's answer makes a result.
    async fn call(&self, _: Invocation<'_>) -> ToolResult {
        ToolResult::failed("nobody was asked")
    }
}
