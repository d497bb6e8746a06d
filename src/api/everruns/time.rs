//! Moments and sums, as this surface writes them.

use serde::Serialize;

use crate::domain::message::Usage;
use crate::domain::time::Timestamp;

/// RFC 3339 in UTC with microseconds, so that texts sort as moments do.
pub fn moment(at: Timestamp) -> String {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(moment) => format!("{moment:.6}"),
        Err(_) => "9999-12-31T23:59:59.999999Z".into(),
    }
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TokenUsage {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_tokens: Option<u64>,
}

impl TokenUsage {
    /// What was used, if anything was.
    pub fn of(usage: &Usage) -> Option<Self> {
        let some = |tokens: u64| (tokens > 0).then_some(tokens);
        (usage.total() > 0).then_some(Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cache_read_tokens: some(usage.cache_read),
            cache_creation_tokens: some(usage.cache_write),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_a_fraction_even_where_it_is_nothing() {
        assert_eq!(moment(Timestamp(1_778_101_797_081_999)), "2026-05-06T21:09:57.081999Z");
        assert_eq!(moment(Timestamp(1_778_101_797_000_000)), "2026-05-06T21:09:57.000000Z");
    }

    #[test]
    fn nothing_used_is_nothing_told() {
        assert_eq!(TokenUsage::of(&Usage::default()), None);
    }
}
