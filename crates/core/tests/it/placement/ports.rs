//! Static, dynamic, contiguous and aligned ports.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use ostler_core::instance::Desired;

use crate::fleet::Fleet;

/// Puts one workload on one node with the ports 20000 to 20009: the ports of each instance.
#[track_caller]
fn check(count: u32, ports: &str, want: Expect) {
    let mut fleet = Fleet::new("n1 ports 20000-20009");
    fleet.put(&format!(r#""name":"web","count":{count},"ports":[{ports}]"#));
    fleet.settle();
    let manifest = &fleet.executor("n1").manifest;
    let mut said = String::new();
    let mut taken = BTreeSet::new();
    for entry in manifest.groups.iter().flat_map(|group| &group.entries) {
        assert_eq!(entry.desired, Desired::Run);
        let shown: Vec<String> = entry
            .ports
            .iter()
            .map(|grant| {
                for port in grant.first..grant.first + grant.count {
                    assert!(taken.insert(port), "{port} twice");
                }
                format!("{} {}+{}", grant.name, grant.first, grant.count)
            })
            .collect();
        said += &format!("{}: {}\n", entry.slot, shown.join(", "));
    }
    want.assert_eq(&said);
}

#[test]
fn dynamic_ports_follow_each_other_until_none_is_left() {
    check(
        4,
        r#"{"name":"a","count":3}"#,
        expect![[r#"
            0: a 20000+3
            1: a 20003+3
            2: a 20006+3
        "#]],
    );
}

#[test]
fn an_aligned_block_begins_at_a_multiple() {
    check(
        3,
        r#"{"name":"one"},{"name":"a","count":2,"align":4}"#,
        expect![[r#"
            0: one 20000+1, a 20004+2
            1: one 20006+1, a 20008+2
        "#]],
    );
}

#[test]
fn static_ports_are_taken_before_dynamic_ones_are_sought_whatever_their_order() {
    check(
        2,
        r#"{"name":"any","count":4},{"name":"fixed","static":20000,"count":2}"#,
        expect![[r#"
            0: any 20002+4, fixed 20000+2
        "#]],
    );
}

#[test]
fn a_static_port_may_lie_outside_of_the_dynamic_range() {
    check(
        2,
        r#"{"name":"http","static":80}"#,
        expect![[r#"
        0: http 80+1
    "#]],
    );
}

#[test]
fn two_ports_of_one_instance_never_overlap() {
    check(1, r#"{"name":"a","static":8080},{"name":"b","static":8080}"#, expect![""]);
    check(1, r#"{"name":"a","static":8080,"count":2},{"name":"b","static":8081}"#, expect![""]);
}
