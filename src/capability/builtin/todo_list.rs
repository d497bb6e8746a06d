//! A list of tasks that a model keeps for itself: nothing of it is stored but the calls that wrote it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::spec;
use crate::capability::{About, Capability, Contribution, Invocation, Tool};
use crate::domain::tool::{Effect, ToolResult, ToolSpec};

/// `stateless_todo_list`.
pub(super) struct TodoList(About);

impl TodoList {
    pub(super) fn new() -> Self {
        let description =
            "Keeps a list of tasks in the conversation, so that long work is not lost track of.";
        let about = About::new("stateless_todo_list", "Task Management", description);
        Self(about.listed("Productivity", "list-checks"))
    }
}

impl Capability for TodoList {
    fn about(&self) -> &About {
        &self.0
    }

    fn contribute(&self, _: &Value) -> Result<Contribution, String> {
        let prompt = "Keep a list of tasks for work of three steps or more, and whenever several things are asked \
                      for at once; not for a single simple step. Write it before you begin, have exactly one task \
                      in progress at a time, and mark each as completed as soon as it is done.";
        Ok(Contribution {
            prompt: Some(prompt.into()),
            tools: vec![Arc::new(WriteTodos(write_todos()))],
            ..Contribution::default()
        })
    }
}

fn write_todos() -> ToolSpec {
    let text = |description: &str| json!({"type": "string", "description": description});
    let parameters = json!({
        "type": "object",
        "properties": {
            "todos": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "content": text("What is to be done, as an order: Run the tests"),
                        "activeForm": text("The same while it is being done: Running the tests"),
                        "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]}
                    },
                    "required": ["content", "activeForm", "status"],
                    "additionalProperties": false
                }
            }
        },
        "required": ["todos"],
        "additionalProperties": false
    });
    spec("write_todos", "Replaces the list of tasks with this one.", Effect::Pure, parameters)
}

#[derive(Debug, Serialize, Deserialize)]
struct Task {
    content: String,
    #[serde(rename = "activeForm")]
    active_form: String,
    status: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Progress {
    Pending,
    #[serde(rename = "in_progress")]
    Going,
    Completed,
}

struct WriteTodos(ToolSpec);

#[async_trait]
impl Tool for WriteTodos {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, call: Invocation<'_>) -> ToolResult {
        let todos = call.arguments.get("todos").cloned().unwrap_or_default();
        let tasks: Vec<Task> = match serde_json::from_value(todos) {
            Ok(tasks) => tasks,
            Err(error) => return ToolResult::failed(error.to_string()),
        };
        match told(&tasks) {
            Ok(list) => ToolResult::done(list.to_string()),
            Err(reason) => ToolResult::failed(reason),
        }
    }
}

fn told(tasks: &[Task]) -> Result<Value, String> {
    for (number, task) in (1..).zip(tasks) {
        for (field, text) in [("content", &task.content), ("activeForm", &task.active_form)] {
            if text.trim().is_empty() {
                return Err(format!("task {number}: `{field}` must not be empty"));
            }
        }
    }
    let count = |progress| tasks.iter().filter(|task| task.status == progress).count();
    let (pending, going, done) =
        (count(Progress::Pending), count(Progress::Going), count(Progress::Completed));
    let mut list = json!({
        "success": true,
        "total_tasks": tasks.len(),
        "pending": pending,
        "in_progress": going,
        "completed": done,
        "todos": tasks,
    });
    let warning = match going {
        0 if pending > 0 => Some("no task is in progress: one should be".to_owned()),
        0 | 1 => None,
        several => Some(format!("{several} tasks are in progress: only one should be")),
    };
    if let (Some(warning), Some(list)) = (warning, list.as_object_mut()) {
        list.insert("warning".into(), warning.into());
    }
    Ok(list)
}
