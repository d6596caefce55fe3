//! The heaps against looking at every node.

use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::*;
use crate::placement::dimension::{Rule, wanted};
use crate::placement::score::ONE;
use crate::reconcile::Terms;
use crate::resources::Bytes;
use crate::workload::Strategy;

const STRATEGIES: [Strategy; 9] = [
    Strategy::Weighted,
    Strategy::Binpack,
    Strategy::LeastLoaded,
    Strategy::LeastInstances,
    Strategy::RoundRobin,
    Strategy::Sticky,
    Strategy::FirstFit,
    Strategy::Random,
    Strategy::Auction,
];

fn dimensions(which: u32) -> Vec<Dimension> {
    let targets = [None, Some(60), None];
    let spread = |weight| Rule::Spread { weight, wanted: wanted(40, &targets, 60) };
    let rules = match which % 5 {
        0 => vec![],
        1 => vec![spread(50)],
        2 => vec![spread(50), spread(20)],
        3 => vec![Rule::MaxPer(7), Rule::Aside, Rule::EveryValue],
        _ => vec![Rule::Apart, spread(1)],
    };
    rules.into_iter().map(|rule| Dimension::new(rule, vec![0; 3])).collect()
}

fn layout(nodes: usize, strategy: Strategy, which: u32) -> Layout {
    let nodes = u64::try_from(nodes).expect("few");
    let weights = [30, 40, 20, 10];
    Layout {
        by: Yardstick {
            strategy,
            weights,
            most: 9,
            nodes,
            seed: 3,
            memory: 200,
            terms: Terms::default(),
        },
        ask: Resources { cpu: 10, memory: Bytes(10), disk: Bytes(0), network: 0 },
        ports: Vec::new(),
        count: 40,
        uses: Uses {
            own: which.is_multiple_of(2),
            aside: u64::from(which % 2) + u64::from(which % 5 == 3),
            aside_on_node: which % 2,
            image: which.is_multiple_of(3),
            power: which % 3 == 1,
            ..Uses::default()
        },
        dimensions: dimensions(which),
    }
}

fn seat((cpu, memory): (u64, u64)) -> Seat {
    let capacity = Resources { cpu, memory: Bytes(memory), disk: Bytes(0), network: 0 };
    Seat { capacity, max_instances: 9, ..Seat::default() }
}

/// Something that happens to a field: a placement on the best, on the best but one, a change of a
/// node by others, or another workload of the same shape that has some already.
#[derive(Debug, Clone, Copy)]
enum Step {
    Place,
    PlaceElsewhere(prop::sample::Index),
    Change(prop::sample::Index, u64, u32),
    Next(prop::sample::Index, u32),
}

fn step() -> impl proptest::prelude::Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Place),
        1 => any::<prop::sample::Index>().prop_map(Step::PlaceElsewhere),
        2 => (any::<prop::sample::Index>(), 0u64..200, 0u32..4)
            .prop_map(|(node, memory, what)| Step::Change(node, memory, what)),
        1 => (any::<prop::sample::Index>(), 0u32..9).prop_map(|(node, own)| Step::Next(node, own)),
    ]
}

/// A field with its nodes' rooms.
struct Pool {
    field: Field,
    seats: Vec<Seat>,
    ports: PortTable,
}

impl Pool {
    fn new(rooms: Vec<(u64, u64)>, strategy: Strategy, which: u32) -> Self {
        let mut field = Field::new(layout(rooms.len(), strategy, which));
        let ports = PortTable::new((1, 9));
        let seats: Vec<Seat> = rooms.into_iter().map(seat).collect();
        for (index, seat) in seats.iter().enumerate() {
            let rank = u64::try_from(index).expect("few");
            let bid = ONE / (1 + rank % 3);
            let turn = Turnstile { due: rank, rank, bid, ..Turnstile::default() };
            let node = u32::try_from(index).expect("few");
            let values: Vec<Value> =
                (0..field.layout.dimensions.len()).map(|place| (node >> place) % 3).collect();
            let battery = index.is_multiple_of(4);
            let stall = Stall { node, turn, battery, ..Stall::default() };
            field.add(stall, seat, &ports, &values);
        }
        field.open();
        Self { field, seats, ports }
    }

    fn place(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        seat.instances += 1;
        seat.requested = seat.requested.plus(self.field.layout.ask);
        self.field.placed(index, seat, &self.ports);
    }

    fn step(&mut self, step: Step) {
        let count = self.seats.len();
        match step {
            Step::Place => {
                let best = self.field.best();
                best.into_iter().for_each(|best| self.place(best));
            }
            Step::PlaceElsewhere(but) => {
                let but = but.index(count);
                let best = self.field.best_but(but);
                assert_ne!(best, Some(but));
                best.into_iter().for_each(|best| self.place(best));
            }
            Step::Change(node, memory, what) => {
                let index = node.index(count);
                self.seats[index].requested.memory = Bytes(memory);
                let closed = if what == 1 { Reason::Declined.into() } else { Reasons::NONE };
                let image = what == 2;
                let company = Company { closed, image, aside: what, ..Company::default() };
                self.field.renew(index, company, &self.seats[index], &self.ports);
            }
            Step::Next(node, own) => {
                let index = node.index(count);
                for other in 0..count {
                    let own = if other == index { own } else { 0 };
                    self.field.owns(other, own, &self.seats[other], &self.ports);
                }
                self.field.recount(&[(index, own, own)]);
            }
        }
    }
}

proptest! {
    #[test]
    fn heaps_pick_what_looking_at_every_node_picks(
        rooms in prop::collection::vec((0u64..200, 0u64..200), 1..60),
        strategy in prop::sample::select(&STRATEGIES[..]),
        which in 0u32..30,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut pool = Pool::new(rooms, strategy, which);
        for step in steps {
            prop_assert_eq!(pool.field.best(), pool.field.best_plain());
            prop_assert_eq!(pool.field.next_best(3), pool.field.next_best_plain(3));
            prop_assert_eq!(pool.field.census(), pool.field.census_plain());
            if let Some(best) = pool.field.best() {
                prop_assert!(pool.field.score(best) <= 10_000);
            }
            pool.step(step);
        }
        prop_assert_eq!(pool.field.best(), pool.field.best_plain());
    }

    /// P13: every term, and their mean, is 0 to 10,000, whatever the weights.
    #[test]
    fn scores_are_in_range(
        rooms in prop::collection::vec((0u64..200, 0u64..200), 1..20),
        strategy in prop::sample::select(&STRATEGIES[..]),
        which in 0u32..30,
        weights in prop::array::uniform6(0u64..=Terms::MOST),
        used in any::<u64>(),
    ) {
        let mut pool = Pool::new(rooms, strategy, which);
        let [base, prefer, affinity, own_workload, image, power] = weights;
        pool.field.layout.by.terms =
            Terms { base, prefer, affinity, own_workload, image, power };
        pool.field.layout.uses.prefer = true;
        pool.field.layout.uses.affinity = true;
        for index in 0..pool.seats.len() {
            pool.seats[index].used = Some(crate::node::Use { cpu: used, memory: used, disk: used,
                network: used });
            pool.field.stalls[index].prefer = used % (ONE + 1);
            pool.field.stalls[index].affinity = ONE;
            let company = pool.field.stalls[index].company;
            pool.field.renew(index, company, &pool.seats[index], &pool.ports);
            let merit = pool.field.merit(index, &pool.seats[index]);
            prop_assert!(merit.score <= 10_000);
            prop_assert!(merit.terms.values().all(|term| *term <= 10_000), "{:?}", merit);
        }
    }
}
