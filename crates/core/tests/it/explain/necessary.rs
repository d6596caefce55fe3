//! P7: what is told to stand against a node is what stands against it, each of it necessary: with
//! all of it taken away the node fits, with all but one exactly that one remains.

use ostler_core::explain::{NodeVerdict, Obstacle, Quantity, Told};
use ostler_core::id::NodeName;
use ostler_core::node::{Admin, Liveness};
use ostler_core::placement::Reason;
use ostler_core::reconcile::Event;
use ostler_core::resources::Bytes;
use ostler_core::workload::{OneOrMany, Workload};
use proptest::prelude::*;

use crate::fleet::{Fleet, workload};

/// Takes just this away, in the node or in the text of the workload.
fn take_away(fleet: &mut Fleet, spec: &mut Workload, node: &NodeName, told: &Told) {
    let rules = &mut spec.placement;
    let name = node.as_str();
    let now = fleet.now;
    match &told.obstacle {
        Obstacle::Pool { needs, .. } => fleet.edit(name, |node| node.pool = needs.clone()),
        Obstacle::Liveness { .. } => fleet.edit(name, |node| {
            (node.liveness, node.liveness_since) = (Liveness::Online, now);
        }),
        Obstacle::Admin { .. } => fleet.edit(name, |node| node.admin = Admin::Active),
        Obstacle::Pin { .. } => rules.node.clear(),
        Obstacle::Driver { needs, .. } => fleet.edit(name, |node| {
            node.facts.drivers.insert(needs.clone(), "1.0".to_owned());
        }),
        Obstacle::Require { expression, .. } => rules.require.retain(|text| text != expression),
        Obstacle::Affinity { workload, scope } => {
            let rest = rules.affinity.iter();
            let rest = rest.filter(|rule| (&rule.workload, rule.scope) != (workload, *scope));
            rules.affinity = OneOrMany(rest.cloned().collect());
        }
        Obstacle::MaxInstances { has, .. } => {
            fleet.edit(name, |node| node.facts.max_instances = has + 1);
        }
        Obstacle::Short(short) => fleet.edit(name, |node| {
            let capacity = &mut node.facts.capacity;
            match short.of {
                Quantity::Cpu => capacity.cpu += short.short,
                Quantity::Memory => capacity.memory = Bytes(capacity.memory.0 + short.short),
                Quantity::Disk => capacity.disk = Bytes(capacity.disk.0 + short.short),
                Quantity::Network => capacity.network += short.short,
            }
        }),
        Obstacle::Port { name, .. } => spec.ports.retain(|port| port.name != *name),
        Obstacle::Ports { needs, .. } => fleet.edit(name, |node| {
            let last = 40_000 + u16::try_from(*needs).expect("a few") - 1;
            node.facts.ports = (40_000, last);
        }),
        Obstacle::AntiAffinity { group, scope, .. } => {
            let rest = rules.anti_affinity.iter();
            let rest = rest.filter(|rule| (&rule.group, rule.scope) != (group, *scope));
            rules.anti_affinity = OneOrMany(rest.cloned().collect());
        }
        Obstacle::MaxPer { attribute, has, .. } => {
            let limit = u32::try_from(*has).expect("a few") + 1;
            rules.max_per.insert(attribute.clone(), limit);
        }
        Obstacle::Excluded { .. } => {
            let mut progress = fleet.engine.progress(&spec.key()).expect("known");
            progress.excluded.retain(|one| one.node != *node);
            fleet.tell(Event::Progress(spec.key(), Box::new(progress)));
        }
        Obstacle::Unknown
        | Obstacle::Removed
        | Obstacle::Settling { .. }
        | Obstacle::Refused { .. }
        | Obstacle::Other { .. } => panic!("cannot be taken away: {told:?}"),
    }
}

fn verdict(fleet: &mut Fleet, spec: &Workload, node: &NodeName) -> NodeVerdict {
    let said = fleet.engine.explain_workload(&spec.key(), Some(node), fleet.now).expect("known");
    said.verdicts.nodes[node].clone()
}

/// The verdict after everything but `kept` was taken away.
fn without(
    fleet: &Fleet,
    spec: &Workload,
    node: &NodeName,
    (told, kept): (&[Told], Option<usize>),
) -> NodeVerdict {
    let (mut fleet, mut spec) = (fleet.clone(), spec.clone());
    for (index, one) in told.iter().enumerate() {
        if kept != Some(index) {
            take_away(&mut fleet, &mut spec, node, one);
        }
    }
    fleet.put_spec(spec.clone());
    verdict(&mut fleet, &spec, node)
}

fn a_node(index: usize) -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["150", "400", "4000"]),
        prop::sample::select(vec!["100MiB", "200MiB", "1GiB"]),
        prop::sample::select(vec!["a", "b"]),
        prop::sample::select(vec!["", "", "", "cordoned", "offline", "suspect", "draining"]),
        prop::sample::select(vec!["sim", "sim", "sim", "docker"]),
        1u32..4,
    )
        .prop_map(move |(cpu, mem, zone, state, driver, max)| {
            let ports = "ports 20000-20001";
            let hw = index / 2;
            format!(
                "n{index} cpu {cpu} mem {mem} zone {zone} hw h{hw} max {max} {ports} \
                 driver {driver} {state}"
            )
        })
}

fn nodes() -> impl Strategy<Value = String> {
    (1usize..7).prop_flat_map(|count| {
        (0..count).map(a_node).collect::<Vec<_>>().prop_map(|lines| lines.join("\n"))
    })
}

fn rules() -> impl Strategy<Value = String> {
    let some = |texts: &'static [&'static str]| prop::sample::subsequence(texts, 0..=texts.len());
    (
        some(&[
            r#""require":["node.zone == a","node.labels.gpu is_set"]"#,
            r#""anti_affinity":[{"group":"g"},{"group":"h","scope":"hardware"}]"#,
            r#""max_per":{"node.zone":1,"node.name":1}"#,
            r#""affinity":{"workload":"filler","scope":"zone"}"#,
            r#""node":"n1""#,
        ]),
        some(&[
            r#""ports":[{"name":"a","static":8080},{"name":"b"},{"name":"c","count":2}]"#,
            r#""resources":{"cpu":200,"memory":"150MiB"}"#,
            r#""restart":{"attempts":0}"#,
        ]),
        1u32..5,
    )
        .prop_map(|(rules, more, count)| {
            let more: String = more.iter().map(|text| format!(",{text}")).collect();
            let rules = rules.join(",");
            format!(r#""name":"web","count":{count},"placement":{{{rules}}}{more}"#)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn each_obstacle_is_necessary_and_all_of_them_are_enough(
        nodes in nodes(),
        rules in rules(),
        fails in 0usize..8,
    ) {
        let mut fleet = Fleet::new(&nodes);
        let names: Vec<NodeName> = fleet.executors.keys().cloned().collect();
        if let Some(name) = names.get(fails) {
            fleet.executor(name.as_str()).fails.insert("web".to_owned());
        }
        fleet.put(
            r#""name":"filler","count":2,"ports":[{"name":"x","static":8080}],
               "placement":{"anti_affinity":[{"group":"g"},{"group":"h"}]}"#,
        );
        fleet.settle();
        let spec = workload(&rules);
        fleet.put_spec(spec.clone());
        fleet.settle();
        for node in &names {
            let NodeVerdict::Rejected { reasons, obstacles, .. } =
                verdict(&mut fleet, &spec, node) else { continue };
            let mut codes: Vec<Reason> = obstacles.iter().map(|told| told.reason).collect();
            codes.dedup();
            prop_assert_eq!(&codes, &reasons, "{:?}", obstacles);
            let all = without(&fleet, &spec, node, (&obstacles, None));
            prop_assert!(
                matches!(all, NodeVerdict::Fits { .. }),
                "{} is still ruled out without {:?}: {:?}", node, obstacles, all
            );
            for (index, kept) in obstacles.iter().enumerate() {
                let left = without(&fleet, &spec, node, (&obstacles, Some(index)));
                let NodeVerdict::Rejected { obstacles: left, .. } = left else {
                    return Err(TestCaseError::fail(format!("{node} fits in spite of {kept:?}")));
                };
                let same = left.len() == 1 && left[0].reason == kept.reason;
                prop_assert!(same, "{}: {:?} is kept, {:?} is left", node, kept, left);
            }
        }
    }
}
