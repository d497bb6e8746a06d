//! What agents and sessions are given: capabilities, `{ref, config}`, and tools that the client executes.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::Error;
use crate::api::caller::Caller;
use crate::api::fields::Fields;
use crate::capability::registry::{ComposeError, Registry};
use crate::domain::Object;
use crate::domain::spec::{AgentSpec, CapabilityRef, DeclaredTool, ToolAction};
use crate::domain::tool::{Effect, Gate, OnTimeout};

/// Capabilities in one list.
const MAX_CAPABILITIES: usize = 250;

/// Tools in one list.
const MAX_TOOLS: usize = 50;

/// Tags in one list.
const MAX_TAGS: usize = 250;

/// Longest tag, in bytes.
const MAX_TAG: usize = 2 * 1024;

/// How long a client has to execute a tool where nothing else is configured.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(300);

/// A list of capabilities; `None` where the field is absent.
pub fn capabilities(fields: &mut Fields) -> Option<Vec<CapabilityRef>> {
    each(fields, "capabilities", capability)
}

/// A list of client-side tools; `None` where the field is absent.
pub fn tools(fields: &mut Fields) -> Option<Vec<DeclaredTool>> {
    let tools = each(fields, "tools", tool)?;
    Some(tools.into_iter().flatten().collect())
}

/// A list of texts; `None` where the field is absent.
pub fn texts(fields: &mut Fields, name: &str) -> Option<Vec<String>> {
    each(fields, name, |item| item.as_str().map(str::to_owned).ok_or_else(|| "must be text".into()))
}

/// Whether these are more tags than anything has, or longer ones.
pub fn too_many(tags: &[String]) -> bool {
    tags.len() > MAX_TAGS || tags.iter().any(|tag| tag.len() > MAX_TAG)
}

/// Reads each item of a list and notes what is wrong with which; `None` where the field is absent.
pub fn each<T>(
    fields: &mut Fields,
    name: &str,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Option<Vec<T>> {
    let value = fields.value(name)?;
    let Some(items) = value.as_array() else {
        fields.violation(name, "list_type", "Input should be a valid list");
        return None;
    };
    let mut list = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(value) => list.push(value),
            Err(reason) => fields.violation(name, "value_error", format!("item {index}: {reason}")),
        }
    }
    Some(list)
}

/// A capability with its settings.
///
/// # Errors
/// Why it is none.
pub fn capability(item: &Value) -> Result<CapabilityRef, String> {
    let id = item.get("ref").and_then(Value::as_str).ok_or("`ref` must be the id of a capability")?;
    let config = match item.get("config") {
        None | Some(Value::Null) => Value::Null,
        Some(config @ Value::Object(_)) => config.clone(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err("`config` must be an object".into());
        }
    };
    Ok(CapabilityRef { id: id.into(), config })
}

/// A tool that the client executes. One that the server should have is passed over: capabilities bring those.
fn tool(item: &Value) -> Result<Option<DeclaredTool>, String> {
    match item.get("type").unwrap_or(&Value::Null) {
        Value::String(kind) if kind == "builtin" => return Ok(None),
        Value::String(kind) if kind == "client_side" => {}
        Value::Null => {}
        Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err("`type` must be client_side or builtin".into());
        }
    }
    client_tool(item).map(Some)
}

/// A tool that the client executes, by its name, description and parameters.
///
/// # Errors
/// Which of them is wrong.
pub fn client_tool(item: &Value) -> Result<DeclaredTool, String> {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let parameters = match item.get("parameters") {
        None | Some(Value::Null) => Object::new(),
        Some(Value::Object(parameters)) => parameters.clone(),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return Err("`parameters` must be a JSON Schema of an object".into());
        }
    };
    Ok(DeclaredTool {
        name: text("name").ok_or("`name` must be text")?.into(),
        description: text("description").unwrap_or_default().into(),
        parameters: Value::Object(of_an_object(parameters)),
        effect: Effect::Once,
        timeout: CLIENT_PATIENCE,
        gate: Gate {
            external: true,
            within: Some(CLIENT_PATIENCE),
            on_timeout: OnTimeout::Reject,
            ..Gate::default()
        },
        action: ToolAction::External,
    })
}

/// The same schema, saying that it is one of an object.
fn of_an_object(mut schema: Object) -> Object {
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| json!({}));
    schema
}

/// Gives clients so long to execute these tools.
pub fn patiently(tools: &mut [DeclaredTool], patience: Duration) {
    for tool in tools.iter_mut().filter(|tool| tool.action == ToolAction::External) {
        (tool.timeout, tool.gate.within) = (patience, Some(patience));
    }
}

/// Refuses what is too much, tools that no model can be offered, and servers that are not there. Any other capability
/// that is not known is passed over when a turn begins. One that looks at what others do must fit: nobody would notice
/// that it is missing.
///
/// # Errors
/// 400.
pub fn check(
    registry: &Registry,
    capabilities: &[CapabilityRef],
    tools: &[DeclaredTool],
) -> Result<(), Error> {
    if capabilities.len() > MAX_CAPABILITIES || tools.len() > MAX_TOOLS {
        return Err(Error::over_limits());
    }
    let is_missing_server =
        |one: &&CapabilityRef| one.id.starts_with("mcp:") && registry.get(&one.id).is_none();
    if let Some(server) = capabilities.iter().find(is_missing_server) {
        return Err(Error::bad_request(format!(
            "There is no MCP server behind the capability {}",
            server.id
        )));
    }
    capabilities.iter().try_for_each(|one| registry.check_hooks(one)).map_err(unfit)?;
    registry.compose(&[], tools).map(drop).map_err(unfit)
}

fn unfit(fault: ComposeError) -> Error {
    Error::bad_request(fault.to_string())
}

/// Refuses what only admins may give an agent, of a caller who is none: capabilities of a high risk, and tools that run
/// programs. What the agent has `before` is not given to it now.
///
/// # Errors
/// 403, naming it.
pub fn may_define(
    caller: &Caller,
    registry: &Registry,
    agent: &AgentSpec,
    before: Option<&AgentSpec>,
) -> Result<(), Error> {
    let had = before.map(|before| before.capabilities.as_slice()).unwrap_or_default();
    may_assign(caller, registry, &agent.capabilities, had)?;
    let is_new = |tool: &&DeclaredTool| before.is_none_or(|before| !before.tools.contains(tool));
    let runs = |tool: &&DeclaredTool| matches!(tool.action, ToolAction::Process { .. });
    match agent.tools.iter().filter(runs).find(is_new) {
        Some(tool) if !caller.is_admin() => Err(Error::forbidden(format!(
            "The tool {} runs a program: only an admin may make an agent that has it",
            tool.name
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Refuses capabilities of a high risk, of a caller who is no admin. Those that were there `before`, with the same
/// settings, are not assigned now.
///
/// # Errors
/// 403, naming the capability.
pub fn may_assign(
    caller: &Caller,
    registry: &Registry,
    capabilities: &[CapabilityRef],
    before: &[CapabilityRef],
) -> Result<(), Error> {
    let new: Vec<_> = capabilities.iter().filter(|one| !before.contains(one)).cloned().collect();
    match registry.reserved(&new) {
        Some(id) if !caller.is_admin() => Err(Error::forbidden(format!(
            "The capability {id} is of a high risk: only an admin may assign it"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Capabilities as they are shown.
pub fn shown_capabilities(capabilities: &[CapabilityRef]) -> Vec<Value> {
    capabilities.iter().map(|one| json!({ "ref": one.id, "config": shown_config(one) })).collect()
}

fn shown_config(capability: &CapabilityRef) -> Value {
    if capability.config.is_null() { json!({}) } else { capability.config.clone() }
}

/// Client-side tools as they are shown; others are the server's own affair.
pub fn shown_tools(tools: &[DeclaredTool]) -> Vec<Value> {
    let of_client = tools.iter().filter(|tool| tool.action == ToolAction::External);
    let shown = |tool: &DeclaredTool| {
        json!({
            "type": "client_side",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        })
    };
    of_client.map(shown).collect()
}
