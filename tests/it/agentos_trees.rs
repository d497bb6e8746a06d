//! Runs below runs: members of a team and runs of a workflow's steps, as events, as objects, and in decisions.

mod decisions;
mod teams;
mod watching;
mod workflows;

use runhold::api::agentos::events::{Event, Projector};
use runhold::api::agentos::run_body::AnyRun;
use runhold::api::agentos::tree::Tree;
use runhold::domain::fact::{Entry, Fact};
use runhold::domain::id::RunId;
use serde_json::Value;

use crate::facts::*;

fn tree(facts: Vec<(RunId, Fact)>) -> Tree {
    Tree::of(run(), &entries_of(facts)).unwrap()
}

fn object(tree: &Tree) -> Value {
    serde_json::to_value(AnyRun::stored(tree.root())).unwrap()
}

fn events(facts: Vec<(RunId, Fact)>) -> Vec<Event> {
    events_of(run(), &entries_of(facts))
}

/// What a stream about this run shows.
fn events_of(run: RunId, entries: &[Entry]) -> Vec<Event> {
    let mut entries = entries.iter().skip_while(|entry| entry.run != run).peekable();
    let mut projector = Projector::new(entries.peek().unwrap()).unwrap();
    entries.flat_map(|entry| projector.project(entry)).collect()
}

fn json_of(event: &Event) -> Value {
    serde_json::from_str(event.json()).unwrap()
}

/// Number, name and whose it is, line by line: of a run its last digit, and the step where there is one. `.` ends the
/// stream, `|` pauses it.
fn told(events: &[Event]) -> String {
    let line = |event: &Event| {
        let json = json_of(event);
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let last = |key: &str| text(key).chars().last().map(String::from).unwrap_or_default();
        let mut line = format!("{} {} {}", json["event_index"], text("event"), last("run_id"));
        for (sign, what) in [("<", last("parent_run_id")), ("@", text("step_id")), ("=", text("content"))] {
            if !what.is_empty() {
                line.push_str(&format!(" {sign}{what}"));
            }
        }
        line + if event.ends_run() {
            " ."
        } else if event.pauses_run() {
            " |"
        } else {
            ""
        }
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}
