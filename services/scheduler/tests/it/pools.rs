//! Several pools on several replicas, and what a pool does that cannot write.

use std::collections::BTreeSet;

use ostler_core::id::PoolName;
use ostler_testkit::eventually;

use crate::desk::Desk;
use crate::replica::{Child, Replica};

fn edge() -> PoolName {
    "edge".parse().expect("a name")
}

async fn leaders(desk: &Desk) -> BTreeSet<String> {
    [desk.leader_of(&PoolName::default()).await, desk.leader_of(&edge()).await].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pools_are_spread_over_two_schedulers_and_one_that_is_killed_is_replaced() {
    let mut desk = Desk::open(3).await;
    desk.also(&edge(), 3).await;
    let killed = Child::start_for(&desk, "killed", 100, "[\"default\", \"edge\"]");
    desk.put("web", 30).await;
    desk.put_in(&edge(), "far", 30).await;
    desk.until_placed("web", 30).await;
    assert_eq!(leaders(&desk).await, ["killed".to_owned()].into(), "it is alone");
    let pools = [PoolName::default(), edge()];
    let other = Replica::start_for(&desk, "other", &pools).await;
    let both: BTreeSet<String> = ["killed".to_owned(), "other".to_owned()].into();
    eventually("each leads one", || async { leaders(&desk).await == both }).await;
    killed.signal("KILL");
    eventually("the other leads both", || async {
        leaders(&desk).await == ["other".to_owned()].into()
    })
    .await;
    desk.put("more", 5).await;
    desk.put_in(&edge(), "further", 5).await;
    desk.until_placed("more", 5).await;
    eventually("the other pool goes on too", || async {
        desk.slots_in(&edge(), "further", 3).await.len() == 5
    })
    .await;
    desk.assert_each_slot_once("web", 30).await;
    assert_eq!(desk.slots_in(&edge(), "far", 3).await, (0..30).collect::<Vec<_>>());
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_behind_by_a_workload_that_went_to_another_pool_ends() {
    let mut desk = Desk::open(3).await;
    desk.also(&edge(), 3).await;
    let first = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    first.stop().await;
    // The head goes while nobody leads: all that the next one finds here is instances.
    desk.put_in(&edge(), "web", 6).await;
    let _next = Replica::start_for(&desk, "b", &[PoolName::default(), edge()]).await;
    eventually("it is placed where it belongs", || async {
        desk.slots_in(&edge(), "web", 3).await == (0..6).collect::<Vec<_>>()
    })
    .await;
    eventually("nothing here is ordered to run", || async {
        desk.ordered_to_run("web").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_the_server_refuses_stalled_the_pool_and_nobody_was_told() {
    let desk = Desk::open(3).await;
    let leader = Replica::start(&desk, "a").await;
    desk.put("web", 6).await;
    desk.until_placed("web", 6).await;
    desk.limit_placements(200).await;
    desk.put("more", 60).await;
    eventually("it says so", || async {
        leader.health().is_err_and(|why| why.contains("not take what is to be written"))
    })
    .await;
    desk.limit_placements(-1).await;
    desk.until_placed("more", 60).await;
    desk.assert_each_slot_once("more", 60).await;
    eventually("and is well again", || async { leader.ready() }).await;
}
