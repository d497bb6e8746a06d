//! Agents as text: what is imported, and the Markdown file that is exported.
//!
//! The file is front matter and a body, the system prompt. It may also be a file of the folder of agents: then its
//! front matter has keys that only those have ([`FileKeys`]), and its body is a template as it is there. What the
//! server would execute (a program, a request with its secrets) can come from its own files only and is refused.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agent_body::AgentForm;
use super::assignment;
use super::error::Error;
use super::ids::{self, MODEL};
use super::models;
use crate::domain::Object;
use crate::domain::id::ModelName;
use crate::domain::spec::{
    ComponentKind, DeclaredTool, InDoubt, Limits, OnDisconnect, OnSecondMessage, Source,
};
use crate::domain::time::Timestamp;
use crate::runtime::agents::SavedAgent;
use crate::runtime::catalog::yaml;
use crate::runtime::workspace::Workspace;

/// What was read of a text.
pub(super) struct Read {
    /// What every agent has.
    pub(super) form: AgentForm,
    /// What those of files have beside it.
    pub(super) keys: Option<FileKeys>,
}

/// The keys that only files of agents have; one of them makes a text such a file.
const FILE_KEYS: [&str; 12] = [
    "kind",
    "model",
    "fallback_models",
    "history_runs",
    "session_state",
    "limits",
    "on_second_message",
    "in_doubt",
    "on_disconnect",
    "output_schema",
    "metadata",
    "quick_prompts",
];

/// What a file of the folder of agents says beside name, description, capabilities and tools.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FileKeys {
    kind: ComponentKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelName>,
    fallback_models: Vec<ModelName>,
    history_runs: u32,
    session_state: Object,
    limits: Limits,
    on_second_message: OnSecondMessage,
    in_doubt: InDoubt,
    on_disconnect: OnDisconnect,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<Value>,
    metadata: Object,
    quick_prompts: Vec<String>,
}

impl Default for FileKeys {
    fn default() -> Self {
        Self {
            kind: ComponentKind::Agent,
            model: None,
            fallback_models: Vec::new(),
            history_runs: 3,
            session_state: Object::new(),
            limits: Limits::default(),
            on_second_message: OnSecondMessage::default(),
            in_doubt: InDoubt::default(),
            on_disconnect: OnDisconnect::default(),
            output_schema: None,
            metadata: Object::new(),
            quick_prompts: Vec::new(),
        }
    }
}

impl FileKeys {
    fn of(agent: &SavedAgent) -> Self {
        let spec = &agent.spec;
        Self {
            kind: ComponentKind::Agent,
            model: (!agent.any_model).then(|| spec.model.clone()),
            fallback_models: spec.fallback_models.clone(),
            history_runs: spec.history_runs,
            session_state: spec.session_state.clone(),
            limits: spec.limits,
            on_second_message: spec.on_second_message,
            in_doubt: spec.in_doubt,
            on_disconnect: spec.on_disconnect,
            output_schema: spec.output_schema.clone(),
            metadata: spec.metadata.clone(),
            quick_prompts: spec.quick_prompts.clone(),
        }
    }

    /// Makes an agent what the file says.
    ///
    /// # Errors
    /// 400 where the instructions are no template, or a limit is nothing.
    pub(super) fn put_into(self, agent: &mut SavedAgent) -> Result<(), Error> {
        let spec = &mut agent.spec;
        if let Err(error) = minijinja::Environment::new().template_from_str(&spec.instructions) {
            let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            return Err(Error::bad_request(format!("The instructions are no valid template: {reason}")));
        }
        if self.limits.model_calls == 0 || self.limits.seconds == 0 {
            return Err(Error::bad_request("limits: `model_calls` and `seconds` must be at least 1"));
        }
        if let Some(model) = self.model.filter(|_| agent.any_model) {
            spec.model = model;
            agent.any_model = false;
        }
        spec.fallback_models = self.fallback_models;
        spec.history_runs = self.history_runs;
        spec.session_state = self.session_state;
        spec.limits = self.limits;
        spec.on_second_message = self.on_second_message;
        spec.in_doubt = self.in_doubt;
        spec.on_disconnect = self.on_disconnect;
        spec.output_schema = self.output_schema;
        spec.metadata = self.metadata;
        spec.quick_prompts = self.quick_prompts;
        spec.source = Source::File;
        Ok(())
    }
}

/// Reads a text: front matter and prompt, JSON, YAML, or nothing but a prompt.
///
/// # Errors
/// 400 where it is broken, says nothing, or says what cannot be taken over.
pub(super) fn read(text: &str, workspace: &Workspace, now: Timestamp) -> Result<Read, Error> {
    let mut object = object(text.trim_start_matches('\u{feff}'))?;
    crate::api::body::check(&Value::Object(object.clone()))?;
    object.retain(|_, value| !value.is_null());
    let keys =
        if FILE_KEYS.iter().any(|key| object.contains_key(*key)) { Some(file_keys(&object)?) } else { None };
    let system_prompt = string(&object, "system_prompt")?;
    let form = AgentForm {
        id: None,
        name: Some(string(&object, "name")?.unwrap_or_else(|| unnamed(now))),
        description: string(&object, "description")?,
        system_prompt: Some(
            system_prompt.ok_or_else(|| Error::bad_request("The text holds no system prompt"))?,
        ),
        default_model_id: known_model(&object, workspace)?,
        tags: Some(items(&object, "tags", |tag| {
            tag.as_str().map(str::to_owned).ok_or("must be text".into())
        })?),
        capabilities: Some(items(&object, "capabilities", |one| match one {
            Value::String(id) => assignment::capability(&json!({ "ref": id })),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                assignment::capability(one)
            }
        })?),
        tools: Some(items(&object, "tools", tool)?),
        archived: None,
    };
    Ok(Read { form, keys })
}

/// What the text says, by key.
fn object(text: &str) -> Result<Object, Error> {
    let broken =
        |what: &str, reason: String| Error::bad_request(format!("The {what} cannot be read: {reason}"));
    if let Some(parts) = front_matter(text) {
        let (front, body) = parts.ok_or_else(|| {
            Error::bad_request(
                "The front matter that begins the text has no end: a second line `---` is missing",
            )
        })?;
        let mut object = if front.trim().is_empty() {
            Object::new()
        } else {
            yaml::object(front).map_err(|reason| broken("front matter", reason))?
        };
        if !body.trim().is_empty() {
            object.insert("system_prompt".into(), body.trim().into());
        }
        return Ok(object);
    }
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| broken("JSON", error.to_string()));
    }
    if let Ok(object) = yaml::object(text)
        && (object.contains_key("name") || object.contains_key("system_prompt"))
    {
        return Ok(object);
    }
    let mut object = Object::new();
    if !text.trim().is_empty() {
        object.insert("system_prompt".into(), text.trim().into());
    }
    Ok(object)
}

/// The two halves of a text that begins with `---`; nothing in place of them where the front matter has no end.
#[expect(clippy::option_option, reason = "not such a text, and such a text that is broken")]
fn front_matter(text: &str) -> Option<Option<(&str, &str)>> {
    let is_rule = |line: &str| line.trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| is_rule(line))?;
    let mut end = first.len();
    for line in lines {
        if is_rule(line) {
            return Some(text.get(first.len()..end).zip(text.get(end + line.len()..)));
        }
        end += line.len();
    }
    Some(None)
}

fn file_keys(object: &Object) -> Result<FileKeys, Error> {
    let keys: FileKeys = serde_json::from_value(Value::Object(object.clone()))
        .map_err(|error| Error::bad_request(format!("The front matter does not fit: {error}")))?;
    if keys.kind != ComponentKind::Agent {
        return Err(Error::bad_request("Only agents can be imported: teams and workflows belong to files"));
    }
    Ok(keys)
}

fn string(object: &Object, key: &str) -> Result<Option<String>, Error> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(Error::bad_request(format!("{key} must be text")))
        }
    }
}

fn items<T>(object: &Object, key: &str, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, Error> {
    let Some(value) = object.get(key) else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| Error::bad_request(format!("{key} must be a list")))?;
    let read = |item| read(item).map_err(|reason| Error::bad_request(format!("{key}: {reason}")));
    list.iter().map(read).collect()
}

/// A model that this server knows; a text may come from another one.
fn known_model(object: &Object, workspace: &Workspace) -> Result<Option<String>, Error> {
    let Some(text) = string(object, "default_model_id")? else { return Ok(None) };
    let found = models::find(workspace, ids::parse(MODEL, &text)?);
    Ok(found.map(|model| ids::model(&model).to_string()))
}

/// A client-side tool, in this surface's words or in those of a file.
fn tool(item: &Value) -> Result<DeclaredTool, String> {
    let is_of_client =
        match (item.get("kind").and_then(Value::as_str), item.get("type").and_then(Value::as_str)) {
            (Some(kind), _) => kind == "external",
            (None, kind) => kind.is_none_or(|kind| kind == "client_side"),
        };
    if !is_of_client {
        return Err("tools that the server executes can be declared in its own files only".into());
    }
    assignment::client_tool(item)
}

fn unnamed(now: Timestamp) -> String {
    let micros = i64::try_from(now.0).unwrap_or_default();
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or_default();
    format!("agent-{}", moment.strftime("%Y%m%d-%H%M%S"))
}

/// The Markdown file of an agent; reading it gives the same agent, without the tools that only the server executes.
pub(super) fn write(agent: &SavedAgent) -> String {
    let spec = &agent.spec;
    let mut front = String::from("---\n");
    let mut line = |key: &str, value: Value| front.push_str(&format!("{key}: {value}\n"));
    line("name", spec.name.as_str().into());
    if let Some(description) = &spec.description {
        line("description", description.as_str().into());
    }
    if spec.source == Source::Client && !agent.any_model {
        line("default_model_id", ids::model(&spec.model).to_string().into());
    }
    let capabilities = spec.capabilities.iter().map(|one| match one.config.as_object() {
        Some(config) if !config.is_empty() => format!("ref: {}\n    config: {}", json!(one.id), one.config),
        Some(_) | None => json!(one.id).to_string(),
    });
    front.push_str(&block("tags", agent.tags.iter().map(|tag| json!(tag).to_string())));
    front.push_str(&block("capabilities", capabilities));
    front.push_str(&block("tools", assignment::shown_tools(&spec.tools).iter().map(Value::to_string)));
    if spec.source == Source::File {
        front.push_str(&keys(&FileKeys::of(agent)));
    }
    let prompt = &spec.instructions;
    if prompt.trim() == prompt && !prompt.is_empty() {
        return format!("{front}---\n\n{prompt}\n");
    }
    // White space around it would be lost below the front matter.
    format!("{front}system_prompt: {}\n---\n", json!(prompt))
}

fn block(key: &str, items: impl Iterator<Item = String>) -> String {
    let list: String = items.map(|item| format!("  - {item}\n")).collect();
    if list.is_empty() { list } else { format!("{key}:\n{list}") }
}

/// What the file has beside the rest, where it is not what is taken for granted; `kind` says that it is such a file.
fn keys(keys: &FileKeys) -> String {
    let fields = |keys: &FileKeys| match serde_json::to_value(keys) {
        Ok(Value::Object(fields)) => fields,
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) | Err(_) => {
            Object::new()
        }
    };
    let usual = fields(&FileKeys::default());
    let told = fields(keys).into_iter().filter(|(key, value)| key == "kind" || usual.get(key) != Some(value));
    told.map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// A name as a file's: lower-case letters, digits and dashes.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => slug.push(letter),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let slug = slug.trim_end_matches('-').get(..80).unwrap_or(slug.trim_end_matches('-'));
    if slug.is_empty() { "agent".into() } else { slug.into() }
}
