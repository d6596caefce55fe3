//! While instances run: their local socket, heartbeats, hooks, renewal.

use std::path::Path;
use std::time::Duration;

use ostler_bus::Caller;
use ostler_core::instance::{Desired, Observed, Status};
use ostler_core::workload::DriverKind;
use ostler_schemas::pb;
use ostler_schemas::problem::Code;
use ostler_testkit::{Ports, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::rig::{Rig, Wanted, id, spec};

const PROCESS: [DriverKind; 1] = [DriverKind::Process];

fn running(status: &Status) -> bool {
    status.observed == Observed::Running
}

fn socket(rig: &Rig, number: u128) -> std::path::PathBuf {
    rig.dir.path().join("instances").join(id(number).to_string()).join(".ostler.sock")
}

/// Says one line to an instance's socket.
async fn say(path: &Path, line: &str) -> Value {
    let stream = UnixStream::connect(path).await.expect("it is open");
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_line(&mut answer));
    read.await.expect("it answers").expect("it answers");
    serde_json::from_str(&answer).expect("JSON")
}

fn output(rig: &Rig, number: u128) -> String {
    let file = rig.dir.path().join("logs").join(id(number).to_string()).join("stdout.log");
    std::fs::read_to_string(file).unwrap_or_default()
}

const HEARTBEAT: &str = "[[checks]]\ntype = \"heartbeat\"\ninterval = \"500ms\"\nfailures = 2";

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_ready_with_its_first_beat_and_ended_when_it_falls_silent() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec(HEARTBEAT))).await;
    let first = rig.until("it runs", id(1), running).await;
    assert!(!first.ready);
    let path = socket(&rig, 1);
    assert_eq!(say(&path, r#"{"beat":true}"#).await, json!({ "ok": true }));
    rig.until("it is ready", id(1), |s| s.ready && s.pid == first.pid).await;
    assert_eq!(say(&path, r#"{"ready":false}"#).await, json!({ "ok": true }));
    rig.until("it is not ready", id(1), |s| !s.ready && s.pid == first.pid).await;
    // Nobody beats any more.
    let again = rig.until("it is back", id(1), |s| running(s) && s.restarts == 1).await;
    assert_ne!(again.pid, first.pid);
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_socket_answers_and_refuses_by_name() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec("[update]\nmin_ready = \"1h\""))).await;
    rig.until("it runs", id(1), |s| s.ready && !s.proven).await;
    let path = socket(&rig, 1);
    let who = say(&path, r#"{"who":true}"#).await;
    assert_eq!((&who["workload"], &who["slot"]), (&json!("default/web"), &json!(0)));
    assert_eq!(say(&path, r#"{"proven":true}"#).await, json!({ "ok": true }));
    rig.until("it is proven", id(1), |s| s.proven).await;
    assert_eq!(say(&path, r#"{"publish":"a scroll"}"#).await, json!({ "ok": true }));
    let long = json!({ "publish": "x".repeat(5000) }).to_string();
    let endless = "x".repeat(20_000);
    for (line, says) in [
        ("nonsense", "one of `ready`"),
        (r#"{"fly":true}"#, "one of `ready`"),
        (long.as_str(), "at most 4096"),
        (endless.as_str(), "at most 16384"),
        (r#"{"endpoints":"db"}"#, "api.instance.list"),
    ] {
        let answer = say(&path, line).await;
        assert_eq!(answer["ok"], json!(false), "{answer}");
        assert!(answer["error"].as_str().expect("a text").contains(says), "{answer}");
    }
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_beat() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (number, program, file) in [(1, "python3", "beat.py"), (2, "sh", "beat.sh")] {
        let file = examples.join(file);
        let process =
            format!("[process]\ncommand = [\"{program}\", \"{}\"]\n{HEARTBEAT}", file.display());
        rig.order(id(number), Wanted::run(spec(&process))).await;
        let slow = "[[checks]]\ntype = \"heartbeat\"\ninterval = \"500ms\"";
        assert!(process.contains(slow));
        rig.until("it beats", id(number), |s| s.ready).await;
        assert!(output(&rig, number).contains("default/web"), "{}", output(&rig, number));
    }
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_done_around_the_life_of_an_instance_in_order() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let hook = |name: &str| {
        format!("{name} = {{ exec = [\"sh\", \"-c\", \"echo {name} ${{OSTLER_SLOT}}\"] }}\n")
    };
    let hooks = ["before_start", "after_start", "after_ready", "before_stop", "after_stop"];
    let table: String = hooks.iter().map(|name| hook(name)).collect();
    let waits = "before_ready = [{ wait_for = { file = \"up\" } }, { exec = [\"echo\", \"before_ready\"] }]";
    let text = format!(
        "[process]\ncommand = [\"sh\", \"-c\", \"echo begun; exec sleep 1000\"]\n[hooks]\n{table}{waits}\n"
    );
    rig.order(id(1), Wanted::run(spec(&text))).await;
    let status = rig.until("it runs", id(1), running).await;
    assert!(!status.ready, "it waits for a file");
    let home = rig.dir.path().join("instances").join(id(1).to_string());
    std::fs::write(home.join("up"), "").expect("written");
    rig.until("it is ready", id(1), |s| s.ready).await;
    eventually("after_ready", || async { output(&rig, 1).contains("after_ready") }).await;
    let stop = rig.wanted[&id(1)].clone().with(Desired::Stop, 1);
    rig.order(id(1), stop).await;
    rig.until("it stopped", id(1), |s| s.observed == Observed::Stopped).await;
    let said = output(&rig, 1);
    let order = [
        "before_start 0",
        "begun",
        "before_ready",
        "after_ready 0",
        "before_stop 0",
        "after_stop 0",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|word| said.find(word).unwrap_or_else(|| panic!("{word}: {said}")))
        .collect();
    assert!(places.is_sorted(), "{said}");
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_or_hangs_counts_as_a_failed_start_where_that_is_said() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let cases = [
        ("before_start = { exec = [\"false\"] }", "hook `before_start`: `false` ended with 1"),
        ("before_start = { wait_for = { file = \"never\" } }", "not done within 300ms"),
        ("after_start = { http = \"http://127.0.0.1:1/\" }", "hook `after_start`"),
    ];
    for (number, (hook, why)) in (1..).zip(cases) {
        let text = format!(
            "restart.attempts = 0\n[hooks]\ntimeout = \"300ms\"\non_failure = \"abort\"\n{hook}\n"
        );
        rig.order(id(number), Wanted::run(spec(&text))).await;
        let failed = |s: &Status| s.observed == Observed::Failed;
        let status = rig.until(hook, id(number), failed).await;
        assert!(status.reason.contains(why), "{}", status.reason);
    }
    let ignored = "[hooks]\nbefore_start = { exec = [\"false\"] }\n";
    rig.order(id(9), Wanted::run(spec(ignored))).await;
    rig.until("it runs all the same", id(9), |s| s.ready).await;
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_or_too_large_is_renewed() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    rig.order(id(1), Wanted::run(spec("[recycle]\nmax_age = \"1s\""))).await;
    let hog = "[process]\ncommand = [\"python3\", \"-c\", \"import time; x = bytearray(40 << 20); time.sleep(1000)\"]\n\
               [resources]\nmemory = \"128MiB\"\n[recycle]\nmax_rss = \"20MiB\"";
    rig.order(id(2), Wanted::run(spec(hog))).await;
    for number in [1, 2] {
        let renewed = |s: &Status| s.restarts >= 1;
        rig.until("it is renewed", id(number), renewed).await;
    }
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_is_first_no_endpoint_and_goes_on_for_a_while() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let script = "trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done";
    let text =
        format!("[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n[stop]\ndrain = \"1500ms\"");
    let asks = Wanted::run(spec(&text));
    rig.order(id(1), asks.clone()).await;
    rig.until("it is ready", id(1), |s| s.ready).await;
    rig.order(id(1), asks.with(Desired::Stop, 2)).await;
    let stopping = |s: &Status| s.observed == Observed::Stopping && !s.ready;
    let drained = rig.until("it is no endpoint", id(1), stopping).await;
    assert!(drained.pid.is_some());
    let began = ostler_service::clock::instant();
    assert_eq!(output(&rig, 1), "");
    rig.until("it has ended", id(1), |s| s.observed == Observed::Stopped).await;
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(output(&rig, 1), "asked\n");
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_waited_for() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let port = Ports::free();
    let text = "[process]\ncommand = [\"python3\", \"-m\", \"http.server\", \"${OSTLER_PORT_HTTP}\"]\n\
                [[ports]]\nname = \"http\"\n[hooks]\nbefore_ready = { wait_for = { port = \"http\" } }";
    rig.order(id(1), Wanted::run(spec(text)).port("http", port)).await;
    rig.until("it is ready", id(1), |s| s.ready).await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_reads_its_settings_again_by_its_own_signal() {
    use ostler_schemas::pb;
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let script = "trap 'echo again' USR1; echo up; while :; do sleep 0.1; done";
    let text =
        format!("[process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\nreload_signal = \"SIGUSR1\"");
    rig.order(id(1), Wanted::run(spec(&text))).await;
    rig.until("it runs", id(1), |s| s.ready).await;
    eventually("it listens", || async { output(&rig, 1).contains("up") }).await;
    let caller = ostler_bus::Caller::program("test");
    let ask = |signal: &str| pb::Signal { instance: id(1).to_string(), signal: signal.to_owned() };
    rig.bus.call_node(&Rig::node(), &ask(""), &caller).await.expect("told");
    eventually("it heard", || async { output(&rig, 1).contains("again") }).await;
    let wrong = rig.bus.call_node(&Rig::node(), &ask("SIGFLY"), &caller).await;
    assert!(wrong.expect_err("refused").detail.contains("`SIGFLY`"));
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_tells_what_it_and_each_of_its_instances_use() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&PROCESS);
    let busy = "[process]\ncommand = [\"sh\", \"-c\", \"while :; do :; done\"]";
    rig.wanted.insert(id(1), Wanted::run(spec(busy)));
    rig.order(id(2), Wanted::run(spec(""))).await;
    let ask = async |instance: String| {
        let ask = pb::Stats { instance };
        rig.bus.call_node(&Rig::node(), &ask, &Caller::program("test")).await
    };
    eventually("one of two is seen to work", || async {
        let told = ask(String::new()).await.map(|told| told.instances).unwrap_or_default();
        let of = |number| told.iter().find(|one| one.instance == id(number).to_string());
        let working = of(1).is_some_and(|one| one.cpu > 100 && one.memory > 0 && one.pid.is_some());
        working && of(2).is_some_and(|one| one.cpu < 50)
    })
    .await;
    let one = ask(id(2).to_string()).await.expect("it is here");
    assert_eq!(one.instances.len(), 1);
    let none = ask(id(3).to_string()).await.expect_err("it is not here");
    assert_eq!(none.code, Code::NotFound);
    rig.end(executor).await;
}
