//! Scripts: what the model says, turn by turn.
//!
//! A script is a JSON file, a list of turns. Each question is answered with one of them:
//!
//! ```json
//! [
//!   {"when": "weather", "reason": "I should look.", "call": [{"name": "look", "arguments": {"at": "sky"}}]},
//!   {"when": "weather", "say": "It rains."},
//!   {"say": "I only know about the weather."}
//! ]
//! ```
//!
//! `when` is looked for in the last message of the user, upper and lower case being the same. If it is found in any
//! turn, those turns are the answer's, else the ones without `when`; of these the first answers the user's message,
//! the second what follows the first one's tool calls, and so on. The last one repeats. So an answer depends on the
//! conversation alone, and a run that goes on after a crash goes on as before.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// Turns.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Script(Vec<Turn>);

/// One answer: reasoning, then text, then calls or a failure; all of them may be missing, but not at once.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Text the user's message must hold.
    pub when: Option<String>,
    /// Reasoning, streamed in words.
    pub reason: String,
    /// Text, streamed in words.
    pub say: String,
    /// Tools to call.
    pub call: Vec<Call>,
    /// How the answer fails after what was said.
    pub fail: Option<Fail>,
    /// Milliseconds before each word; default: the provider's own.
    pub delay_ms: Option<u64>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// An object; a text in its place is handed over as it is, sound or not.
    #[serde(default)]
    pub arguments: Value,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// As in `model_provider_error`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same again may well succeed.
    #[serde(default)]
    pub retryable: bool,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum BadScript {
    /// The folder or file cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Not the form of a script; the message names line and column.
    #[error("{}: {cause}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why and where.
        cause: serde_json::Error,
    },
    /// There is nothing to say.
    #[error("{}: turn {turn}: needs one of `say`, `reason`, `call` and `fail`", path.display())]
    Silent {
        /// Which file.
        path: PathBuf,
        /// Which turn, from 1.
        turn: usize,
    },
    /// There are no turns.
    #[error("{}: needs at least one turn", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

impl Script {
    /// Reads a script; the path is only named in errors.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str, path: &Path) -> Result<Self, BadScript> {
        let malformed = |cause| BadScript::Malformed { path: path.into(), cause };
        let script: Self = serde_json::from_str(text).map_err(malformed)?;
        if script.0.is_empty() {
            return Err(BadScript::Empty { path: path.into() });
        }
        match script.0.iter().position(Turn::is_silent) {
            Some(place) => Err(BadScript::Silent { path: path.into(), turn: place + 1 }),
            None => Ok(script),
        }
    }

    /// The turn that answers this message of the user, after so many answers to it.
    pub(super) fn turn(&self, user_text: &str, answers: usize) -> Option<&Turn> {
        let text = user_text.to_lowercase();
        let fits = |turn: &&Turn| turn.when.as_ref().is_some_and(|when| text.contains(&when.to_lowercase()));
        let mut turns: Vec<&Turn> = self.0.iter().filter(fits).collect();
        if turns.is_empty() {
            turns = self.0.iter().filter(|turn| turn.when.is_none()).collect();
        }
        turns.get(answers).or(turns.last()).copied()
    }
}

impl Turn {
    /// Says this.
    pub(super) fn say(text: impl Into<String>) -> Self {
        Self { say: text.into(), ..Self::default() }
    }

    fn is_silent(&self) -> bool {
        self.say.is_empty() && self.reason.is_empty() && self.call.is_empty() && self.fail.is_none()
    }
}

impl Call {
    /// The arguments as a model would write them.
    pub(super) fn arguments_text(&self) -> String {
        match &self.arguments {
            Value::String(text) => text.clone(),
            Value::Null => "{}".into(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        }
    }
}
