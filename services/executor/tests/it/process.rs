//! Processes for real: limits, ladders, users.

use std::sync::Arc;
use std::time::Duration;

use ostler_core::id::{Slot, Version, WorkloadKey};
use ostler_core::instance::{Exit, Spec};
use ostler_executor::driver::process::{Cgroups, Means, Process};
use ostler_executor::driver::{Driver, Happened, Launch, Place};
use ostler_executor::supervise::Event;
use ostler_service::Tasks;
use tokio::sync::mpsc;

use crate::rig::{cgroup, id, spec};

pub struct Bench {
    pub dir: tempfile::TempDir,
    pub driver: Process,
    pub heard: mpsc::Receiver<Happened>,
    pub sink: mpsc::Sender<Happened>,
    tasks: Tasks,
}

pub fn launch(number: u128, run: u64, spec: Spec) -> Arc<Launch> {
    Arc::new(Launch {
        id: id(number),
        run,
        key: WorkloadKey::new(spec.namespace.clone(), spec.workload.clone()),
        version: Version(3),
        slot: Slot(7),
        spec: Arc::new(spec),
        ports: Vec::new(),
        place: Arc::new(Place {
            node: "node-1".parse().expect("a name"),
            zone: "here".to_owned(),
            address: "127.0.0.1".to_owned(),
        }),
    })
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let node = "node-1".parse().expect("a name");
        let means = Means {
            data_dir: dir.path().to_owned(),
            cgroups: Cgroups::detect(&cgroup(dir.path()), &node),
            max_pids: 100,
            max_files: 1024,
            guardian: env!("CARGO_BIN_EXE_ostler-executor").into(),
            fence: None,
        };
        let (sink, heard) = mpsc::channel(64);
        let tasks = Tasks::new();
        let driver = Process::new(means, 4, sink.clone(), &tasks);
        Self { dir, driver, heard, sink, tasks }
    }

    pub async fn next(&mut self) -> Event {
        let heard = tokio::time::timeout(Duration::from_secs(20), self.heard.recv());
        heard.await.expect("something happens").expect("the driver lives").1
    }

    pub async fn started(&mut self) -> u32 {
        loop {
            match self.next().await {
                Event::Prepared(_) => {}
                Event::Started(_, run, _) => return run.pid.expect("a pid"),
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn exit(&mut self) -> Exit {
        match self.next().await {
            Event::Exited(_, exit) => exit,
            other => panic!("{other:?}"),
        }
    }

    pub async fn remove(&mut self, number: u128) {
        self.driver.remove(id(number));
        assert!(matches!(self.next().await, Event::Removed));
    }

    pub fn output(&self, number: u128) -> String {
        let path = self.dir.path().join("logs").join(id(number).to_string()).join("stdout.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stop();
        self.driver.means().cgroups.leave();
    }
}

fn shell(script: &str, more: &str) -> Spec {
    spec(&format!("[process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"))
}

#[tokio::test]
async fn a_process_out_of_memory_is_told_as_that() {
    let mut bench = Bench::new();
    let hog =
        shell("exec python3 -c 'x = bytearray(300 << 20)'", "[resources]\nmemory = \"32MiB\"");
    bench.driver.start(launch(1, 1, hog));
    bench.started().await;
    assert_eq!(bench.exit().await, Exit::OutOfMemory);
    bench.remove(1).await;
}

#[tokio::test]
async fn whoever_ignores_the_signal_is_killed_with_all_its_children() {
    let mut bench = Bench::new();
    let stubborn =
        "trap '' TERM; (trap '' TERM; setsid sleep 1000) & echo ready; while :; do sleep 1; done";
    bench.driver.start(launch(1, 1, shell(stubborn, "")));
    let pid = bench.started().await;
    ostler_testkit::eventually("it listens", || async { bench.output(1).contains("ready") }).await;
    bench.driver.signal(id(1), "SIGTERM");
    assert!(bench.driver.running().contains(&id(1)));
    bench.driver.kill(id(1));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    assert!(bench.driver.running().is_empty());
    let left = std::fs::read_dir("/proc").expect("proc").flatten().filter(|entry| {
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let mark = format!("OSTLER_INSTANCE={}", id(1));
        let ours = bench.dir.path().display().to_string();
        let has = |text: &str| environ.windows(text.len()).any(|part| part == text.as_bytes());
        has(&mark) && has(&ours)
    });
    assert_eq!(left.count(), 0, "children of {pid} are left");
    bench.remove(1).await;
}

#[tokio::test]
async fn a_process_finds_its_own_environment_user_and_limits() {
    let mut bench = Bench::new();
    let script = "id -un; id -gn; pwd; ulimit -Hn; echo $OSTLER_SLOT $OSTLER_VERSION $OSTLER_ZONE; \
                  echo ${GREETING}; env | grep -c SECRET_OF_THE_EXECUTOR; grep NoNewPrivs /proc/self/status";
    let mut asks = shell(script, "user = \"nobody\"\nenv = { GREETING = \"hi ${OSTLER_NODE}\" }");
    asks.restart.attempts = 0;
    bench.driver.start(launch(1, 1, asks));
    bench.started().await;
    assert_eq!(bench.exit().await, Exit::Code(0));
    let output = bench.output(1);
    let lines: Vec<&str> = output.lines().collect();
    let dir = bench.dir.path().join("instances").join(id(1).to_string());
    let dir = dir.display().to_string();
    let want = ["nobody", "nogroup", &dir, "1024", "7 3 here", "hi node-1", "0", "NoNewPrivs:\t1"];
    assert_eq!(lines, want);
    bench.remove(1).await;
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let mut bench = Bench::new();
    for (number, section, why) in [
        (1, "command = [\"/no/such/program\"]", "cannot run `/no/such/program`"),
        (2, "command = [\"true\"]\nuser = \"nobody-at-all\"", "there is no user"),
    ] {
        bench.driver.start(launch(number, 1, spec(&format!("[process]\n{section}"))));
        let told = loop {
            match bench.next().await {
                Event::Prepared(_) => {}
                Event::NotStarted(_, reason, _) => break reason,
                other => panic!("{other:?}"),
            }
        };
        assert!(told.starts_with(why), "{told}");
        assert!(!bench.dir.path().join("instances").join(id(number).to_string()).exists());
        let groups = bench.driver.means().cgroups.dirs(id(number));
        assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    }
}

#[tokio::test]
async fn use_is_measured_in_the_groups_of_the_instance() {
    let mut bench = Bench::new();
    let busy = shell("exec python3 -c 'x = bytearray(20 << 20)\nwhile True: pass'", "");
    bench.driver.start(launch(1, 1, busy));
    bench.started().await;
    ostler_testkit::eventually("it uses something", || async {
        let stats = bench.driver.stats(id(1));
        stats.is_some_and(|s| s.cpu_us > 100_000 && s.memory > 20 << 20)
    })
    .await;
    bench.driver.kill(id(1));
    bench.exit().await;
    bench.remove(1).await;
    assert_eq!(bench.driver.stats(id(1)), None);
}
