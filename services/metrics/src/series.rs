//! Values over time in fixed memory: an hour as it came, a day by the minute.

use std::collections::VecDeque;

use ostler_core::time::{Span, Timestamp};

/// How often values are taken.
pub const FINE: Span = Span::from_secs(5);
/// How far apart those of a day are.
pub const COARSE: Span = Span::from_secs(60);
/// An hour of fine rows.
const FINE_ROWS: usize = 720;
/// A day of coarse rows.
const COARSE_ROWS: usize = 1440;
/// No answer has more points.
const MOST_POINTS: u64 = 2_000;

/// The values of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row<const N: usize> {
    at: Timestamp,
    values: [f32; N],
}

/// `N` values over time. Rows must come in the order of time; one that does not is passed over.
#[derive(Debug, Clone)]
pub struct Track<const N: usize> {
    fine: VecDeque<Row<N>>,
    coarse: VecDeque<Row<N>>,
    /// The minute that is not over yet: its number, the sums, how many.
    minute: (u64, [f32; N], u16),
    day: bool,
}

impl<const N: usize> Track<N> {
    /// Keeps an hour, and a day by the minute.
    #[must_use]
    pub fn of_a_day() -> Self {
        Self { day: true, ..Self::of_an_hour() }
    }

    /// Keeps an hour.
    #[must_use]
    pub fn of_an_hour() -> Self {
        Self {
            fine: VecDeque::new(),
            coarse: VecDeque::new(),
            minute: (0, [0.0; N], 0),
            day: false,
        }
    }

    /// Takes the values of a moment.
    pub fn push(&mut self, at: Timestamp, values: [f32; N]) {
        if self.fine.back().is_some_and(|last| at <= last.at) {
            return;
        }
        keep(&mut self.fine, Row { at, values }, FINE_ROWS);
        if !self.day {
            return;
        }
        let minute = at.as_millis() / COARSE.as_millis();
        if minute != self.minute.0 {
            self.close_minute();
            self.minute = (minute, [0.0; N], 0);
        }
        for (sum, value) in self.minute.1.iter_mut().zip(values) {
            *sum += value;
        }
        self.minute.2 += 1;
    }

    fn close_minute(&mut self) {
        let (minute, sums, count) = self.minute;
        if count > 0 {
            let at = Timestamp::from_millis(minute * COARSE.as_millis());
            let values = sums.map(|sum| sum / f32::from(count));
            keep(&mut self.coarse, Row { at, values }, COARSE_ROWS);
        }
    }

    /// The last values.
    #[must_use]
    pub fn last(&self) -> Option<[f32; N]> {
        self.fine.back().map(|row| row.values)
    }

    /// One column in a window: the mean of each step that has values, oldest first.
    #[must_use]
    pub fn points(&self, column: usize, window: Window) -> Vec<(u64, f64)> {
        let first_fine = self.fine.front().map_or(Timestamp::from_millis(u64::MAX), |row| row.at);
        let coarse = self.coarse.iter().filter(|row| row.at.plus(COARSE) <= first_fine);
        let rows = coarse.chain(&self.fine).filter(|row| window.holds(row.at));
        let mut points: Vec<(u64, f64)> = Vec::new();
        let mut count = 0.0;
        for row in rows {
            let step = window.step.as_millis();
            let at = row.at.as_millis() / step * step;
            let value = f64::from(row.values[column]);
            match points.last_mut() {
                Some((last, mean)) if *last == at => {
                    count += 1.0;
                    *mean += (value - *mean) / count;
                }
                _ => {
                    count = 1.0;
                    points.push((at, value));
                }
            }
        }
        points
    }
}

fn keep<T>(rows: &mut VecDeque<T>, row: T, most: usize) {
    if rows.len() == most {
        rows.pop_front();
    }
    rows.push_back(row);
}

/// Which part of a series, and how fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    from: Timestamp,
    to: Timestamp,
    step: Span,
}

impl Window {
    /// The last `range_ms` (0: an hour; a day at most) in steps of `step_ms` (0: 10 s; 5 s at
    /// least, and never more than 2,000 of them).
    #[must_use]
    pub fn last(range_ms: u64, step_ms: u64, now: Timestamp) -> Self {
        let (hour, day) = (3_600_000, 86_400_000);
        let range = if range_ms == 0 { hour } else { range_ms.clamp(FINE.as_millis(), day) };
        let step = if step_ms == 0 { 10_000 } else { step_ms.clamp(FINE.as_millis(), day) };
        let step = step.max(range.div_ceil(MOST_POINTS));
        Self {
            from: Timestamp::from_millis(now.as_millis().saturating_sub(range)),
            to: now,
            step: Span::from_millis(step),
        }
    }

    fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    /// How far apart points are.
    #[must_use]
    pub fn step(self) -> Span {
        self.step
    }
}
