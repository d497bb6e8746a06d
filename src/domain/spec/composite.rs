//! What is made of others: teams of members, workflows of steps.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentSpec, DeclaredTool};
use crate::domain::Object;
use crate::domain::id::ComponentId;
use crate::domain::tool::Gate;

/// How a team's leader works with its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TeamMode {
    /// The leader delegates and sums up.
    #[default]
    Coordinate,
    /// One member answers.
    Route,
    /// All members are asked the same.
    Broadcast,
    /// The leader keeps a list of tasks.
    Tasks,
}

/// The tool with which a leader hands a task to one member.
pub const DELEGATE_TO_ONE: &str = "delegate_task_to_member";

/// The tool with which a leader hands a task to all members.
pub const DELEGATE_TO_ALL: &str = "delegate_task_to_members";

/// The tool with which a leader has a list of tasks worked on.
pub const WORK_ON_TASKS: &str = "work_on_tasks";

/// The tool with which an agent hands a task to another.
pub const DELEGATE_TO_AGENT: &str = "delegate_task";

/// The capability that brings that tool.
pub const SUBAGENTS: &str = "subagents";

/// A leader with members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamSpec {
    /// The leader; its id and name are the team's.
    pub leader: AgentSpec,
    /// How they work together.
    pub mode: TeamMode,
    /// Agents or teams of the catalog.
    pub members: Vec<ComponentId>,
}

/// Steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowSpec {
    /// The file's stem.
    pub id: ComponentId,
    /// For people.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// In order.
    pub steps: Vec<StepSpec>,
    /// Declared tools its steps may name.
    #[serde(default)]
    pub tools: Vec<DeclaredTool>,
    /// Defaults, merged under what is stored.
    #[serde(default)]
    pub session_state: Object,
    /// Shown to clients, as written.
    #[serde(default)]
    pub metadata: Object,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Unique among its neighbours.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// What it does.
    pub action: StepAction,
    /// Tries after the first.
    #[serde(default)]
    pub retry: u32,
    /// A try that takes longer has failed.
    #[serde(default)]
    pub timeout: Option<Duration>,
    /// What a failure does.
    #[serde(default)]
    pub on_error: OnError,
    /// Who must be asked first.
    #[serde(default)]
    pub gate: Gate,
    /// Whether somebody must look at what came out before the next step goes on.
    #[serde(default)]
    pub review: bool,
    /// What it means that somebody refused it.
    #[serde(default)]
    pub on_reject: OnReject,
}

/// What it means for a workflow that somebody refused a step, or what came out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnReject {
    /// The step is passed over.
    #[default]
    Skip,
    /// The workflow is cancelled.
    Cancel,
    /// Of a condition: its other branch is taken. Of any other step the same as `skip`.
    Else,
    /// Of a review: the step is done again, and told why. Before a step the same as `skip`.
    Retry,
}

/// What a failed step does to its workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The workflow fails.
    #[default]
    Fail,
    /// The next step goes on.
    Skip,
    /// The workflow waits until somebody says whether the step is tried again or passed over.
    Pause,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Runs an agent.
    Agent(ComponentId),
    /// Runs a team.
    Team(ComponentId),
    /// Calls a declared tool.
    Tool(String),
    /// Runs another workflow.
    Workflow(ComponentId),
    /// All at once.
    Parallel(Vec<StepSpec>),
    /// One of two lists.
    Condition {
        /// A minijinja expression.
        when: String,
        /// If it holds.
        then: Vec<StepSpec>,
        /// If not.
        otherwise: Vec<StepSpec>,
    },
    /// Again and again.
    Loop {
        /// What is repeated.
        steps: Vec<StepSpec>,
        /// A minijinja expression; ends the loop when it holds.
        until: Option<String>,
        /// The cap.
        max_iterations: u32,
    },
    /// One of several lists.
    Router {
        /// A minijinja expression that gives a route's name, or a list of such; a person is asked where it is absent.
        choose: Option<String>,
        /// Whether a person may choose more than one.
        #[serde(default)]
        several: bool,
        /// Name to steps.
        routes: Vec<(String, Vec<StepSpec>)>,
    },
}
