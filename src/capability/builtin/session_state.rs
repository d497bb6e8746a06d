//! Lets an agent read and change what its session remembers.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::Object;
use crate::domain::state::{Change, apply, merge};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// `session_state`.
pub(super) struct SessionState(About);

impl SessionState {
    pub(super) fn new() -> Self {
        Self(
            About::new(
                "session_state",
                "Session State",
                "Reads and changes the session's state: values that are kept from run to run.",
            )
            .listed("Storage", "database"),
        )
    }
}

impl Capability for SessionState {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "This session has a state, a JSON object that is kept between runs. Write down there what \
                      later runs need to know.";
        Ok(Contribution {
            prompt: Some(prompt.into()),
            tools: vec![Arc::new(Read(read_spec())), Arc::new(Set(set_spec()))],
            ..Contribution::default()
        })
    }
}

fn read_spec() -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "Keys joined by dots, as in user.name. Default: all of it"}
        },
        "additionalProperties": false
    });
    spec("read_session_state", "Reads the session's state, as JSON.", Effect::Idempotent, parameters)
}

fn set_spec() -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {
            "changes": {
                "type": "object",
                "description": "Laid over the state: objects merge key by key, everything else is replaced"
            },
            "remove": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "What to take away, before the changes: keys joined by dots"
            }
        },
        "minProperties": 1,
        "additionalProperties": false
    });
    spec("set_session_state", "Changes the session's state and returns it.", Effect::Idempotent, parameters)
}

struct Read(ToolSpec);

#[async_trait]
impl Tool for Read {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let state = Value::Object(call.host.state());
        let path = call.arguments.get("path").and_then(Value::as_str).unwrap_or_default();
        let mut keys = path.split('.').filter(|_| !path.is_empty());
        match keys.try_fold(&state, |above, key| above.get(key)) {
            Some(found) => ToolResult::done(found.to_string()),
            None => ToolResult::failed(format!("the session's state holds nothing at `{path}`")),
        }
    }
}

struct Set(ToolSpec);

#[async_trait]
impl Tool for Set {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let mut state = call.host.state();
        apply(&mut state, &removals(call.arguments));
        if let Some(Value::Object(changes)) = call.arguments.get("changes") {
            merge(&mut state, changes);
        }
        let shown = Value::Object(state.clone()).to_string();
        call.host.set_state(state);
        ToolResult::done(shown)
    }
}

fn removals(arguments: &Object) -> Vec<Change> {
    let paths = arguments.get("remove").and_then(Value::as_array).into_iter().flatten();
    let paths = paths.filter_map(Value::as_str);
    paths.map(|path| Change { path: path.split('.').map(str::to_owned).collect(), to: None }).collect()
}
