//! Who has to go is as few, as unimportant and as necessary as looking at every set finds.

use std::collections::BTreeMap;

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::placement::{Seat, room};
use ostler_core::reconcile::{Decision, Settings};
use ostler_core::resources::Resources;
use proptest::prelude::*;

use crate::fleet::{Fleet, workload};

/// What runs on one node: who, how important, what it asks.
type Running = Vec<(InstanceId, u8, Resources)>;

fn running(fleet: &Fleet) -> BTreeMap<NodeName, Running> {
    let mut all: BTreeMap<NodeName, Running> =
        fleet.executors.keys().map(|name| (name.clone(), Vec::new())).collect();
    for one in fleet.engine.instances() {
        let spec = &fleet.heads[one.key].spec;
        let list = all.get_mut(one.node).expect("a known node");
        list.push((one.id, spec.priority, spec.ask()));
    }
    all
}

/// Whether it fits on the node with these gone.
fn fits(fleet: &Fleet, node: &NodeName, there: &Running, gone: u32, ask: Resources) -> bool {
    let mut seat = Seat::new(&fleet.executors[node].node.facts);
    for (index, (_, _, theirs)) in there.iter().enumerate() {
        if gone & (1 << index) == 0 {
            seat.requested = seat.requested.plus(*theirs);
            seat.instances += 1;
        }
    }
    room(&seat, ask).is_empty()
}

/// Highest priority, number and sum of the best set of those that may go, over all nodes.
fn best(fleet: &Fleet, ask: Resources, most: u8) -> Option<(u8, u32, u32)> {
    let mut best = None;
    for (node, there) in running(fleet) {
        for gone in 0..1u32 << there.len() {
            let victims = (0..there.len()).filter(|index| gone & (1 << index) != 0);
            let priorities: Vec<u8> = victims.map(|index| there[index].1).collect();
            if priorities.iter().any(|p| *p > most) || !fits(fleet, &node, &there, gone, ask) {
                continue;
            }
            let sum = priorities.iter().map(|p| u32::from(*p)).sum();
            let cost = (priorities.iter().copied().max().unwrap_or(0), gone.count_ones(), sum);
            best = Some(best.map_or(cost, |old: (u8, u32, u32)| old.min(cost)));
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn preempted_sets_are_minimal_and_of_the_lowest_priority(
        nodes in prop::collection::vec((2u64..9, 1u32..9, 2u32..9), 1..6),
        low in prop::collection::vec((0u8..10, 1u64..5, 1u32..4, 1u32..5), 1..8),
        (cpu, gib) in (1u64..8, 1u32..6),
    ) {
        let lines: Vec<String> = nodes.iter().enumerate().map(|(number, (cpu, gib, max))| {
            format!("n{number} cpu {} mem {gib}GiB max {max}", cpu * 500)
        }).collect();
        let mut fleet = Fleet::with(&lines.join("\n"), Settings { preemption: true, ..Settings::default() });
        for (number, (priority, cpu, gib, count)) in low.iter().enumerate() {
            fleet.put(&format!(
                r#""name":"w{number}","priority":{},"count":{count},"resources":{{"cpu":{},"memory":"{gib}GiB"}}"#,
                priority * 10, cpu * 250,
            ));
            fleet.settle();
        }
        let text = format!(
            r#""name":"high","priority":75,"resources":{{"cpu":{},"memory":"{gib}GiB"}}"#, cpu * 400,
        );
        let ask = workload(&text).ask();
        let wanted = best(&fleet, ask, 65);
        let before = running(&fleet);
        let priorities: BTreeMap<InstanceId, u8> =
            before.values().flatten().map(|(id, priority, _)| (*id, *priority)).collect();
        fleet.put(&text);
        let plan = fleet.engine.plan(fleet.now);
        let victims = plan.decisions.iter().filter_map(|one| {
            let Decision::Preempt { id, node, .. } = one else { return None };
            Some((*id, node.clone()))
        });
        let victims: Vec<(InstanceId, NodeName)> = victims.collect();
        let chosen: Vec<u8> = victims.iter().map(|(id, _)| priorities[id]).collect();
        let highest = chosen.iter().copied().max().unwrap_or(0);
        let cost = (highest, u32::try_from(chosen.len()).expect("few"));
        let Some(wanted) = wanted else {
            prop_assert!(victims.is_empty(), "nobody may go in vain: {victims:?}");
            return Ok(());
        };
        prop_assert_eq!(cost, (wanted.0, wanted.1), "{:?}", victims);
        // The least sum is not always found, but none of them can be spared.
        if let Some((_, node)) = victims.first() {
            let there = &before[node];
            let bit = |id: &InstanceId| 1u32 << there.iter().position(|one| one.0 == *id).expect("there");
            let all: u32 = victims.iter().map(|(id, _)| bit(id)).sum();
            prop_assert!(fits(&fleet, node, there, all, ask));
            for (id, _) in &victims {
                prop_assert!(!fits(&fleet, node, there, all & !bit(id), ask), "{id} could stay");
            }
        }
    }
}
