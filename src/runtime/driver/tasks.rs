//! A list of tasks that a leader hands on: those that depend on nothing open are worked on side by side.

use futures::future::join_all;
use tokio::time::Instant;

use super::children::{self, Above, Child, ChildOrder};
use super::handing::{Called, sooner};
use crate::domain::Object;
use crate::domain::fact::Place;
use crate::domain::id::CallId;
use crate::domain::message::{Input, Media};
use crate::domain::time::Timestamp;
use crate::domain::tool::ToolResult;
use crate::runtime::team::Task;

/// What came of a task.
struct Done {
    id: String,
    text: String,
    failed: bool,
}

/// Works on the tasks, which are in an order in which that can be done.
pub(super) async fn work_on(
    above: Above,
    call: &CallId,
    tasks: Vec<Task>,
    (state, media): (Object, Vec<Media>),
    deadline: Instant,
) -> Called {
    let mut left = tasks;
    let mut done: Vec<Done> = Vec::with_capacity(left.len());
    let mut changes = Vec::new();
    while !left.is_empty() {
        let is_done = |id: &String| done.iter().any(|done| done.id == *id);
        let (ready, later): (Vec<Task>, Vec<Task>) =
            left.into_iter().partition(|task| task.after.iter().all(is_done));
        left = later;
        let children: Vec<_> = ready
            .iter()
            .map(|task| match lacking(task, &done) {
                Some(missing) => Err(missing),
                None => Ok(above.child(ChildOrder {
                    who: task.who.clone(),
                    input: Input { text: with_results(task, &done), media: media.clone(), extra: None },
                    place: Place::Task(call.clone(), task.id.clone()),
                    state: state.clone(),
                    deadline,
                })),
            })
            .collect();
        let results = join_all(children.into_iter().map(async |child| match child {
            Ok(child) => Ok(child.await),
            Err(missing) => Err(missing),
        }));
        let mut waits: Option<Option<Timestamp>> = None;
        for (task, result) in ready.into_iter().zip(results.await) {
            let (text, failed) = match result {
                Err(missing) => (format!("not done, for `{missing}` came to nothing"), true),
                Ok(Err(halt)) => return Called::Halted(halt),
                Ok(Ok(Child::Waits(until))) => {
                    waits = Some(sooner(waits.flatten(), until));
                    continue;
                }
                Ok(Ok(Child::Over(view))) => match children::failure(&view) {
                    None => {
                        changes.extend(children::changes(&view));
                        (view.answer(), false)
                    }
                    Some(failure) => (format!("not done: {}", failure.message), true),
                },
            };
            done.push(Done { id: task.id, text, failed });
        }
        if let Some(until) = waits {
            return Called::Waits(until);
        }
    }
    let all_failed = done.iter().all(|done| done.failed);
    let text: Vec<String> = done.iter().map(|done| format!("## {}\n\n{}", done.id, done.text)).collect();
    let text = text.join("\n\n");
    let result = if all_failed { ToolResult::failed(text) } else { ToolResult::done(text) };
    Called::Result(ToolResult { state: changes, ..result })
}

/// A task that this one builds on and that came to nothing.
fn lacking(task: &Task, done: &[Done]) -> Option<String> {
    let failed = |id: &&String| done.iter().any(|done| done.failed && done.id == **id);
    task.after.iter().find(failed).cloned()
}

/// The task, and what came of those it builds on.
fn with_results(task: &Task, done: &[Done]) -> String {
    let results = done.iter().filter(|done| task.after.contains(&done.id));
    let results: Vec<String> = results.map(|done| format!("## {}\n\n{}", done.id, done.text)).collect();
    if results.is_empty() {
        return task.text.clone();
    }
    format!("{}\n\nWhat it builds on:\n\n{}", task.text, results.join("\n\n"))
}
