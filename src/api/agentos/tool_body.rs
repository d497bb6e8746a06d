//! A tool call as AgentOS shows it: one object with every key, null where nothing is known.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::domain::Object;
use crate::domain::fact::Decision;
use crate::domain::id::{CallId, RunId};
use crate::domain::spec::{DeclaredTool, Spec};
use crate::domain::time::Timestamp;
use crate::domain::tool::Gate;
use crate::domain::view::{Call, RunView, Turn};

use super::message_body::derived_id;
use super::tree::Node;

/// Longest argument that is written out in the sentence about a finished call, in bytes.
const SPOKEN_ARGUMENT_BYTES: usize = 100;

/// A tool call, with all keys: Agno's client reads them without asking whether they are there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool<'a> {
    tool_call_id: &'a str,
    tool_name: &'a str,
    tool_args: Object,
    tool_call_error: Option<bool>,
    result: Option<&'a str>,
    metrics: Option<ToolTimes>,
    child_run_id: Option<RunId>,
    stop_after_tool_call: bool,
    created_at: u64,
    requires_confirmation: Option<bool>,
    confirmed: Option<bool>,
    confirmation_note: Option<&'a str>,
    requires_user_input: Option<bool>,
    user_input_schema: Option<Vec<InputField>>,
    user_feedback_schema: Option<Value>,
    answered: Option<bool>,
    external_execution_required: Option<bool>,
    external_execution_silent: Option<bool>,
    approval_type: Option<&'a str>,
    approval_id: Option<&'a str>,
}

/// Seconds since 1970, and between the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ToolTimes {
    start_time: f64,
    end_time: f64,
    duration: f64,
}

/// An argument a person must give. All four keys must be there: Agno's client indexes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputField {
    name: String,
    field_type: &'static str,
    description: Option<String>,
    value: Option<Value>,
}

/// A decision that is asked for; `tool_execution` carries what it is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Requirement<'a> {
    id: String,
    created_at: String,
    #[serde(flatten)]
    member: Option<Member<'a>>,
    tool_execution: Tool<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_input_schema: Option<Vec<InputField>>,
}

/// Whose call it is, if it is not the run's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Member<'a> {
    member_agent_id: &'a str,
    member_agent_name: &'a str,
    member_run_id: RunId,
}

impl<'a> Tool<'a> {
    fn new(node: Node<'a>, turn: &'a Turn, call: &'a Call) -> Self {
        let (view, gate) = (node.view, gate(node, call));
        let decision = call.answer.as_ref().map(|answer| &answer.decision);
        Self {
            tool_call_id: call.call.id.as_str(),
            tool_name: &call.call.name,
            tool_args: arguments(call),
            tool_call_error: call.failed(),
            result: call.result.as_ref().map(|result| result.content.as_str()),
            metrics: times(call),
            child_run_id: only(node.of_call(&call.call.id)).map(|child| child.view.run),
            stop_after_tool_call: false,
            created_at: call.started.unwrap_or_else(|| asked(turn)).seconds(),
            requires_confirmation: gate.confirmation.then_some(true),
            confirmed: decision.filter(|_| gate.confirmation).map(is_agreement),
            confirmation_note: decision.and_then(note),
            requires_user_input: (!gate.user_input.is_empty()).then_some(true),
            user_input_schema: (!gate.user_input.is_empty()).then(|| input_fields(view, call, &gate)),
            user_feedback_schema: None,
            answered: decision.filter(|_| !gate.user_input.is_empty()).map(is_agreement),
            external_execution_required: gate.external.then_some(true),
            external_execution_silent: None,
            approval_type: None,
            approval_id: None,
        }
    }

    /// `NAME(a=1) completed in 0.0827s. `, as Agno says it.
    pub fn completed_sentence(&self) -> String {
        let spoken = |(name, value): (&String, &Value)| match value {
            Value::String(text) if text.len() > SPOKEN_ARGUMENT_BYTES => format!("{name}=..."),
            Value::String(text) => format!("{name}={text}"),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                format!("{name}={value}")
            }
        };
        let arguments: Vec<String> = self.tool_args.iter().map(spoken).collect();
        let seconds = self.metrics.as_ref().map_or(0.0, |times| times.duration);
        format!("{}({}) completed in {seconds:.4}s. ", self.tool_name, arguments.join(", "))
    }

    /// What went wrong, as the model reads it.
    pub fn error(&self) -> Option<&'a str> {
        self.result.filter(|_| self.tool_call_error == Some(true))
    }
}

/// All calls of a run, in the order they were asked for.
pub fn tools(node: Node<'_>) -> Vec<Tool<'_>> {
    pairs(node.view).map(|(turn, call)| Tool::new(node, turn, call)).collect()
}

/// One call of a run, the latest of that name.
pub fn tool<'a>(node: Node<'a>, id: &CallId) -> Option<Tool<'a>> {
    let (turn, call) = pairs_backwards(node.view).find(|(_, call)| call.call.id == *id)?;
    Some(Tool::new(node, turn, call))
}

/// The calls that somebody must decide about, of the run and of those below it.
pub fn waiting(node: Node<'_>) -> Vec<Tool<'_>> {
    open_calls(node).into_iter().filter_map(|(node, call)| tool(node, &call.call.id)).collect()
}

/// The calls that somebody must decide about, and whose they are: of the run itself first. A call that was handed to
/// members waits for nobody itself.
pub fn open_calls(node: Node<'_>) -> Vec<(Node<'_>, &Call)> {
    if !node.waits() {
        return Vec::new();
    }
    let handed_on = |id: &&CallId| node.of_call(id).next().is_some();
    let (below, own): (Vec<&CallId>, Vec<&CallId>) = node.view.waiting.iter().partition(handed_on);
    let mut open: Vec<_> =
        own.into_iter().filter_map(|id| node.view.call(id)).map(|call| (node, call)).collect();
    open.extend(below.into_iter().flat_map(|id| node.of_call(id)).flat_map(open_calls));
    open
}

/// What must be decided before the run goes on.
pub fn requirements(node: Node<'_>) -> Vec<Requirement<'_>> {
    let open = open_calls(node).into_iter();
    open.filter_map(|(asking, call)| Requirement::new(node, asking, &call.call.id)).collect()
}

impl<'a> Requirement<'a> {
    /// About a call of `asking`, for whoever goes on with `node`.
    fn new(node: Node<'_>, asking: Node<'a>, call: &CallId) -> Option<Self> {
        let view = asking.view;
        let tool = tool(asking, call)?;
        let asked_at = view.turns.last().map_or(view.created, asked);
        Some(Self {
            id: derived_id(view.run, &format!("requirement {}", tool.tool_call_id)).to_string(),
            created_at: offset_time(asked_at),
            member: (view.run != node.view.run).then(|| Member {
                member_agent_id: view.spec.id().as_str(),
                member_agent_name: view.spec.name(),
                member_run_id: view.run,
            }),
            user_input_schema: tool.user_input_schema.clone(),
            tool_execution: tool,
        })
    }
}

/// The sentence a paused run answers with.
pub fn pause_sentence(node: Node<'_>) -> Cow<'static, str> {
    let doubted = open_calls(node).into_iter().find(|(_, call)| call.doubted);
    if let Some((_, call)) = doubted {
        return Cow::Owned(format!(
            "It is not known whether `{}` took effect: the server stopped while it was being called. Confirm to have \
             it called again, reject to leave it, or give its result.",
            call.call.name
        ));
    }
    let tools = waiting(node);
    let sentence = if tools.iter().any(|tool| tool.requires_confirmation == Some(true)) {
        "I have tools to execute, but I need confirmation."
    } else if tools.iter().any(|tool| tool.requires_user_input == Some(true)) {
        "I have tools to execute, but I need user input."
    } else {
        "I have tools to execute, but they need external execution."
    };
    Cow::Borrowed(sentence)
}

/// The one there is; `None` if there are several.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

fn pairs_backwards(view: &RunView) -> impl Iterator<Item = (&Turn, &Call)> {
    view.turns.iter().rev().flat_map(|turn| turn.calls.iter().rev().map(move |call| (turn, call)))
}

fn pairs(view: &RunView) -> impl Iterator<Item = (&Turn, &Call)> {
    view.turns.iter().flat_map(|turn| turn.calls.iter().map(move |call| (turn, call)))
}

fn asked(turn: &Turn) -> Timestamp {
    turn.answered.unwrap_or(turn.called)
}

/// With `+00:00` in place of `Z`, which Python before 3.11 does not read.
pub(super) fn offset_time(at: Timestamp) -> String {
    at.to_string().replace('Z', "+00:00")
}

/// The arguments as the tool gets them: a person's values lie over the model's.
pub fn arguments(call: &Call) -> Object {
    let mut arguments = call.call.parsed().unwrap_or_default();
    if let Some(Decision::Approved { values }) = call.answer.as_ref().map(|answer| &answer.decision) {
        arguments.extend(values.clone());
    }
    arguments
}

fn times(call: &Call) -> Option<ToolTimes> {
    let (start, end) = call.started.zip(call.finished)?;
    Some(ToolTimes {
        start_time: start.seconds_f64(),
        end_time: end.seconds_f64(),
        duration: end.seconds_since(start),
    })
}

fn is_agreement(decision: &Decision) -> bool {
    match decision {
        Decision::Approved { .. } | Decision::Executed { .. } => true,
        Decision::Rejected { .. } => false,
    }
}

fn note(decision: &Decision) -> Option<&str> {
    match decision {
        Decision::Rejected { note } => note.as_deref(),
        Decision::Approved { .. } | Decision::Executed { .. } => None,
    }
}

/// Who had to be asked. A declared tool says so itself; for the others the facts do.
pub(super) fn gate(node: Node<'_>, call: &Call) -> Gate {
    let view = node.view;
    if node.of_call(&call.call.id).next().is_some() {
        return Gate::default();
    }
    let declared = declared(&view.spec, &call.call.name).map(|tool| tool.gate.clone());
    if let Some(gate) = declared.filter(|gate| !gate.is_open()) {
        return gate;
    }
    match call.answer.as_ref().map(|answer| &answer.decision) {
        Some(Decision::Executed { .. }) => Gate { external: true, ..Gate::default() },
        Some(Decision::Approved { .. } | Decision::Rejected { .. }) => {
            Gate { confirmation: true, ..Gate::default() }
        }
        None => Gate { confirmation: view.waiting.contains(&call.call.id), ..Gate::default() },
    }
}

pub(super) fn declared<'a>(spec: &'a Spec, name: &str) -> Option<&'a DeclaredTool> {
    let tools = match spec {
        Spec::Agent(agent) => &agent.tools,
        Spec::Team(team) => &team.leader.tools,
        Spec::Workflow(workflow) => &workflow.tools,
    };
    tools.iter().find(|tool| tool.name == name)
}

fn input_fields(view: &RunView, call: &Call, gate: &Gate) -> Vec<InputField> {
    let given = match call.answer.as_ref().map(|answer| &answer.decision) {
        Some(Decision::Approved { values }) => Some(values),
        Some(Decision::Rejected { .. } | Decision::Executed { .. }) | None => None,
    };
    InputField::all(&gate.user_input, declared(&view.spec, &call.call.name), given)
}

impl InputField {
    /// Arguments of a tool that a person gives, with what was given already.
    pub(super) fn all(names: &[String], tool: Option<&DeclaredTool>, given: Option<&Object>) -> Vec<Self> {
        let schemas = tool.and_then(|tool| tool.parameters.get("properties"));
        let field = |name: &String| {
            let schema = schemas.and_then(|schemas| schemas.get(name));
            let says = |key| schema.and_then(|schema| schema.get(key)).and_then(Value::as_str);
            Self {
                name: name.clone(),
                field_type: python_type(says("type")),
                description: says("description").map(Into::into),
                value: given.and_then(|given| given.get(name)).cloned(),
            }
        };
        names.iter().map(field).collect()
    }
}

fn python_type(json_type: Option<&str>) -> &'static str {
    match json_type {
        Some("integer") => "int",
        Some("number") => "float",
        Some("boolean") => "bool",
        Some("array") => "list",
        Some("object") => "dict",
        _ => "str",
    }
}
