//! What somebody decided, read out of the objects a client sends back.
//!
//! What was shown is what runs: of an object that comes back, only the decision is read; what it is about is found
//! in the log by the names of calls, steps and runs.

use serde_json::Value;

use crate::api::body;
use crate::domain::Object;
use crate::domain::fact::{Answer, Decision};
use crate::domain::id::RunId;
use crate::domain::run::Answers;
use crate::domain::spec::ComponentKind;
use crate::domain::step::{StepAnswer, StepDecision};
use crate::domain::tool::Gate;
use crate::domain::view::Call;

use super::error::Error;
use super::feedback;
use super::step_body::step_id;
use super::step_requirement::{self, Wait, Waiting};
use super::tool_body;
use super::tree::Node;

/// What a client sent back: objects as it received them, with decisions filled in.
#[derive(Debug, Default)]
pub struct Sent {
    /// Tools.
    pub tools: Vec<Object>,
    /// Requirements, each around a tool.
    pub requirements: Vec<Object>,
    /// Requirements of steps, of those that failed too.
    pub steps: Vec<Object>,
}

impl Sent {
    /// Whether nothing came back.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty() && self.requirements.is_empty() && self.steps.is_empty()
    }
}

/// A list of objects that a field holds.
///
/// # Errors
/// 400 in the words of the field.
pub fn objects(field: &str, list: Value) -> Result<Vec<Object>, Error> {
    if body::check(&list).is_err() {
        let most = body::MAX_DEPTH;
        let why = format!("must not hold the NUL character or be nested deeper than {most}");
        return Err(wrong(field, &why));
    }
    let Value::Array(items) = list else { return Err(wrong(field, "must be a list")) };
    let (kind, sign) = match field {
        "tools" => ("tool", "tool_call_id"),
        "requirements" => ("requirement", "tool_execution"),
        "error_requirements" => ("error requirement", "step_id"),
        _ => ("step requirement", "step_id"),
    };
    let has_sign = |item: &Object| match (item.get(sign), sign) {
        (Some(Value::Object(tool)), "tool_execution") => {
            tool.get("tool_call_id").is_some_and(Value::is_string)
        }
        (Some(value), _) => value.is_string(),
        (None, _) => false,
    };
    let object = |item: Value| {
        let object = item.as_object().filter(|item| has_sign(item)).cloned();
        object.ok_or_else(|| wrong(field, &format!("each {kind} must be an object with a {sign}")))
    };
    items.into_iter().map(object).collect()
}

fn wrong(field: &str, why: &str) -> Error {
    Error::bad_request(format!("Invalid structure or content for {field}: {why}"))
}

/// The decisions among these objects. What nobody decided goes on waiting.
///
/// # Errors
/// 400 if nothing that waits is decided, or it is not clear what is.
pub fn answers(node: Node<'_>, sent: &Sent) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    for tool in &sent.tools {
        about_call(node, None, tool, "tools", &mut answers)?;
    }
    for requirement in &sent.requirements {
        about_requirement(node, requirement, "requirements", &mut answers)?;
    }
    about_steps(node, &sent.steps, &mut answers)?;
    if answers == Answers::default() { Err(nothing_decided(node)) } else { Ok(answers) }
}

fn nothing_decided(node: Node<'_>) -> Error {
    let listed = |names: Vec<&str>| names.join(", ");
    match node.view.spec.kind() {
        ComponentKind::Workflow => {
            let steps = node.view.waiting_steps.iter().map(step_id).collect();
            let why = format!("no decision about any of the steps that wait: {}", listed(steps));
            wrong("step_requirements", &why)
        }
        kind @ (ComponentKind::Agent | ComponentKind::Team) => {
            let open = tool_body::open_calls(node);
            let calls = open.iter().map(|(_, call)| call.call.id.as_str()).collect();
            let why = format!("no decision about any of the calls that wait: {}", listed(calls));
            wrong(if kind == ComponentKind::Team { "requirements" } else { "tools" }, &why)
        }
    }
}

/// A decision may stand on the requirement or on its tool; the tool's counts.
fn about_requirement(
    node: Node<'_>,
    requirement: &Object,
    field: &str,
    answers: &mut Answers,
) -> Result<(), Error> {
    let Some(Value::Object(tool)) = requirement.get("tool_execution") else { return Ok(()) };
    let mut tool = tool.clone();
    for (outside, inside) in [
        ("confirmation", "confirmed"),
        ("confirmation_note", "confirmation_note"),
        ("external_execution_result", "result"),
    ] {
        let is_open = tool.get(inside).is_none_or(Value::is_null);
        if let Some(value) = requirement.get(outside).filter(|_| is_open) {
            tool.insert(inside.into(), value.clone());
        }
    }
    if let (Some(Value::Array(outside)), inside) =
        (requirement.get("user_input_schema"), tool.get("user_input_schema"))
    {
        let inside = inside.and_then(Value::as_array).cloned().unwrap_or_default();
        let all = inside.into_iter().chain(outside.iter().cloned()).collect();
        tool.insert("user_input_schema".into(), Value::Array(all));
    }
    if let Some(outside @ Value::Array(_)) = requirement.get("user_feedback_schema")
        && !feedback::is_chosen(tool.get("user_feedback_schema"))
    {
        tool.insert("user_feedback_schema".into(), outside.clone());
    }
    let member = match requirement.get("member_run_id").and_then(Value::as_str) {
        None => None,
        Some(name) => {
            let run: RunId = name.parse().map_err(|_| wrong(field, "member_run_id names no run"))?;
            Some(run)
        }
    };
    about_call(node, member, &tool, field, answers)
}

/// Of the calls of that name that wait: the named run's, else the run's own, else the only one below it.
fn about_call(
    node: Node<'_>,
    member: Option<RunId>,
    tool: &Object,
    field: &str,
    answers: &mut Answers,
) -> Result<(), Error> {
    let id = tool.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
    let mut found = tool_body::open_calls(node);
    found.retain(|(asking, call)| {
        call.call.id.as_str() == id && member.is_none_or(|run| run == asking.view.run)
    });
    if found.iter().any(|(asking, _)| asking.view.run == node.view.run) {
        found.retain(|(asking, _)| asking.view.run == node.view.run);
    }
    let (asking, call) = match found.as_slice() {
        [] => return Ok(()),
        [only] => *only,
        _ => {
            return Err(wrong(
                field,
                &format!("several runs wait for the call {id}: name one in member_run_id"),
            ));
        }
    };
    if let Some(decision) = of_call(&tool_body::gate(asking, call), tool, call) {
        answers.calls.push((asking.view.run, Answer { call: call.call.id.clone(), decision }));
    }
    Ok(())
}

fn about_steps(node: Node<'_>, steps: &[Object], answers: &mut Answers) -> Result<(), Error> {
    for waiting in step_requirement::waiting(node) {
        let named =
            |step: &&Object| step.get("step_id").and_then(Value::as_str) == Some(step_id(waiting.key));
        let mut named = steps.iter().filter(named);
        let Some(step) = named.clone().find(|step| is_decided(step)).or_else(|| named.next()) else {
            continue;
        };
        match waiting.wait {
            Wait::Run(run) => about_executor(run, step, answers)?,
            Wait::Leave | Wait::Routes | Wait::Review | Wait::Failure(_) => {
                if let Some(decision) = of_step(&waiting, step)? {
                    let answer = StepAnswer { step: waiting.key.clone(), decision };
                    answers.steps.push((node.view.run, answer));
                }
            }
        }
    }
    Ok(())
}

/// Whether a requirement says what is to become of a step that failed; such a step has two requirements.
fn is_decided(step: &Object) -> bool {
    ["decision", "confirmed"].iter().any(|key| step.get(*key).is_some_and(|value| !value.is_null()))
}

/// What was decided in the run of a step: about its calls, or, of a workflow's, about its steps.
fn about_executor(run: Node<'_>, step: &Object, answers: &mut Answers) -> Result<(), Error> {
    let nested = step.get("executor_requirements").and_then(Value::as_array);
    let nested: Vec<Object> =
        nested.into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect();
    let (steps, calls): (Vec<Object>, Vec<Object>) =
        nested.into_iter().partition(|item| item.contains_key("step_id"));
    for requirement in &calls {
        about_requirement(run, requirement, "step_requirements", answers)?;
    }
    about_steps(run, &steps, answers)
}

/// What was decided about a call, by what it waits for; `None` if it is not decided yet.
fn of_call(gate: &Gate, tool: &Object, call: &Call) -> Option<Decision> {
    let note = || text(tool, "confirmation_note");
    let confirmed = tool.get("confirmed").and_then(Value::as_bool);
    if confirmed == Some(false) {
        return Some(Decision::Rejected { note: note() });
    }
    if gate.feedback && !call.doubted {
        let result = feedback::chosen(call, tool.get("user_feedback_schema")?)?;
        return Some(Decision::Executed { result, failed: false });
    }
    let is_told = call.doubted && tool.get("result").is_some_and(|result| !result.is_null());
    if gate.external || is_told {
        return text(tool, "result").map(|result| Decision::Executed { result, failed: false });
    }
    if gate.confirmation && confirmed.is_none() {
        return None;
    }
    Some(Decision::Approved { values: values(gate, tool)? })
}

/// What was decided about a step, by what it waits for; `None` if it is not decided yet.
fn of_step(waiting: &Waiting<'_>, step: &Object) -> Result<Option<StepDecision>, Error> {
    let confirmed = step.get("confirmed").and_then(Value::as_bool);
    if confirmed == Some(false) {
        let feedback = text(step, "rejection_feedback").or_else(|| text(step, "confirmation_note"));
        return Ok(Some(StepDecision::Rejected { feedback }));
    }
    let edited = || text(step, "edited_output").map(|content| StepDecision::Edited { content });
    let approved = |values| StepDecision::Approved { values, routes: Vec::new() };
    Ok(match waiting.wait {
        Wait::Failure(_) => match (step.get("decision").and_then(Value::as_str), confirmed) {
            (Some("retry"), _) | (None, Some(true)) => Some(approved(Object::new())),
            (Some("skip"), _) => Some(StepDecision::Rejected { feedback: None }),
            (Some(other), _) => {
                return Err(wrong("error_requirements", &format!("`{other}` is neither `retry` nor `skip`")));
            }
            (None, _) => edited(),
        },
        Wait::Review => edited().or_else(|| (confirmed == Some(true)).then(|| approved(Object::new()))),
        Wait::Routes => chosen(waiting, step)?,
        Wait::Leave if waiting.gate.external => edited(),
        Wait::Leave if waiting.asks_to_confirm() && confirmed.is_none() => None,
        Wait::Leave => values(&waiting.gate, step).map(approved),
        Wait::Run(_) => None,
    })
}

/// Routes a person chose: known ones, and not more than may be.
fn chosen(waiting: &Waiting<'_>, step: &Object) -> Result<Option<StepDecision>, Error> {
    let names = step.get("selected_choices").and_then(Value::as_array);
    let routes: Vec<String> =
        names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let known = waiting.routes().unwrap_or_default();
    if let Some(unknown) = routes.iter().find(|route| !known.contains(&route.as_str())) {
        let why = format!("`{unknown}` is none of the choices: {}", known.join(", "));
        return Err(wrong("step_requirements", &why));
    }
    if routes.len() > 1 && !waiting.takes_several() {
        return Err(wrong("step_requirements", "only one of the choices may be selected"));
    }
    let decided = StepDecision::Approved { values: Object::new(), routes: routes.clone() };
    Ok((!routes.is_empty()).then_some(decided))
}

/// What a person gave for everything that was asked for; `None` while something is missing. It stands in the schema,
/// or, of a step, in an object of its own.
fn values(gate: &Gate, from: &Object) -> Option<Object> {
    let fields = from.get("user_input_schema").and_then(Value::as_array);
    let in_schema = |name: &String| {
        let mut named = fields
            .into_iter()
            .flatten()
            .filter(|field| field.get("name").and_then(Value::as_str) == Some(name));
        named.find_map(|field| field.get("value").filter(|value| !value.is_null()))
    };
    let given = from.get("user_input").and_then(Value::as_object);
    let of = |name: &String| {
        let value = given.and_then(|given| given.get(name)).filter(|value| !value.is_null());
        Some((name.clone(), value.or_else(|| in_schema(name))?.clone()))
    };
    gate.user_input.iter().map(of).collect()
}

/// Text; anything else as JSON. `None` if there is nothing.
fn text(object: &Object, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    }
}
