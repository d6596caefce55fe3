//! How good a node is for one more instance: terms from 0 to [`ONE`], weighted.
//!
//! Scores are compared as sums of weight times term, not divided, so that no two that differ become
//! equal; people see them divided, from 0 to 10,000.

use crate::id::InstanceId;
use crate::reconcile::Terms;
use crate::resources::Resources;
use crate::workload::Strategy;

use super::Seat;

/// The best that a term can be.
pub(crate) const ONE: u64 = 1 << 20;
/// What people call the best.
pub(crate) const BASIS: u64 = 10_000;

/// What the strategies need beside the node's room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Yardstick {
    /// How a node is chosen.
    pub strategy: Strategy,
    /// Percent for cpu, memory, disk, network.
    pub weights: [u64; 4],
    /// The greatest `max_instances` of all nodes: the scale of `least_instances`.
    pub most: u64,
    /// How many nodes there are: the scale of `round_robin`.
    pub nodes: u64,
    /// What `random` is drawn from.
    pub seed: u64,
    /// The most memory that any node has to give: the scale of `least_loaded`.
    pub memory: u64,
    /// How much each term counts.
    pub terms: Terms,
}

/// What the strategies need to know of one node beside its room.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Turnstile {
    /// When it is its turn, for `round_robin` and `random`: the least is next.
    pub due: u64,
    /// Work with the same sticky key runs there.
    pub sticky: bool,
    /// Its place in the order of names.
    pub rank: u64,
    /// How often it was picked in this pass.
    pub picks: u64,
    /// What its bid is worth, for `auction`: 0 to [`ONE`], the lowest price best.
    pub bid: u64,
}

impl Turnstile {
    /// How long until its next turn: for `round_robin` all others come first, for `random` a time
    /// is drawn. Whose draws add up to least is next, so each is as likely as any other.
    pub fn wait(self, by: &Yardstick) -> u64 {
        if by.strategy == Strategy::Random {
            mix(by.seed ^ mix((self.rank << 20) | self.picks)) % ONE
        } else {
            by.nodes
        }
    }
}

/// A term for people: 0 to 10,000.
pub(crate) fn basis(term: u64) -> u32 {
    u32::try_from(term.min(ONE) * BASIS / ONE).expect("at most 10,000")
}

/// The base score, 0 to [`ONE`], as if the instance were placed.
pub(crate) fn base(by: &Yardstick, seat: &Seat, ask: Resources, turn: Turnstile) -> u64 {
    match by.strategy {
        Strategy::Weighted => available(by, seat, ask),
        Strategy::Auction => turn.bid,
        Strategy::Binpack => fullness(seat, ask),
        Strategy::LeastLoaded => share(free(seat, ask).memory.0, by.memory),
        Strategy::LeastInstances => {
            let there = u64::from(seat.instances).min(by.most);
            ONE - there * ONE / by.most.max(1)
        }
        Strategy::RoundRobin => {
            let nodes = by.nodes.max(1);
            ONE * nodes / (nodes + turn.due)
        }
        Strategy::Sticky => available(by, seat, ask) / 2 + if turn.sticky { ONE / 2 } else { 0 },
        Strategy::FirstFit => ONE,
        Strategy::Random => ONE * ONE / (ONE + turn.due),
    }
}

/// Which of two nodes with the same points comes first: the one with less. What a strategy says in
/// the second place, then the name.
pub(crate) fn tie(by: &Yardstick, seat: &Seat, ask: Resources, turn: Turnstile) -> u64 {
    let second = match by.strategy {
        Strategy::RoundRobin => return turn.due,
        Strategy::LeastLoaded => u64::from(u32::MAX) - free(seat, ask).cpu.min(u32::MAX.into()),
        Strategy::Auction => seat.instances.into(),
        Strategy::Weighted
        | Strategy::Binpack
        | Strategy::LeastInstances
        | Strategy::Sticky
        | Strategy::FirstFit
        | Strategy::Random => 0,
    };
    (second << 32) | turn.rank
}

/// What is free after placing, the lesser of by requests and by live use.
fn free(seat: &Seat, ask: Resources) -> Resources {
    let (free, live) = (seat.free().minus(ask), seat.live_free().minus(ask));
    Resources {
        cpu: free.cpu.min(live.cpu),
        memory: free.memory.min(live.memory),
        disk: free.disk.min(live.disk),
        network: free.network.min(live.network),
    }
}

/// Σ weight × available share after placing.
fn available(by: &Yardstick, seat: &Seat, ask: Resources) -> u64 {
    let total: u64 = by.weights.iter().sum();
    let sum: u64 = shares(seat, ask).iter().zip(by.weights).map(|(share, w)| share * w).sum();
    sum / total.max(1)
}

/// The fuller by requests after placing, the better: the mean over what the node has at all.
fn fullness(seat: &Seat, ask: Resources) -> u64 {
    let (all, taken) = (quantities(seat.usable()), quantities(seat.requested.plus(ask)));
    let has = |index: usize| all[index] > 0 && index < 2;
    let counted = u64::try_from((0..4).filter(|i| has(*i)).count()).expect("at most 4");
    let sum: u64 = (0..4).filter(|i| has(*i)).map(|i| share(taken[i], all[i])).sum();
    let instances = share(u64::from(seat.instances) + 1, u64::from(seat.max_instances));
    // Equally full by requests, as when nothing is asked: the one with more instances.
    (sum * 64 / counted.max(1) + instances) / 65
}

/// What is available of each quantity after placing, the lesser of by requests and by live use.
pub(crate) fn shares(seat: &Seat, ask: Resources) -> [u64; 4] {
    let (all, free) = (quantities(seat.usable()), quantities(free(seat, ask)));
    std::array::from_fn(|i| share(free[i], all[i]))
}

fn quantities(r: Resources) -> [u64; 4] {
    [r.cpu, r.memory.0, r.disk.0, r.network]
}

/// `part` of `whole` in units of [`ONE`]; nothing of nothing is 0.
fn share(part: u64, whole: u64) -> u64 {
    let shift = 20u32.saturating_sub(whole.leading_zeros());
    let (part, whole) = (part >> shift, whole >> shift);
    (part.min(whole) * ONE).checked_div(whole).unwrap_or(0)
}

/// A number that depends on every bit of `x` (splitmix64).
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What `random` draws from for the instances after this one.
pub(crate) fn seed(id: InstanceId) -> u64 {
    let bits = id.bits();
    let low = u64::try_from(bits & u128::from(u64::MAX)).expect("masked");
    let high = u64::try_from(bits >> 64).expect("80 bits");
    mix(low ^ mix(high))
}
