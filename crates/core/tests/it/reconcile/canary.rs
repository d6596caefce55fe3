//! Canaries: beside the old version until a person promotes them, or until they fail.

use expect_test::expect;
use ostler_core::command::{Order, Verdict};

use crate::fleet::{Fleet, Reverse};

const WEB: &str = r#""name":"web","count":2,"update":{"canary":1,"min_ready":"1s"}"#;

fn with_canary() -> Fleet {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(WEB);
    fleet.advance(10);
    fleet.put(&format!(r#"{WEB},"resources":{{"cpu":200}}"#));
    fleet.settle();
    fleet
}

fn promote(fleet: &mut Fleet) -> String {
    fleet.order(Order::Promote { workload: "default/web".to_owned() })
}

#[test]
fn a_canary_that_is_looked_at_writes_nothing_and_wants_no_time() {
    let mut fleet = with_canary();
    fleet.advance(10);
    let written = fleet.plans.len();
    fleet.edit("n3", |node| node.facts.labels.extend([("rack".to_owned(), "r".to_owned())]));
    fleet.advance(10_000);
    let news = fleet.plans[written..].iter().filter(|plan| !plan.progress.is_empty()).count();
    assert_eq!(news, 0);
    assert_eq!(fleet.engine.wake_at(), None);
}

#[test]
fn a_canary_that_is_never_ready_fails_the_update_in_time() {
    let mut fleet = with_canary();
    for node in ["n1", "n2", "n3"] {
        fleet.executor(node).unready.insert("web".to_owned());
    }
    fleet.put(&format!(r#"{WEB},"resources":{{"cpu":300}}"#));
    fleet.decisions();
    fleet.advance(301);
    assert!(fleet.decisions().contains("update of web to 3 failed: no replacement became ready"));
    let order = promote(&mut fleet);
    fleet.settle();
    assert_eq!(fleet.outcome(&order).verdict, Verdict::Refused);
    assert_eq!(fleet.show().matches("web/0@1").count(), 1, "the old ones run on");
}

#[test]
fn what_is_promoted_after_a_week_has_all_its_time() {
    let mut fleet = with_canary();
    fleet.advance(7 * 86_400);
    fleet.decisions();
    promote(&mut fleet);
    fleet.advance(30);
    expect![[r#"
        stop web/0 on n1: updated
        place web/0@2 on n1
        stop web/1 on n2: updated
        place web/1@2 on n2
        web is now 2
        stop web/2 on n3: scaled
    "#]]
    .assert_eq(&fleet.decisions());
}

#[test]
fn a_promotion_that_was_begun_goes_on_after_a_change_that_needs_no_restart() {
    let mut fleet = with_canary();
    fleet.advance(10);
    promote(&mut fleet);
    fleet.settle();
    fleet.put(&format!(r#"{WEB},"priority":60,"resources":{{"cpu":200}}"#));
    let mut next = fleet.takeover(Reverse::No);
    next.advance(60);
    assert_eq!(next.show(), "web/0@3 n1 run running ready\nweb/1@3 n2 run running ready\n");
}

#[test]
fn whoever_goes_back_to_the_old_text_is_rid_of_the_canaries() {
    let mut fleet = with_canary();
    fleet.advance(10);
    fleet.decisions();
    fleet.put(WEB);
    fleet.advance(10);
    expect![[r#"
        stop web/2 on n3: scaled
        web is now 3
    "#]]
    .assert_eq(&fleet.decisions());
    assert_eq!(fleet.counts(), "n1 1, n2 1, n3 0");
}

#[test]
fn a_canary_stands_beside_an_old_one_that_comes_back() {
    let mut fleet = Fleet::new("n1\nn2\nn3");
    let text = WEB.replace("\"count\":2", "\"count\":1");
    fleet.put(&text);
    fleet.advance(10);
    let home = fleet.engine.instances().next().expect("it is there").node.clone();
    // Nobody else takes it, so it is waited for.
    for other in ["n1", "n2", "n3"].into_iter().filter(|one| *one != home.as_str()) {
        fleet.admin(other, ostler_core::node::Admin::Cordoned);
    }
    fleet.lose(home.as_str());
    fleet.settle();
    fleet.put(&format!(r#"{text},"resources":{{"cpu":200}}"#));
    fleet.settle();
    fleet.find(home.as_str());
    fleet.settle();
    assert!(fleet.show().contains("web/1@2"), "{}", fleet.show());
}

#[test]
fn a_canary_ends_with_an_update_that_fails_when_nothing_old_is_left() {
    let text = WEB.replace("\"canary\":1", "\"canary\":1,\"max_parallel\":0");
    let mut fleet = Fleet::new("n1\nn2\nn3");
    fleet.put(&text);
    fleet.advance(10);
    fleet.put(&format!(r#"{text},"resources":{{"cpu":200}}"#));
    fleet.advance(10);
    fleet.executor("n2").unready.insert("web".to_owned());
    promote(&mut fleet);
    fleet.advance(400);
    let decided = fleet.decisions();
    assert!(decided.contains("update of web to 2 failed"), "{decided}");
    assert!(!fleet.show().contains("web/2"), "{}", fleet.show());
}
