//! The wall clock of the server that jumps: leases and messages live and die by it, nothing else.

use ostler_core::id::{InstanceId, PoolName};
use ostler_schemas::bucket::{HeadKey, TermKey};
use ostler_service::clock;
use ostler_testkit::{NatsServer, eventually};

use super::checker::{Ordered, check};
use super::rig::Rig;

fn ids(ordered: &[Ordered]) -> Vec<InstanceId> {
    ordered.iter().map(|one| one.id).collect()
}

/// By how many hours the server's clock is off, by when a workload was written last.
async fn off_by(rig: &Rig, workload: &str) -> i64 {
    let key = HeadKey(format!("default/{workload}").parse().expect("a key"));
    let written = rig.bus.get(&key).await.expect("NATS answers").expect("it is there").at;
    let seconds = |ms: u64| i64::try_from(ms / 1000).expect("this age");
    (seconds(written.as_millis()) - seconds(clock::wall_ms()) + 1800).div_euclid(3600)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_jumps_by_an_hour_replaces_and_restarts_nothing() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 3).await;
    rig.put("web", 20).await;
    let first = ids(&check(&rig).await);
    for (round, hours) in [(1, 1), (2, 0), (3, -1), (4, 0)] {
        nats.clock_jumps(hours * 3_600);
        rig.put("web", 20 + round * 5).await;
        rig.put(&format!("more-{round}"), 5).await;
        assert_eq!(off_by(&rig, "web").await, hours, "the server's clock did not jump");
        let now = ids(&check(&rig).await);
        assert!(first.iter().all(|id| now.contains(id)), "something was replaced");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_gone_is_replaced_though_the_clock_of_the_server_went_back() {
    let nats = NatsServer::start().await;
    let mut rig = Rig::start(&nats.url(), 2, 3).await;
    rig.put("web", 9).await;
    check(&rig).await;
    let term = TermKey(PoolName::default());
    let leads = rig.bus.get(&term).await.expect("NATS answers").expect("somebody leads").value;
    // Its last renewal is an hour in the future.
    rig.wire(&leads.holder).set(ostler_testkit::Wire::Cut);
    nats.clock_jumps(-3_600);
    rig.put("web", 12).await;
    eventually("the other leads", || async {
        let now = rig.bus.get(&term).await.ok().flatten();
        now.is_some_and(|entry| entry.value.holder != leads.holder)
    })
    .await;
    rig.wire(&leads.holder).set(ostler_testkit::Wire::Whole);
    check(&rig).await;
}
