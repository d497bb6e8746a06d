//! What came of the tools, told in sentences, and what is said when there was nothing to call.

use serde_json::Value;

use super::scene::{Done, Scene};
use super::{arithmetic, team};

/// Longest quotation, in characters.
const MAX_QUOTE: usize = 400;

/// A sentence for each result.
pub(super) fn results(scene: &Scene<'_>) -> String {
    let wrote = scene.done.iter().any(|done| done.name == "set_session_state");
    // What was only read in order to be written again needs no sentence of its own.
    let told = scene.done.iter().filter(|done| !(wrote && done.name == "read_session_state"));
    told.map(result).collect::<Vec<_>>().join(" ")
}

fn result(done: &Done<'_>) -> String {
    let value = serde_json::from_str(done.content).unwrap_or_else(|_| Value::String(done.content.into()));
    if done.error {
        return format!("`{}` did not work: {}", done.name, sentence(&cut(done.content)));
    }
    if let Some(sum) = arithmetic::in_words(done.name, &done.arguments) {
        let outcome = arithmetic::outcome(done.content).unwrap_or_else(|| plain(&value));
        return format!("{sum} is {outcome}.");
    }
    let say = |text: &str| {
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
        sentence(&cut(&plain(&value)))
    };
    if let Some(told) = team::told(done, say) {
        return told;
    }
    match done.name {
        name if name.ends_with("current_time") => time(&value),
        "set_session_state" => remembered(done),
        "read_session_state" if is_empty(&value) => "I remember nothing yet.".into(),
        "read_session_state" => sentence(&format!("I remember: {}", cut(&plain(&value)))),
        "web_fetch" => {
            let url = done.arguments.get("url").map(plain).unwrap_or_default();
            sentence(&format!("{url} says: {}", cut(&plain(&value))))
        }
        name => sentence(&format!("`{name}` answered: {}", cut(&plain(&value)))),
    }
}

fn time(value: &Value) -> String {
    let field = |name| value.get(name).and_then(Value::as_str);
    let moment = ["datetime", "time", "now", "current_time"].into_iter().find_map(field);
    let moment = moment.map_or_else(|| plain(value), Into::into);
    match field("timezone").filter(|zone| *zone != "UTC") {
        Some(zone) => format!("It is {moment} ({zone})."),
        None => sentence(&format!("It is {moment}")),
    }
}

fn remembered(done: &Done<'_>) -> String {
    let changes = done.arguments.get("changes").and_then(Value::as_object);
    let sentences = changes.into_iter().flatten().map(|(key, value)| match value {
        Value::Array(items) => listed(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            format!("I will remember that {} is {}.", key.replace('_', " "), plain(value))
        }
    });
    sentences.collect::<Vec<_>>().join(" ")
}

/// The list as it is now.
fn listed(items: &[Value]) -> String {
    match items {
        [] => "The list is empty now.".into(),
        [.., last] if items.len() == 1 => format!("Noted: {}.", plain(last)),
        _ => {
            let numbered =
                items.iter().enumerate().map(|(place, item)| format!("{}. {}", place + 1, plain(item)));
            format!("Noted: {}.", numbered.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What is said when no tool was asked for.
pub(super) fn chat(scene: &Scene<'_>) -> String {
    let said = match scene.text.trim() {
        "" => "You sent no text.".into(),
        text => format!("You said: {}", quoted(text)),
    };
    let before = scene.earlier.iter().rev().find(|text| !text.trim().is_empty());
    let before = before.map(|text| format!(" You said before: {}", quoted(text.trim()))).unwrap_or_default();
    format!(
        "{said}{before} I am the scripted demo model and follow rules, without a key or a network. {}",
        offer(scene)
    )
}

/// In quotation marks; the sentence ends inside if the text's own does.
fn quoted(text: &str) -> String {
    let text = cut(text);
    let stop = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("“{text}”{stop}")
}

fn offer(scene: &Scene<'_>) -> String {
    let names: Vec<_> = scene.tools.iter().map(|tool| format!("`{}`", tool.name)).collect();
    match names.as_slice() {
        [] => "I have no tools here; `/say`, `/slow` and `/fail` show what a stream can look like.".into(),
        [only] => format!("I can call {only}: name it, or write `/call NAME {{…}}`."),
        [most @ .., last] => {
            let most = most.join(", ");
            format!(
                "I can call {most} and {last}: ask for what they do, name one, or write `/call NAME {{…}}`."
            )
        }
    }
}

/// A value in words: lists and objects without their brackets.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let told = fields.iter().filter(|(_, value)| !is_empty(value));
            let told = told.map(|(key, value)| match value {
                Value::Number(number) => format!("{}: {number}", key.replace('_', " ")),
                Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    format!("{} is {}", key.replace('_', " "), plain(value))
                }
            });
            told.collect::<Vec<_>>().join("; ")
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

/// Ends as a sentence does.
fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?', '…']) { text.into() } else { format!("{text}.") }
}

/// Not longer than a quotation should be.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => text.get(..end).unwrap_or(text).to_owned() + "…",
        None => text.into(),
    }
}
