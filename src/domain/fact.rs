//! What the log holds, for ever.
//!
//! Variants and fields are added, never renamed or taken away: old logs must replay. Pieces of an answer are
//! entries of the log too ([`Fact::Said`]), with sequence numbers of their own; they are written before they
//! are shown, and made durable together with the fact that follows them.

mod start;

use serde::{Deserialize, Serialize};

use super::Object;
use super::edit::Edit;
use super::fork::Shared;
use super::id::{CallId, ModelName, RunId, SessionId};
use super::message::{Finish, Input, Usage};
use super::state::Change;
use super::step::{Choice, StepAnswer, StepKey, StepOutput};
use super::time::Timestamp;
use super::tool::{ToolCall, ToolResult};

pub use start::{Below, Place, RunOptions, RunStart};

/// A place in a session's log; the first entry has 1, and 0 is before it.
pub type Seq = u64;

/// One entry of a session's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number. A [`Fact::Said`] or [`Fact::Lost`] of n pieces takes n numbers, and so does a [`Fact::Forked`] in
    /// place of n entries; this is the first.
    pub seq: Seq,
    /// The run it belongs to.
    pub run: RunId,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

impl Entry {
    /// The last number this entry takes.
    pub fn last_seq(&self) -> Seq {
        self.seq + self.fact.width() - 1
    }

    /// Without the pieces up to a number: pieces that were read one by one may be one entry when they are read again.
    #[must_use]
    pub fn beyond(mut self, after: Seq) -> Self {
        let seen = after.saturating_add(1).saturating_sub(self.seq);
        if let Fact::Said { pieces } = &mut self.fact
            && seen > 0
        {
            let seen_pieces = usize::try_from(seen).unwrap_or(usize::MAX).min(pieces.len());
            pieces.drain(..seen_pieces);
            self.seq = self.seq.saturating_add(seen);
        }
        self
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The log begins with entries of others, and stands in for them: it takes all numbers up to the last of theirs.
    /// The first entry of a forked session, and of no run.
    Forked {
        /// The session it was made of.
        of: SessionId,
        /// What is read in its place, in order. Never empty.
        shared: Vec<Shared>,
    },
    /// A run was accepted.
    RunStarted(Box<RunStart>),
    /// It is its turn: what it starts from is settled.
    RunPrepared {
        /// The system message, rendered.
        system: Option<String>,
        /// The session's state with the run's own laid over it.
        state: Object,
        /// What was stored of it, to know later what the run changed.
        stored: Object,
        /// Earlier runs of the session that the model is shown, oldest first.
        history: Vec<RunId>,
    },
    /// A model is being asked. A second one of the same turn replaces the first.
    ModelCalled {
        /// Counts from 1.
        turn: u32,
        /// Who.
        model: ModelName,
        /// What capabilities changed of the question.
        #[serde(default, skip_serializing_if = "Edit::is_empty")]
        edit: Edit,
    },
    /// Pieces of the answer, in order.
    Said {
        /// Never empty.
        pieces: Vec<Piece>,
    },
    /// Pieces of the answer may have been shown and are gone: the machine lost its power before they were synced.
    /// Their numbers are never used again.
    Lost {
        /// As many as there can have been.
        pieces: u64,
    },
    /// The model is done; its text is the pieces said since it was called.
    ModelAnswered {
        /// Which question.
        turn: u32,
        /// What it wants called, with the arguments it is called with.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
        /// Why it stopped.
        finish: Finish,
        /// What it cost.
        usage: Usage,
        /// The provider's name for the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        provider_id: Option<String>,
    },
    /// The call came to nothing; pieces said since are not the answer.
    ModelFailed {
        /// Which question.
        turn: u32,
        /// Why.
        failure: Failure,
    },
    /// A tool is about to be called: from here on it may have happened.
    ToolStarted {
        /// Which.
        call: CallId,
    },
    /// What came of it.
    ToolFinished {
        /// Which.
        call: CallId,
        /// The outcome.
        result: ToolResult,
    },
    /// Nobody knows whether these took effect, and a person is to say what becomes of them.
    ToolDoubted {
        /// Begun before the process ended.
        calls: Vec<CallId>,
    },
    /// A message joined the run; the model reads it with its next question.
    Steered {
        /// What was said.
        input: Input,
    },
    /// A step of a workflow begins, or is tried again: from here on it may have had effects.
    StepStarted {
        /// Which.
        step: StepKey,
        /// Which try, from 1.
        attempt: u32,
    },
    /// A step that chooses has chosen.
    StepDecided {
        /// Which.
        step: StepKey,
        /// What.
        choice: Choice,
    },
    /// A try came to nothing.
    StepFailed {
        /// Which.
        step: StepKey,
        /// Which try.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// A step is over, well or not.
    StepFinished {
        /// Which.
        step: StepKey,
        /// The outcome.
        output: StepOutput,
        /// What it changed in the session's state.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        state: Vec<Change>,
    },
    /// The run waits for somebody.
    Paused {
        /// The calls that wait, or whose members do.
        #[serde(default)]
        calls: Vec<CallId>,
        /// The steps that wait, or whose runs do.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        steps: Vec<StepKey>,
        /// When it waits no longer, and what was set for that case counts as the answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Somebody answered.
    Resumed {
        /// What was decided, call by call.
        #[serde(default)]
        answers: Vec<Answer>,
        /// What was decided, step by step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        decisions: Vec<StepAnswer>,
        /// Calls and steps whose own runs were answered.
        #[serde(default, skip_serializing_if = "Below::is_empty")]
        below: Below,
    },
    /// The last fact of a run.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// What it changed in the session's state.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        state: Vec<Change>,
    },
}

impl Fact {
    /// The run waits for somebody to decide about these calls.
    pub fn paused(calls: Vec<CallId>) -> Self {
        Self::Paused { calls, steps: Vec::new(), until: None }
    }

    /// Somebody decided about calls.
    pub fn resumed(answers: Vec<Answer>) -> Self {
        Self::Resumed { answers, decisions: Vec::new(), below: Below::default() }
    }

    /// How many sequence numbers it takes.
    pub fn width(&self) -> u64 {
        match self {
            Self::Said { pieces } => (pieces.len() as u64).max(1),
            Self::Lost { pieces } => (*pieces).max(1),
            Self::Forked { shared, .. } => shared.last().map_or(1, |last| last.upto.max(1)),
            Self::RunStarted(_)
            | Self::RunPrepared { .. }
            | Self::ModelCalled { .. }
            | Self::ModelAnswered { .. }
            | Self::ModelFailed { .. }
            | Self::ToolStarted { .. }
            | Self::ToolFinished { .. }
            | Self::ToolDoubted { .. }
            | Self::Steered { .. }
            | Self::StepStarted { .. }
            | Self::StepDecided { .. }
            | Self::StepFailed { .. }
            | Self::StepFinished { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::RunFinished { .. } => 1,
        }
    }
}

/// A piece of an answer, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Of the answer.
    #[serde(rename = "t")]
    Text(String),
    /// Of the reasoning.
    #[serde(rename = "r")]
    Reasoning(String),
}

impl Piece {
    /// What it says.
    pub fn text(&self) -> &str {
        let (Self::Text(text) | Self::Reasoning(text)) = self;
        text
    }
}

/// What somebody decided about a call that waited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which call.
    pub call: CallId,
    /// What.
    pub decision: Decision,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go ahead, with these arguments laid over the model's.
    Approved {
        /// Given by a person.
        #[serde(default)]
        values: Object,
    },
    /// Do not; the note is told to the model.
    Rejected {
        /// Why.
        note: Option<String>,
    },
    /// Done elsewhere, with this result.
    Executed {
        /// What the model reads.
        result: String,
        /// Whether it failed there, or was not done at all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        failed: bool,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Completed,
    /// Somebody stopped it.
    Cancelled {
        /// Who or why.
        reason: String,
    },
    /// It could not be brought to an end.
    Failed(Failure),
}

/// The code of a [`Failure`] that says: the process ended in the middle.
pub const INTERRUPTED: &str = "interrupted";

/// Why something failed, in words a client may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Stable, for programs: `model_provider_error`, `truncated`, `limit`, `interrupted`, …
    pub code: String,
    /// For people; holds no secret.
    pub message: String,
    /// Whether the same again may well succeed.
    #[serde(default)]
    pub retryable: bool,
}

impl Failure {
    /// A failure that trying again does not mend.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false }
    }

    /// The same, marked as worth trying again.
    pub fn retryable(self) -> Self {
        Self { retryable: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pieces_that_were_read_are_left_out_and_the_rest_keeps_its_numbers() {
        let pieces = ["a", "b", "c"].map(|text| Piece::Text(text.into())).to_vec();
        let run = RunId(uuid::Uuid::nil());
        let entry = |seq, pieces| Entry { seq, run, at: Timestamp(0), fact: Fact::Said { pieces } };
        let whole = entry(4, pieces.clone());
        assert_eq!(whole.clone().beyond(3), whole);
        assert_eq!(whole.clone().beyond(5), entry(6, pieces[2..].to_vec()));
        let paused = Entry { fact: Fact::paused(Vec::new()), ..whole };
        assert_eq!(paused.clone().beyond(3), paused);
    }
}
