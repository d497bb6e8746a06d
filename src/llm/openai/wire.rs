//! What providers stream, read leniently: whatever is missing, null or of another type counts as not said.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::message::Usage;

/// One event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    /// The provider's name for the answer.
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    /// We ask for one, and read only the first.
    #[serde(deserialize_with = "lenient_list")]
    pub(super) choices: Vec<Choice>,
    /// Often in the last event only, beside no choices; in some providers in each.
    #[serde(deserialize_with = "lenient")]
    pub(super) usage: Option<Tokens>,
    /// Instead of an answer, or in the middle of one.
    pub(super) error: Value,
}

/// One of several answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    #[serde(deserialize_with = "lenient")]
    delta: Option<Delta>,
    /// Some send the whole message where a delta belongs.
    #[serde(deserialize_with = "lenient")]
    message: Option<Delta>,
    /// Anything; unknown reasons are common.
    #[serde(deserialize_with = "lenient")]
    pub(super) finish_reason: Option<String>,
}

impl Choice {
    /// What this event adds to the answer.
    pub(super) fn delta(&mut self) -> Delta {
        self.delta.take().or(self.message.take()).unwrap_or_default()
    }
}

/// What is added to an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    content: Value,
    refusal: Value,
    reasoning_content: Value,
    reasoning: Value,
    #[serde(deserialize_with = "lenient_list")]
    tool_calls: Vec<CallDelta>,
    /// The older form, for one call.
    #[serde(deserialize_with = "lenient")]
    function_call: Option<FunctionDelta>,
}

impl Delta {
    /// Text of the answer; a refusal is one.
    pub(super) fn text(&self) -> String {
        text_of(&self.content) + &text_of(&self.refusal)
    }

    /// Reasoning, under whichever name: those who send both names send the same text twice.
    pub(super) fn reasoning(&self) -> String {
        let text = text_of(&self.reasoning_content);
        if text.is_empty() { text_of(&self.reasoning) } else { text }
    }

    /// Parts of tool calls.
    pub(super) fn calls(self) -> impl Iterator<Item = CallDelta> {
        let old = self.function_call.map(|function| CallDelta { function, ..CallDelta::default() });
        self.tool_calls.into_iter().chain(old)
    }
}

/// Part of a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallDelta {
    /// Which of the answer's calls; missing or always 0 in some providers.
    #[serde(deserialize_with = "lenient")]
    pub(super) index: Option<u64>,
    /// In the first part, in each, or never.
    #[serde(deserialize_with = "lenient")]
    pub(super) id: String,
    /// Name and arguments.
    #[serde(deserialize_with = "lenient")]
    pub(super) function: FunctionDelta,
}

/// Name and arguments of a call, or parts of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionDelta {
    /// In the first part only, as a rule.
    #[serde(deserialize_with = "lenient")]
    pub(super) name: String,
    arguments: Value,
}

impl FunctionDelta {
    /// Part of the arguments' JSON text; an object in their place is written out.
    pub(super) fn arguments(&self) -> String {
        match &self.arguments {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                other.to_string()
            }
        }
    }
}

/// Token counts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "lenient")]
    prompt_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    completion_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    prompt_tokens_details: TokenDetails,
    #[serde(deserialize_with = "lenient")]
    completion_tokens_details: TokenDetails,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenDetails {
    #[serde(deserialize_with = "lenient")]
    cached_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    cache_write_tokens: u64,
    #[serde(deserialize_with = "lenient")]
    reasoning_tokens: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input: tokens.prompt_tokens,
            output: tokens.completion_tokens,
            reasoning: tokens.completion_tokens_details.reasoning_tokens,
            cache_read: tokens.prompt_tokens_details.cached_tokens,
            cache_write: tokens.prompt_tokens_details.cache_write_tokens,
        }
    }
}

/// An error as providers report one, in a body or in an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// For people.
    pub(super) message: String,
    /// As in `insufficient_quota`; a status in some providers; may be empty.
    pub(super) code: String,
    /// Where the code is a status, this is often the word; may be empty.
    kind: String,
}

impl Complaint {
    /// Whether there is an error at all: some providers send an empty one with each event.
    pub(super) fn is_one(error: &Value) -> bool {
        match error {
            Value::Null | Value::Bool(false) => false,
            Value::Bool(true) | Value::Number(_) => true,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        }
    }

    /// Reads `{"message": …, "code": …, "type": …}`, a bare text, or whatever else was sent.
    pub(super) fn read(error: &Value) -> Self {
        let word = |key: &str| match error.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let message = word("message").or_else(|| error.as_str().map(Into::into));
        let kind = word("type").unwrap_or_default();
        Self {
            message: message.unwrap_or_else(|| error.to_string()),
            code: word("code").unwrap_or_else(|| kind.clone()),
            kind,
        }
    }

    /// Whether the account is used up.
    pub(super) fn is_quota(&self) -> bool {
        const USED_UP: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];
        [&self.code, &self.kind].into_iter().any(|word| USED_UP.contains(&word.as_str()))
    }
}

/// A text, or the texts of a list of parts.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// What cannot be read is the default.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).unwrap_or_default())
}

/// Elements that cannot be read are left out; one that stands alone is a list of one.
fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let read = |value| serde_json::from_value(value).ok();
    Ok(match Value::deserialize(from)? {
        Value::Array(values) => values.into_iter().filter_map(read).collect(),
        alone @ Value::Object(_) => read(alone).into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    })
}
