//! Agents, and what they can be given.

use serde_json::{Value, json};

use super::{
    Schemas, about, active_or, exactly, flagged, id, list, named, number, object, one_of, sized, some_object,
    text, texts, times, whole, with,
};
use crate::api::everruns::ids::{AGENT, HARNESS, MODEL};

pub(super) fn all() -> Schemas {
    vec![
        ("Agent", agent()),
        ("NewAgent", object(&[agent_fields().as_slice(), &[new_id()]].concat(), &["name", "system_prompt"])),
        ("AgentPatch", object(&[agent_fields().as_slice(), &[status()]].concat(), &[])),
        (
            "AgentText",
            about(text(), "Up to 3 MiB: Markdown with front matter, JSON, YAML, or a prompt alone"),
        ),
        ("AgentCopy", object(&[("name", about(name(), "Default: the agent's, marked as a copy"))], &[])),
        ("PreviewOrder", object(&[("system_prompt", text()), ("capabilities", assignments())], &[])),
        ("Preview", whole(&[("system_prompt", text()), ("tools", list(&offered()))])),
        ("TokenUsage", usage()),
        ("CapabilityAssignment", assignment()),
        ("AssignedCapability", whole(&[("ref", text()), ("config", some_object())])),
        ("ClientTool", client_tool()),
        ("DeclaredTool", declared_tool()),
        ("Capability", capability()),
    ]
}

fn name() -> Value {
    sized(1..=2048)
}

fn status() -> (&'static str, Value) {
    ("status", active_or("archived"))
}

fn new_id() -> (&'static str, Value) {
    ("id", about(id(AGENT), "The agent of this id is replaced, or made; default: an id of its own"))
}

/// What a client may say of an agent.
fn agent_fields() -> [(&'static str, Value); 7] {
    [
        ("name", name()),
        ("description", sized(0..=10_240)),
        ("system_prompt", about(sized(0..=1_048_576), "What the agent is told; may be empty")),
        ("default_model_id", about(id(MODEL), "Default: the server's default model")),
        ("tags", tags()),
        ("capabilities", assignments()),
        ("tools", tools()),
    ]
}

fn agent() -> Value {
    let always = [
        ("id", id(AGENT)),
        ("name", text()),
        ("system_prompt", text()),
        ("tags", texts()),
        ("capabilities", list(&named("AssignedCapability"))),
        ("tools", list(&named("ClientTool"))),
        status(),
        ("harness_id", id(HARNESS)),
    ];
    let sometimes = [
        ("description", text()),
        ("default_model_id", id(MODEL)),
        ("usage", about(named("TokenUsage"), "The sum of its sessions, of an agent that is read alone")),
    ];
    with(&[always.as_slice(), &times()].concat(), &sometimes)
}

fn usage() -> Value {
    let cached = [("cache_read_tokens", number(0)), ("cache_creation_tokens", number(0))];
    with(&[("input_tokens", number(0)), ("output_tokens", number(0))], &cached)
}

/// Tags, as they are sent.
pub(super) fn tags() -> Value {
    json!({ "type": "array", "maxItems": 250, "items": sized(0..=2048) })
}

/// Capabilities, as they are sent.
pub(super) fn assignments() -> Value {
    json!({ "type": "array", "maxItems": 250, "items": named("CapabilityAssignment") })
}

/// Tools, as they are sent.
pub(super) fn tools() -> Value {
    let list = json!({ "type": "array", "maxItems": 50, "items": named("DeclaredTool") });
    about(list, "Tools that the client executes; those of the type builtin are passed over")
}

fn assignment() -> Value {
    let fields = [
        (
            "ref",
            about(text(), "The id of a capability; one that is not known is passed over when a turn begins"),
        ),
        ("config", about(some_object(), "Its settings, by its config_schema; default: {}")),
    ];
    object(&fields, &["ref"])
}

fn client_tool() -> Value {
    let fields = [
        ("type", exactly("client_side")),
        ("name", text()),
        ("description", text()),
        ("parameters", some_object()),
    ];
    whole(&fields)
}

fn declared_tool() -> Value {
    let fields = [
        ("type", about(one_of(&["client_side", "builtin"]), "Default: client_side")),
        ("name", text()),
        ("description", text()),
        ("parameters", about(some_object(), "JSON Schema of an object")),
    ];
    super::open(object(&fields, &["name"]))
}

/// A tool as a model is offered it.
fn offered() -> Value {
    whole(&[("name", text()), ("description", text()), ("parameters", some_object())])
}

fn capability() -> Value {
    let tool = [
        ("type", exactly("builtin")),
        ("name", text()),
        ("description", text()),
        ("parameters", some_object()),
        ("policy", one_of(&["auto", "requires_approval"])),
    ];
    let always = [
        ("id", text()),
        ("name", text()),
        ("description", text()),
        ("status", one_of(&["available", "coming_soon", "deprecated"])),
        ("icon", about(text(), "Name of a Lucide icon")),
        ("category", text()),
        ("dependencies", texts()),
        ("tool_definitions", list(&whole(&tool))),
        ("is_mcp", flagged()),
        ("is_skill", flagged()),
        ("features", texts()),
        (
            "risk_level",
            about(one_of(&["low", "medium", "high"]), "Only an admin may assign one of a high risk"),
        ),
        ("config_schema", about(some_object(), "JSON Schema of its settings")),
    ];
    with(&always, &[("system_prompt", about(text(), "What it adds to the prompt where its settings are {}"))])
}
