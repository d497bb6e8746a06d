//! What later runs of a conversation are shown of a run that is over, however it ended.

use super::fact::{Failure, INTERRUPTED, Outcome};
use super::message::{Input, Message};
use super::view::{RunView, Turn};

/// What a cancelled run leaves in the conversation, said for the user.
pub const CANCEL_NOTE: &str = "User requested to cancel the work.";

impl RunView {
    /// The run's own messages, healed, as runs after it are shown them. An answer that was broken off is not among
    /// them: of a cancelled run a note stands in its place, of a failed one an apology.
    pub fn conversation(&self) -> Vec<Message> {
        let mut view = self.clone();
        if self.outcome.is_some() {
            view.turns.retain(|turn| turn.answered.is_some());
            // What joined while the answer that is gone was being written stands at the end.
            let left = view.turns.len();
            view.steers.iter_mut().for_each(|steer| steer.after = steer.after.min(left));
        }
        let mut messages = view.messages();
        match &self.outcome {
            Some(Outcome::Cancelled { .. }) => {
                messages
                    .push(Message::User { input: Input { text: CANCEL_NOTE.into(), ..Input::default() } });
            }
            Some(Outcome::Failed(failure)) if self.broken_question().is_some() => {
                let text = failure.apology().into();
                messages.push(Message::Assistant { text, reasoning: String::new(), tool_calls: Vec::new() });
            }
            Some(Outcome::Failed(_) | Outcome::Completed) | None => {}
        }
        messages
    }

    /// The question that was never answered, if that is what the run ended with.
    pub fn broken_question(&self) -> Option<&Turn> {
        self.turns.last().filter(|turn| turn.answered.is_none() && self.outcome.is_some())
    }
}

/// What kind of failure it was, as a person needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The provider has too much to do.
    RateLimited,
    /// The conversation is longer than the model reads.
    TooLong,
    /// There is nobody to ask.
    NoModel,
    /// The run asked as often as it may.
    Limit,
    /// The run worked as long as it may.
    Time,
    /// The run used as many tokens as it may.
    Tokens,
    /// The server's own.
    Internal,
    /// Anything else of a model or its provider.
    Model,
}

impl Failure {
    /// What kind it is. Providers say some things only in words; these are looked for in what they said.
    pub fn trouble(&self) -> Trouble {
        match self.code.as_str() {
            "unknown_provider" => Trouble::NoModel,
            "limit" if self.says(" seconds") => Trouble::Time,
            "limit" if self.says(" tokens") => Trouble::Tokens,
            "limit" => Trouble::Limit,
            "internal" | INTERRUPTED | "invalid_agent" | "invalid_instructions" => Trouble::Internal,
            _ if ["context_length", "context length", "context window"]
                .iter()
                .any(|word| self.says(word)) =>
            {
                Trouble::TooLong
            }
            _ if self.says("answered 429") => Trouble::RateLimited,
            _ => Trouble::Model,
        }
    }

    fn says(&self, word: &str) -> bool {
        self.message.contains(word)
    }

    /// What a person is told in place of the answer: nothing of what a provider said.
    pub fn apology(&self) -> &'static str {
        match self.trouble() {
            Trouble::RateLimited => {
                "I'm sorry, the model has too many requests to answer right now. Please try again later."
            }
            Trouble::TooLong => "I'm sorry, this conversation has become too long for the model.",
            Trouble::NoModel => "I'm sorry, there is no model that could answer.",
            Trouble::Limit | Trouble::Time | Trouble::Tokens => {
                "I'm sorry, I reached the limit of what I may do for one request."
            }
            Trouble::Internal | Trouble::Model => {
                "I'm sorry, something went wrong while I was answering. Please try again."
            }
        }
    }
}
