//! Every run of a rebalance makes the pool more even, keeps to its budget, and is quiet afterwards.

use ostler_core::command::Order;
use ostler_core::id::NodeName;
use ostler_core::reconcile::Decision;
use proptest::prelude::*;

use crate::fleet::Fleet;

/// Σ weight × n × variance of the shares in use of cpu and memory, in millionths.
fn spread(fleet: &Fleet) -> i128 {
    let mut sums = [(0i128, 0i128); 2];
    let names: Vec<NodeName> = fleet.executors.keys().cloned().collect();
    for name in &names {
        let capacity = fleet.executors[name].node.facts.capacity;
        let manifest = fleet.engine.manifest(name).unwrap_or_default();
        let asked = manifest.groups.iter().map(|group| {
            let count = u64::try_from(group.entries.len()).expect("few");
            (group.ask.cpu * count, group.ask.memory.0 * count)
        });
        let (cpu, memory) = asked.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let shares = [(cpu, capacity.cpu), (memory, capacity.memory.0)];
        for ((part, whole), (sum, square)) in shares.into_iter().zip(&mut sums) {
            let share = i128::from(part) * 1_000_000 / i128::from(whole);
            (*sum, *square) = (*sum + share, *square + share * share);
        }
    }
    let count = i128::try_from(names.len()).expect("few");
    let of = |(sum, square): (i128, i128)| count * square - sum * sum;
    30 * of(sums[0]) + 40 * of(sums[1])
}

fn moved(decisions: &[Decision]) -> usize {
    let evened = |one: &&Decision| matches!(one, Decision::Place { moved: Some((_, why)), .. } if *why == "rebalance");
    decisions.iter().filter(evened).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_strictly_improves_within_its_budget_and_is_quiet_afterwards(
        nodes in prop::collection::vec((2u64..16, 2u32..32, 0u32..3), 2..8),
        work in prop::collection::vec((1u32..12, 1u64..10, 16u32..900, 0usize..5), 1..6),
        late in prop::collection::vec((2u64..16, 2u32..32, 0u32..3), 0..4),
        budget in 0u32..12,
    ) {
        let line = |prefix: &str, number: usize, (cpu, gib, zone): (u64, u32, u32)| {
            format!("{prefix}{number} cpu {} mem {gib}GiB zone z{zone}", cpu * 500)
        };
        let all: Vec<String> = nodes.iter().enumerate().map(|(n, one)| line("n", n, *one)).collect();
        let mut fleet = Fleet::new(&all.join("\n"));
        let rules = ["", r#""spread":{"attribute":"node.zone"}"#, r#""anti_affinity":{"group":"g"}"#,
            r#""strategy":"binpack""#, r#""strategy":"random""#];
        for (number, (count, cpu, mib, rule)) in work.iter().enumerate() {
            fleet.put(&format!(
                r#""name":"w{number}","count":{count},"resources":{{"cpu":{},"memory":"{mib}MiB"}},"placement":{{{}}}"#,
                cpu * 50, rules[*rule],
            ));
        }
        fleet.advance(60);
        late.iter().enumerate().for_each(|(n, one)| fleet.join(&line("late", n, *one)));
        fleet.advance(60);
        let plan = fleet.engine.evening(budget, fleet.now);
        let before = spread(&fleet);
        let from = fleet.decided.len();
        fleet.order(Order::Rebalance { max_moves: budget });
        fleet.advance(10);
        let made = moved(&fleet.decided[from..]);
        prop_assert!(made <= usize::try_from(budget).expect("few"), "{made} moves of {budget}");
        prop_assert!(made >= plan.moves.len(), "the plan is done, and what it makes possible");
        prop_assert!(made == 0 || spread(&fleet) < before, "{} is not below {before}", spread(&fleet));
        // Without a limit it comes to an end, and the next run finds nothing.
        fleet.order(Order::Rebalance { max_moves: 1000 });
        fleet.advance(10);
        let from = fleet.decided.len();
        fleet.order(Order::Rebalance { max_moves: 1000 });
        fleet.advance(10);
        prop_assert_eq!(moved(&fleet.decided[from..]), 0, "a second run right after");
    }
}
