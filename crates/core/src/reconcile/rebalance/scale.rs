//! How full the nodes are, and what one move changes about that. Whole numbers of 128 bits: nothing
//! wraps, so that the fullest node never looks idle.

use std::collections::BTreeSet;

use super::super::Engine;
use super::super::picture::at;
use super::Step;
use crate::instance::Desired;
use crate::placement::score::ONE;
use crate::resources::Resources;

/// Cpu, memory, disk, network.
const DIMENSIONS: usize = 4;
type Shares = [u64; DIMENSIONS];

/// A move has to leave the node that it is from at least so much fuller than the other was.
const MARGIN: u64 = ONE / 100;

/// One node that takes work.
#[derive(Debug, Clone)]
pub(super) struct Pan {
    pub node: u32,
    usable: Shares,
    requested: Shares,
    /// What is to come there by the moves of this run, and how many.
    pub coming: Resources,
    pub arrivals: u32,
}

impl Pan {
    pub fn share(&self, dimension: usize) -> u64 {
        share(self.requested[dimension], self.usable[dimension])
    }

    fn shares(&self) -> Shares {
        std::array::from_fn(|dimension| self.share(dimension))
    }

    fn moved(&self, dimension: usize, ask: u64, sign: Sign) -> u64 {
        let requested = self.requested[dimension];
        let then = match sign {
            Sign::More => requested.saturating_add(ask),
            Sign::Less => requested.saturating_sub(ask),
        };
        share(then, self.usable[dimension])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    More,
    Less,
}

/// All nodes that take work, and how full they are.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub pans: Vec<Pan>,
    weights: Shares,
    sums: [u128; DIMENSIONS],
    squares: [u128; DIMENSIONS],
    /// By dimension: the pans, the emptiest first.
    by: [BTreeSet<(u64, usize)>; DIMENSIONS],
}

impl Scale {
    /// The pool as it will be when what is ordered has been done.
    pub fn of(engine: &Engine) -> Self {
        let weights = engine.settings.weights.map(u64::from);
        let pans = engine.order.iter().filter(|node| engine.takes_work(**node));
        let pans: Vec<Pan> = pans.map(|node| pan(engine, *node)).collect();
        let (sums, squares) = ([0; DIMENSIONS], [0; DIMENSIONS]);
        let mut scale = Self { pans, weights, sums, squares, by: Default::default() };
        for place in 0..scale.pans.len() {
            scale.count(place, Sign::More);
        }
        scale
    }

    fn count(&mut self, place: usize, sign: Sign) {
        for (dimension, share) in self.pans[place].shares().into_iter().enumerate() {
            let wide = u128::from(share);
            let (sum, square) = (&mut self.sums[dimension], &mut self.squares[dimension]);
            match sign {
                Sign::More => {
                    (*sum, *square) = (*sum + wide, *square + wide * wide);
                    self.by[dimension].insert((share, place));
                }
                Sign::Less => {
                    (*sum, *square) = (*sum - wide, *square - wide * wide);
                    self.by[dimension].remove(&(share, place));
                }
            }
        }
    }

    /// The pans, the emptiest of this dimension first; none if it counts nothing.
    pub fn emptiest(&self, dimension: usize) -> impl Iterator<Item = usize> {
        let counts = self.weights[dimension] > 0;
        self.by[dimension].iter().filter(move |_| counts).map(|(_, place)| *place)
    }

    /// How far a pan is above the mean where it is most so, by weight.
    pub fn height(&self, place: usize) -> u64 {
        let above = |dimension: usize| {
            let share = self.pans[place].share(dimension);
            share.saturating_sub(self.mean(dimension)) * self.weights[dimension]
        };
        (0..DIMENSIONS).map(above).max().unwrap_or(0)
    }

    fn mean(&self, dimension: usize) -> u64 {
        let count = u128::try_from(self.pans.len().max(1)).expect("few");
        u64::try_from(self.sums[dimension] / count).expect("a mean is no more than the most")
    }

    /// How much more even all is after this ask went from one pan to the other; `None` if it is not,
    /// or not by the margin.
    pub fn gain(&self, ask: Resources, from: usize, to: usize) -> Option<i128> {
        let ask = quantities(ask);
        let count = i128::try_from(self.pans.len()).expect("few");
        let (mut gain, mut least) = (0i128, 0i128);
        for (dimension, ask) in ask.into_iter().enumerate() {
            let weight = i128::from(self.weights[dimension]);
            let (x, y) = (&self.pans[from], &self.pans[to]);
            let old = [x.share(dimension), y.share(dimension)].map(i128::from);
            let new = [x.moved(dimension, ask, Sign::Less), y.moved(dimension, ask, Sign::More)]
                .map(i128::from);
            let sum = i128::try_from(self.sums[dimension]).expect("fits");
            let change = new[0] + new[1] - old[0] - old[1];
            let square = |pair: [i128; 2]| pair[0] * pair[0] + pair[1] * pair[1];
            let fewer =
                count * (square(old) - square(new)) + (sum + change) * (sum + change) - sum * sum;
            gain += weight * fewer;
            least += weight * 2 * count * i128::from(MARGIN) * (old[0] - new[0]);
        }
        (gain > 0 && gain >= least).then_some(gain)
    }

    /// The move is made.
    pub fn apply(&mut self, engine: &Engine, step: Step) {
        let instance = &engine.instances[at(step.instance)];
        let ask = engine.texts[at(instance.text)].ask;
        let from = self.pans.iter().position(|pan| pan.node == instance.node);
        let to = self.pans.iter().position(|pan| pan.node == step.to);
        for (place, sign) in [(from, Sign::Less), (to, Sign::More)] {
            let Some(place) = place else { continue };
            self.count(place, Sign::Less);
            let pan = &mut self.pans[place];
            for (requested, ask) in pan.requested.iter_mut().zip(quantities(ask)) {
                *requested = match sign {
                    Sign::More => requested.saturating_add(ask),
                    Sign::Less => requested.saturating_sub(ask),
                };
            }
            if sign == Sign::More {
                pan.coming = pan.coming.plus(ask);
                pan.arrivals += 1;
            }
            self.count(place, Sign::More);
        }
    }

    /// How far the fullest node is above the mean, in percent of itself, where it is most so.
    pub fn unevenness(&self) -> u32 {
        let above = |dimension: usize| {
            let counts = self.weights[dimension] > 0;
            let most = self.by[dimension].last().filter(|_| counts).map_or(0, |(share, _)| *share);
            most.saturating_sub(self.mean(dimension))
        };
        let most = (0..DIMENSIONS).map(above).max().unwrap_or(0);
        u32::try_from(most * 100 / ONE).unwrap_or(u32::MAX)
    }
}

fn pan(engine: &Engine, node: u32) -> Pan {
    let state = &engine.nodes[at(node)];
    let mut requested = state.seat.requested;
    for index in &state.entries {
        // What leaves counts no more; what is to be replaced elsewhere leaves.
        if engine.instances[at(*index)].desired == Desired::Stop || engine.is_evened(*index) {
            requested = requested.minus(engine.texts[at(engine.instances[at(*index)].text)].ask);
        }
    }
    Pan {
        node,
        usable: quantities(state.seat.usable()),
        requested: quantities(requested),
        coming: Resources::default(),
        arrivals: 0,
    }
}

fn quantities(r: Resources) -> Shares {
    [r.cpu, r.memory.0, r.disk.0, r.network]
}

/// `part` of `whole` in units of [`ONE`], which it may pass; nothing of nothing is 0.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(ONE) / u128::from(whole.max(1));
    // No node is fuller than a thousand times itself.
    u64::try_from(share.min(u128::from(ONE) * 1000)).expect("it was limited")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Bytes;

    fn scale(pans: &[(u64, u64)]) -> Scale {
        let pan = |(node, (cpu, gib)): (usize, &(u64, u64))| Pan {
            node: u32::try_from(node).expect("few"),
            usable: [4000, 8 << 30, 0, 0],
            requested: [*cpu, gib << 30, 0, 0],
            coming: Resources::default(),
            arrivals: 0,
        };
        let pans: Vec<Pan> = pans.iter().enumerate().map(pan).collect();
        let (sums, squares) = ([0; DIMENSIONS], [0; DIMENSIONS]);
        let weights = [30, 40, 20, 10];
        let mut scale = Scale { pans, weights, sums, squares, by: Default::default() };
        (0..scale.pans.len()).for_each(|place| scale.count(place, Sign::More));
        scale
    }

    fn ask(cpu: u64, gib: u64) -> Resources {
        Resources { cpu, memory: Bytes(gib << 30), disk: Bytes(0), network: 0 }
    }

    #[test]
    fn cpu_is_not_taken_for_memory() {
        // One node is full of cpu, the other of memory: what asks for cpu goes one way only.
        let scale = scale(&[(3600, 1), (400, 7)]);
        assert!(scale.gain(ask(1000, 0), 0, 1).is_some());
        assert!(scale.gain(ask(1000, 0), 1, 0).is_none());
        assert!(scale.gain(ask(0, 2), 1, 0).is_some());
        assert!(scale.gain(ask(0, 2), 0, 1).is_none());
    }

    #[test]
    fn the_busiest_node_never_looks_idle_however_much_is_asked_of_it() {
        let scale = scale(&[(u64::MAX, 1), (255, 1), (256, 1), (257, 1)]);
        let heights: Vec<u64> = (0..4).map(|place| scale.height(place)).collect();
        assert_eq!(
            heights.iter().position(|one| one == heights.iter().max().expect("some")),
            Some(0)
        );
        assert!(scale.unevenness() > 100);
    }

    #[test]
    fn a_move_that_would_only_swap_full_and_empty_is_none() {
        let scale = scale(&[(2000, 0), (1000, 0)]);
        assert_eq!(scale.gain(ask(1000, 0), 0, 1), None);
        assert!(scale.gain(ask(400, 0), 0, 1).is_some());
        assert_eq!(scale.gain(ask(990, 0), 0, 1), None, "within the margin");
    }
}
