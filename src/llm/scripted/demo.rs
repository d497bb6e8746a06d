//! The rules of `scripted/demo`: what to call for a message, and what to say about what came of it.
//!
//! A message that begins with a command says outright what is to happen: `/say TEXT`, `/slow N`, `/fail MESSAGE`, or
//! `/call NAME {…}`, one a line. Otherwise words decide, as in [`phrases`]; a team's leader hands the message on, as in
//! [`team`]. What was called already for this message is not called again, so that every run ends.

use serde_json::{Value, json};

use super::instance::instance;
use super::scene::Scene;
use super::script::{Call, Fail, Turn};
use super::{arithmetic, craft, phrases, team, telling};
use crate::domain::tool::{Effect, ToolSpec};

/// Between two words of `/slow`, in milliseconds.
const SLOW_MS: u64 = 50;

/// The most words of `/slow`.
const MAX_SLOW: usize = 10_000;

/// The next turn.
pub(super) fn turn(scene: &Scene<'_>) -> Turn {
    if let Some(turn) = commanded(scene.text.trim()) {
        return turn;
    }
    let calls = calls(scene);
    if !calls.is_empty() {
        return Turn { reason: reason(&calls), call: calls, ..Turn::default() };
    }
    let text = match scene.done.as_slice() {
        [] => craft::crafted(scene).unwrap_or_else(|| telling::chat(scene)),
        [_, ..] => telling::results(scene),
    };
    match scene.schema {
        Some(schema) => {
            let words = if scene.done.is_empty() { phrases::subject(scene.text) } else { &text };
            Turn::say(instance(schema, &|_| words.to_owned()).to_string())
        }
        None => Turn::say(text),
    }
}

fn commanded(text: &str) -> Option<Turn> {
    let (command, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match command {
        "/say" => Some(Turn::say(rest)),
        "/slow" => {
            let words = rest.trim().parse::<usize>().unwrap_or(20).clamp(1, MAX_SLOW);
            let say = (1..=words).map(|word| word.to_string()).collect::<Vec<_>>().join(" ");
            Some(Turn { say, delay_ms: Some(SLOW_MS), ..Turn::default() })
        }
        "/fail" => {
            let message = if rest.is_empty() { "the demo was told to fail" } else { rest };
            let fail =
                Fail { code: "model_provider_error".into(), message: message.into(), retryable: false };
            Some(Turn { fail: Some(fail), ..Turn::default() })
        }
        _ => None,
    }
}

fn calls(scene: &Scene<'_>) -> Vec<Call> {
    let explicit: Vec<Call> = scene.text.lines().filter_map(explicit).collect();
    if !explicit.is_empty() {
        return if scene.done.is_empty() { explicit } else { Vec::new() };
    }
    let handed = team::delegated(scene);
    if !handed.is_empty() {
        return if scene.done.is_empty() { handed } else { Vec::new() };
    }
    let mut calls = arithmetic::calls(scene);
    calls.extend(time(scene));
    calls.extend(memory(scene));
    calls.extend(pages(scene));
    if calls.is_empty() && scene.done.is_empty() {
        calls = [named(scene), tried(scene)].into_iter().find(|some| !some.is_empty()).unwrap_or_default();
    }
    calls.retain(|call| scene.result(&call.name, &call.arguments).is_none());
    calls
}

/// `/call NAME {…}`. Arguments that are no JSON are handed over as they are: that, too, is worth showing.
fn explicit(line: &str) -> Option<Call> {
    let rest = line.trim().strip_prefix("/call ")?.trim();
    let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, "{}"));
    let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
    Some(Call { name: name.into(), arguments })
}

fn time(scene: &Scene<'_>) -> Option<Call> {
    let tool = scene.tools.iter().find(|tool| tool.name.ends_with("current_time"))?;
    let asked = phrases::has_word(scene.text, &["time", "date", "clock", "today", "tomorrow", "o'clock"]);
    let mut arguments = json!({});
    let takes = |name: &str| tool.parameters.pointer(&format!("/properties/{name}"));
    let fields = arguments.as_object_mut()?;
    if let Some(zone) = takes("timezone").and_then(|_| phrases::zone(scene.text)) {
        fields.insert("timezone".into(), json!(zone));
    }
    let formats = takes("format").and_then(|format| format.get("enum")?.as_array());
    if formats.is_some_and(|formats| formats.iter().any(|format| format == "human")) {
        fields.insert("format".into(), json!("human"));
    }
    asked.then(|| Call { name: tool.name.clone(), arguments })
}

fn memory(scene: &Scene<'_>) -> Option<Call> {
    let set =
        |changes: Value| Call { name: "set_session_state".into(), arguments: json!({"changes": changes}) };
    let read = |arguments: Value| Call { name: "read_session_state".into(), arguments };
    let (can_set, can_read) =
        (scene.tool("set_session_state").is_some(), scene.tool("read_session_state").is_some());
    if let Some(note) = phrases::to_note(scene.text).filter(|_| can_set && can_read) {
        let all = read(json!({"path": "notes"}));
        let Some(known) = scene.result(&all.name, &all.arguments) else { return Some(all) };
        let mut notes: Vec<Value> = serde_json::from_str(known.content).unwrap_or_default();
        notes.push(json!(note));
        return Some(set(json!({"notes": notes})));
    }
    if let Some(meant) = phrases::to_remove(scene.text).filter(|_| can_set && can_read) {
        let all = read(json!({"path": "notes"}));
        let Some(known) = scene.result(&all.name, &all.arguments) else { return Some(all) };
        let notes: Vec<String> = serde_json::from_str(known.content).unwrap_or_default();
        let kept: Vec<&String> = notes.iter().filter(|note| !meant(note)).collect();
        return (kept.len() < notes.len()).then(|| set(json!({"notes": kept})));
    }
    if let Some((key, value)) = phrases::to_remember(scene.text).filter(|_| can_set) {
        return Some(set([(key, value)].into_iter().collect()));
    }
    let notes_only = phrases::asks_back(scene.text).filter(|_| can_read)?;
    Some(read(if notes_only { json!({"path": "notes"}) } else { json!({}) }))
}

fn pages(scene: &Scene<'_>) -> Vec<Call> {
    let urls = phrases::urls(scene.text).take(3).filter(|_| scene.tool("web_fetch").is_some());
    urls.map(|url| Call { name: "web_fetch".into(), arguments: json!({"url": url}) }).collect()
}

/// Tools that the message names.
fn named(scene: &Scene<'_>) -> Vec<Call> {
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let words: Vec<&str> = scene.text.split(|c| !of_a_name(c)).collect();
    let tools = scene.tools.iter().filter(|tool| words.contains(&tool.name.as_str()));
    tools.map(|tool| Call { name: tool.name.clone(), arguments: arguments(tool, scene) }).collect()
}

/// A tool that changes nothing and takes nothing but a text is worth trying on any message.
fn tried(scene: &Scene<'_>) -> Vec<Call> {
    let takes_text = |tool: &&ToolSpec| {
        tool.effect == Effect::Pure
            && tool.parameters.get("required").is_some_and(|names| *names == json!(["text"]))
    };
    let text = phrases::subject(scene.text);
    let tool = scene.tools.iter().find(takes_text).filter(|_| !text.is_empty());
    tool.map(|tool| Call { name: tool.name.clone(), arguments: json!({"text": text}) }).into_iter().collect()
}

/// Arguments that fit the tool, from what the message gives away.
fn arguments(tool: &ToolSpec, scene: &Scene<'_>) -> Value {
    let text = scene.text;
    let fill = |name: &str| {
        if let Some(value) = phrases::assigned(text, name).or_else(|| phrases::quoted(text)) {
            return value.to_owned();
        }
        match name {
            "url" | "uri" => phrases::urls(text).next().unwrap_or("https://example.org/").to_owned(),
            "path" | "file" | "filename" => "example.txt".into(),
            _ => phrases::subject(text).to_owned(),
        }
    };
    let mut schema = tool.parameters.clone();
    // Tools fill in what is not required; a schema that says nothing about it requires nothing.
    if let Some(fields) = schema.as_object_mut() {
        fields.entry("required").or_insert_with(|| json!([]));
    }
    instance(&schema, &fill)
}

fn reason(calls: &[Call]) -> String {
    let names: Vec<_> = calls.iter().map(|call| format!("`{}`", call.name)).collect();
    format!("This needs {}.", names.join(" and "))
}
