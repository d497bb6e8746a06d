//! When a schedule is due: a cron expression on the wall clock of a time zone.
//!
//! Where clocks are changed, what has a time of day comes once a day: a time that is left out is made up for right
//! after, and of one that comes twice the first counts. What recurs within the day follows the time that passes.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp as Moment};

use super::cron::Cron;
use super::error::Error;
use crate::domain::time::Timestamp;

/// The moments of a schedule.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    cron: Cron,
    zone: TimeZone,
}

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Ticks {
    /// Of an expression in a zone of the IANA database.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming `cron_expression` or `timezone`.
    pub(super) fn of(cron: &str, zone: &str) -> Result<Self, Error> {
        let cron = Cron::parse(cron).map_err(|why| Error::invalid("cron_expression", why))?;
        let known = TimeZone::get(zone).ok().filter(|known| !known.is_unknown());
        let zone = known.ok_or_else(|| {
            Error::invalid("timezone", "it must be the name of a time zone, as in Europe/Berlin")
        })?;
        Ok(Self { cron, zone })
    }

    /// The first tick after a moment.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.following(moment(after)?).and_then(timestamp)
    }

    /// The latest ticks from `first` to `now`, at most so many, in order.
    pub(super) fn latest(&self, first: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        let before = first.seconds().saturating_sub(1);
        let mut found = Vec::new();
        let mut until = now.seconds();
        while found.len() < most
            && let Some(tick) = self.last(before, until)
        {
            found.push(Timestamp(tick.saturating_mul(1_000_000)));
            until = tick.saturating_sub(1);
        }
        found.reverse();
        found
    }

    /// The last tick after `low` and not after `until`, in seconds, found by halving what lies between.
    fn last(&self, mut low: u64, until: u64) -> Option<u64> {
        let after = |second: u64| {
            let next = self.next(Timestamp(second.saturating_mul(1_000_000)))?.seconds();
            (next <= until).then_some(next)
        };
        let mut found = after(low)?;
        let mut high = until;
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low).div_ceil(2));
            match after(middle) {
                Some(tick) => (low, found) = (middle, tick),
                None => high = middle.saturating_sub(1),
            }
        }
        Some(found)
    }

    /// Goes through stretches of time in which the clock is not changed.
    fn following(&self, after: Moment) -> Option<Moment> {
        let mut position = after;
        let mut offset = self.zone.to_offset(after);
        let mut shown = offset.to_datetime(after);
        if let Some(again) = self.again_until(after) {
            shown = shown.max(again);
        }
        loop {
            let found = self.cron.next(shown)?;
            let at = offset.to_timestamp(found).ok()?;
            let Some(change) = self.zone.following(position).next().filter(|change| change.timestamp() <= at)
            else {
                return Some(at);
            };
            position = change.timestamp();
            let before = offset.to_datetime(position);
            offset = change.offset();
            let then = offset.to_datetime(position);
            if !self.cron.recurs() && found < then {
                return Some(position);
            }
            let again = if self.cron.recurs() { then } else { then.max(before) };
            shown = again.checked_sub(SECOND).ok()?;
        }
    }

    /// Until when the clock shows what it showed before, for what comes once; just before, as `next` is after.
    fn again_until(&self, now: Moment) -> Option<jiff::civil::DateTime> {
        if self.cron.recurs() {
            return None;
        }
        let change = self.zone.preceding(now.checked_add(SECOND).ok()?).next()?;
        let before = self.zone.to_offset(change.timestamp().checked_sub(SECOND).ok()?);
        before.to_datetime(change.timestamp()).checked_sub(SECOND).ok()
    }
}

/// The expression of a moment in UTC.
pub(super) fn expression_of(at: Timestamp) -> Option<String> {
    Some(Cron::of_moment(TimeZone::UTC.to_datetime(moment(at)?)))
}

fn moment(at: Timestamp) -> Option<Moment> {
    Moment::from_microsecond(i64::try_from(at.0).ok()?).ok()
}

fn timestamp(at: Moment) -> Option<Timestamp> {
    u64::try_from(at.as_microsecond()).ok().map(Timestamp)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        timestamp(text.parse().unwrap()).unwrap()
    }

    /// The next ticks after a moment, as many as are expected.
    fn ticks<const N: usize>(cron: &str, zone: &str, after: &str) -> [String; N] {
        let ticks = Ticks::of(cron, zone).unwrap();
        let mut now = at(after);
        [(); N].map(|()| {
            now = ticks.next(now).unwrap();
            now.to_string()
        })
    }

    #[test]
    fn a_time_of_day_is_that_of_the_zone() {
        assert_eq!(
            ticks("0 9 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z"),
            ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"]
        );
        assert_eq!(ticks("30 5 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z"), ["2026-01-02T00:00:00Z"]);
    }

    #[test]
    fn a_time_that_is_left_out_is_made_up_for_right_after() {
        assert_eq!(
            ticks("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z"),
            ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]
        );
        assert_eq!(
            ticks("0 2,3 * * *", "America/New_York", "2026-03-08T06:59:59Z"),
            ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        let days = ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
        assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z"), days);
        let again = ["2026-11-02T06:30:00Z"];
        assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z"), again);
        assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z"), again);
        assert_eq!(ticks("0 2 * * *", "America/New_York", "2026-11-01T06:10:00Z"), ["2026-11-01T07:00:00Z"]);
    }

    #[test]
    fn what_recurs_follows_the_time_that_passes() {
        assert_eq!(
            ticks("*/30 * * * *", "America/New_York", "2026-11-01T05:00:00Z"),
            ["2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:00:00Z"]
        );
        assert_eq!(
            ticks("15 * * * *", "America/New_York", "2026-03-08T06:00:00Z"),
            ["2026-03-08T06:15:00Z", "2026-03-08T07:15:00Z"]
        );
        assert_eq!(
            ticks("*/30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z"),
            ["2026-03-09T06:00:00Z", "2026-03-09T06:30:00Z"]
        );
    }

    #[test]
    fn a_change_of_half_an_hour_is_a_change() {
        assert_eq!(
            ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
            ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
        );
    }

    #[test]
    fn a_year_far_away_is_found() {
        assert_eq!(
            ticks("0 0 12 1 7 * 2150", "Europe/Berlin", "2026-01-01T00:00:00Z"),
            ["2150-07-01T10:00:00Z"]
        );
        let past = Ticks::of("0 0 0 1 1 * 2020", "UTC").unwrap();
        assert_eq!(past.next(at("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn the_latest_of_many_are_found_without_going_through_all() {
        let each_second = Ticks::of("* * * * * * *", "UTC").unwrap();
        let latest = each_second.latest(at("2006-01-01T00:00:00Z"), at("2026-01-01T00:00:00.5Z"), 2);
        assert_eq!(latest, [at("2025-12-31T23:59:59Z"), at("2026-01-01T00:00:00Z")]);
        let daily = Ticks::of("0 9 * * *", "Europe/Berlin").unwrap();
        let from = at("2026-03-28T08:00:00Z");
        assert_eq!(daily.latest(from, at("2026-03-28T20:00:00Z"), 5), [from]);
        assert_eq!(daily.latest(from, at("2026-03-29T20:00:00Z"), 5), [from, at("2026-03-29T07:00:00Z")]);
        assert_eq!(daily.latest(from, at("2026-03-28T07:59:59Z"), 5), []);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |cron: &str, zone: &str| {
            let told = Ticks::of(cron, zone).unwrap_err().to_string();
            told.split(':').next().unwrap_or_default().to_owned()
        };
        assert_eq!(wrong("x", "UTC"), "cron_expression");
        for zone in ["", "Mars/Olympus", "../etc/passwd", "Etc/Unknown"] {
            assert_eq!(wrong("* * * * *", zone), "timezone", "{zone}");
        }
    }

    #[test]
    fn a_moment_is_a_tick_of_its_own_expression() {
        let then = at("2026-03-01T12:30:05Z");
        let ticks = Ticks::of(&expression_of(then).unwrap(), "UTC").unwrap();
        assert_eq!(ticks.next(at("2026-01-01T00:00:00Z")), Some(then));
        assert_eq!(ticks.next(then), None);
    }
}
