//! What a run did one after the other: questions to a model, the calls they led to, and messages that joined.

use crate::domain::edit::Edit;
use crate::domain::fact::{Answer, Failure};
use crate::domain::id::ModelName;
use crate::domain::message::{Finish, Input, Message, Usage};
use crate::domain::time::Timestamp;
use crate::domain::tool::{ToolCall, ToolResult, Verdict};

/// A message that joined a running run.
#[derive(Debug, Clone, PartialEq)]
pub struct Steer {
    /// When it came.
    pub at: Timestamp,
    /// What it says.
    pub input: Input,
    /// How many turns of the conversation come before it.
    pub after: usize,
}

/// One question to a model, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Counts from 1; an attempt that failed has the number of the one that follows it.
    pub number: u32,
    /// Who was asked.
    pub model: ModelName,
    /// What capabilities changed of the question.
    pub edit: Edit,
    /// When.
    pub called: Timestamp,
    /// When the first piece came.
    pub first_piece: Option<Timestamp>,
    /// When the answer was whole.
    pub answered: Option<Timestamp>,
    /// The text, as far as it came.
    pub text: String,
    /// The reasoning, as far as it came.
    pub reasoning: String,
    /// What it wanted called.
    pub calls: Vec<Call>,
    /// Why it stopped.
    pub finish: Option<Finish>,
    /// What it cost.
    pub usage: Usage,
    /// The provider's name for the answer.
    pub provider_id: Option<String>,
    /// Why it came to nothing.
    pub failure: Option<Failure>,
}

/// One tool call, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// As the model wrote it.
    pub call: ToolCall,
    /// When it was about to be called.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// The outcome.
    pub result: Option<ToolResult>,
    /// What somebody decided about it.
    pub answer: Option<Answer>,
    /// Whether it was not known if it took effect, and somebody was asked.
    pub doubted: bool,
}

impl Turn {
    pub(super) fn new(number: u32, model: ModelName, called: Timestamp) -> Self {
        Self {
            number,
            model,
            edit: Edit::default(),
            called,
            first_piece: None,
            answered: None,
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            finish: None,
            usage: Usage::default(),
            provider_id: None,
            failure: None,
        }
    }
}

impl Call {
    pub(super) fn new(call: ToolCall) -> Self {
        Self { call, started: None, finished: None, result: None, answer: None, doubted: false }
    }

    pub(super) fn message(&self) -> Message {
        let nothing = || ToolResult::failed("This call has no result: its run ended before it was finished.");
        let result = self.result.clone().unwrap_or_else(nothing);
        let (call, name, error) = (self.call.id.clone(), self.call.name.clone(), result.is_error());
        Message::Tool { call, name, content: result.content, images: result.images, error }
    }

    /// Whether it ended well; `None` while it has no result.
    pub fn failed(&self) -> Option<bool> {
        self.result.as_ref().map(|result| result.verdict != Verdict::Done)
    }
}
