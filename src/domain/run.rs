//! Sessions and runs: the small records kept beside the log, and the orders that make them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Object;
use super::fact::{Answer, Failure, Outcome, RunOptions, Seq};
use super::id::{ComponentId, Owner, RunId, SessionId, UserId};
use super::message::{Input, Usage};
use super::spec::{Additions, ComponentKind, OnSecondMessage};
use super::step::StepAnswer;
use super::time::Timestamp;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for its turn in the session.
    Pending,
    /// Is being driven.
    Running,
    /// Waits for somebody.
    Paused,
    /// Ended with an answer.
    Completed,
    /// Was stopped.
    Cancelled,
    /// Could not be brought to an end.
    Failed,
    /// Ended, and another run's answer has taken the place of its own.
    Replaced,
}

impl Status {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed | Self::Replaced)
    }
}

impl From<&Outcome> for Status {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Cancelled { .. } => Self::Cancelled,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

/// A session's header: small, whatever its runs hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// What kind of component it belongs to.
    pub kind: ComponentKind,
    /// Which one, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentId>,
    /// Whose it is, in the client's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Given by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The start of the first message; a title where nobody gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_input: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Runs accepted so far, child runs not counted.
    #[serde(default)]
    pub runs: u64,
    /// Sums over ended runs.
    #[serde(default)]
    pub usage: Usage,
    /// Entries up to here were in the log before the session was made: another of the same name was taken away, and
    /// its forks still read them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since: Seq,
    /// Given by a person, to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The start of the latest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_output: Option<String>,
    /// When its first run was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The run that waits for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<RunId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it a reference")]
fn is_zero(seq: &Seq) -> bool {
    *seq == 0
}

/// What goes on in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    New,
    /// A run is going, or about to.
    Active,
    /// A run waits for somebody.
    Waiting,
    /// Nothing.
    Idle,
}

/// What a session carries beside its header.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SessionData {
    /// Shared by its runs; `None` until somebody sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Object>,
    /// Kept for the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    /// Made by a model, or set by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Value>,
    /// What it adds to the agent that works in it.
    #[serde(default, skip_serializing_if = "Additions::is_empty")]
    pub additions: Additions,
}

/// A run's record: where its facts are and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// The session whose log holds its facts.
    pub session: SessionId,
    /// What kind of component runs.
    pub kind: ComponentKind,
    /// Which one.
    pub component: ComponentId,
    /// Whom the client speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The run that asked for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// The run that nobody asked for, at the top of the tree this one is in; `None` if it is that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RunId>,
    /// Where it stood when the record was written; a live run may be further.
    pub status: Status,
    /// When it was accepted.
    pub created: Timestamp,
    /// Its first entry.
    pub first: Seq,
    /// Its last entry, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Seq>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Since when another run's answer has taken the place of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replaced>,
    /// It went with its session, and is kept for the sessions that share it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// When a run's answer lost its place, for those that share what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The log ended before this entry then.
    pub at: Seq,
    /// How the run stood until then.
    pub was: Status,
}

impl Run {
    /// The same run once another's answer has taken the place of its own, with the write that begins at `at`.
    #[must_use]
    pub fn replaced(self, at: Seq) -> Self {
        let again = self.status == Status::Replaced;
        let replaced = if again { self.replaced } else { Some(Replaced { at, was: self.status }) };
        Self { status: Status::Replaced, replaced, ..self }
    }

    /// The run as it was when its log ended with `upto`; `None` if it was not over then.
    #[must_use]
    pub fn as_of(self, upto: Seq) -> Option<Self> {
        if !self.status.is_over() || self.last.is_none_or(|last| last > upto) {
            return None;
        }
        Some(match self.replaced {
            Some(Replaced { at, was }) if at > upto => Self { status: was, replaced: None, ..self },
            Some(_) | None => self,
        })
    }
}

/// An order to make a session.
#[derive(Debug, Clone, Default)]
pub struct NewSession {
    /// Chosen by the client; made if absent.
    pub id: Option<SessionId>,
    /// What kind of component it belongs to.
    pub kind: ComponentKind,
    /// Which one; not checked.
    pub component: Option<ComponentId>,
    /// Whose it is.
    pub user: Option<UserId>,
    /// A name.
    pub title: Option<String>,
    /// To find it by.
    pub tags: Vec<String>,
    /// What it carries.
    pub data: SessionData,
}

/// Changes of a session: what is `Some` replaces what is stored, whole.
#[derive(Debug, Clone, Default)]
pub struct SessionPatch {
    /// The name.
    pub title: Option<String>,
    /// The state.
    pub state: Option<Object>,
    /// The metadata.
    pub metadata: Option<Object>,
    /// The summary.
    pub summary: Option<Value>,
    /// The tags.
    pub tags: Option<Vec<String>>,
}

/// An order to start a run.
#[derive(Debug, Clone)]
pub struct StartRun {
    /// What kind of component.
    pub kind: ComponentKind,
    /// Which one.
    pub component: ComponentId,
    /// The session; made if absent or unknown.
    pub session: Option<SessionId>,
    /// Whom the client speaks for.
    pub user: Option<UserId>,
    /// What is asked.
    pub input: Input,
    /// Options of this run.
    pub options: RunOptions,
    /// What to do if a run of the session is going; default: the spec's.
    pub on_second_message: Option<OnSecondMessage>,
}

/// A run that was accepted, durably.
#[derive(Debug, Clone)]
pub struct Started {
    /// Whose it is.
    pub owner: Owner,
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub run: RunId,
    /// Its first entry; watch from the one before.
    pub first: Seq,
    /// Whether it waits for its turn.
    pub queued: bool,
    /// The entry that the message is, if it joined a run that was going.
    pub joined: Option<Seq>,
}

/// Decisions about what a run waits for, and what the runs below it wait for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// About calls: of which run, and what.
    pub calls: Vec<(RunId, Answer)>,
    /// About steps: of which run, and what.
    pub steps: Vec<(RunId, StepAnswer)>,
}

impl Answers {
    /// About calls of one run.
    pub fn of_calls(run: RunId, answers: Vec<Answer>) -> Self {
        Self { calls: answers.into_iter().map(|answer| (run, answer)).collect(), steps: Vec::new() }
    }
}

/// Something to tell a run.
#[derive(Debug, Clone)]
pub enum Command {
    /// Stop.
    Cancel {
        /// Told to whoever watches.
        reason: String,
    },
    /// Go on: decisions about what waits.
    Answer(Answers),
}
