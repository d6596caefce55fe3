//! A node that is given to another pool: the old one's work ends first, then the new one is obeyed,
//! however new its manifests are.

use ostler_bus::Caller;
use ostler_core::id::PoolName;
use ostler_core::instance::{Desired, Observed};
use ostler_core::workload::DriverKind;
use ostler_schemas::pb;
use ostler_testkit::eventually;

use crate::rig::{Rig, Wanted, id, spec};

fn gpu() -> PoolName {
    "gpu".parse().expect("a name")
}

/// The registry says that the node is in this pool now, and has it look.
async fn give(rig: &Rig, pool: PoolName) {
    *rig.given_to.lock().expect("a lock") = pool;
    let sync = rig.bus.call_node(&Rig::node(), &pb::Sync {}, &Caller::program("test")).await;
    sync.expect("answered");
}

async fn until_in(rig: &Rig, pool: PoolName) {
    eventually("it reports as of its pool", || async {
        rig.report().await.is_some_and(|report| report.pool == Some(pool.clone()))
    })
    .await;
}

/// So that the pool's revisions are higher than those of another one.
async fn many_revisions(rig: &mut Rig) {
    for _ in 0..10 {
        rig.commit().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_given_to_another_pool_runs_what_that_orders() {
    let mut rig = Rig::start().await;
    let mut executor = rig.executor(&[DriverKind::Process]);
    many_revisions(&mut rig).await;
    rig.order(id(1), Wanted::run(spec(""))).await;
    rig.until("it runs", id(1), |s| s.ready).await;
    rig.order(id(1), rig.wanted[&id(1)].clone().with(Desired::Stop, 1)).await;
    rig.until("it stopped", id(1), |s| s.observed == Observed::Stopped).await;
    let before = rig.report().await.expect("a report");
    assert_eq!(before.pool, Some(PoolName::default()));
    rig.pool = gpu();
    rig.wanted.clear();
    give(&rig, gpu()).await;
    until_in(&rig, gpu()).await;
    assert_eq!(rig.report().await.expect("a report").applied.0, 0, "nothing of the new pool yet");
    rig.order(id(2), Wanted::run(spec(""))).await;
    let run = rig.until("the new pool's order is obeyed", id(2), |s| s.ready).await;
    assert!(rig.report().await.expect("a report").applied < before.applied);
    executor.tasks.shut_down(std::time::Duration::from_secs(20)).await;
    executor = rig.executor(&[DriverKind::Process]);
    rig.order(id(3), Wanted::run(spec(""))).await;
    rig.until("the next executor obeys it too", id(3), |s| s.ready).await;
    let still = rig.status(id(2)).await.expect("it is reported");
    assert_eq!((still.pid, still.restarts), (run.pid, 0));
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_old_pool_named_ends_by_its_order_before_the_new_one_is_obeyed() {
    let mut rig = Rig::start().await;
    let mut executor = rig.executor(&[DriverKind::Process]);
    many_revisions(&mut rig).await;
    rig.order(id(1), Wanted::run(spec(""))).await;
    let old = rig.until("it runs", id(1), |s| s.ready).await;
    give(&rig, gpu()).await;
    let of_default = std::mem::take(&mut rig.wanted);
    rig.pool = gpu();
    rig.order(id(2), Wanted::run(spec(""))).await;
    executor.tasks.shut_down(std::time::Duration::from_secs(20)).await;
    executor = rig.executor(&[DriverKind::Process]);
    let of_gpu = std::mem::replace(&mut rig.wanted, of_default);
    rig.pool = PoolName::default();
    rig.order(id(3), Wanted::run(spec(""))).await;
    rig.until("the old pool is obeyed", id(3), |s| s.ready).await;
    assert_eq!(rig.status(id(1)).await.expect("it is there").pid, old.pid);
    assert!(rig.status(id(2)).await.is_none(), "the new pool has to wait");
    for which in [id(1), id(3)] {
        rig.order(which, rig.wanted[&which].clone().with(Desired::Stop, 1)).await;
    }
    rig.wanted = of_gpu;
    rig.until("the new pool is obeyed", id(2), |s| s.ready).await;
    assert!(rig.status(id(1)).await.is_none());
    rig.end(executor).await;
}
