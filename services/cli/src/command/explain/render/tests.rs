//! Explanations as people see them.

use super::*;
use expect_test::expect;
use serde_json::json;

#[test]
fn a_workload_shows_its_slots_the_best_and_the_nearest_misses() {
    let document = json!({
        "workload": "default/web", "version": 2, "strategy": "weighted",
        "weights": { "base": 10, "own_workload": 5 }, "notes": ["version 2 is being rolled out"],
        "instances": [{ "slot": 0, "node": "n1", "desired": "run", "reason": "", "score": 9600,
            "terms": { "base": 9000, "own_workload": 5000 } }],
        "instances_left_out": 0,
        "unplaced": [{ "slots": [1, 3], "reasons": { "memory": 2 } }],
        "asked": 3, "fitting": 0, "best": [], "nearest": ["n7"],
        "passed_over": [{ "reasons": ["memory"], "count": 2, "such_as": ["n7", "n8"] }],
        "unblock": [{ "changes": ["212MiB of memory more on n7"], "nodes": 1, "such_as": "n7" },
            { "changes": ["drop `node.zone == west`"], "nodes": 3, "such_as": "n8" }],
        "nodes": { "n7": { "verdict": "rejected", "reasons": ["memory"], "obstacles": [
            { "reason": "memory", "text": "needs 512MiB of memory, 300MiB free",
              "fix": "212MiB of memory more on n7" }] } },
    });
    expect![[r#"
        default/web version 2, strategy weighted, score of base ×10, own_workload ×5
        note: version 2 is being rolled out

        SLOT  NODE  ORDERED  SCORE THEN  ONE MORE THERE NOW
        0     n1    run      9600        base 9000, own_workload 5000
        no place for slot 1 to 3: memory on 2

        0 of 3 nodes would take one more

        NODES  PASSED OVER FOR  SUCH AS
        2      memory           n7, n8

        nearest misses
          n7: needs 512MiB of memory, 300MiB free
          to make room: 212MiB of memory more on n7
                    or: drop `node.zone == west` (3 nodes, such as n8)
    "#]]
    .assert_eq(&people(&document, None));
    expect![[r#"
        default/web version 2, strategy weighted, score of base ×10, own_workload ×5
        note: version 2 is being rolled out
        n7 would not take one more:
          REASON  NUMBERS                              TAKEN AWAY BY
          memory  needs 512MiB of memory, 300MiB free  212MiB of memory more on n7
    "#]]
    .assert_eq(&people(&document, Some("n7")));
}

#[test]
fn an_instance_says_where_it_would_go_now() {
    let fits = |score: u32| {
        json!({ "verdict": "fits", "score": score, "terms": { "base": score },
            "available": { "cpu": 9000 } })
    };
    let document = json!({
        "workload": "default/web", "version": 1, "strategy": "binpack", "weights": { "base": 10 },
        "instance": { "id": "0123456789abcdef", "slot": 4, "version": 1, "node": "n1",
            "score": 9100 },
        "would_go_to": "n2", "asked": 2, "fitting": 2, "best": ["n2", "n1"], "nearest": [],
        "passed_over": [], "unblock": [], "nodes": { "n1": fits(9000), "n2": fits(9100) },
    });
    expect![[r#"
        default/web/4 version 1 on n1, id 0123456789abcdef
        strategy binpack, score of base ×10; 9100 when it was placed
        placed again now, it would go to n2

        2 of 2 nodes would take it
        BEST  SPREAD  SCORE  BEHIND  TERMS
        n2    -       9100   0       base 9100
        n1    -       9000   100     base 9000
    "#]]
    .assert_eq(&people(&document, None));
}

#[test]
fn a_node_shows_its_room_what_it_carries_and_who_waits() {
    let room = |cpu: u32| json!({ "cpu": cpu, "memory": "1GiB", "disk": "0B", "network": 0 });
    let document = json!({
        "node": "n1", "admin": "cordoned", "liveness": "online", "count": 1, "max_instances": 50,
        "usable": room(4000), "free": room(3900), "live_free": room(3800), "closed": ["admin"],
        "instances": [{ "workload": "default/web", "slot": 0, "ask": room(100), "desired": "stop",
            "reason": "drain" }],
        "obstacles": { "default/db": [{ "text": "is cordoned" }] },
    });
    expect![[r#"
        n1 is online and cordoned, 1 of at most 50 instances
        it gets no new work: admin
        ROOM              CPU   MEMORY   DISK
        usable            4000  1024MiB  0B
        free by requests  3900  1024MiB  0B
        free by use       3800  1024MiB  0B

        CARRIES        ORDERED  CPU  MEMORY  REASON
        default/web/0  stop     100  1GiB    drain
        waits for a place: default/db: is cordoned
    "#]]
    .assert_eq(&people(&document, None));
}
