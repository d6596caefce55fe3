//! Known traps of other schedulers that concern placement; each is a test by its name.

use ostler_core::node::Use;
use ostler_core::placement::{Candidate, Request, Seat, fit};
use ostler_core::ports::PortTable;
use ostler_core::reconcile::Event;

use crate::fleet::{Fleet, node, workload};

/// With use {a: 0, b: 2, c: 5} the order must be a, b, c, always: one value has 0.
#[test]
fn even_spread_that_depends_on_map_order_when_one_value_has_0() {
    for names in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let lines: Vec<String> =
            names.iter().map(|zone| format!("n{zone} zone {zone} cpu 8000")).collect();
        let mut fleet = Fleet::new(&lines.join("\n"));
        for (pin, count) in [("nb", 2), ("nc", 7)] {
            fleet.put(&format!(r#""name":"web","count":{count},"placement":{{"node":"{pin}"}}"#));
            fleet.settle();
        }
        fleet.put(r#""name":"web","count":7,"placement":{"spread":{"attribute":"node.zone"}}"#);
        fleet.settle();
        for (count, want) in
            [(8, "na 1, nb 2, nc 5"), (9, "na 2, nb 2, nc 5"), (11, "na 3, nb 3, nc 5")]
        {
            fleet.scale("web", count);
            fleet.settle();
            assert_eq!(fleet.counts(), want, "{names:?}");
        }
    }
}

/// The only node of 5,000 that has room is found, wherever it stands in the order.
#[test]
fn sampling_13_of_5_000_nodes() {
    for place in [0, 13, 2_499, 4_999] {
        let lines: Vec<String> = (0..5_000)
            .map(|n| format!("n{n:04} cpu {}", if n == place { 4000 } else { 10 }))
            .collect();
        let mut fleet = Fleet::new(&lines.join("\n"));
        fleet.put(r#""name":"web","resources":{"cpu":100}"#);
        fleet.settle();
        assert!(fleet.show().contains(&format!("web/0@1 n{place:04} ")), "{}", fleet.show());
    }
}

/// A node that uses more than it has is full, not empty.
#[test]
fn a_load_that_wraps_so_that_the_busiest_node_looks_idle() {
    let mut fleet = Fleet::new("n1\nn2");
    for (name, times) in [("n1", 1_000_000), ("n2", 0)] {
        let node = &fleet.executors[&name.parse().expect("a name")].node;
        let has = node.facts.capacity;
        let used = Use {
            cpu: has.cpu * times,
            memory: has.memory.0.saturating_mul(times),
            disk: has.disk.0.saturating_mul(times),
            network: u64::MAX,
        };
        let mut beat = super::beat(name, "0B");
        if let Event::Heartbeat(beat) = &mut beat {
            beat.used = used;
        }
        fleet.tell(beat);
    }
    fleet.put(r#""name":"web","count":4"#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 0, n2 4");
}

/// Live use of cpu must not be taken for use of memory, nor the other way round.
#[test]
fn placing_with_cpu_and_memory_swapped() {
    let prefers = |cpu: u64, memory: u64| {
        let mut fleet = Fleet::new("n1 cpu 10000 mem 10GiB\nn2 cpu 10000 mem 10GiB");
        let mut beat = super::beat("n1", "0B");
        if let Event::Heartbeat(beat) = &mut beat {
            beat.used = Use { cpu, memory: memory << 30, ..Use::default() };
        }
        fleet.tell(beat);
        let mut beat = super::beat("n2", "0B");
        if let Event::Heartbeat(beat) = &mut beat {
            beat.used = Use { cpu: 5000, memory: 5 << 30, ..Use::default() };
        }
        fleet.tell(beat);
        fleet.put(r#""name":"web","placement":{"weights":{"cpu":1}},"resources":{"cpu":1}"#);
        fleet.settle();
        fleet.counts()
    };
    assert_eq!(prefers(4000, 9), "n1 1, n2 0");
    assert_eq!(prefers(6000, 1), "n1 0, n2 1");
}

/// What `fit` says is what a plan does, node for node.
#[test]
fn the_committer_and_the_scheduler_using_two_feasibility_functions() {
    let lines = "n1\nn2 cordoned\nn3 cpu 50\nn4 arch arm64\nn5 ports 1-1\nn6 driver docker";
    let spec = r#""name":"web","ports":[{"name":"a","count":2}],
        "placement":{"require":["node.arch == amd64"]}"#;
    let request = Request::of(&workload(spec));
    for line in lines.lines() {
        let one = node(line);
        let (seat, ports) = (Seat::new(&one.facts), PortTable::new(one.facts.ports));
        let fits = fit(&Candidate { node: &one, seat: &seat, ports: &ports }, &request);
        let mut fleet = Fleet::new(line);
        fleet.put(spec);
        fleet.settle();
        let unplaced =
            fleet.engine.progress(&"web".parse().expect("a key")).unwrap_or_default().unplaced;
        let said = unplaced.first().and_then(|one| one.nodes.values().next()).cloned();
        let want = fits.err().map(|reasons| reasons.iter().collect::<Vec<_>>());
        assert_eq!(said, want, "{line}");
    }
}
