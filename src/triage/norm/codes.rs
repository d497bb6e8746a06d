//! Why a run failed, in the words of this surface.

use crate::domain::fact::{Failure, INTERRUPTED};

/// The failure as the feed and the run show it: the runtime's message under one of this surface's codes.
pub(super) fn told(failure: &Failure) -> Failure {
    Failure { code: code(failure).into(), ..failure.clone() }
}

fn code(failure: &Failure) -> &'static str {
    let says = |text: &str| failure.message.contains(text);
    match failure.code.as_str() {
        "model_provider_error" if says("` answered 401") || says("` answered 403") => "llm_auth",
        "model_provider_error" if UNUSABLE.iter().any(|text| says(text)) => "llm_protocol",
        "model_provider_error" | "llm_error" => "llm_error",
        "model_timeout" | "llm_timeout" => "llm_timeout",
        "truncated" | "invalid_tool_calls" | "llm_protocol" => "llm_protocol",
        "unknown_provider" | "agent_inactive" | "llm_not_configured" => "llm_not_configured",
        "limit" if failure.message.ends_with(" seconds") => "run_timeout",
        "run_timeout" => "run_timeout",
        "limit" | "max_steps_exceeded" => "max_steps_exceeded",
        INTERRUPTED => "interrupted",
        _ => "internal",
    }
}

/// How the messages of answers go on that were none.
const UNUSABLE: [&str; 3] =
    ["instead of an event stream", "sent an event that is no JSON object", "sent more than the"];
