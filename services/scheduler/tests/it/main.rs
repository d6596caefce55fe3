//! The scheduler on a private nats-server: one leader, a new one after any death, and nothing
//! placed twice.

mod desk;
mod pools;
mod replica;

use ostler_core::id::Term;
use ostler_testkit::eventually;

use desk::Desk;
use replica::{Child, Replica};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_leads_and_both_are_ready() {
    let desk = Desk::open(3).await;
    let (first, second) = (Replica::start(&desk, "a").await, Replica::start(&desk, "b").await);
    eventually("both are ready", async || first.ready() && second.ready()).await;
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    let term = desk.term().await.expect("somebody leads");
    assert_eq!(term.term, Term(1), "one reign is enough for two replicas");
    assert!(desk.manifests().await.iter().all(|manifest| manifest.term == Term(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clean_stop_the_other_leads_at_once_and_moves_nothing() {
    let desk = Desk::open(3).await;
    let first = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    let before = desk.until_placed("web", 6).await;
    let second = Replica::start(&desk, "b").await;
    eventually("the other is ready", async || second.ready()).await;
    first.stop().await;
    desk.until_led_by("b").await;
    desk.put("more", 1).await;
    desk.until_placed("more", 1).await;
    assert_eq!(desk.placed("web").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_on_the_same_store_changes_nothing() {
    let desk = Desk::open(3).await;
    let first = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    first.stop().await;
    let before = desk.manifests().await;
    let second = Replica::start(&desk, "b").await;
    desk.until_led_by("b").await;
    eventually("the leader is ready", async || second.ready()).await;
    desk.put("empty", 0).await;
    desk.put("other", 1).await;
    desk.until_placed("other", 1).await;
    let after = desk.manifests().await;
    let touched = before.iter().filter(|manifest| !after.contains(manifest)).count();
    assert_eq!(touched, 1, "only the node that got the new instance was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_term_was_overwritten_is_refused_and_begins_anew() {
    let desk = Desk::open(3).await;
    let _leader = Replica::start(&desk, "a").await;
    desk.until_led_by("a").await;
    desk.usurp(Term(7)).await;
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    assert!(desk.manifests().await.iter().all(|manifest| manifest.term > Term(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_foreign_write_the_leader_reads_all_anew_and_goes_on() {
    let desk = Desk::open(3).await;
    let _leader = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    let before = desk.until_placed("web", 6).await;
    desk.scribble().await;
    desk.put("more", 3).await;
    desk.until_placed("more", 3).await;
    assert_eq!(desk.placed("web").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scribble_in_the_placements_kept_everybody_from_leading() {
    let desk = Desk::open(3).await;
    let first = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    let before = desk.until_placed("web", 6).await;
    for key in ["no-such-node", "_brake", "_term"] {
        desk.garble(key).await;
    }
    desk.put("more", 3).await;
    desk.until_placed("more", 3).await;
    first.stop().await;
    let _next = Replica::start(&desk, "b").await;
    desk.until_led_by("b").await;
    desk.put("last", 3).await;
    desk.until_placed("last", 3).await;
    assert_eq!(desk.placed("web").await, before);
    let term = desk.term().await.expect("somebody leads").term;
    assert!(term > Term(2), "no term is led in twice: {term}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scribble_over_the_leaders_own_records_ended_all_leading() {
    let desk = Desk::open(3).await;
    let first = Replica::start(&desk, "a").await;
    let second = Replica::start(&desk, "b").await;
    desk.put("web", 6).await;
    let before = desk.until_placed("web", 6).await;
    for key in ["node-001", "_workload.default.web", "_commands"] {
        desk.garble(key).await;
    }
    desk.put("more", 3).await;
    desk.until_placed("more", 3).await;
    assert_eq!(desk.placed("web").await, before, "who wrote it last knows it still");
    // And has written it again: so does the next.
    first.stop().await;
    second.stop().await;
    let _next = Replica::start(&desk, "c").await;
    desk.until_led_by("c").await;
    desk.put("last", 3).await;
    desk.until_placed("last", 3).await;
    assert_eq!(desk.placed("web").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_and_wakes_later_writes_nothing() {
    let desk = Desk::open(3).await;
    let sleeper = Child::start(&desk, "sleeper", 50_000);
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    sleeper.signal("STOP");
    let _other = Replica::start(&desk, "b").await;
    desk.until_led_by("b").await;
    sleeper.signal("CONT");
    desk.put("more", 3).await;
    desk.until_placed("more", 3).await;
    let term = desk.term().await.expect("somebody leads");
    assert_eq!((term.holder.as_str(), term.term), ("b", Term(2)));
    desk.assert_each_slot_once("web", 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_between_batches_leaves_nothing_twice() {
    let desk = Desk::open(40).await;
    let killed = Child::start(&desk, "killed", 100);
    desk.until_led_by("killed").await;
    desk.put("web", 10_000).await;
    eventually("some are placed", async || !desk.placed("web").await.is_empty()).await;
    killed.signal("KILL");
    let early = desk.placed("web").await.len();
    let _other = Replica::start(&desk, "b").await;
    desk.until_placed("web", 10_000).await;
    desk.assert_each_slot_once("web", 10_000).await;
    assert!(early < 10_000, "the leader was killed too late for this test to say anything");
}
