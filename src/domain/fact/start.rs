//! What a run begins with, and what in another run asked for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::Object;
use crate::domain::fork::Origin;
use crate::domain::id::{CallId, ModelName, RunId, SessionId, UserId};
use crate::domain::message::Input;
use crate::domain::spec::Spec;
use crate::domain::step::{StepKey, StepPlace};

/// A run as it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// What runs, frozen: later edits of the file do not reach this run.
    pub spec: Arc<Spec>,
    /// The session it belongs to.
    pub session: SessionId,
    /// Whom the client speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// What is asked.
    pub input: Input,
    /// Options of this run.
    #[serde(default)]
    pub options: RunOptions,
    /// The run that asked for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// What in that run asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Everything else it may start, frozen: members, and what steps name, and theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Arc<Spec>>,
    /// The run whose conversation it goes on with, or that it is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What waited for runs below it, and does no longer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Below {
    /// A leader's calls.
    pub calls: Vec<CallId>,
    /// A workflow's steps.
    pub steps: Vec<StepKey>,
}

impl Below {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.steps.is_empty()
    }
}

/// What in a run asks for another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A leader's call that hands a task on.
    Call(CallId),
    /// One of several tasks that a leader's call hands on.
    Task(CallId, String),
    /// A step.
    Step(StepPlace),
}

/// Who answers, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The model.
    pub model: ModelName,
    /// How hard it should think, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
}

/// What a client may set for one run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunOptions {
    /// Laid over the session's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_state: Option<Object>,
    /// Values for the instructions' template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Object>,
    /// Kept with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// JSON Schema of the answer; replaces the spec's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Who answers in this run; replaces the spec's model and the session's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// How hard the model should think, in the provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Whether earlier runs are shown to the model; default: by the spec's `history_runs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<bool>,
    /// Shown to the model before the conversation, in this run alone: data, as the user would show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Whether the dependencies are added to the user's message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub show_dependencies: bool,
    /// Whether the session's state is added to the system message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub show_state: bool,
}
