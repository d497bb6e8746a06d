//! Lets an agent hand a task to another agent of the catalog. The runtime has the other's run driven in the call's
//! place; here is only what the model and the registry see of it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::spec::{DELEGATE_TO_AGENT, SUBAGENTS};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// Members have limits of their own; a call that hands work on has none.
const NO_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60 * 60 * 24 * 365);

/// `subagents`.
pub(super) struct Subagents(About);

impl Subagents {
    pub(super) fn new() -> Self {
        let agents = json!({
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "Ids of agents and teams it may hand tasks to. Default: all agents",
        });
        let config = json!({
            "type": "object", "properties": {"agents": agents}, "additionalProperties": false,
        });
        let about = "Hands tasks to other agents, and gets their answers.";
        let about = About::new(SUBAGENTS, "Sub-agents", about).listed("People", "users").configured(config);
        Self(about)
    }
}

impl Capability for Subagents {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "You can hand a task to another agent where it is better suited, or where the task is large and its \
                      details would only be in your way. It sees nothing of this conversation but the task.";
        let parameters = json!({
            "type": "object",
            "properties": {
                "agent": {"type": "string", "description": "Its id"},
                "task": {"type": "string", "minLength": 1, "description": "What to do, in full"},
            },
            "required": ["agent", "task"],
            "additionalProperties": false,
        });
        let about = "Hands a task to another agent and returns its answer. Several calls at once are worked on side by side.";
        // The other's run is found again by its name, and one that is over is not run twice.
        let spec = spec(DELEGATE_TO_AGENT, about, Effect::Idempotent, parameters);
        let tool = Arc::new(Handing(ToolSpec { timeout: NO_TIMEOUT, ..spec }));
        Ok(Contribution { prompt: Some(prompt.into()), tools: vec![tool], ..Contribution::default() })
    }
}

struct Handing(ToolSpec);

#[async_trait]
impl Tool for Handing {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, _: Invocation<'_>) -> ToolResult {
        ToolResult::failed("a task cannot be handed on from here")
    }
}
