//! Moments as text: RFC 3339 in UTC with milliseconds, as this surface shows them everywhere.

use crate::domain::time::Timestamp;

/// As in `2026-05-06T21:09:57.081Z`.
pub fn written(moment: Timestamp) -> String {
    let micros = i64::try_from(moment.0).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

/// Any RFC 3339 text from 1970 on.
pub fn read(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_microsecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_three_digits_and_are_in_utc() {
        let moment = read("2026-05-06T23:09:57.0815+02:00");
        assert_eq!(moment.map(written).as_deref(), Some("2026-05-06T21:09:57.081Z"));
        assert_eq!(written(Timestamp(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        assert_eq!(["yesterday", "2026-05-06", "1969-12-31T23:59:59Z", ""].map(read), [None; 4]);
    }
}
