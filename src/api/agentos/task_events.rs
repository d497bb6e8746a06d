//! The list of tasks that a team's leader hands on, as events: what is on it, and how far each task is.
//!
//! A list is told when the first of its tasks begins: one that the leader may not hand on is an error of its call
//! and no list. All of it follows from the leader's call and the runs below that.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::fact::Place;
use crate::domain::id::{CallId, RunId};
use crate::domain::run::Status;
use crate::domain::spec::{Spec, WORK_ON_TASKS};

use super::event::Line;
use super::events::{Name, Teller};
use super::tree::Node;

/// Longest title, in characters; the rest stands in the description.
const TITLE_CHARS: usize = 80;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Stand {
    Pending,
    InProgress,
    Completed,
    Failed,
    /// A task that it builds on came to nothing.
    Blocked,
}

/// One task of a list.
#[derive(Debug, Serialize)]
struct TaskBody {
    id: String,
    title: String,
    description: String,
    status: Stand,
    assignee: Option<String>,
    dependencies: Vec<String>,
    result: Option<String>,
}

/// The list that a fact of a run is about: whose call made it, which, and of which task.
pub(super) fn list_of(node: Node<'_>) -> Option<(RunId, CallId, String)> {
    match (&node.view.place, node.view.parent) {
        (Some(Place::Task(call, task)), Some(leader)) => Some((leader, call.clone(), task.clone())),
        (Some(Place::Call(_) | Place::Step(_) | Place::Task(..)) | None, _) => None,
    }
}

impl Teller<'_> {
    /// A task begins, and with the first of them their list.
    pub(super) fn task_started(&mut self, call: &CallId, id: &str) {
        let tasks = tasks(self.node, call);
        if self.node.of_call(call).count() == 1 {
            self.list_started(call, &tasks);
        }
        self.task_updated(&tasks, id, Stand::Pending);
    }

    /// A task is over.
    pub(super) fn task_finished(&mut self, call: &CallId, id: &str) {
        self.task_updated(&tasks(self.node, call), id, Stand::InProgress);
    }

    /// The whole list is over, if any of it began.
    pub(super) fn list_finished(&mut self, call: &CallId) {
        if self.node.of_call(call).next().is_none() || !is_list(self.node, call) {
            return;
        }
        let tasks = tasks(self.node, call);
        for task in tasks.iter().filter(|task| task.status == Stand::Blocked) {
            self.task_updated(&tasks, &task.id, Stand::Pending);
        }
        self.list_updated(&tasks);
        let place = place(self.node, call);
        self.event(Name::TaskIterationCompleted, |line| {
            put_place(line, place).put("task_summary", &summary(&tasks));
        });
    }

    fn list_started(&mut self, call: &CallId, tasks: &[TaskBody]) {
        let place = place(self.node, call);
        self.event(Name::TaskIterationStarted, |line| {
            put_place(line, place);
        });
        for task in tasks {
            self.event(Name::TaskCreated, |line| {
                line.put("task_id", &task.id)
                    .put("title", &task.title)
                    .put("description", &task.description)
                    .put_some("assignee", task.assignee.as_ref())
                    .put("status", &Stand::Pending)
                    .put("dependencies", &task.dependencies);
            });
        }
    }

    fn task_updated(&mut self, tasks: &[TaskBody], id: &str, before: Stand) {
        let Some(task) = tasks.iter().find(|task| task.id == id) else { return };
        self.event(Name::TaskUpdated, |line| {
            line.put("task_id", &task.id)
                .put("title", &task.title)
                .put("status", &task.status)
                .put("previous_status", &before)
                .put_some("result", task.result.as_ref())
                .put_some("assignee", task.assignee.as_ref());
        });
    }

    fn list_updated(&mut self, tasks: &[TaskBody]) {
        let is_done = tasks.iter().all(|task| task.status == Stand::Completed);
        self.event(Name::TaskStateUpdated, |line| {
            line.put("task_summary", &summary(tasks)).put("goal_complete", &is_done).put("tasks", &tasks);
        });
    }
}

fn put_place(line: &mut Line, (number, most): (usize, u32)) -> &mut Line {
    line.put("iteration", &number).put("max_iterations", &most)
}

fn is_list(node: Node<'_>, call: &CallId) -> bool {
    node.view.call(call).is_some_and(|call| call.call.name == WORK_ON_TASKS)
}

/// The how manieth list of its run it is, and how many there may be.
fn place(node: Node<'_>, call: &CallId) -> (usize, u32) {
    let lists = node.view.calls().filter(|one| one.call.name == WORK_ON_TASKS);
    let before = lists.take_while(|one| one.call.id != *call).count();
    let most = match node.view.spec.as_ref() {
        Spec::Team(team) => team.leader.limits.tool_calls,
        Spec::Agent(_) | Spec::Workflow(_) => 0,
    };
    (before.saturating_add(1), most)
}

/// The tasks of a list in the leader's order, each as far as it is.
fn tasks(node: Node<'_>, call: &CallId) -> Vec<TaskBody> {
    let arguments = node.view.call(call).map(|call| call.call.arguments.as_str()).unwrap_or_default();
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
    let items = arguments.get("tasks").and_then(Value::as_array).into_iter().flatten();
    let mut tasks: Vec<TaskBody> = items.map(TaskBody::of).collect();
    let runs: BTreeMap<&str, Node<'_>> = node.of_call(call).filter_map(named).collect();
    for task in &mut tasks {
        let Some(run) = runs.get(task.id.as_str()) else { continue };
        task.status = stand(run.view.status);
        task.result = (task.status == Stand::Completed).then(|| run.view.answer());
    }
    block(&mut tasks);
    tasks
}

fn named(run: Node<'_>) -> Option<(&str, Node<'_>)> {
    match &run.view.place {
        Some(Place::Task(_, id)) => Some((id, run)),
        Some(Place::Call(_) | Place::Step(_)) | None => None,
    }
}

fn stand(status: Status) -> Stand {
    match status {
        Status::Pending | Status::Running | Status::Paused => Stand::InProgress,
        Status::Completed | Status::Replaced => Stand::Completed,
        Status::Cancelled | Status::Failed => Stand::Failed,
    }
}

/// Tasks that build on what came to nothing, and those that build on them.
fn block(tasks: &mut [TaskBody]) {
    loop {
        let failed: Vec<String> = tasks
            .iter()
            .filter(|task| matches!(task.status, Stand::Failed | Stand::Blocked))
            .map(|task| task.id.clone())
            .collect();
        let blocked = tasks
            .iter_mut()
            .filter(|task| task.status == Stand::Pending)
            .find(|task| task.dependencies.iter().any(|id| failed.contains(id)));
        let Some(task) = blocked else { return };
        task.status = Stand::Blocked;
    }
}

fn summary(tasks: &[TaskBody]) -> String {
    let done = tasks.iter().filter(|task| task.status == Stand::Completed).count();
    format!("{done} of {} tasks completed", tasks.len())
}

impl TaskBody {
    /// As the leader wrote it.
    fn of(item: &Value) -> Self {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let after = item.get("depends_on").and_then(Value::as_array).into_iter().flatten();
        let description = text("task");
        Self {
            id: text("id"),
            title: description.lines().next().unwrap_or_default().chars().take(TITLE_CHARS).collect(),
            description,
            status: Stand::Pending,
            assignee: Some(text("member_id")).filter(|member| !member.is_empty()),
            dependencies: after.filter_map(Value::as_str).map(str::to_owned).collect(),
            result: None,
        }
    }
}
