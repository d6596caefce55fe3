//! The store: what counts as heard, what is bounded, what is forgotten.

use ostler_core::id::{InstanceId, NodeName};
use ostler_core::time::Timestamp;
use ostler_metrics::Config;
use ostler_metrics::documents;
use ostler_metrics::series::Window;
use ostler_metrics::store::Store;
use ostler_schemas::pb;

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// A sample with this much cpu in use, and instances with these numbers as ids.
fn sample(cpu: u64, instances: &[u128]) -> pb::NodeSample {
    let instance = |number: &u128| pb::InstanceSample {
        id: number.to_be_bytes()[6..].to_vec(),
        cpu: 7,
        memory: 9,
    };
    pb::NodeSample {
        used: Some(pb::Resources { cpu, ..Default::default() }),
        capacity: Some(pb::Resources { cpu: 1000, ..Default::default() }),
        instances: instances.iter().map(instance).collect(),
        ..Default::default()
    }
}

#[test]
fn totals_are_of_nodes_that_were_heard_lately() {
    let mut store = Store::new(Config::default());
    store.on_sample(&name("a"), sample(100, &[1, 2]), at(100));
    store.on_sample(&name("b"), sample(200, &[3]), at(105));
    store.on_tick(at(106));
    let totals = store.totals();
    assert_eq!((totals.nodes, totals.instances, totals.used.cpu), (2, 3, 300));
    assert_eq!(totals.capacity.cpu, 2000);
    store.on_tick(at(115));
    assert_eq!((store.totals().nodes, store.totals().used.cpu), (1, 200), "a is silent");
    store.on_tick(at(200));
    assert_eq!(store.totals().nodes, 0);
}

#[test]
fn a_silent_node_leaves_a_hole_and_no_made_up_value() {
    let mut store = Store::new(Config::default());
    store.on_sample(&name("a"), sample(100, &[]), at(100));
    for second in [101, 106, 200, 205] {
        store.on_tick(at(second));
    }
    let window = Window::last(600_000, 5_000, at(205));
    let document = documents::node(&store, &name("a"), window, at(205)).expect("it is known");
    assert_eq!(document["series"]["cpu"].as_array().map(Vec::len), Some(2), "{document}");
    assert_eq!(document["totals"]["heard_ms_ago"], 105_000);
}

#[test]
fn what_is_kept_is_bounded_and_what_is_passed_over_is_counted() {
    let config = Config { max_nodes: 1, max_instances: 2, ..Config::default() };
    let mut store = Store::new(config);
    store.on_sample(&name("a"), sample(1, &[1, 2, 3]), at(1));
    store.on_sample(&name("b"), sample(1, &[1]), at(1));
    let mut broken = sample(1, &[]);
    broken.instances.push(pb::InstanceSample { id: vec![1], ..Default::default() });
    store.on_sample(&name("a"), broken, at(2));
    assert_eq!((store.nodes().len(), store.instances().len(), store.refused()), (1, 2, 3));
}

#[test]
fn instances_that_are_gone_are_forgotten_and_removed_nodes_at_once() {
    let mut store = Store::new(Config::default());
    store.on_sample(&name("a"), sample(1, &[1]), at(100));
    store.on_tick(at(101));
    store.on_tick(at(100 + 15 * 60));
    let window = Window::last(0, 0, at(1000));
    let id = InstanceId::from_bits(1);
    assert!(documents::instance(&store, id, window, at(1000)).is_some());
    store.on_tick(at(101 + 15 * 60));
    assert!(documents::instance(&store, id, window, at(1000)).is_none());
    store.on_node_gone(&name("a"));
    assert!(documents::node(&store, &name("a"), window, at(1000)).is_none());
}

#[test]
fn the_fleets_document_has_every_series_and_the_registrys_counts() {
    let mut store = Store::new(Config::default());
    store.on_sample(&name("a"), sample(5, &[1]), at(100));
    let nodes = [("online".to_owned(), 1)].into_iter().collect();
    store.on_states(pb::StatusReply { nodes, ..Default::default() });
    store.on_tick(at(101));
    let document = documents::fleet(&store, Window::last(0, 0, at(101)));
    for column in ["cpu", "memory", "disk", "network", "nodes", "instances"] {
        assert_eq!(document["series"][column].as_array().map(Vec::len), Some(1), "{column}");
    }
    assert_eq!(document["series"]["cpu"][0], serde_json::json!([100_000, 5.0]));
    assert_eq!(document["totals"]["nodes"]["online"], 1);
}
