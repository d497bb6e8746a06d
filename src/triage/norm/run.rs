//! A prompt and what becomes of it, as it is kept beside the run that it is.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::document::{RecordKind, Tag, Tags};
use crate::domain::fact::{Failure, Seq};
use crate::domain::message::Usage;
use crate::domain::time::Timestamp;
use crate::runtime::documents::Document;
use crate::triage::entry::{Actor, of_issue, of_session};
use crate::triage::form::words;
use crate::triage::intent::Intent;

words! {
    /// Where a run stands. The last four never change.
    RunState {
        /// It waits for its turn.
        Queued = "queued",
        /// It is going.
        Running = "running",
        /// It ended with an answer.
        Completed = "completed",
        /// It could not be brought to an end.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// It ended with a question.
        AwaitingInput = "awaiting_input",
    }
}

impl RunState {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// How a prompt came.
    Via {
        /// By itself.
        Prompt = "prompt",
        /// As a mention in a comment.
        Comment = "comment",
    }
}

/// A run of Norm. Its intent is settled when it begins, and nothing changes it then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NormRun {
    /// Names it, here and in the runtime.
    pub id: Uuid,
    /// About which issue.
    pub issue: Uuid,
    /// In which session.
    pub session: Uuid,
    /// What it is for.
    pub intent: Intent,
    /// Whether nobody said what for: where the run before it ended with a question, it answers that, and is for what
    /// that was for.
    #[serde(default)]
    pub may_answer: bool,
    /// What reaches Norm.
    pub prompt: String,
    /// What was sent.
    pub raw: String,
    /// How it came.
    pub via: Via,
    /// Who asks.
    pub by: Actor,
    /// Its place in the issue's queue.
    pub place: u64,
    /// Where it stands.
    pub state: RunState,
    /// When it was accepted.
    pub created: Timestamp,
    /// When its turn came.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What its models read and wrote.
    pub usage: Usage,
    /// How often a model answered.
    pub steps: u32,
    /// Who wants it stopped.
    pub stop: Option<Stop>,
    /// The last entry of its log that the feed tells of.
    pub told: Seq,
}

/// An order to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Who gave it.
    pub by: Actor,
    /// All runs it stops.
    pub runs: Vec<Uuid>,
}

impl Document for NormRun {
    const KIND: RecordKind = RecordKind("triage_run");

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn tags(&self) -> Tags {
        let mut names = vec![of_issue(self.issue), of_session(self.issue, self.session)];
        if !self.state.is_over() {
            names.extend([open(), open_on(self.issue)]);
        }
        Tags { sort: self.place, listed: false, names }
    }
}

impl NormRun {
    /// The name of one of its entries in the feed.
    pub(super) fn entry(&self, what: &str) -> Uuid {
        Uuid::new_v5(&self.id, what.as_bytes())
    }
}

/// Runs that are not over.
pub(super) fn open() -> Tag {
    Tag::new("open", "yes")
}

/// Runs on an issue that are not over.
pub(super) fn open_on(issue: Uuid) -> Tag {
    Tag::new("open_on", issue.to_string())
}
