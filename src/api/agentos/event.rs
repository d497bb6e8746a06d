//! One AgentOS event: its name, its number, and its frame, written once.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use crate::domain::spec::ComponentKind;
use crate::domain::time::Timestamp;

/// An event, ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which.
    pub name: Name,
    /// Its place in the stream's events, from 0.
    pub index: u64,
    ending: Ending,
    frame: Bytes,
    json: Range<usize>,
}

/// What an event means for a stream that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Others come.
    No,
    /// The run the stream is about waits for somebody.
    Pause,
    /// That run is over.
    Over,
}

impl Event {
    /// As server-sent event: name, data, number, and a blank line. A workflow that pauses has a second one behind it,
    /// which has no number: all of the run.
    ///
    /// The number comes last, so that even a client that believes it before the blank line has the event by then.
    pub fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// As a message of a socket: name and data, without the number a stream has behind them.
    pub fn message(&self) -> String {
        let lines = self.frame.get(..self.json.end).and_then(|lines| std::str::from_utf8(lines).ok());
        format!("{}\n\n", lines.unwrap_or_default())
    }

    /// Whether a stream ends with it. A paused run may go on, in another stream.
    pub fn ends_stream(&self) -> bool {
        self.ending != Ending::No
    }

    /// Whether the run the stream is about waits from here on.
    pub fn pauses_run(&self) -> bool {
        self.ending == Ending::Pause
    }

    /// Whether nothing can come after it.
    pub fn ends_run(&self) -> bool {
        self.ending == Ending::Over
    }

    /// Puts a frame behind it.
    pub(super) fn followed_by(mut self, more: &[u8]) -> Self {
        self.frame = [&self.frame, more].concat().into();
        self
    }

    /// The data line: compact JSON.
    pub fn json(&self) -> &str {
        self.frame.get(self.json.clone()).and_then(|json| std::str::from_utf8(json).ok()).unwrap_or_default()
    }
}

/// Which event; the words of AgentOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the contract")]
pub enum Name {
    RunStarted,
    RunContent,
    RunContentCompleted,
    RunCompleted,
    RunError,
    RunCancelled,
    RunPaused,
    RunContinued,
    ModelRequestStarted,
    ModelRequestCompleted,
    ToolCallStarted,
    ToolCallCompleted,
    ToolCallError,
    CustomEvent,
    TaskIterationStarted,
    TaskIterationCompleted,
    TaskStateUpdated,
    TaskCreated,
    TaskUpdated,
    WorkflowStarted,
    WorkflowCompleted,
    WorkflowPaused,
    WorkflowCancelled,
    WorkflowError,
    StepStarted,
    StepCompleted,
    StepError,
    StepPaused,
    StepContinued,
    StepExecutorPaused,
    StepExecutorContinued,
    StepOutputReview,
    LoopExecutionStarted,
    LoopIterationStarted,
    LoopIterationCompleted,
    LoopExecutionCompleted,
    ParallelExecutionStarted,
    ParallelExecutionCompleted,
    ConditionExecutionStarted,
    ConditionExecutionCompleted,
    RouterExecutionStarted,
    RouterExecutionCompleted,
    RouterPaused,
}

impl Name {
    /// Without what a team puts before it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunStarted => "RunStarted",
            Self::RunContent => "RunContent",
            Self::RunContentCompleted => "RunContentCompleted",
            Self::RunCompleted => "RunCompleted",
            Self::RunError => "RunError",
            Self::RunCancelled => "RunCancelled",
            Self::RunPaused => "RunPaused",
            Self::RunContinued => "RunContinued",
            Self::ModelRequestStarted => "ModelRequestStarted",
            Self::ModelRequestCompleted => "ModelRequestCompleted",
            Self::ToolCallStarted => "ToolCallStarted",
            Self::ToolCallCompleted => "ToolCallCompleted",
            Self::ToolCallError => "ToolCallError",
            Self::CustomEvent => "CustomEvent",
            Self::TaskIterationStarted => "TaskIterationStarted",
            Self::TaskIterationCompleted => "TaskIterationCompleted",
            Self::TaskStateUpdated => "TaskStateUpdated",
            Self::TaskCreated => "TaskCreated",
            Self::TaskUpdated => "TaskUpdated",
            Self::WorkflowStarted => "WorkflowStarted",
            Self::WorkflowCompleted => "WorkflowCompleted",
            Self::WorkflowPaused => "WorkflowPaused",
            Self::WorkflowCancelled => "WorkflowCancelled",
            Self::WorkflowError => "WorkflowError",
            Self::StepStarted => "StepStarted",
            Self::StepCompleted => "StepCompleted",
            Self::StepError => "StepError",
            Self::StepPaused => "StepPaused",
            Self::StepContinued => "StepContinued",
            Self::StepExecutorPaused => "StepExecutorPaused",
            Self::StepExecutorContinued => "StepExecutorContinued",
            Self::StepOutputReview => "StepOutputReview",
            Self::LoopExecutionStarted => "LoopExecutionStarted",
            Self::LoopIterationStarted => "LoopIterationStarted",
            Self::LoopIterationCompleted => "LoopIterationCompleted",
            Self::LoopExecutionCompleted => "LoopExecutionCompleted",
            Self::ParallelExecutionStarted => "ParallelExecutionStarted",
            Self::ParallelExecutionCompleted => "ParallelExecutionCompleted",
            Self::ConditionExecutionStarted => "ConditionExecutionStarted",
            Self::ConditionExecutionCompleted => "ConditionExecutionCompleted",
            Self::RouterExecutionStarted => "RouterExecutionStarted",
            Self::RouterExecutionCompleted => "RouterExecutionCompleted",
            Self::RouterPaused => "RouterPaused",
        }
    }

    /// What it means for a stream about the run it belongs to.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of all the events a few are last")]
    pub(super) fn ending(self) -> Ending {
        match self {
            Self::RunPaused | Self::WorkflowPaused => Ending::Pause,
            Self::RunCompleted
            | Self::RunError
            | Self::RunCancelled
            | Self::WorkflowCompleted
            | Self::WorkflowCancelled
            | Self::WorkflowError => Ending::Over,
            _ => Ending::No,
        }
    }

    fn prefix(self, kind: ComponentKind) -> &'static str {
        if kind == ComponentKind::Team && self != Self::CustomEvent { "Team" } else { "" }
    }
}

/// An event's frame being written: `event: NAME\ndata: {…`, member by member, without a tree in between.
#[derive(Debug)]
pub(super) struct Line {
    bytes: Vec<u8>,
    json: usize,
}

/// Room for what follows a prefix: a piece and the number.
const TAIL_BYTES: usize = 128;

impl Line {
    /// Begins a frame. `identity` are members of the object, written already.
    pub(super) fn open(at: Timestamp, name: Name, kind: ComponentKind, identity: &str) -> Self {
        let (prefix, word) = (name.prefix(kind), name.as_str());
        let head = format!("event: {prefix}{word}\ndata: ");
        let json = head.len();
        let start = format!(r#"{{"created_at":{},"event":"{prefix}{word}",{identity}"#, at.seconds());
        Self { bytes: (head + &start).into_bytes(), json }
    }

    /// Goes on from a frame that was begun before.
    pub(super) fn from_prefix(prefix: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(prefix.len() + TAIL_BYTES);
        bytes.extend_from_slice(prefix);
        let json = prefix.iter().position(|byte| *byte == b'{').unwrap_or(0);
        Self { bytes, json }
    }

    /// What was written so far.
    pub(super) fn into_prefix(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds a member. One that cannot be written is left out; none of ours is such.
    pub(super) fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> &mut Self {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
        if serde_json::to_writer(&mut self.bytes, value).is_err() {
            self.bytes.truncate(before);
        }
        self.escape_line_ends(before);
        self
    }

    /// Writes NEL, LS and PS as escapes, from `start` on: JSON and SSE have them as text, but clients that split
    /// lines as Unicode does would cut the event there.
    fn escape_line_ends(&mut self, start: usize) {
        let written = self.bytes.get(start..).unwrap_or_default();
        if !written.iter().any(|byte| matches!(byte, 0xC2 | 0xE2)) {
            return;
        }
        let text = String::from_utf8_lossy(written);
        if text.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
            let escaped = text
                .replace('\u{85}', "\\u0085")
                .replace('\u{2028}', "\\u2028")
                .replace('\u{2029}', "\\u2029");
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(escaped.as_bytes());
        }
    }

    /// Adds a member if there is a value.
    pub(super) fn put_some<T: Serialize>(&mut self, key: &str, value: Option<&T>) -> &mut Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Adds all members of an object; of `null` there are none.
    pub(super) fn put_members<T: Serialize>(&mut self, members: &T) -> &mut Self {
        let object = serde_json::to_vec(members).unwrap_or_default();
        let inner = object.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
        if !inner.is_empty() {
            let start = self.bytes.len();
            self.bytes.push(b',');
            self.bytes.extend_from_slice(inner);
            self.escape_line_ends(start);
        }
        self
    }

    /// A frame that is no event of the run: an object, and no number.
    pub(super) fn object<T: Serialize>(name: &str, object: &T) -> Vec<u8> {
        let mut line = Self { bytes: format!("event: {name}\ndata: ").into_bytes(), json: 0 };
        let start = line.bytes.len();
        line.bytes.extend(serde_json::to_vec(object).unwrap_or_default());
        line.escape_line_ends(start);
        line.bytes.extend_from_slice(b"\n\n");
        line.bytes
    }

    /// Adds the number, to the object and as the frame's `id`, and ends the frame.
    pub(super) fn close(mut self, name: Name, ending: Ending, index: u64) -> Event {
        let number = index.to_string();
        for part in [",\"event_index\":", &number, "}"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        let json = self.json..self.bytes.len();
        for part in ["\nid: ", &number, "\n\n"] {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        Event { name, index, ending, frame: self.bytes.into(), json }
    }
}
