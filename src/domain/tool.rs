//! Tools as the model sees them, and what came of calling one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::id::CallId;
use super::message::Media;
use super::state::Change;

/// What a restart may do with a call whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing: repeat it.
    Pure,
    /// Repeating it with the same key changes nothing more: repeat it.
    Idempotent,
    /// Never repeated by itself: an unknown outcome is said openly.
    #[default]
    Once,
}

/// The tool with which a model asks the user questions with answers to choose from.
pub const ASK_USER: &str = "ask_user";

/// What such a call comes to where the run ends with it: whatever is said next takes its place.
pub const NOT_ANSWERED: &str = r#"{"asked":true,"answer":null}"#;

/// Why a call waits for somebody before, or instead of, being executed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// A person must agree.
    pub confirmation: bool,
    /// A person must give these arguments.
    pub user_input: Vec<String>,
    /// The client executes it.
    pub external: bool,
    /// A person chooses among the answers that the call lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub feedback: bool,
    /// What is said to whoever is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long somebody has to answer; for ever where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// What counts as the answer after that.
    pub on_timeout: OnTimeout,
    /// The run ends with it, once it is done: what the same answer asks for after it is not called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// What counts as the answer when nobody gave one in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// No.
    #[default]
    Reject,
    /// Yes.
    Approve,
    /// The run is cancelled.
    Cancel,
}

impl Gate {
    /// Whether a call goes ahead without anybody.
    pub fn is_open(&self) -> bool {
        !self.confirmation && self.user_input.is_empty() && !self.external && !self.feedback
    }
}

/// A tool, as composed for one run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// What the model calls it: `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// What the model reads about it.
    pub description: String,
    /// JSON Schema (2020-12) of the arguments: an object.
    pub parameters: Value,
    /// What a restart may do.
    pub effect: Effect,
    /// A call that takes longer is given up.
    pub timeout: Duration,
    /// Who must be asked first.
    pub gate: Gate,
}

/// A call the model asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Unique within the run.
    pub id: CallId,
    /// The tool, as the model wrote it.
    pub name: String,
    /// JSON text, as the model wrote it; may be anything.
    pub arguments: String,
}

impl ToolCall {
    /// The arguments as an object; empty text counts as none. `None` when it is no JSON object.
    pub fn parsed(&self) -> Option<super::Object> {
        if self.arguments.trim().is_empty() {
            return Some(super::Object::new());
        }
        serde_json::from_str(&self.arguments).ok()
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It did what it says.
    Done,
    /// It ran and failed.
    Failed,
    /// It was never run: unknown tool, arguments that do not fit.
    Refused,
    /// It may have run: the process ended between intent and outcome.
    InDoubt,
    /// It was given up because the run was cancelled.
    Cancelled,
}

/// What the model reads as a call's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// How it ended.
    pub verdict: Verdict,
    /// Text for the model; at most [`MAX_RESULT_BYTES`].
    pub content: String,
    /// Pictures that belong to it, for models that see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Media>,
    /// What the call changed in the session's state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<Change>,
    /// Whether the run ends with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
}

/// How the result of a call begins whose tool is not there; its name follows, to the end of the line.
pub const NOT_FOUND: &str = "Tool not found: ";

/// How the result of a call begins that was given up because it took too long.
pub const TIMED_OUT: &str = "the tool took longer than";

/// Longest result a tool may return; the rest is cut with a note.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;

impl ToolResult {
    /// Success, cut to size.
    pub fn done(content: impl Into<String>) -> Self {
        Self::new(Verdict::Done, content)
    }

    /// Failure the model can read and act on.
    pub fn failed(content: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, content)
    }

    /// A result with a verdict, cut to size.
    pub fn new(verdict: Verdict, content: impl Into<String>) -> Self {
        let mut content: String = content.into();
        if content.len() > MAX_RESULT_BYTES {
            let whole = content.len();
            let cut = content.floor_char_boundary(MAX_RESULT_BYTES);
            content.truncate(cut);
            content.push_str(&format!("\n[cut: {cut} of {whole} bytes]"));
        }
        Self { verdict, content, images: Vec::new(), state: Vec::new(), ends: false }
    }

    /// Whether the model should take it as an error.
    pub fn is_error(&self) -> bool {
        self.verdict != Verdict::Done
    }
}
