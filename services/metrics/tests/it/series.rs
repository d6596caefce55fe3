//! Series: what is kept, what is dropped, what a window shows.

use ostler_core::time::Timestamp;
use ostler_metrics::series::{Track, Window};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// A value every 5 s from `from` to `to` (s): the second it was taken at.
fn filled(from: u64, to: u64) -> Track<1> {
    let mut track = Track::of_a_day();
    for second in (from..=to).step_by(5) {
        let value = u16::try_from(second % 65_536).expect("it is below");
        track.push(at(second), [f32::from(value)]);
    }
    track
}

fn window(range_s: u64, step_s: u64, now_s: u64) -> Window {
    Window::last(range_s * 1000, step_s * 1000, at(now_s))
}

#[test]
fn a_step_shows_the_mean_of_its_values() {
    let points = filled(100, 120).points(0, window(60, 10, 120));
    assert_eq!(points, [(100_000, 102.5), (110_000, 112.5), (120_000, 120.0)]);
}

#[test]
fn a_window_ends_where_it_says() {
    let track = filled(0, 3600);
    let count = |range: u64, step: u64| track.points(0, window(range, step, 3600)).len();
    assert_eq!(count(60, 5), 13);
    assert_eq!(count(60, 30), 3);
    assert_eq!(count(5, 5), 2);
}

#[test]
fn the_default_is_an_hour_in_steps_of_ten_seconds() {
    let window = Window::last(0, 0, at(10_000));
    assert_eq!(window.step().as_millis(), 10_000);
    let points = filled(5_000, 10_000).points(0, window);
    assert_eq!(points.first().map(|(ms, _)| *ms), Some(6_400_000));
}

#[test]
fn steps_are_never_more_than_two_thousand() {
    for (range, step) in [(86_400_000, 1), (86_400_000, 5_000), (u64::MAX, 1), (1, u64::MAX)] {
        let window = Window::last(range, step, at(100_000));
        assert!(window.step().as_millis() >= 5_000, "{range} {step}");
        let day = 86_400_000;
        assert!(range.min(day) / window.step().as_millis() <= 2_000, "{range} {step}");
    }
}

#[test]
fn a_day_is_kept_by_the_minute_and_an_hour_as_it_came() {
    let end = 2 * 86_400;
    let track = filled(0, end);
    let points = track.points(0, window(86_400, 60, end));
    assert!((1_430..=1_441).contains(&points.len()), "{}", points.len());
    assert!(points.windows(2).all(|pair| pair[1].0 - pair[0].0 == 60_000), "a hole");
    let fine = track.points(0, window(3_595, 5, end));
    assert_eq!(fine.len(), 720);
}

#[test]
fn what_does_not_come_in_the_order_of_time_is_passed_over() {
    let mut track = Track::<1>::of_an_hour();
    track.push(at(10), [1.0]);
    track.push(at(10), [9.0]);
    track.push(at(5), [9.0]);
    assert_eq!(track.points(0, window(60, 5, 10)), [(10_000, 1.0)]);
    assert_eq!(track.last(), Some([1.0]));
}

#[test]
fn a_hole_stays_a_hole() {
    let mut track = filled(0, 20);
    track.push(at(60), [60.0]);
    let times: Vec<u64> =
        track.points(0, window(100, 10, 60)).iter().map(|(ms, _)| ms / 1000).collect();
    assert_eq!(times, [0, 10, 20, 60]);
}
