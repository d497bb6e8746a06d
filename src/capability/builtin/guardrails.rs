//! Rules that hold whatever a model wants: which calls are never made, what is set in them, what of their results and of
//! the conversation no model reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::capability::hooks::{Hook, Ruling};
use crate::capability::{About, Capability, Contribution};
use crate::domain::Object;
use crate::domain::edit::{Changed, Edit};
use crate::domain::message::{Input, Message};
use crate::domain::tool::{ToolCall, ToolResult};

/// Most rules of a kind.
const MOST: usize = 100;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_000;

/// Most memory a compiled pattern may take, in bytes.
const PATTERN_MEMORY: usize = 1024 * 1024;

/// What stands in the place of what was taken out.
const REDACTED: &str = "[redacted]";

/// What stands in the place of a message that is withheld.
const WITHHELD: &str = "[A message stood here that a guardrail withholds.]";

/// `guardrails`.
pub(super) struct Guardrails {
    about: About,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    blocked_tools: Vec<String>,
    blocked_patterns: Vec<String>,
    arguments: BTreeMap<String, Object>,
    redact: Vec<String>,
    withhold: Vec<String>,
    reminder: Option<String>,
}

impl Guardrails {
    pub(super) fn new() -> Self {
        let texts = |length: usize, description: &str| {
            json!({
                "type": "array", "maxItems": MOST, "description": description,
                "items": {"type": "string", "minLength": 1, "maxLength": length}
            })
        };
        let config_schema = json!({
            "type": "object",
            "properties": {
                "blocked_tools": texts(64, "Tools that are never called; a `*` at the end stands for anything"),
                "blocked_patterns": texts(MAX_PATTERN, "Regular expressions: a call is not made with arguments that match"),
                "arguments": {
                    "type": "object", "maxProperties": MOST,
                    "additionalProperties": {"type": "object"},
                    "description": "By tool, arguments that are set in each call, whatever the model says"
                },
                "redact": texts(MAX_PATTERN, "Regular expressions: what matches in a result is kept and read as [redacted]"),
                "withhold": texts(MAX_PATTERN, "Regular expressions: a user's message that matches is shown to no model"),
                "reminder": {
                    "type": "string", "minLength": 1, "maxLength": 10_000,
                    "description": "Said to the model after the conversation, before each of its answers"
                }
            },
            "additionalProperties": false
        });
        let description = "Rules that hold whatever a model wants: calls that are never made, arguments that are set, \
                           results that are redacted, messages that are withheld.";
        let about = About::new("guardrails", "Guardrails", description)
            .listed("Safety", "shield-check")
            .configured(config_schema);
        Self { about }
    }
}

impl Capability for Guardrails {
    fn about(&self) -> &About {
        &self.about
    }

    fn contribute(&self, config: &Value) -> Result<Contribution, String> {
        let config = Config::deserialize(config).map_err(|error| error.to_string())?;
        let rules = Rules {
            blocked_patterns: compiled("blocked_patterns", &config.blocked_patterns)?,
            redact: compiled("redact", &config.redact)?,
            withhold: compiled("withhold", &config.withhold)?,
            blocked_tools: config.blocked_tools,
            arguments: config.arguments,
            reminder: config.reminder,
        };
        Ok(Contribution { hooks: vec![Arc::new(rules)], ..Contribution::default() })
    }
}

fn compiled(setting: &str, patterns: &[String]) -> Result<Vec<Regex>, String> {
    let compile = |pattern: &String| {
        let built = RegexBuilder::new(pattern).size_limit(PATTERN_MEMORY).build();
        built.map_err(|error| format!("{setting}: `{pattern}` is no regular expression: {error}"))
    };
    patterns.iter().map(compile).collect()
}

struct Rules {
    blocked_tools: Vec<String>,
    blocked_patterns: Vec<Regex>,
    arguments: BTreeMap<String, Object>,
    redact: Vec<Regex>,
    withhold: Vec<Regex>,
    reminder: Option<String>,
}

impl Hook for Rules {
    fn before_model(&self, conversation: &[Message]) -> Edit {
        let withheld = |message: &Message| matches!(message, Message::User { input } if self.withhold.iter().any(|rule| rule.is_match(&input.text)));
        let places = conversation.iter().enumerate().filter(|(_, message)| withheld(message));
        let note = || Message::User { input: Input { text: WITHHELD.into(), ..Input::default() } };
        let changed = places.map(|(at, _)| Changed { at, to: Some(note()) }).collect();
        let reminder = self.reminder.iter().map(|text| Message::System { text: text.clone() });
        Edit { changed, added: reminder.collect() }
    }

    fn before_call(&self, call: &ToolCall) -> Ruling {
        if self.blocked_tools.iter().any(|rule| names(rule, &call.name)) {
            return Ruling::Refuse(format!("A guardrail does not let `{}` be called.", call.name));
        }
        let arguments = call.parsed();
        if self.blocked_patterns.iter().any(|rule| matches(rule, call, arguments.as_ref())) {
            return Ruling::Refuse(format!(
                "A guardrail does not let `{}` be called with these arguments.",
                call.name
            ));
        }
        match (self.arguments.get(&call.name), arguments) {
            (Some(set), Some(mut arguments)) => {
                arguments.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
                Ruling::Change(arguments)
            }
            // What is no object is no call either, and the model reads that.
            (Some(_) | None, _) => Ruling::Pass,
        }
    }

    fn after_call(&self, _: &ToolCall, mut result: ToolResult) -> ToolResult {
        for rule in &self.redact {
            result.content = rule.replace_all(&result.content, REDACTED).into_owned();
        }
        result
    }
}

/// Whether a rule names a tool.
fn names(rule: &str, tool: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(start) => tool.starts_with(start),
        None => rule == tool,
    }
}

/// Whether a rule matches in the arguments: in each text of them, and in the whole, written without escapes that are
/// not needed. So `"\u0072m"` is found as what it means.
fn matches(rule: &Regex, call: &ToolCall, arguments: Option<&Object>) -> bool {
    match arguments {
        None => rule.is_match(&call.arguments),
        Some(arguments) => {
            let whole = Value::Object(arguments.clone());
            rule.is_match(&whole.to_string()) || matches_within(rule, &whole)
        }
    }
}

fn matches_within(rule: &Regex, value: &Value) -> bool {
    match value {
        Value::String(text) => rule.is_match(text),
        Value::Array(items) => items.iter().any(|item| matches_within(rule, item)),
        Value::Object(fields) => {
            fields.iter().any(|(name, field)| rule.is_match(name) || matches_within(rule, field))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::capability::hooks::Hooks;

    fn hooks(config: Value) -> Hooks {
        let mut hooks = Hooks::default();
        hooks.extend(Guardrails::new().contribute(&config).unwrap().hooks);
        hooks
    }

    fn refused(rules: &Hooks, name: &str, arguments: &str) -> bool {
        let call = ToolCall { id: "1".parse().unwrap(), name: name.into(), arguments: arguments.into() };
        !rules.before_calls(&mut [call]).is_empty()
    }

    #[test]
    fn a_pattern_is_found_however_it_is_written_and_wherever_it_stands() {
        let rules = hooks(json!({"blocked_patterns": [r"rm\s+-rf", "^/etc/", "\"force\":true"]}));
        let found = [
            r#"{"command": "sudo rm -rf /"}"#,
            r#"{"command": "\u0072m\t-rf ."}"#,
            r#"{"all": [{"path": "/etc/passwd"}]}"#,
            r#"{"/etc/passwd": 1}"#,
            r#"{ "force" : true }"#,
            "rm  -rf, which is no JSON",
        ];
        for arguments in found {
            assert!(refused(&rules, "bash", arguments), "{arguments}");
        }
        for arguments in [r#"{"command": "rm file"}"#, r#"{"path": "a/etc/"}"#, "", "{}"] {
            assert!(!refused(&rules, "bash", arguments), "{arguments}");
        }
    }

    #[test]
    fn tools_are_blocked_by_name_or_by_how_their_names_begin() {
        let rules = hooks(json!({"blocked_tools": ["bash", "mcp_files__*"]}));
        let names = ["bash", "mcp_files__write", "bashful", "mcp_file", "read_file"];
        assert_eq!(names.map(|name| refused(&rules, name, "{}")), [true, true, false, false, false]);
    }

    #[test]
    fn a_pattern_that_is_none_is_named_with_its_setting() {
        let fault = Guardrails::new().contribute(&json!({"redact": ["("]})).err().unwrap();
        assert!(fault.starts_with("redact: `(` is no regular expression"), "{fault}");
    }
}
