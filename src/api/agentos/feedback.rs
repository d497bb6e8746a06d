//! Questions with answers to choose from, as AgentOS shows them, and what was chosen as the model reads it.

use serde_json::{Value, json};

use crate::domain::fact::Decision;
use crate::domain::view::Call;

/// Stands before what was chosen.
const RECEIVED: &str = "User feedback received: ";

/// The questions of a call, each with what was chosen once somebody did.
pub(super) fn schema(call: &Call) -> Value {
    let chosen = match call.answer.as_ref().map(|answer| &answer.decision) {
        Some(Decision::Executed { result, .. }) => result.strip_prefix(RECEIVED),
        Some(Decision::Approved { .. } | Decision::Rejected { .. }) | None => None,
    };
    let chosen: Option<Value> = chosen.and_then(|list| serde_json::from_str(list).ok());
    let shown = |(at, question): (usize, &Value)| {
        let labels = chosen.as_ref().and_then(|list| list.get(at)?.get("selected").cloned());
        let option = |option: &Value| {
            let label = option.get("label");
            let is_chosen = |labels: &Value| {
                labels.as_array().is_some_and(|all| all.iter().any(|one| Some(one) == label))
            };
            json!({
                "label": label,
                "description": option.get("description"),
                "selected": labels.as_ref().is_some_and(is_chosen),
            })
        };
        json!({
            "question": question.get("question"),
            "header": question.get("header"),
            "options": options(question).iter().map(option).collect::<Vec<_>>(),
            "multi_select": question.get("multi_select").and_then(Value::as_bool).unwrap_or(false),
            "selected_options": labels,
        })
    };
    questions(call).iter().enumerate().map(shown).collect()
}

/// What a client chose, as the model reads it; `None` while a question has no answer, or one that is not among its
/// options.
pub(super) fn chosen(call: &Call, sent: &Value) -> Option<String> {
    let sent = sent.as_array()?;
    let answers: Option<Vec<Value>> = questions(call)
        .iter()
        .map(|question| {
            let text = question.get("question")?;
            let answer = sent.iter().find(|one| one.get("question") == Some(text))?;
            let labels = answer.get("selected_options")?.as_array()?;
            let known = |label: &Value| options(question).iter().any(|one| one.get("label") == Some(label));
            let several = question.get("multi_select").and_then(Value::as_bool).unwrap_or(false);
            let fits = labels.iter().all(known) && (several || labels.len() == 1);
            fits.then(|| json!({ "question": text, "selected": labels }))
        })
        .collect();
    Some(format!("{RECEIVED}{}", Value::Array(answers?)))
}

/// Whether anything was chosen in a list of questions that came back.
pub(super) fn is_chosen(sent: Option<&Value>) -> bool {
    let all = sent.and_then(Value::as_array).into_iter().flatten();
    all.into_iter().any(|one| one.get("selected_options").is_some_and(Value::is_array))
}

fn questions(call: &Call) -> Vec<Value> {
    let arguments = call.call.parsed().unwrap_or_default();
    arguments.get("questions").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn options(question: &Value) -> Vec<Value> {
    question.get("options").and_then(Value::as_array).cloned().unwrap_or_default()
}
