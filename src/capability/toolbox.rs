//! The tools of one agent, ready to be offered and called: names, schemas, compiled checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::hooks::Hooks;
use super::tool_search::{self, MOST_OFFERED, SEARCH_TOOLS, ToolSearch};
use super::{Host, Later, Mount, Tool};
use crate::domain::Object;
use crate::domain::tool::{NOT_FOUND, ToolCall, ToolResult, ToolSpec};

/// What an agent's capabilities and declared tools come to. Schemas are compiled once, here: keep it in an
/// [`Arc`] and share it between runs.
#[derive(Clone, Default)]
pub struct Toolbox {
    /// Paragraphs before the instructions, in order.
    pub prompts: Vec<String>,
    /// Files that a new session begins with.
    pub mounts: Vec<Mount>,
    /// What is asked around models and tools.
    pub hooks: Hooks,
    /// What is to be asked when a run begins.
    pub later: Vec<Arc<dyn Later>>,
    /// What a model reads that calls a tool there is not; else it is told which there are.
    pub unknown: Option<fn(&str) -> String>,
    /// By name.
    pub tools: BTreeMap<String, Arc<ToolEntry>>,
    /// Their names, in the order in which models are told of them.
    order: Vec<String>,
}

/// A tool and the checks of its arguments.
pub struct ToolEntry {
    /// What is called.
    pub tool: Arc<dyn Tool>,
    /// For the arguments it is called with.
    whole: Validator,
    /// For the model's arguments, where a person gives the others.
    asked: Option<Validator>,
}

impl ToolEntry {
    /// What the model sees and a restart may do.
    pub fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }
}

impl Toolbox {
    /// Adds a tool.
    ///
    /// # Errors
    /// Why it cannot be offered to a model: its name, or the schema of its arguments.
    pub fn add(&mut self, tool: Arc<dyn Tool>) -> Result<(), String> {
        let spec = tool.spec();
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !matches!(spec.name.len(), 1..=64) || !spec.name.chars().all(letter) {
            return Err("a name is 1 to 64 letters, digits, `_` and `-`".into());
        }
        if self.tools.contains_key(&spec.name) {
            return Err("there are two of this name".into());
        }
        if spec.parameters.get("type").and_then(Value::as_str) != Some("object") {
            return Err("the parameters must be a JSON Schema with `type: object`".into());
        }
        let whole = compile(&spec.parameters)
            .map_err(|reason| format!("the parameters are no JSON Schema: {reason}"))?;
        let asked = match spec.gate.user_input.as_slice() {
            [] => None,
            given => Some(compile(&without(&spec.parameters, given))?),
        };
        let name = spec.name.clone();
        self.order.push(name.clone());
        self.tools.insert(name, Arc::new(ToolEntry { tool, whole, asked }));
        Ok(())
    }

    /// With a tool to search for the others, where they are too many to tell a model of at once.
    #[must_use]
    pub fn searchable(mut self) -> Self {
        let known = |name: &str| self.order.iter().any(|one| one == name);
        let own = self.get(SEARCH_TOOLS).is_some_and(|entry| entry.tool.is_search());
        if self.order.len() > MOST_OFFERED + usize::from(own) && (own || !known(SEARCH_TOOLS)) {
            self.order.retain(|name| name != SEARCH_TOOLS);
            self.tools.remove(SEARCH_TOOLS);
            let search = ToolSearch::over(self.specs());
            self.prompts.retain(|prompt| prompt != tool_search::PROMPT);
            self.prompts.push(tool_search::PROMPT.to_owned());
            if let Err(reason) = self.add(Arc::new(search)) {
                tracing::error!("the tools cannot be searched: {reason}");
            }
        }
        self
    }

    /// The tools that a model is offered after these calls, in order: all of them, or, where they are searched for,
    /// those that were found or called. It follows from the calls alone, so it is the same after a restart.
    pub fn offered<'a>(
        &self,
        calls: impl Iterator<Item = (&'a ToolCall, Option<&'a ToolResult>)>,
    ) -> Vec<ToolSpec> {
        if !self.get(SEARCH_TOOLS).is_some_and(|entry| entry.tool.is_search()) {
            return self.specs();
        }
        let mut offered = BTreeSet::from([SEARCH_TOOLS.to_owned()]);
        for (call, result) in calls {
            offered.insert(call.name.clone());
            if call.name == SEARCH_TOOLS {
                offered.extend(result.map(tool_search::found).unwrap_or_default());
            }
        }
        let mut specs = self.specs();
        specs.retain(|spec| offered.contains(&spec.name));
        specs
    }

    /// The tools as a model is told of them, in order.
    pub fn specs(&self) -> Vec<ToolSpec> {
        let offered =
            self.order.iter().filter_map(|name| self.get(name)).filter(|entry| entry.tool.is_offered());
        offered.map(|entry| entry.spec().clone()).collect()
    }

    /// The tool with this name.
    pub fn get(&self, name: &str) -> Option<&ToolEntry> {
        self.tools.get(name).map(AsRef::as_ref)
    }

    /// With what the capabilities that were to be asked later say now. A tool that cannot be offered is left out.
    #[must_use]
    pub async fn with_later(&self, host: &dyn Host) -> Self {
        let mut toolbox = self.clone();
        for now in join_all(self.later.iter().map(|later| later.now(host))).await {
            toolbox.prompts.extend(now.prompt);
            for tool in now.tools {
                let name = tool.spec().name.clone();
                if let Err(reason) = toolbox.add(tool) {
                    tracing::warn!("passed over: tool `{name}`: {reason}");
                }
            }
        }
        toolbox
    }

    /// The arguments of a call a model asked for. What a person will give may be missing.
    ///
    /// # Errors
    /// What the model should read: what is wrong, and what is expected.
    pub fn check(&self, call: &ToolCall) -> Result<Object, String> {
        let entry = self.known(&call.name)?;
        let arguments = call.parsed().ok_or_else(|| {
            format!("The arguments of `{}` are no JSON object. {}", call.name, expected(entry.spec()))
        })?;
        fits(entry, entry.asked.as_ref().unwrap_or(&entry.whole), arguments)
    }

    /// Whether these are arguments a tool can be called with, once people have given theirs.
    ///
    /// # Errors
    /// What the model, or the person, should read.
    pub fn check_whole(&self, name: &str, arguments: Object) -> Result<Object, String> {
        let entry = self.known(name)?;
        fits(entry, &entry.whole, arguments)
    }

    fn known(&self, name: &str) -> Result<&ToolEntry, String> {
        self.get(name).ok_or_else(|| {
            if let Some(unknown) = self.unknown {
                return unknown(&shortened(name, 80));
            }
            let known: Vec<_> = self.tools.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            format!("{NOT_FOUND}{}\nTools: {known}.", shortened(name, 80))
        })
    }
}

fn fits(entry: &ToolEntry, validator: &Validator, arguments: Object) -> Result<Object, String> {
    let arguments = Value::Object(arguments);
    match (violations(validator, &arguments), arguments) {
        (None, Value::Object(arguments)) => Ok(arguments),
        (reason, _) => {
            let spec = entry.spec();
            let reason = reason.unwrap_or_default();
            Err(format!("The arguments of `{}` do not fit: {reason}. {}", spec.name, expected(spec)))
        }
    }
}

/// Compiles a schema. It cannot lead anywhere: what it refers to must be in it.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .build(schema)
        .map_err(|error| shortened(&error.to_string(), 300))
}

/// The first few things that are wrong with a value.
pub(super) fn violations(validator: &Validator, value: &Value) -> Option<String> {
    let found: Vec<String> = validator
        .iter_errors(value)
        .take(4)
        .map(|error| {
            let at = error.instance_path().to_string();
            let what = shortened(&error.to_string(), 200);
            if at.is_empty() { what } else { format!("{what} (at {at})") }
        })
        .collect();
    (!found.is_empty()).then(|| found.join("; "))
}

/// The schema, with some arguments no longer required.
fn without(schema: &Value, given: &[String]) -> Value {
    let mut schema = schema.clone();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !given.iter().any(|one| Some(one.as_str()) == name.as_str()));
    }
    schema
}

/// The shape of a tool's arguments in a line: `Expected: a: number (required), b: string.`
fn expected(spec: &ToolSpec) -> String {
    let required = spec.parameters.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(name)));
    let properties = spec.parameters.get("properties").and_then(Value::as_object);
    let shape: Vec<String> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let kind = schema.get("type").map_or_else(|| "any".into(), kind);
            let note = if is_required(name) { " (required)" } else { "" };
            format!("{name}: {kind}{note}")
        })
        .collect();
    if shape.is_empty() { "Expected: {}.".into() } else { format!("Expected: {}.", shape.join(", ")) }
}

/// `string`, or `string or null`.
fn kind(of: &Value) -> String {
    match of {
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().map(kind).collect::<Vec<_>>().join(" or "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "any".into(),
    }
}

fn shortened(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.into();
    }
    let mut short = text.to_owned();
    short.truncate(text.floor_char_boundary(max));
    short.push('…');
    short
}
