//! Cron expressions, as wall clocks read them: five fields, or seven with seconds before and years after them.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, date, time};

/// Longest expression, in bytes.
const MAX_BYTES: usize = 256;

/// The last year that anything is looked for in.
const LAST_YEAR: i16 = 2199;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the fields: what it is called, and what may stand in it.
struct Field {
    name: &'static str,
    least: i16,
    most: i16,
    /// Words for numbers, beginning with `least`.
    words: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", least: 0, most: 59, words: &[] };
const MINUTE: Field = Field { name: "minute", least: 0, most: 59, words: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, words: &[] };
const DAY: Field = Field { name: "day of the month", least: 1, most: 31, words: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, words: MONTHS };
const WEEKDAY: Field = Field { name: "day of the week", least: 0, most: 7, words: WEEKDAYS };
const YEAR: Field = Field { name: "year", least: 1970, most: LAST_YEAR, words: &[] };

/// An expression that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron {
    seconds: BTreeSet<i16>,
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    days: BTreeSet<i16>,
    /// `L`: the last day of the month.
    last_day: bool,
    months: BTreeSet<i16>,
    /// Sunday is 0.
    weekdays: BTreeSet<i16>,
    years: BTreeSet<i16>,
    any_day: bool,
    any_weekday: bool,
    recurs: bool,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("an expression has at most {MAX_BYTES} bytes"));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, rest, year) = match fields.as_slice() {
            [second, rest @ .., year] if fields.len() == 7 => (*second, rest, *year),
            rest if fields.len() == 5 => ("0", rest, "*"),
            _ => {
                let count = fields.len();
                return Err(format!(
                    "an expression has 5 fields (minute, hour, day of the month, month, day of the week), or 7 with \
                     the second before and the year after them; this one has {count}"
                ));
            }
        };
        let [minute, hour, day, month, weekday] = rest else {
            return Err("an expression has 5 or 7 fields".into());
        };
        let (days, last_day) = days(day)?;
        let weekdays = WEEKDAY.read(weekday)?.into_iter().map(|day| day % 7).collect();
        Ok(Self {
            seconds: SECOND.read(second)?,
            minutes: MINUTE.read(minute)?,
            hours: HOUR.read(hour)?,
            days,
            last_day,
            months: MONTH.read(month)?,
            weekdays,
            years: YEAR.read(year)?,
            any_day: is_any(day),
            any_weekday: is_any(weekday),
            recurs: [second, minute, hour].iter().any(|field| field.starts_with('*')),
        })
    }

    /// The expression of one moment of a wall clock.
    pub(super) fn of_moment(at: DateTime) -> String {
        let (date, time) = (at.date(), at.time());
        format!(
            "{} {} {} {} {} * {}",
            time.second(),
            time.minute(),
            time.hour(),
            date.day(),
            date.month(),
            date.year()
        )
    }

    /// Whether it comes again and again within a day, so that it follows the hours that pass and not the time that
    /// is shown: it is not made up for an hour that is left out, and comes in both of one that comes twice.
    pub(super) fn recurs(&self) -> bool {
        self.recurs
    }

    /// The first moment after this one that it speaks of.
    pub(super) fn next(&self, after: DateTime) -> Option<DateTime> {
        let start = after.with().subsec_nanosecond(0).build().ok()?.checked_add(1.second()).ok()?;
        if self.has(start.date())
            && let Some(time) = self.time_from(start.time())
        {
            return Some(start.date().to_datetime(time));
        }
        let day = self.day_from(start.date().tomorrow().ok()?)?;
        Some(day.to_datetime(self.time_from(Time::midnight())?))
    }

    fn has(&self, day: Date) -> bool {
        self.years.contains(&day.year()) && self.months.contains(&i16::from(day.month())) && self.has_day(day)
    }

    /// As everywhere: where both kinds of days are given, either will do.
    fn has_day(&self, day: Date) -> bool {
        let is_last = self.last_day && day.day() == day.days_in_month();
        let in_month = is_last || self.days.contains(&i16::from(day.day()));
        let in_week = self.weekdays.contains(&i16::from(day.weekday().to_sunday_zero_offset()));
        match (self.any_day, self.any_weekday) {
            (true, true) => true,
            (true, false) => in_week,
            (false, true) => in_month,
            (false, false) => in_month || in_week,
        }
    }

    fn day_from(&self, first: Date) -> Option<Date> {
        for year in self.years.range(first.year()..) {
            for month in &self.months {
                let month = date(*year, i8::try_from(*month).ok()?, 1);
                if month.last_of_month() < first {
                    continue;
                }
                let found = month.series(1.day()).take_while(|day| day.month() == month.month());
                let mut found = found.filter(|day| *day >= first && self.has_day(*day));
                if let Some(day) = found.next() {
                    return Some(day);
                }
            }
        }
        None
    }

    fn time_from(&self, first: Time) -> Option<Time> {
        let of_first = |is_first: bool, unit: i8| if is_first { i16::from(unit) } else { 0 };
        for hour in self.hours.range(i16::from(first.hour())..) {
            let in_hour = *hour == i16::from(first.hour());
            for minute in self.minutes.range(of_first(in_hour, first.minute())..) {
                let in_minute = in_hour && *minute == i16::from(first.minute());
                let second = self.seconds.range(of_first(in_minute, first.second())..).next();
                if let Some(second) = second {
                    let unit = |unit: i16| i8::try_from(unit).ok();
                    return Some(time(unit(*hour)?, unit(*minute)?, unit(*second)?, 0));
                }
            }
        }
        None
    }
}

fn is_any(field: &str) -> bool {
    matches!(field, "*" | "?")
}

/// Days of the month, and whether the last one is among them.
fn days(text: &str) -> Result<(BTreeSet<i16>, bool), String> {
    let (last, others): (Vec<&str>, Vec<&str>) =
        text.split(',').partition(|item| item.eq_ignore_ascii_case("L"));
    let days = if others.is_empty() { BTreeSet::new() } else { DAY.read(&others.join(","))? };
    Ok((days, !last.is_empty()))
}

impl Field {
    fn read(&self, text: &str) -> Result<BTreeSet<i16>, String> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            values.extend(self.item(item)?);
        }
        Ok(values)
    }

    /// `*`, `?`, `a`, `a-b`, and any of them with `/step`.
    fn item(&self, item: &str) -> Result<Vec<i16>, String> {
        let wrong = |why: &str| format!("the {} `{item}` {why}", self.name);
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => {
                let step: i16 = digits(step).ok_or_else(|| wrong("has a step that is no number"))?;
                (range, Some(step).filter(|step| *step > 0))
            }
        };
        if item.contains('/') && step.is_none() {
            return Err(wrong("has a step of 0"));
        }
        let value = |text: &str| {
            self.value(text).ok_or_else(|| wrong(&format!("is not between {} and {}", self.least, self.most)))
        };
        let (from, to) = match range.split_once('-') {
            _ if is_any(range) => (self.least, self.most),
            Some((from, to)) => (value(from)?, value(to)?),
            None if step.is_some() => (value(range)?, self.most),
            None => (value(range)?, value(range)?),
        };
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        if from > to && self.name == WEEKDAY.name {
            // From Friday to Monday.
            return Ok((from..=to.saturating_add(7)).step_by(step).map(|day| day % 7).collect());
        }
        if from > to {
            return Err(wrong("ends before it begins"));
        }
        Ok((from..=to).step_by(step).collect())
    }

    fn value(&self, text: &str) -> Option<i16> {
        let word = self.words.iter().position(|word| text.eq_ignore_ascii_case(word));
        let number = match word {
            Some(place) => i16::try_from(place).ok()?.checked_add(self.least)?,
            None => digits(text)?,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<i16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
mod tests {
    use super::*;

    /// The next three moments after one.
    fn next(expression: &str, after: &str) -> Vec<String> {
        let cron = Cron::parse(expression).unwrap();
        let mut at: DateTime = after.parse().unwrap();
        let mut found = Vec::new();
        while let Some(next) = cron.next(at).filter(|_| found.len() < 3) {
            found.push(next.to_string());
            at = next;
        }
        found
    }

    #[test]
    fn five_fields_begin_with_the_minute() {
        let sunday = "2026-03-01T12:00:00";
        assert_eq!(
            next("*/25 13 * * *", sunday),
            ["2026-03-01T13:00:00", "2026-03-01T13:25:00", "2026-03-01T13:50:00"]
        );
        assert_eq!(
            next("0 12 * * *", sunday),
            ["2026-03-02T12:00:00", "2026-03-03T12:00:00", "2026-03-04T12:00:00"]
        );
        assert_eq!(
            next("0 0 1 jan-mar *", sunday),
            ["2027-01-01T00:00:00", "2027-02-01T00:00:00", "2027-03-01T00:00:00"]
        );
        assert_eq!(
            next("5/20 0 L * ?", sunday),
            ["2026-03-31T00:05:00", "2026-03-31T00:25:00", "2026-03-31T00:45:00"]
        );
    }

    #[test]
    fn seven_fields_have_seconds_before_and_years_after() {
        let at = "2026-12-31T23:59:58";
        assert_eq!(
            next("* * * * * * *", at),
            ["2026-12-31T23:59:59", "2027-01-01T00:00:00", "2027-01-01T00:00:01"]
        );
        assert_eq!(next("30 0 0 29 2 * 2027-2030", at), ["2028-02-29T00:00:30"]);
        assert_eq!(next("0 0 0 1 1 * 2026", at), [""; 0]);
    }

    #[test]
    fn days_of_the_month_and_of_the_week_are_both_meant_where_both_are_given() {
        let at = "2026-03-01T00:00:00";
        assert_eq!(
            next("0 0 13 * fri", at),
            ["2026-03-06T00:00:00", "2026-03-13T00:00:00", "2026-03-20T00:00:00"]
        );
        let sundays = ["2026-03-08T00:00:00", "2026-03-15T00:00:00", "2026-03-22T00:00:00"];
        assert_eq!(next("0 0 * * 7", at), sundays);
        assert_eq!(next("0 0 * * 0", at), sundays);
        assert_eq!(
            next("0 0 * * sat-mon", at),
            ["2026-03-02T00:00:00", "2026-03-07T00:00:00", "2026-03-08T00:00:00"]
        );
    }

    #[test]
    fn a_day_that_never_comes_is_not_looked_for_for_ever() {
        assert_eq!(next("0 0 30 2 *", "2026-03-01T00:00:00"), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong = |text: &str| Cron::parse(text).unwrap_err();
        assert!(wrong("* * * * * *").ends_with("this one has 6"));
        assert!(wrong("@daily").ends_with("this one has 1"));
        assert!(wrong("").ends_with("this one has 0"));
        assert_eq!(wrong("60 * * * *"), "the minute `60` is not between 0 and 59");
        assert_eq!(wrong("* * 0 * *"), "the day of the month `0` is not between 1 and 31");
        assert_eq!(wrong("* * * foo *"), "the month `foo` is not between 1 and 12");
        assert_eq!(wrong("*/0 * * * *"), "the minute `*/0` has a step of 0");
        assert_eq!(wrong("*/x * * * *"), "the minute `*/x` has a step that is no number");
        assert_eq!(wrong("9-3 * * * *"), "the minute `9-3` ends before it begins");
        assert_eq!(wrong("-1 * * * *"), "the minute `-1` is not between 0 and 59");
        assert_eq!(wrong("1,,2 * * * *"), "the minute `` is not between 0 and 59");
        assert_eq!(wrong("* * * * * * 99999"), "the year `99999` is not between 1970 and 2199");
        assert!(wrong(&"1,".repeat(200)).starts_with("an expression has at most"));
    }

    #[test]
    fn a_moment_has_an_expression_of_its_own() {
        let at: DateTime = "2026-03-01T12:30:05".parse().unwrap();
        assert_eq!(Cron::of_moment(at), "5 30 12 1 3 * 2026");
        assert_eq!(next(&Cron::of_moment(at), "2026-01-01T00:00:00"), ["2026-03-01T12:30:05"]);
    }
}
