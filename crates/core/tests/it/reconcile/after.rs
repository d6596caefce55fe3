//! Start order.

use ostler_core::instance::Observed;

use crate::fleet::{Fleet, Reverse};

const WEB: &str = r#""name":"web","after":["db"]"#;

fn reason(fleet: &Fleet) -> String {
    fleet.engine.status(&"web".parse().expect("a key")).expect("known").reason
}

fn placed(fleet: &Fleet) -> bool {
    fleet.show().contains("web/0")
}

#[test]
fn slots_wait_until_those_that_come_first_are_ready_and_say_so() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(WEB);
    fleet.advance(60);
    assert_eq!(reason(&fleet), "it waits for `db`, which is not there");
    for node in ["n1", "n2"] {
        fleet.executor(node).unready.insert("db".to_owned());
    }
    fleet.put(r#""name":"db","count":2"#);
    fleet.advance(60);
    assert_eq!(reason(&fleet), "it waits for `db`, which is not ready");
    assert!(!placed(&fleet));
    let mut next = fleet.takeover(Reverse::Yes);
    next.advance(10);
    assert!(!placed(&next), "another leader waits as well");
    for node in ["n1", "n2"] {
        fleet.executor(node).unready.clear();
    }
    fleet.settle();
    assert!(placed(&fleet));
    assert_eq!(reason(&fleet), "");
}

#[test]
fn what_runs_goes_on_when_those_that_came_first_fail() {
    let mut fleet = Fleet::new("n1\nn2");
    fleet.put(r#""name":"db""#);
    fleet.put(WEB);
    fleet.advance(10);
    fleet.change("db", |head| head.stopped = true);
    fleet.advance(100);
    assert!(placed(&fleet));
    fleet.scale("web", 2);
    fleet.advance(100);
    assert_eq!(reason(&fleet), "it waits for `db`, which is stopped");
    assert_eq!(fleet.show().matches("web/").count(), 1);
    // An update would take one down that could not come back.
    fleet.put(&format!(r#"{WEB},"count":2,"resources":{{"cpu":200}}"#));
    fleet.advance(1000);
    assert!(fleet.show().contains("web/0@2"), "{}", fleet.show());
    fleet.change("db", |head| head.stopped = false);
    fleet.advance(100);
    assert_eq!(fleet.show().matches("web/").count(), 2);
    assert!(fleet.show().contains("web/0@3") && fleet.show().contains("web/1@3"));
}

#[test]
fn a_job_comes_first_by_being_completed() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"db","kind":"job""#);
    fleet.put(WEB);
    fleet.advance(10);
    assert_eq!(reason(&fleet), "it waits for `db`, which is not completed");
    fleet.end("n1", "db", Observed::Completed);
    assert!(placed(&fleet));
}

#[test]
fn a_chain_starts_one_after_the_other() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"a","after":["b"]"#);
    fleet.put(r#""name":"b","after":["c"]"#);
    fleet.put(r#""name":"c""#);
    fleet.settle();
    assert_eq!(fleet.decisions(), "place c/0@1 on n1\nplace b/0@1 on n1\nplace a/0@1 on n1\n");
}
