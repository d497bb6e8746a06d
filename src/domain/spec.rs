//! What runs: agents, teams and workflows, checked.
//!
//! These are the types the log freezes into each run; what a user writes in `agents/` is read by
//! `runtime::catalog`, which turns it into these.

mod composite;

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Object;
use super::id::{ComponentId, ModelName};
use super::tool::{Effect, Gate};

pub use composite::{
    DELEGATE_TO_AGENT, DELEGATE_TO_ALL, DELEGATE_TO_ONE, OnError, OnReject, SUBAGENTS, StepAction, StepSpec,
    TeamMode, TeamSpec, WORK_ON_TASKS, WorkflowSpec,
};

/// Agent, team or workflow.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// One model with tools.
    #[default]
    Agent,
    /// A leader with members.
    Team,
    /// Steps.
    Workflow,
}

impl ComponentKind {
    /// `agent`, `team` or `workflow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Team => "team",
            Self::Workflow => "workflow",
        }
    }
}

/// Any of the three.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spec {
    /// One model with tools.
    Agent(AgentSpec),
    /// A leader with members.
    Team(TeamSpec),
    /// Steps.
    Workflow(WorkflowSpec),
}

impl Spec {
    /// The file's stem.
    pub fn id(&self) -> &ComponentId {
        match self {
            Self::Agent(agent) => &agent.id,
            Self::Team(team) => &team.leader.id,
            Self::Workflow(workflow) => &workflow.id,
        }
    }

    /// For people.
    pub fn name(&self) -> &str {
        match self {
            Self::Agent(agent) => &agent.name,
            Self::Team(team) => &team.leader.name,
            Self::Workflow(workflow) => &workflow.name,
        }
    }

    /// Which of the three.
    pub fn kind(&self) -> ComponentKind {
        match self {
            Self::Agent(_) => ComponentKind::Agent,
            Self::Team(_) => ComponentKind::Team,
            Self::Workflow(_) => ComponentKind::Workflow,
        }
    }
}

/// One model with instructions and tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// The file's stem.
    pub id: ComponentId,
    /// For people.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Of a file: a minijinja template over `session_state`, `dependencies`, `user` and `now`.
    pub instructions: String,
    /// Who answers.
    pub model: ModelName,
    /// Who answers if that one does not, in order.
    #[serde(default)]
    pub fallback_models: Vec<ModelName>,
    /// From the registry.
    #[serde(default)]
    pub capabilities: Vec<CapabilityRef>,
    /// Declared in the file.
    #[serde(default)]
    pub tools: Vec<DeclaredTool>,
    /// How many earlier runs of the session the model is shown.
    pub history_runs: u32,
    /// Defaults, merged under what is stored.
    #[serde(default)]
    pub session_state: Object,
    /// Where a run ends at the latest.
    #[serde(default)]
    pub limits: Limits,
    /// What a message does while a run of the session is going.
    #[serde(default)]
    pub on_second_message: OnSecondMessage,
    /// Who says what becomes of a call that may have taken effect.
    #[serde(default)]
    pub in_doubt: InDoubt,
    /// What the end of a plain AgentOS stream's connection does.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// JSON Schema of the answer.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// Shown to clients, as written.
    #[serde(default)]
    pub metadata: Object,
    /// Suggestions for a person's first message.
    #[serde(default)]
    pub quick_prompts: Vec<String>,
    /// Where it comes from.
    #[serde(default)]
    pub source: Source,
    /// What the session it works in adds to it.
    #[serde(default, skip_serializing_if = "Additions::is_empty")]
    pub additions: Additions,
}

impl AgentSpec {
    /// Whom it may hand tasks to: `None` if it may not, `Some(None)` if to all agents.
    pub fn subagents(&self) -> Option<Option<Vec<ComponentId>>> {
        let mut given = self.additions.capabilities.iter().chain(&self.capabilities);
        let config = &given.find(|one| one.id == SUBAGENTS)?.config;
        let named = config.get("agents").and_then(Value::as_array);
        let ids = |named: &Vec<Value>| named.iter().filter_map(|id| id.as_str()?.parse().ok()).collect();
        Some(named.map(ids))
    }
}

/// Where a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file, checked as a whole: its instructions are a template, and nothing of it is passed over.
    #[default]
    File,
    /// A client: its instructions are meant as they are, and a capability that is not there is passed over.
    Client,
}

/// What a session adds to the agent that works in it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Additions {
    /// Answers in place of the agent's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// After the agent's own; of one that the agent has, the settings replace the agent's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<CapabilityRef>,
    /// Beside the agent's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<DeclaredTool>,
}

impl Additions {
    /// Whether nothing is added.
    pub fn is_empty(&self) -> bool {
        self.model.is_none() && self.capabilities.is_empty() && self.tools.is_empty()
    }
}

/// A capability of the registry, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapabilityRef {
    /// Its id in the registry.
    #[serde(rename = "ref")]
    pub id: String,
    /// As its schema says.
    #[serde(default)]
    pub config: Value,
}

impl CapabilityRef {
    /// As registries know it: `mcp` with a `server` in its settings is that server's own capability, `mcp:{server}`.
    #[must_use]
    pub fn named(mut self) -> Self {
        if self.id == "mcp"
            && let Value::Object(config) = &mut self.config
            && let Some(Value::String(server)) = config.get("server").cloned()
        {
            config.shift_remove("server");
            self.id = format!("mcp:{server}");
        }
        self
    }
}

/// Caps of one run; each ends it with the code `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Questions to a model.
    pub model_calls: u32,
    /// Calls of tools.
    pub tool_calls: u32,
    /// Seconds from its turn to its end, waiting for people not counted.
    pub seconds: u64,
    /// Tokens, read and written; 0 is no cap.
    pub tokens: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { model_calls: 25, tool_calls: 100, seconds: 900, tokens: 0 }
    }
}

/// What a message does while a run of the session is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSecondMessage {
    /// Waits for its turn.
    #[default]
    Enqueue,
    /// Is refused.
    Reject,
    /// Cancels the one that is going.
    Interrupt,
    /// Joins the one that is going.
    Steer,
}

/// Who is told that a call of a tool that may happen `once` was cut off by a crash, so that nobody knows whether it
/// took effect. It is never called again without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InDoubt {
    /// The model reads it as the call's result, and the run goes on.
    #[default]
    TellModel,
    /// The run waits for a person, who has it called again, says what came of it, or leaves it.
    AskPerson,
}

/// What the end of a plain AgentOS stream's connection does to its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Ends it, as AgentOS does.
    #[default]
    Cancel,
    /// Nothing.
    Continue,
}

/// A tool that needs no code of ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredTool {
    /// What the model calls it.
    pub name: String,
    /// What the model reads about it.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: Value,
    /// What a restart may do.
    #[serde(default)]
    pub effect: Effect,
    /// A call that takes longer is given up.
    pub timeout: Duration,
    /// Who must be asked first.
    #[serde(default)]
    pub gate: Gate,
    /// How it is done.
    pub action: ToolAction,
}

/// How a declared tool does its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolAction {
    /// A program: arguments as JSON on stdin, result on stdout.
    Process {
        /// Program and its arguments.
        command: Vec<String>,
        /// Where it runs: the agents folder.
        directory: PathBuf,
    },
    /// An HTTP request.
    Http {
        /// As in `GET`.
        method: String,
        /// A template over the arguments: `https://example.org/{city}`.
        url: String,
        /// Name to value; values may name variables: `Bearer ${TOKEN}`.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// Hosts, `host:port`s or networks that may be reached though they are private.
        #[serde(default)]
        allow_private: Vec<String>,
    },
    /// Executed by the client.
    External,
}
