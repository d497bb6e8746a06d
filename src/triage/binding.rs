//! What a document's production version means to the agent it is bound to: its definition, for the runs to come.
//!
//! A document says what an agent is told and what it may use, not what programs this machine runs: tools that run
//! programs or send requests are those of the agent's file, whose wording it may change, and capabilities of a high risk
//! are those the agent has already.

use serde_json::{Map, Value};

use super::Board;
use super::error::Error;
use super::form::{Faults, Form};
use crate::domain::Object;
use crate::domain::id::{ComponentId, ModelName};
use crate::domain::spec::{AgentSpec, CapabilityRef, ComponentKind, DeclaredTool, Source, Spec, ToolAction};
use crate::domain::tool::{Effect, Gate};
use crate::runtime::agents::SavedAgent;
use crate::runtime::documents::{Changes, Stored};

/// Most tools, capabilities or prompts of an agent.
const MOST: usize = 100;
/// After so long, a client that executes a tool is not waited for; the file's tools have their own.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What must be written with a publication, so that the agent's next run has this definition. Call
/// `Runtime::refresh` then.
///
/// # Errors
/// [`Error::Invalid`] if there is no such agent, or it cannot be defined so; what the store says.
pub(super) async fn publish(board: &Board, agent: &str, content: &Value) -> Result<Changes, Error> {
    let (saved, spec) = defined(board, agent, content).await?;
    let now = board.now();
    let names_model = content.get("model").is_some_and(|model| !model.is_null());
    let agent = match saved {
        Some(saved) => {
            let any_model = saved.any_model && !names_model;
            SavedAgent { spec, any_model, updated: now, archived: false, ..saved.value }
        }
        None => SavedAgent {
            spec,
            any_model: false,
            tags: Vec::new(),
            archived: false,
            created: now,
            updated: now,
            extra: Object::new(),
        },
    };
    Ok(Changes::default().put(&agent))
}

/// Whether an agent can be defined so.
///
/// # Errors
/// As [`publish`].
pub(super) async fn check(board: &Board, agent: &str, content: &Value) -> Result<(), Error> {
    defined(board, agent, content).await.map(|_| ())
}

/// The agent as a content would define it.
///
/// # Errors
/// As [`publish`].
pub(super) async fn defined_by(board: &Board, agent: &str, content: &Value) -> Result<AgentSpec, Error> {
    defined(board, agent, content).await.map(|(_, spec)| spec)
}

/// The agent as the content defines it: what it does not speak of is as in the agent's file, or else as it is.
async fn defined(
    board: &Board,
    agent: &str,
    content: &Value,
) -> Result<(Option<Stored<SavedAgent>>, AgentSpec), Error> {
    let unknown = || Error::invalid("bound_to.id", "there is no such agent");
    let id: ComponentId = agent.parse().map_err(|_| unknown())?;
    let saved = board.documents.get::<SavedAgent>(agent).await?;
    let file = board.runtime.catalog().get(ComponentKind::Agent, &id);
    let base = match file.as_deref() {
        Some(Spec::Agent(spec)) => spec.clone(),
        Some(Spec::Team(_) | Spec::Workflow(_)) | None => {
            saved.as_ref().map(|saved| saved.spec.clone()).ok_or_else(unknown)?
        }
    };
    let had = base.capabilities.clone();
    let nothing = Map::new();
    let spec = read(content.as_object().unwrap_or(&nothing), base)?;
    let workspace = board.runtime.workspace(board.owner()).await?;
    if !workspace.models.has(&spec.model) {
        return Err(Error::invalid("content.model", format!("there is no model `{}`", spec.model)));
    }
    let new: Vec<_> = spec.capabilities.iter().filter(|one| !had.contains(one)).cloned().collect();
    if let Some(reserved) = workspace.registry.reserved(&new) {
        let message = format!("`{reserved}` is of a high risk, and not among what the agent has already");
        return Err(Error::invalid("content.capabilities", message));
    }
    if let Err(reason) = workspace.registry.compose_agent(&spec) {
        return Err(Error::invalid("content", reason.to_string()));
    }
    Ok((saved, spec))
}

/// # Errors
/// Everything that is wrong.
fn read(fields: &Object, base: AgentSpec) -> Result<AgentSpec, Faults> {
    let whole = Object::from_iter([("content".to_owned(), Value::Object(fields.clone()))]);
    let mut form = Form::of(&whole);
    let sent = whole.get("content").unwrap_or(&Value::Null);
    let spec = form.within("content", sent, |form| overlaid(form, base.clone())).unwrap_or(base);
    form.done(spec)
}

fn overlaid(form: &mut Form<'_>, base: AgentSpec) -> AgentSpec {
    let instructions = form.required("instructions", |form| form.string("instructions").map(str::to_owned));
    if base.source == Source::File
        && let Err(error) = minijinja::Environment::new().template_from_str(&instructions)
    {
        form.fault("instructions", format!("must be a template: {error}"));
    }
    let history = form.number("history_runs", 0..=1000).and_then(|runs| u32::try_from(runs).ok());
    let tools = form.value("tools").map(|_| tools(form, &base.tools));
    let capabilities = form.value("capabilities").map(|_| form.list("capabilities", MOST, capability));
    let fallbacks = form.value("fallback_models").map(|_| form.list("fallback_models", MOST, fallback));
    AgentSpec {
        instructions,
        name: form.trimmed("name", 1..=200).unwrap_or(base.name),
        description: form.text("description", 0..=10_000).or(base.description),
        model: model(form, "model").unwrap_or(base.model),
        fallback_models: fallbacks.unwrap_or(base.fallback_models),
        capabilities: capabilities.unwrap_or(base.capabilities),
        tools: tools.unwrap_or(base.tools),
        history_runs: history.unwrap_or(base.history_runs),
        session_state: object(form, "session_state").unwrap_or(base.session_state),
        metadata: object(form, "metadata").unwrap_or(base.metadata),
        output_schema: object(form, "output_schema").map(Value::Object).or(base.output_schema),
        ..base
    }
}

fn model(form: &mut Form<'_>, name: &str) -> Option<ModelName> {
    let text = form.string(name)?;
    let found = text.parse().map_err(|reason| form.fault(name, format!("{reason}")));
    found.ok()
}

fn fallback(form: &mut Form<'_>, path: &str, sent: &Value) -> Option<ModelName> {
    let found = sent.as_str().and_then(|text| text.parse().ok());
    if found.is_none() {
        form.fault(path, "must be `provider/model`");
    }
    found
}

fn object(form: &mut Form<'_>, name: &str) -> Option<Object> {
    let found = form.value(name)?.as_object().cloned();
    if found.is_none() {
        form.fault(name, "must be an object");
    }
    found
}

/// An id, or an id and settings.
fn capability<'a>(form: &mut Form<'a>, path: &str, sent: &'a Value) -> Option<CapabilityRef> {
    if let Some(id) = sent.as_str() {
        return Some(CapabilityRef { id: id.to_owned(), config: Value::Null });
    }
    form.within(path, sent, |form| CapabilityRef {
        id: form.required("ref", |form| form.text("ref", 1..=128)),
        config: form.value("config").cloned().unwrap_or_default(),
    })
}

/// Tools of the file by their names, or in other words; and tools that the client executes.
fn tools(form: &mut Form<'_>, known: &[DeclaredTool]) -> Vec<DeclaredTool> {
    let known = |name: &str| known.iter().find(|tool| tool.name == name);
    form.list("tools", MOST, |form, path, sent| {
        if let Some(name) = sent.as_str() {
            let found = known(name).cloned();
            if found.is_none() {
                form.fault(path, "the agent's file has no such tool");
            }
            return found;
        }
        let read = |form: &mut Form<'_>| {
            let name = form.required("name", |form| form.text("name", 1..=64));
            let base = known(&name);
            if base.is_none() && form.value("kind").is_some_and(|kind| kind != "external") {
                form.fault("kind", "only tools of the agent's file run programs or send requests");
            }
            reworded(form, name, base)
        };
        form.within(path, sent, read)
    })
}

fn reworded(form: &mut Form<'_>, name: String, base: Option<&DeclaredTool>) -> DeclaredTool {
    let description = form.text("description", 1..=10_000);
    if description.is_none() && base.is_none() {
        form.fault("description", "required");
    }
    let parameters = object(form, "parameters").map(Value::Object);
    let base = base.cloned().unwrap_or_else(|| DeclaredTool {
        name,
        description: String::new(),
        parameters: serde_json::json!({ "type": "object", "properties": {} }),
        effect: Effect::default(),
        timeout: PATIENCE,
        gate: Gate { external: true, ..Gate::default() },
        action: ToolAction::External,
    });
    DeclaredTool {
        description: description.unwrap_or(base.description),
        parameters: parameters.unwrap_or(base.parameters),
        ..base
    }
}
