//! Why a turn failed, in the few words of this surface: nothing of what a provider said.

use crate::domain::conversation::Trouble;
use crate::domain::fact::Failure;

/// The word for programs. Those of the contract, no others: a limit that is not one of questions has none of its own,
/// and takes the one for whatever has none.
pub fn code(failure: &Failure) -> &'static str {
    match failure.trouble() {
        Trouble::RateLimited => "rate_limited",
        Trouble::TooLong => "context_length_exceeded",
        Trouble::NoModel => "no_model",
        Trouble::Limit => "max_iterations",
        Trouble::Internal => "internal_error",
        Trouble::Model | Trouble::Time | Trouble::Tokens => "llm_error",
    }
}

/// The sentence for people.
pub fn sentence(failure: &Failure) -> &'static str {
    match failure.trouble() {
        Trouble::RateLimited => "The model provider is handling too many requests",
        Trouble::TooLong => "The conversation is too long for the model",
        Trouble::NoModel => "There is no model that could answer",
        Trouble::Limit => "The turn reached its limit of model or tool calls",
        Trouble::Time => "The turn reached its limit of time",
        Trouble::Tokens => "The turn reached its limit of tokens",
        Trouble::Internal => "The turn could not be continued",
        Trouble::Model => "The model could not be reached, or did not answer as it should",
    }
}
