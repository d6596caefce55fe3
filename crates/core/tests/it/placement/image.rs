//! Images and artifacts, and the power that a node runs on.

use expect_test::expect;
use ostler_core::id::Revision;
use ostler_core::node::{Heartbeat, Use};
use ostler_core::reconcile::{Event, Settings, Terms};

use super::explain;
use crate::fleet::{FIRST, Fleet};

const NODES: &str = "n1 driver docker\nn2 driver docker\nn3 driver docker arch arm64";

fn docker(section: &str, more: &str) -> String {
    format!(r#""name":"web","driver":"docker","docker":{{"image":"nginx:1"{section}}}{more}"#)
}

#[test]
fn an_image_for_another_architecture_rules_a_node_out() {
    for (platform, want) in [
        (r#","platform":"linux/arm64/v8""#, "n1 0, n2 0, n3 1"),
        (r#","platform":"arm64""#, "n1 0, n2 0, n3 1"),
        (r#","platform":"linux/386""#, "n1 1, n2 0, n3 0"),
        (r#","platform":"windows/amd64""#, "n1 0, n2 0, n3 0"),
        (r#","platform":"x86_64""#, "n1 1, n2 0, n3 0"),
        ("", "n1 1, n2 0, n3 0"),
    ] {
        let mut fleet = Fleet::new(NODES);
        fleet.put(&docker(platform, ""));
        fleet.settle();
        assert_eq!(fleet.counts(), want, "{platform}");
    }
    let mut fleet = Fleet::new(NODES);
    fleet.put(&docker(r#","platform":"linux/arm64""#, r#","placement":{"node":"n1"}"#));
    explain(
        &mut fleet,
        expect![[r#"
            n1: no, [Image]
            n2: no, [Pin, Image]
            n3: no, [Pin]
        "#]],
    );
}

#[test]
fn of_equal_nodes_the_one_that_has_the_image_is_better() {
    let mut fleet = Fleet::new(NODES);
    fleet.put(&docker("", r#","placement":{"node":"n2"}"#));
    fleet.settle();
    fleet.put(
        r#""name":"other","placement":{"node":"n1"},"driver":"docker","docker":{"image":"db"}"#,
    );
    fleet.settle();
    let text = docker("", r#","resources":{"cpu":0,"memory":0}"#).replace("web", "second");
    fleet.put(&text);
    fleet.settle();
    assert!(fleet.show().contains("second/0@1 n2"), "{}", fleet.show());
}

#[test]
fn mains_come_before_battery_and_beats_say_which_it_is() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.edit("n1", |node| node.facts.battery = true);
    fleet.put(r#""name":"web""#);
    explain(
        &mut fleet,
        expect![[r#"
            n1: 8994 {"base": 9893, "power": 0}
            n2: 9806 {"base": 9787, "power": 10000}
        "#]],
    );
    assert_eq!(fleet.counts(), "n1 0, n2 1");
    for (node, battery) in [("n1", false), ("n2", true)] {
        fleet.tell(Event::Heartbeat(Heartbeat {
            node: node.parse().expect("a name"),
            epoch: FIRST,
            applied: Revision(0),
            used: Use::default(),
            load: [0; 3],
            instances: 0,
            clock: fleet.now,
            server: String::new(),
            bid: None,
            battery,
        }));
    }
    fleet.put(r#""name":"more""#);
    fleet.settle();
    assert_eq!(fleet.counts(), "n1 1, n2 1");
}

#[test]
fn weights_of_terms_are_those_of_the_workload_then_those_of_the_pool() {
    let terms = Terms { own_workload: 0, power: 0, ..Terms::default() };
    let settings = Settings { terms, ..Settings::default() };
    let mut fleet = Fleet::with("n1 disk-kind ssd\nn2\nn3", settings);
    fleet.edit("n3", |node| node.facts.battery = true);
    let prefer = r#""prefer":[{"attribute":"node.labels.disk-kind","value":"ssd"}]"#;
    fleet.put(&format!(r#""name":"web","count":2,"placement":{{{prefer}}}"#));
    explain(
        &mut fleet,
        expect![[r#"
            n1: 9840 {"base": 9681, "prefer": 10000}
            n2: 7446 {"base": 9893, "prefer": 5000}
            n3: 7446 {"base": 9893, "prefer": 5000}
        "#]],
    );
    let weights = r#""weights":{"prefer":0,"own_workload":30,"power":10,"cpu":1}"#;
    fleet.put(&format!(r#""name":"web","count":2,"placement":{{{prefer},{weights}}}"#));
    explain(
        &mut fleet,
        expect![[r#"
            n1: 3849 {"base": 9249, "own_workload": 0, "power": 10000}
            n2: 9949 {"base": 9749, "own_workload": 10000, "power": 10000}
            n3: 7949 {"base": 9749, "own_workload": 10000, "power": 0}
        "#]],
    );
}
