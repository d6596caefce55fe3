//! The fleet from a seed: engines, rosters and detectors of the product around a simulated bus that
//! loses, repeats, delays and reorders, with processes that die, stop and come back, and people who
//! change their minds. What must hold is checked after every step.
//!
//! `make test` tells 200 seeds, `make soak SOAK=1h` as many as fit. A failure names its seed; with
//! `SEED=7` before it and `-- --nocapture` after it, `cargo test --release -p ostler-core --test sim`
//! tells its story. Not simulated: workloads' heads carry no operations, so a deleted one is purged
//! without its leader's note that it is at rest.

use std::time::{Duration, Instant};

mod bus;
mod chance;
mod check;
mod finish;
mod host;
mod operator;
mod registry;
mod scheduler;
mod world;

use world::{Mistake, Plan, World};

/// How many acts a story has.
const STEPS: u32 = 80;
/// So many seeds are told when nothing else is asked for.
const SEEDS: u64 = 200;
/// Each of so many tests tells its share of them, so that all cores are used.
const PARTS: u64 = 4;

fn story(seed: u64, steps: u32, trace: bool) -> (Result<(), String>, World) {
    let mut world = World::new(Plan { seed, steps, trace, mistake: None });
    let result = world.tell();
    (result, world)
}

/// The fewest acts, from the beginning, after which it still goes wrong.
fn shortest(seed: u64, steps: u32) -> u32 {
    let (mut good, mut bad) = (0, steps);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match story(seed, middle, false).0 {
            Ok(()) => good = middle,
            Err(_) => bad = middle,
        }
    }
    bad
}

/// What to read, and how to see it again.
fn explain(seed: u64, steps: u32) -> String {
    let steps = shortest(seed, steps);
    let (result, world) = story(seed, steps, true);
    let lines = world.told.len().saturating_sub(400);
    let wrong = result.err().unwrap_or_else(|| "it went well this time".to_owned());
    format!(
        "{}\nseed {seed}: {wrong}\nSEED={seed} STEPS={steps} cargo test --release -p ostler-core --test sim -- --nocapture",
        world.told[lines..].join("\n")
    )
}

#[expect(clippy::disallowed_methods, reason = "a test is asked for more by its environment")]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "how long to look for more is wall time")]
fn clock() -> Instant {
    Instant::now()
}

fn number(name: &str) -> Option<u64> {
    asked(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Tells every [`PARTS`]th seed from `first` on, until there were `count` of all, or `end` has come;
/// those that went wrong.
fn search(part: u64, first: u64, count: u64, end: Option<Instant>) -> Vec<(u64, String)> {
    let mut wrong = Vec::new();
    for told in (0..count).filter(|told| (first + told) % PARTS == part) {
        if end.is_some_and(|end| clock() > end) {
            break;
        }
        if told % 1_000 >= 1_000 - PARTS {
            println!("about {told} seeds");
        }
        let seed = first + told;
        let result = std::panic::catch_unwind(|| story(seed, STEPS, false).0);
        let result = result.unwrap_or_else(|_| Err("it panicked".to_owned()));
        if let Err(why) = result {
            println!("seed {seed}: {why:.300}");
            wrong.push((seed, why));
        }
    }
    wrong
}

/// One part of the seeds: 200 in all, or what the environment asks for.
fn part_of_the_seeds(part: u64) {
    let steps = number("STEPS").map_or(STEPS, |steps| u32::try_from(steps).expect("few"));
    if let Some(seed) = number("SEED") {
        if seed % PARTS != part {
            return;
        }
        let (result, world) = story(seed, steps, true);
        println!("{}\n{} events", world.told.join("\n"), world.events);
        return result.unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    let soak = asked("SOAK").map(|text| text.parse::<ostler_core::time::Span>().expect("as in 1h"));
    let end = soak.map(|span| clock() + Duration::from(span));
    let count = number("SEEDS").unwrap_or(if soak.is_some() { u64::MAX / 2 } else { SEEDS });
    let wrong = search(part, number("FROM").unwrap_or(1), count, end);
    if let Some((seed, _)) = wrong.first() {
        panic!("{} seeds went wrong\n{}", wrong.len(), explain(*seed, steps));
    }
}

/// Whatever happens the promises hold, and in the end exactly what is wanted runs.
mod whatever_happens_the_promises_hold_and_in_the_end_exactly_what_is_wanted_runs {
    #[test]
    fn in_the_first_quarter_of_the_seeds() {
        super::part_of_the_seeds(0);
    }

    #[test]
    fn in_the_second_quarter_of_the_seeds() {
        super::part_of_the_seeds(1);
    }

    #[test]
    fn in_the_third_quarter_of_the_seeds() {
        super::part_of_the_seeds(2);
    }

    #[test]
    fn in_the_last_quarter_of_the_seeds() {
        super::part_of_the_seeds(3);
    }
}

/// A harness that finds nothing may be one that looks at nothing.
#[test]
fn mistakes_that_somebody_might_make_are_found() {
    let mistakes = [
        Mistake::UnfencedBatches,
        Mistake::ForgottenProgress,
        Mistake::ForgottenPlacements,
        Mistake::SleepingGuardians,
        Mistake::EndedAtReturn,
    ];
    for mistake in mistakes {
        let found = (1..=SEEDS).find_map(|seed| {
            let plan = Plan { seed, steps: STEPS, trace: false, mistake: Some(mistake) };
            let told = World::new(plan).tell();
            told.err().map(|why| format!("seed {seed}: {why:.200}"))
        });
        println!("{mistake:?}: {}", found.as_deref().unwrap_or("not found"));
        assert!(found.is_some(), "{mistake:?} was not found in {SEEDS} seeds");
    }
}
