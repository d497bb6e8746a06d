//! Providers, their models, and servers that speak MCP.

use serde_json::{Value, json};

use super::{
    Schemas, about, active_or, flagged, id, list, object, one_of, sized, text, texts, time, times, whole,
    with,
};
use crate::api::everruns::ids::{MCP, MODEL, PROVIDER};
use crate::providers::saved::KINDS;

pub(super) fn all() -> Schemas {
    vec![
        ("Provider", provider()),
        ("NewProvider", object(&provider_fields(), &["name", "provider_type"])),
        ("ProviderPatch", object(&provider_fields(), &[])),
        ("Model", model()),
        (
            "NewModel",
            object(&[[model_id()].as_slice(), &model_fields()].concat(), &["model_id", "display_name"]),
        ),
        ("ModelPatch", object(&model_fields(), &[])),
        ("McpServer", server()),
        ("NewMcpServer", object(&server_fields(), &["name", "url"])),
        ("McpServerPatch", object(&[server_fields().as_slice(), &[approval()]].concat(), &[])),
    ]
}

fn name() -> Value {
    sized(1..=200)
}

fn status() -> (&'static str, Value) {
    ("status", active_or("disabled"))
}

fn provider_type() -> (&'static str, Value) {
    ("provider_type", one_of(&KINDS.map(|(word, ..)| word)))
}

fn api_key() -> (&'static str, Value) {
    ("api_key", about(text(), "It is never shown; an empty one takes it away"))
}

fn provider() -> Value {
    let always = [
        ("id", id(PROVIDER)),
        ("name", text()),
        provider_type(),
        ("api_key_set", flagged()),
        status(),
        ("readonly", about(flagged(), "It stands in the server's configuration")),
    ];
    let sometimes = [("base_url", text()), ("last_synced_at", time())];
    with(&[always.as_slice(), &times()].concat(), &sometimes)
}

fn provider_fields() -> [(&'static str, Value); 5] {
    let url = ("base_url", about(text(), "Its address, with /v1; default: where providers of its type are"));
    [("name", name()), provider_type(), url, api_key(), status()]
}

fn model_id() -> (&'static str, Value) {
    ("model_id", about(text(), "What the provider calls it"))
}

fn model() -> Value {
    let fields = [
        ("id", id(MODEL)),
        ("provider_id", id(PROVIDER)),
        ("provider_name", text()),
        provider_type(),
        model_id(),
        ("display_name", text()),
        ("capabilities", texts()),
        ("is_default", about(flagged(), "Who answers where nobody says who")),
        ("is_favorite", flagged()),
        status(),
        ("source", one_of(&["manual", "discovered", "predefined"])),
        ("enabled", flagged()),
        ("healthy", flagged()),
    ];
    whole(&[fields.as_slice(), &times()].concat())
}

fn model_fields() -> [(&'static str, Value); 5] {
    [
        ("display_name", name()),
        ("capabilities", texts()),
        ("is_default", about(flagged(), "True: no other is from now on")),
        ("is_favorite", flagged()),
        status(),
    ]
}

fn headers() -> Value {
    let headers = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    about(headers, "By name. Values are shown as ***; sent back so, they stay as they are")
}

fn server() -> Value {
    let tool = [("name", text()), ("status", one_of(&["offered", "needs_approval"]))];
    let always = [
        ("id", id(MCP)),
        ("name", text()),
        ("transport_type", one_of(&["http", "stdio"])),
        ("headers", headers()),
        ("api_key_set", flagged()),
        status(),
        ("capability_id", about(text(), "What agents and sessions are given, to use it")),
        ("readonly", about(flagged(), "It stands in the server's configuration")),
        ("connection", one_of(&["unknown", "connected", "unreachable"])),
        ("tools", list(&whole(&tool))),
    ];
    let sometimes = [("url", text()), ("description", text()), ("connection_error", text())];
    with(&[always.as_slice(), &times()].concat(), &sometimes)
}

fn server_fields() -> [(&'static str, Value); 7] {
    [
        ("name", sized(1..=100)),
        ("url", text()),
        ("description", text()),
        ("transport_type", one_of(&["http"])),
        ("headers", headers()),
        api_key(),
        status(),
    ]
}

fn approval() -> (&'static str, Value) {
    ("approve_changes", about(flagged(), "The tools are to be trusted as they are now"))
}
