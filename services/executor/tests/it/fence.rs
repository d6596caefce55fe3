//! At most one is alive, whatever happens: real guardians, real leases, real deaths.

use std::path::Path;
use std::time::Duration;

use ostler_core::instance::{Desired, Observed, Status};
use ostler_schemas::bucket::LeaseKey;
use ostler_testkit::{eventually, eventually_within};

use crate::adopt::{Executor, clean};
use crate::rig::{Rig, Wanted, id, spec};

/// What is fenced is gone after so long, and the pledge a second later.
const FENCED_WITHIN: Duration = Duration::from_secs(20);
/// The server keeps a pledge a second longer than guardians do.
const LAPSED_AFTER: Duration = Duration::from_secs(3);

fn running(status: &Status) -> bool {
    status.observed == Observed::Running
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/cwd")).read_link().is_ok()
}

/// A fenced instance with a child that left its session and ignores what it can.
fn fenced() -> Wanted {
    let script = "trap '' TERM HUP; setsid sh -c \"trap '' TERM HUP; echo child; sleep 1000\" & \
                  echo ready; while :; do sleep 1; done";
    Wanted::run(spec(&format!(
        "[reschedule]\non_node_loss = \"fence\"\n[stop]\ngrace = \"1s\"\n\
         [process]\ncommand = [\"sh\", \"-c\", '''{script}''']"
    )))
}

/// Everything that runs in the directory of an instance.
fn all_of(rig: &Rig, number: u128) -> Vec<u32> {
    let home = rig.dir.path().join("instances").join(id(number).to_string());
    let processes = std::fs::read_dir("/proc").expect("proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let inside =
        |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == home);
    pids.filter(inside).collect()
}

async fn pledged(rig: &Rig) -> bool {
    let lease = rig.bus.get(&LeaseKey(format!("node.{}", Rig::node()))).await;
    lease.expect("readable").is_some()
}

/// The guardian of a fenced instance that runs, with all that it guards.
async fn begin(rig: &mut Rig) -> (u32, Vec<u32>) {
    rig.order(id(1), fenced()).await;
    let status = rig.until("it runs", id(1), running).await;
    assert!(pledged(rig).await, "the pledge was there before it");
    // Guardian, first of the namespace, the shell, its sleep, the child and its sleep.
    let all = || async { all_of(rig, 1).len() >= 6 };
    eventually("all of it runs", all).await;
    (status.pid.expect("a pid"), all_of(rig, 1))
}

/// Waits until nothing of it is alive; the pledge has to be there until then.
async fn is_fenced(rig: &Rig, all: &[u32]) {
    let gone = || async {
        let stood = pledged(rig).await;
        let dead = all.iter().all(|pid| !alive(*pid));
        assert!(dead || stood, "the pledge is gone and something is alive");
        dead
    };
    eventually_within(FENCED_WITHIN, "all of it is dead", gone).await;
    eventually_within(FENCED_WITHIN, "the pledge is gone", || async { !pledged(rig).await }).await;
    assert_eq!(all_of(rig, 1), Vec::<u32>::new());
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, signal).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pledge_stands_as_long_as_something_is_fenced_and_is_given_up_at_once() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.order(id(2), Wanted::run(spec(""))).await;
    rig.until("it runs", id(2), running).await;
    assert!(!pledged(&rig).await, "nothing is fenced");
    let (_, all) = begin(&mut rig).await;
    let stop = rig.wanted[&id(1)].clone().with(Desired::Stop, 1);
    rig.order(id(1), stop).await;
    rig.until("it stopped", id(1), |s| s.observed == Observed::Stopped).await;
    assert!(all.iter().all(|pid| !alive(*pid)));
    let gone = || async { !pledged(&rig).await };
    eventually_within(Duration::from_secs(5), "the pledge is given up", gone).await;
    executor.kill();
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fenced_dies_when_its_executor_is_stopped() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (_, all) = begin(&mut rig).await;
    signal(executor.pid(), rustix::process::Signal::STOP);
    is_fenced(&rig, &all).await;
    // It comes back, and does not start again what may run elsewhere.
    signal(executor.pid(), rustix::process::Signal::CONT);
    let failed = |s: &Status| s.observed == Observed::Failed;
    let status = rig.until("it has failed", id(1), failed).await;
    assert!(status.reason.starts_with("fenced: "), "{}", status.reason);
    assert_eq!(all_of(&rig, 1), Vec::<u32>::new());
    executor.kill();
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fenced_dies_when_its_executor_and_its_guardian_are_stopped() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (guardian, all) = begin(&mut rig).await;
    signal(guardian, rustix::process::Signal::STOP);
    signal(executor.pid(), rustix::process::Signal::STOP);
    is_fenced(&rig, &all).await;
    executor.kill();
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fenced_dies_when_its_executor_is_killed_and_none_comes() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (_, all) = begin(&mut rig).await;
    executor.kill();
    is_fenced(&rig, &all).await;
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_dies_with_its_guardian_at_once() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (guardian, all) = begin(&mut rig).await;
    executor.kill();
    signal(guardian, rustix::process::Signal::KILL);
    let gone = || async { all.iter().all(|pid| !alive(*pid)) };
    eventually_within(Duration::from_secs(5), "all of it is dead", gone).await;
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_executor_adopts_guardian_and_instance_and_goes_on_with_the_pledge() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (guardian, _) = begin(&mut rig).await;
    executor.kill();
    let mut executor = Executor::start(&rig);
    let mut beats = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..14 {
        beats.tick().await;
        assert!(alive(guardian) && all_of(&rig, 1).len() >= 5, "it lives");
        assert!(pledged(&rig).await, "it never lapses");
    }
    let status = rig.until("it runs", id(1), running).await;
    assert_eq!((status.pid, status.restarts), (Some(guardian), 0));
    executor.kill();
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fenced_dies_when_the_bus_is_cut() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    let (_, all) = begin(&mut rig).await;
    rig.nats.kill();
    let gone = || async { all.iter().all(|pid| !alive(*pid)) };
    eventually_within(FENCED_WITHIN, "all of it is dead", gone).await;
    // Renewed in its last second on the server the pledge would be unbroken, and it would start again.
    let cut = ostler_service::clock::instant();
    let over = || async { ostler_service::clock::since(cut) > LAPSED_AFTER };
    eventually("the pledge has lapsed on the server, too", over).await;
    rig.nats.restart().await;
    let failed = |s: &Status| s.observed == Observed::Failed;
    let status = rig.until("it has failed", id(1), failed).await;
    assert!(status.reason.starts_with("fenced: "), "{}", status.reason);
    executor.kill();
    clean(&rig).await;
}
