//! Why a turn failed, in the few words of this surface: nothing of what a provider said.

use crate::domain::fact::Failure;

/// The word for programs.
pub fn code(failure: &Failure) -> &'static str {
    match failure.code.as_str() {
        "rate_limited" => "rate_limited",
        "context_length_exceeded" => "context_length_exceeded",
        "unknown_provider" => "no_model",
        "limit" => "max_iterations",
        "internal" | "interrupted" | "invalid_agent" | "invalid_instructions" => "internal_error",
        _ => "llm_error",
    }
}

/// The sentence for people.
pub fn sentence(failure: &Failure) -> &'static str {
    match code(failure) {
        "rate_limited" => "The model provider is handling too many requests",
        "context_length_exceeded" => "The conversation is too long for the model",
        "no_model" => "There is no model that could answer",
        "max_iterations" => "The turn reached its limit",
        "internal_error" => "The turn could not be continued",
        _ => "The model could not be reached, or did not answer as it should",
    }
}
