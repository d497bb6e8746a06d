//! Tools, made of what a server lists.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::server::Server;
use crate::capability::{Invocation, Tool};
use crate::domain::tool::{Effect, Gate, ToolResult, ToolSpec};

/// Longest name a model may be offered.
const MAX_NAME: usize = 64;

/// Longest description, in bytes; the rest is cut.
const MAX_DESCRIPTION: usize = 8 * 1024;

/// Largest schema, in bytes; a tool with a larger one is left out.
const MAX_SCHEMA: usize = 64 * 1024;

/// A tool of a server, as it was listed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    /// The server's own name for it.
    pub(super) original: String,
    /// What a model is told of it.
    pub(super) spec: ToolSpec,
    /// Of everything a model or a restart goes by.
    pub(super) print: String,
}

/// The tool as models see it; `None` if it cannot be offered.
pub(super) fn listed(server: &str, deadline: Duration, tool: &rmcp::model::Tool) -> Option<Listed> {
    let mut parameters = tool.input_schema.as_ref().clone();
    // Servers write schemas of every draft; what tools use of them is the same in all.
    parameters.remove("$schema");
    parameters.entry("type").or_insert_with(|| "object".into());
    let parameters = Value::Object(parameters);
    if tool.name.is_empty() || tool.name.len() > 256 || parameters.to_string().len() > MAX_SCHEMA {
        tracing::warn!(server, "a tool of the MCP server has no usable name or schema; it is left out");
        return None;
    }
    let description = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    let hints = tool.annotations.as_ref();
    let effect = match hints.map(|hints| (hints.read_only_hint, hints.idempotent_hint)) {
        Some((Some(true), _)) => Effect::Pure,
        Some((_, Some(true))) => Effect::Idempotent,
        _ => Effect::Once,
    };
    let spec = ToolSpec {
        name: offered_name(server, &tool.name),
        description: cut(description, MAX_DESCRIPTION),
        parameters,
        effect,
        timeout: deadline,
        gate: Gate::default(),
    };
    let print = fingerprint(description, &spec);
    Some(Listed { original: tool.name.to_string(), spec, print })
}

/// `mcp_{server}__{tool}`, of letters that every provider takes. One that is too long ends in a part of its hash.
pub(super) fn offered_name(server: &str, tool: &str) -> String {
    let fit = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
            .collect()
    };
    let name = format!("mcp_{}__{}", fit(server), fit(tool));
    if name.len() <= MAX_NAME {
        return name;
    }
    let hash = hex(&Sha256::digest(format!("{server}\0{tool}").as_bytes()));
    let (start, tail) = (MAX_NAME - 9, hash.get(..8).unwrap_or_default());
    format!("{}_{tail}", name.get(..start).unwrap_or_default())
}

fn fingerprint(description: &str, spec: &ToolSpec) -> String {
    let whole = json!([description, spec.parameters, spec.effect]);
    hex(&Sha256::digest(canonical(&whole).to_string().as_bytes()))
}

/// The same value with the members of objects in order: a server may list them in any.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cut(text: &str, max: usize) -> String {
    let end = text.floor_char_boundary(max);
    let mark = if end < text.len() { "…" } else { "" };
    format!("{}{mark}", text.get(..end).unwrap_or_default())
}

/// A tool that a server carries out.
pub(super) struct ServerTool {
    server: Arc<Server>,
    original: String,
    spec: ToolSpec,
    sees: bool,
}

impl ServerTool {
    /// For a model that `sees` pictures or does not.
    pub(super) fn new(server: Arc<Server>, listed: &Listed, sees: bool) -> Self {
        Self { server, original: listed.original.clone(), spec: listed.spec.clone(), sees }
    }
}

#[async_trait]
impl Tool for ServerTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        self.server.call(&self.original, call.arguments, (self.spec.effect, self.sees)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_every_provider_takes() {
        assert_eq!(offered_name("files", "read_file"), "mcp_files__read_file");
        assert_eq!(offered_name("my files", "a.b/c"), "mcp_my_files__a_b_c");
        let long = offered_name("files", &"x".repeat(80));
        assert_eq!(long.len(), MAX_NAME);
        assert_ne!(long, offered_name("files", &"x".repeat(81)));
    }

    #[test]
    fn a_print_tells_what_a_model_would_read_and_not_the_order_of_members() {
        let tool = |description: &str, schema: Value| {
            let Value::Object(schema) = schema else { return None };
            let tool = rmcp::model::Tool::new("t", description.to_owned(), schema);
            listed("s", Duration::from_secs(1), &tool).map(|listed| listed.print)
        };
        let one = tool("d", json!({"type": "object", "properties": {"a": {}, "b": {}}}));
        assert_eq!(one, tool("d", json!({"properties": {"b": {}, "a": {}}, "type": "object"})));
        assert_ne!(one, tool("e", json!({"type": "object", "properties": {"a": {}, "b": {}}})));
        assert_ne!(one, tool("d", json!({"type": "object", "properties": {"a": {}}})));
    }
}
