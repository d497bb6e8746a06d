//! A leader's part: whom it hands a message to, and what it says about what came back.

use serde_json::{Value, json};

use super::scene::{Done, Scene};
use super::script::Call;
use crate::domain::Object;
use crate::domain::spec::WORK_ON_TASKS;
use crate::domain::tool::ToolSpec;

/// Shorter words say too little about what somebody is good at.
const TELLING_LETTERS: usize = 4;

/// Words that say nothing about it either.
const EMPTY_WORDS: &[&str] = &[
    "about", "from", "have", "into", "that", "them", "they", "this", "what", "when", "which", "with", "your",
];

/// Hands the whole message to the members that it suits; to the first if it suits none.
pub(super) fn delegated(scene: &Scene<'_>) -> Vec<Call> {
    let Some(tool) = scene.tools.iter().find(|tool| is_handing(&tool.name)) else { return Vec::new() };
    if let Some(item) = tool.parameters.pointer("/properties/tasks/items") {
        let whom = fitting(scene, &members(item).map_or(Vec::new(), |(_, members)| members));
        let task = |who| json!({"id": who, "member_id": who, "task": scene.text});
        let tasks: Vec<Value> = whom.into_iter().map(task).collect();
        return vec![Call { name: tool.name.clone(), arguments: json!({ "tasks": tasks }) }];
    }
    let call = |arguments: Object| Call { name: tool.name.clone(), arguments: Value::Object(arguments) };
    let arguments = texts(tool, scene.text);
    let Some((name, members)) = members(&tool.parameters) else { return vec![call(arguments)] };
    let chosen = fitting(scene, &members);
    let to = |member: &str| {
        let whom = [(name.to_owned(), json!(member))];
        call(whom.into_iter().chain(arguments.clone()).collect())
    };
    chosen.into_iter().map(to).collect()
}

/// A sentence or more a member, for a result of such a tool; `None` for any other.
pub(super) fn told(done: &Done<'_>, say: impl Fn(&str) -> String) -> Option<String> {
    if !is_handing(done.name) {
        return None;
    }
    let told = |who: &str, what: &str| format!("{who} says: {}", say(what));
    let mut named = done.arguments.iter().filter(|(name, _)| name.starts_with("member"));
    if let Some(who) = named.find_map(|(_, value)| value.as_str()) {
        return Some(told(who, done.content));
    }
    // Several answers come as sections, each under its member's name.
    let sections = format!("\n\n{}", done.content);
    let sections = sections.split("\n\n## ").filter_map(|section| section.split_once("\n\n"));
    let sections: Vec<String> =
        sections.filter(|(who, _)| !who.is_empty()).map(|(who, what)| told(who, what)).collect();
    Some(if sections.is_empty() { told("The team", done.content) } else { sections.join(" ") })
}

fn is_handing(tool: &str) -> bool {
    tool.contains("delegate") || tool == WORK_ON_TASKS
}

/// The message for everything that takes a text.
fn texts(tool: &ToolSpec, text: &str) -> Object {
    let properties = tool.parameters.get("properties").and_then(Value::as_object);
    let free = properties.into_iter().flatten().filter(|(_, property)| property.get("enum").is_none());
    free.map(|(name, _)| (name.clone(), json!(text))).collect()
}

/// The argument that names a member, and the names it takes.
fn members(schema: &Value) -> Option<(&str, Vec<&str>)> {
    let properties = schema.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, property)| {
        let names = property.get("enum")?.as_array()?;
        Some((name.as_str(), names.iter().filter_map(Value::as_str).collect()))
    })
}

/// Those that share a word with the message; only the best of them where one is to be chosen.
fn fitting<'a>(scene: &Scene<'_>, members: &[&'a str]) -> Vec<&'a str> {
    let asked = words(scene.text);
    let shared = |member: &str| {
        let known = words(&format!("{member} {}", about(scene.system, member)));
        asked.iter().filter(|word| known.iter().any(|other| is_alike(word, other))).count()
    };
    let mut fitting: Vec<(usize, &str)> = members.iter().map(|member| (shared(member), *member)).collect();
    let best = fitting.iter().map(|(shared, _)| *shared).max().unwrap_or_default();
    let is_route = scene.system.to_lowercase().contains("choose the one member");
    fitting.retain(|(shared, _)| if is_route { *shared == best } else { *shared > 0 || best == 0 });
    if is_route || best == 0 {
        fitting.truncate(1);
    }
    fitting.into_iter().map(|(_, member)| member).collect()
}

/// What the leader is told of a member: the line that begins with its name.
fn about<'a>(system: &'a str, member: &str) -> &'a str {
    let start = format!("- `{member}`");
    system.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap_or_default()
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let telling = |word: &&str| word.chars().count() >= TELLING_LETTERS && !EMPTY_WORDS.contains(word);
    words.filter(telling).map(Into::into).collect()
}

/// `check` is `checks`, and `write` is `writer`.
fn is_alike(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}
