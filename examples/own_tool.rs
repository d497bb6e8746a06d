//! A capability of one's own, compiled in: a tool, written in Rust, that agent files and the API name as `dice`, and a
//! hook that sees to it that nobody cheats.
//!
//! `cargo run --example own_tool`
#![expect(clippy::print_stdout, reason = "an example speaks to a terminal")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use runhold::capability::hooks::Ruling;
use runhold::capability::{About, Capability, Contribution, Hook, Invocation, Tool};
use runhold::capability::{egress::Egress, registry::Registry};
use runhold::domain::spec::CapabilityRef;
use runhold::domain::tool::{Effect, Gate, ToolCall, ToolResult, ToolSpec};
use serde_json::{Value, json};

struct Dice(About);

impl Capability for Dice {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _settings: &Value) -> Result<Contribution, String> {
        let (tool, hook) = (Arc::new(Throw(throw())), Arc::new(FairPlay));
        Ok(Contribution { tools: vec![tool], hooks: vec![hook], ..Contribution::default() })
    }
}

/// No model gets a die with two sides, whatever the tool itself would do.
struct FairPlay;

impl Hook for FairPlay {
    fn before_call(&self, call: &ToolCall) -> Ruling {
        match call.parsed() {
            Some(arguments) if call.name == "throw_die" && arguments.get("sides") == Some(&json!(2)) => {
                Ruling::Refuse("A coin is no die.".into())
            }
            Some(_) | None => Ruling::Pass,
        }
    }
}

struct Throw(ToolSpec);

#[async_trait]
impl Tool for Throw {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let sides = call.arguments.get("sides").and_then(Value::as_u64).unwrap_or(6);
        let mut random = [0; 8];
        match getrandom::fill(&mut random) {
            Ok(()) => ToolResult::done((u64::from_le_bytes(random) % sides + 1).to_string()),
            Err(error) => ToolResult::failed(format!("the die fell off the table: {error}")),
        }
    }
}

fn throw() -> ToolSpec {
    let sides = json!({"type": "integer", "minimum": 2, "maximum": 100});
    ToolSpec {
        name: "throw_die".into(),
        description: "Throws a die.".into(),
        parameters: json!({"type": "object", "properties": {"sides": sides}, "additionalProperties": false}),
        // A second throw would be another one: after a crash it must not be repeated in silence.
        effect: Effect::Once,
        timeout: Duration::from_secs(1),
        gate: Gate::default(),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dice = Dice(About::new("dice", "Dice", "Throws dice.").listed("Games", "dices"));
    let registry = Registry::builtin(Egress::new()).with(Arc::new(dice));
    let refs = [CapabilityRef { id: "dice".into(), config: Value::Null }];
    let toolbox = registry.compose(&refs, &[])?;
    for tool in toolbox.specs() {
        println!("{}: {} {}", tool.name, tool.description, tool.parameters);
    }
    let arguments = r#"{"sides": 2}"#.to_owned();
    let mut calls = [ToolCall { id: "1".parse()?, name: "throw_die".into(), arguments }];
    for refusal in toolbox.hooks.before_calls(&mut calls) {
        println!("A model that asks for two sides reads: {}", refusal.reason);
    }
    Ok(())
}
