//! Faults of all kinds in an order that a seed says, on a real bus, and one check after each round.
//!
//! `make soak` goes on with ever new seeds; `SEED=7 cargo test -p ostler chaos -- --nocapture` tells one.

use std::time::Duration;

use ostler_core::time::Span;
use ostler_service::clock;
use ostler_testkit::{NatsServer, Wire};

use super::checker::check;
use super::rig::Rig;

/// How many rounds a seed tells.
const ROUNDS: u32 = 3;
/// What each part writes, told apart by a text in it.
const TEXTS: [&str; 4] = ["HPUB $KV.", "HPUB ostler.v1.event.", "Nats-Batch-Commit", "HPUB $JS."];

/// `SplitMix64`: the same numbers from the same seed, on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What the environment says of it.
fn said<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var_os(name)?;
    let text = text.to_str().filter(|text| !text.is_empty())?;
    let read = text.parse().ok();
    Some(read.unwrap_or_else(|| panic!("{name}: `{text}` is not understood")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_in_whatever_order_what_is_wanted_runs() {
    let soak = said::<Span>("SOAK").map(Duration::from);
    let (mut seed, begun) = (said::<u64>("SEED").unwrap_or(1), clock::instant());
    loop {
        eprintln!("SEED={seed}");
        tell(seed).await;
        seed += 1;
        if soak.is_none_or(|soak| clock::since(begun) > soak) {
            return;
        }
    }
}

async fn tell(seed: u64) {
    let mut chance = Chance(seed);
    let mut nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 4).await;
    for round in 1..=ROUNDS {
        for _ in 0..=chance.below(3) {
            break_something(&mut rig, &mut nats, &mut chance).await;
            let count = u32::try_from(chance.below(60)).expect("small");
            let name = *chance.of(&["web", "more", "other"]);
            eprintln!("  round {round}: {name} {count}");
            // Whether it is acknowledged is another matter.
            drop(rig.client.ask(name, count).await);
        }
        mend(&rig).await;
        for name in ["web", "more", "other"] {
            rig.put(name, 10 + u32::try_from(chance.below(60)).expect("small")).await;
        }
        check(&rig).await;
    }
}

async fn break_something(rig: &mut Rig, nats: &mut NatsServer, chance: &mut Chance) {
    let part = chance.of(&["registry", "s-1", "s-2", "node-1", "node-2", "node-3", "node-4"]);
    let text = chance.of(&TEXTS);
    match chance.below(8) {
        0 => {
            eprintln!("  the server is killed and comes back");
            nats.restart().await;
        }
        1 => {
            let hours = i64::try_from(chance.below(3)).expect("small") - 1;
            eprintln!("  the clock of the server is off by {hours} h");
            nats.clock_jumps(hours * 3_600);
        }
        2 => {
            eprintln!("  `{text}` of {part} is lost");
            rig.wire(part).lose(text);
        }
        3 => {
            eprintln!("  the answer to `{text}` of {part} is lost");
            rig.wire(part).lose_answer(text);
        }
        4 => {
            eprintln!("  `{text}` of {part} is late");
            rig.wire(part).hold(text, chance.below(3));
        }
        other => {
            let wire = [Wire::Cut, Wire::Deaf, Wire::Mute][other - 5];
            eprintln!("  the wire of {part} is {wire:?}");
            rig.wire(part).set(wire);
        }
    }
}

async fn mend(rig: &Rig) {
    for part in rig.names() {
        rig.wire(&part).forget();
        rig.wire(&part).set(Wire::Whole);
        rig.wire(&part).release();
    }
}
