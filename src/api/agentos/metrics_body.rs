//! Counts and times as AgentOS shows them: what is zero or unknown is left out.

use serde::Serialize;

use crate::domain::id::ModelName;
use crate::domain::message::Usage;
use crate::domain::view::{RunView, Turn};

/// Tokens; zeros are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tokens {
    #[serde(skip_serializing_if = "is_zero")]
    input_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    output_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_read_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    reasoning_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            total_tokens: usage.total(),
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            reasoning_tokens: usage.reasoning,
        }
    }
}

/// Tokens and seconds of a run or of one answer.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Metrics {
    #[serde(flatten)]
    tokens: Tokens,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_to_first_token: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Details {
    model: Vec<ModelShare>,
}

/// What one model had of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct ModelShare {
    #[serde(flatten)]
    tokens: Tokens,
    id: String,
    provider: String,
}

impl Metrics {
    /// Of a whole run, model by model.
    pub fn of_run(view: &RunView) -> Self {
        let shares = shares(view);
        Self {
            tokens: view.usage().into(),
            time_to_first_token: view.turns.iter().find_map(time_to_first_piece),
            duration: view.began.zip(view.ended).map(|(began, ended)| ended.seconds_since(began)),
            details: (!shares.is_empty()).then_some(Details { model: shares }),
        }
    }

    /// Of one answer; `None` while there is none.
    pub fn of_turn(turn: &Turn) -> Option<Self> {
        let answered = turn.answered?;
        Some(Self {
            tokens: turn.usage.into(),
            time_to_first_token: time_to_first_piece(turn),
            duration: Some(answered.seconds_since(turn.called)),
            details: None,
        })
    }
}

/// Seconds from the question to the first piece.
pub fn time_to_first_piece(turn: &Turn) -> Option<f64> {
    turn.first_piece.map(|first| first.seconds_since(turn.called))
}

/// How AgentOS writes a provider: `openai` is `OpenAI`, any other name is capitalised.
pub fn provider_name(model: &ModelName) -> String {
    if model.provider == "openai" {
        return "OpenAI".into();
    }
    let mut letters = model.provider.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn shares(view: &RunView) -> Vec<ModelShare> {
    let mut sums: Vec<(&ModelName, Usage)> = Vec::new();
    for turn in view.turns.iter().filter(|turn| turn.usage != Usage::default()) {
        match sums.iter_mut().find(|(model, _)| **model == turn.model) {
            Some((_, sum)) => sum.add(&turn.usage),
            None => sums.push((&turn.model, turn.usage)),
        }
    }
    sums.into_iter()
        .map(|(model, sum)| ModelShare {
            tokens: sum.into(),
            id: model.model.clone(),
            provider: provider_name(model),
        })
        .collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
