//! What later runs of a conversation are shown of a run that is over, however it ended.

use super::fact::{Failure, Outcome};
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

impl Failure {
    /// What a person is told in place of the answer: nothing of what a provider said.
    pub fn apology(&self) -> &'static str {
        match self.code.as_str() {
            "rate_limited" => {
                "I'm sorry, the model is handling too many requests right now. Please try again later."
            }
            "context_length_exceeded" => "I'm sorry, this conversation has become too long for the model.",
            "unknown_provider" => "I'm sorry, there is no model that could answer.",
            "limit" => "I'm sorry, I reached the limit of what I may do for one request.",
            _ => "I'm sorry, I could not answer because of a problem with the model. Please try again.",
        }
    }
}
