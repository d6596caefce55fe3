//! A manifest comes, processes run, a report goes.

use ostler_bus::Caller;
use ostler_core::instance::{Desired, Exit, Observed};
use ostler_core::workload::DriverKind;
use ostler_schemas::pb;
use ostler_testkit::{Ports, eventually};

use crate::rig::{Rig, Wanted, id, spec};

const PROCESS: [DriverKind; 1] = [DriverKind::Process];

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_manifest_says_runs_is_reported_and_stops_when_told() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let status = rig.until("it runs", id(1), |s| s.observed == Observed::Running && s.ready).await;
    let pid = status.pid.expect("a pid");
    assert!(alive(pid));
    let again = rig.wanted[&id(1)].clone().with(Desired::Run, 2);
    rig.order(id(1), again).await;
    let is_new = |s: &ostler_core::instance::Status| {
        s.observed == Observed::Running && s.pid.is_some_and(|new| new != pid)
    };
    let status = rig.until("it was restarted", id(1), is_new).await;
    assert_eq!((status.restarts, status.generation.0), (1, 2));
    assert!(!alive(pid));
    let stop = rig.wanted[&id(1)].clone().with(Desired::Stop, 2);
    rig.order(id(1), stop).await;
    rig.until("it stopped", id(1), |s| s.observed == Observed::Stopped).await;
    assert!(!alive(status.pid.expect("a pid")));
    assert!(!rig.dir.path().join("instances").join(id(1).to_string()).exists());
    rig.wanted.clear();
    rig.commit().await;
    eventually("it is forgotten", || async { rig.status(id(1)).await.is_none() }).await;
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_is_back_with_a_restart_counted() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let status = rig.until("it runs", id(1), |s| s.observed == Observed::Running).await;
    let pid = status.pid.expect("a pid");
    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).expect("killed");
    let back =
        |s: &ostler_core::instance::Status| s.restarts == 1 && s.observed == Observed::Running;
    let status = rig.until("it is back", id(1), back).await;
    assert_eq!(status.exit, Some(Exit::Signal(9)));
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_from_the_manifest_runs_on() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let status = rig.until("it runs", id(1), |s| s.observed == Observed::Running).await;
    rig.wanted.clear();
    rig.order(id(2), Wanted::run(spec(""))).await;
    rig.until("the other runs", id(2), |s| s.observed == Observed::Running).await;
    let same = rig.status(id(1)).await.expect("it is still reported");
    assert_eq!((same.observed, same.pid), (Observed::Running, status.pid));
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_when_it_answers_and_its_output_can_be_read_and_followed() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let port = Ports::free();
    let web = spec(
        "[process]
        command = [\"python3\", \"-u\", \"-m\", \"http.server\", \"${OSTLER_PORT_HTTP}\"]
        [[ports]]
        name = \"http\"
        [[checks]]
        type = \"http\"
        port = \"http\"",
    );
    rig.order(id(1), Wanted::run(web).port("http", port)).await;
    rig.until("it answers", id(1), |s| s.ready).await;
    let mut follower =
        rig.bus.subscribe::<ostler_schemas::contract::LogOf>(None).await.expect("subscribed");
    let ask = pb::Logs { instance: id(1).to_string(), follow_ms: 20_000, ..Default::default() };
    let mut caller = Caller::program("test");
    caller.timeout = std::time::Duration::from_secs(5);
    let lines = rig.bus.call_node(&Rig::node(), &ask, &caller).await.expect("answered").lines;
    assert!(lines.iter().any(|line| line.text.contains("Serving HTTP")), "{lines:?}");
    drop(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens"));
    let asked = async {
        let address = ("127.0.0.1", port);
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = b"GET /hello-there HTTP/1.0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request).await.expect("asked");
        loop {
            let (_, chunk) = follower.next().await.expect("open").expect("readable");
            if chunk.lines.iter().any(|line| line.text.contains("hello-there")) {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.expect("followed");
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_somebody_else_is_declined() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = stranger.local_addr().expect("an address").port();
    let web = spec("[[ports]]\nname = \"http\"");
    rig.order(id(1), Wanted::run(web).port("http", port)).await;
    let status = rig.until("declined", id(1), |s| s.observed == Observed::Declined).await;
    assert!(status.reason.starts_with("ports"), "{}", status.reason);
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_version_cannot_do_is_declined_with_the_reason() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let cases = [
        ("driver = \"sim\"", "driver: "),
        ("driver = \"sim\"\n[reschedule]\non_node_loss = \"fence\"", "driver: "),
    ];
    for (number, (text, _)) in (1..).zip(cases) {
        rig.wanted.insert(id(number), Wanted::run(spec(text)));
    }
    rig.commit().await;
    for (number, (_, reason)) in (1..).zip(cases) {
        let status = rig.until(reason, id(number), |s| s.observed == Observed::Declined).await;
        assert!(status.reason.starts_with(reason), "{}", status.reason);
    }
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_an_earlier_reign_changes_nothing() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&[DriverKind::Sim]);
    rig.order(id(1), Wanted::run(spec("driver = \"sim\""))).await;
    rig.until("it runs", id(1), |s| s.observed == Observed::Running && s.ready).await;
    // A manifest of an earlier term is not taken, however late it comes.
    let key = ostler_schemas::bucket::ManifestKey {
        pool: ostler_core::id::PoolName::default(),
        node: Rig::node(),
    };
    let stale = ostler_core::instance::Manifest { incarnation: 1, ..Default::default() };
    rig.bus.put(&key, &stale).await.expect("written");
    let sync = rig.bus.call_node(&Rig::node(), &pb::Sync {}, &Caller::program("test")).await;
    sync.expect("answered");
    rig.order(id(2), Wanted::run(spec("driver = \"sim\""))).await;
    rig.until("the other runs", id(2), |s| s.ready).await;
    assert_eq!(rig.status(id(1)).await.expect("reported").observed, Observed::Running);
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_read_silenced_its_node_for_ever() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&[DriverKind::Sim]);
    rig.order(id(1), Wanted::run(spec("driver = \"sim\""))).await;
    rig.until("it runs", id(1), |s| s.ready).await;
    rig.scribble().await;
    rig.order(id(2), Wanted::run(spec("driver = \"sim\""))).await;
    rig.until("the next is reported", id(2), |s| s.ready).await;
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_says_hello_again_and_its_instances_run_on() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let before = rig.until("it runs", id(1), |s| s.ready).await;
    let epoch = rig.report().await.expect("a report").epoch;
    rig.removed.store(true, std::sync::atomic::Ordering::SeqCst);
    let sync = rig.bus.call_node(&Rig::node(), &pb::Sync {}, &Caller::program("test")).await;
    sync.expect("answered");
    rig.order(id(2), Wanted::run(spec(""))).await;
    rig.until("the next order is obeyed", id(2), |s| s.ready).await;
    eventually("it is another epoch", || async {
        rig.report().await.is_some_and(|report| report.epoch > epoch)
    })
    .await;
    let after = rig.status(id(1)).await.expect("it is reported");
    assert_eq!((after.pid, after.restarts), (before.pid, 0));
    rig.end(executor).await;
}
