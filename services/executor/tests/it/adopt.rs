//! Executors die and come back; instances notice nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ostler_core::instance::{Desired, Exit, Observed, Status};
use ostler_core::workload::DriverKind;
use ostler_testkit::eventually;

use crate::rig::{Rig, Wanted, config, id, spec};

/// An executor in a process of its own, killed when dropped.
pub struct Executor(pub Child);

impl Executor {
    pub fn start(rig: &Rig) -> Self {
        Self::start_with(rig, &rig.nats.url())
    }

    fn start_with(rig: &Rig, url: &str) -> Self {
        let file = write_config(rig.dir.path(), url);
        let child = Command::new(env!("CARGO_BIN_EXE_ostler-executor"))
            .args(["--config".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("it starts"))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn kill(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("reaped");
    }

    fn terminate(&mut self) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("asked");
        assert!(self.0.wait().expect("reaped").success());
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.kill();
        }
    }
}

fn write_config(dir: &Path, url: &str) -> PathBuf {
    write(dir, config(dir, &[DriverKind::Process]), url)
}

/// Writes the settings of an executor of its own; where they are.
pub fn write(dir: &Path, mut executor: ostler_executor::Config, url: &str) -> PathBuf {
    executor.alone_after = ostler_core::time::Span::from_secs(1);
    let settings = serde_json::json!({
        "executor": executor,
        "bus": { "url": url },
        "telemetry": { "filter": "info,ostler_executor=debug" },
    });
    let text = toml_of(&settings);
    let file = dir.join("ostler.toml");
    std::fs::write(&file, text).expect("written");
    file
}

/// JSON objects as TOML: tables of values that are written alike in both.
fn toml_of(settings: &serde_json::Value) -> String {
    let mut text = String::new();
    for (section, values) in settings.as_object().expect("sections") {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in values.as_object().expect("keys") {
            if !value.is_object() {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
    }
    text
}

fn running(status: &Status) -> bool {
    status.observed == Observed::Running
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

pub async fn clean(rig: &Rig) -> usize {
    let config = config(rig.dir.path(), &[DriverKind::Process]);
    ostler_executor::clean(&config).await.expect("cleans")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_executor_leaves_its_instances_and_the_next_adopts_them() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let first = rig.until("it runs", id(1), running).await;
    executor.kill();
    let pid = first.pid.expect("a pid");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    let mut executor = Executor::start(&rig);
    let epoch = || async { rig.report().await.is_some_and(|report| report.epoch.0 == 2) };
    eventually("the next life reports", epoch).await;
    let after = rig.until("it runs", id(1), running).await;
    assert_eq!((after.pid, after.restarts), (first.pid, 0));
    // It is supervised as before.
    kill(pid);
    let back = rig.until("it is back", id(1), |s| s.restarts == 1 && running(s)).await;
    assert_eq!(back.exit, Some(Exit::Signal(9)));
    executor.kill();
    assert_eq!(clean(&rig).await, 1);
    assert!(!Path::new(&format!("/proc/{}/cwd", back.pid.expect("a pid"))).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_only_adopted_does_not_say_that_it_leaves_an_empty_node() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.order(id(1), Wanted::run(spec(""))).await;
    rig.until("it runs", id(1), running).await;
    executor.kill();
    let mut executor = Executor::start(&rig);
    let epoch = || async { rig.report().await.is_some_and(|report| report.epoch.0 == 2) };
    eventually("the next life reports", epoch).await;
    executor.terminate();
    assert_eq!(*rig.goodbyes.lock().expect("a lock"), [false]);
    assert_eq!(clean(&rig).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_with_its_executor_is_started_again_once_if_it_is_still_wanted() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.wanted.insert(id(1), Wanted::run(spec("")));
    rig.wanted.insert(id(2), Wanted::run(spec("")));
    rig.commit().await;
    let one = rig.until("one runs", id(1), running).await;
    let two = rig.until("two runs", id(2), running).await;
    executor.kill();
    kill(one.pid.expect("a pid"));
    kill(two.pid.expect("a pid"));
    rig.wanted.get_mut(&id(2)).expect("it is there").desired = Desired::Keep;
    rig.commit().await;
    let mut executor = Executor::start(&rig);
    let back = rig.until("one is back", id(1), |s| s.restarts == 1 && running(s)).await;
    // By its zombie, where that is still there.
    assert!(matches!(back.exit, Some(Exit::Unknown | Exit::Signal(9))), "{back:?}");
    let kept = rig.status(id(2)).await.expect("reported");
    assert_eq!((kept.pid, kept.restarts, kept.ready), (None, 0, false));
    executor.terminate();
    assert_eq!(clean(&rig).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bus_instances_are_adopted_and_supervised() {
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let first = rig.until("it runs", id(1), running).await;
    executor.kill();
    let mut executor = Executor::start_with(&rig, "nats://127.0.0.1:1");
    kill(first.pid.expect("a pid"));
    let home = rig.dir.path().join("instances").join(id(1).to_string());
    let dead = first.pid.expect("a pid").to_string();
    let of_it = |entry: &std::fs::DirEntry| {
        let cwd = std::fs::read_link(entry.path().join("cwd"));
        cwd.is_ok_and(|cwd| cwd == home) && entry.file_name() != dead.as_str()
    };
    eventually("it is back", || async {
        std::fs::read_dir("/proc").expect("proc").flatten().any(|entry| of_it(&entry))
    })
    .await;
    executor.kill();
    assert_eq!(clean(&rig).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_takes_its_instances_along_stops_them_and_the_next_starts_them_again() {
    let mut rig = Rig::start().await;
    let taking_along = |rig: &Rig| {
        let mut config = config(rig.dir.path(), &[DriverKind::Process]);
        config.on_stop = ostler_executor::config::OnStop::Stop;
        rig.run(config)
    };
    let executor = taking_along(&rig);
    rig.order(id(1), Wanted::run(spec("stop.grace = \"1s\""))).await;
    let first = rig.until("it runs", id(1), running).await;
    let end = executor.tasks.shut_down(std::time::Duration::from_secs(20)).await;
    assert_eq!(end.failure, None);
    let pid = first.pid.expect("a pid");
    assert!(!Path::new(&format!("/proc/{pid}/cwd")).exists());
    let executor = taking_along(&rig);
    let again = |s: &Status| running(s) && s.pid != first.pid;
    let after = rig.until("it runs again", id(1), again).await;
    assert_eq!(after.restarts, 0);
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_was_replaced_ends_and_touches_nothing() {
    let mut rig = Rig::start().await;
    let executor = rig.executor(&[DriverKind::Process]);
    rig.order(id(1), Wanted::run(spec(""))).await;
    let first = rig.until("it runs", id(1), running).await;
    let mut theirs = rig.report().await.expect("a report");
    theirs.epoch = theirs.epoch.next();
    let key = ostler_schemas::bucket::ReportKey(Rig::node());
    rig.bus.put(&key, &theirs).await.expect("written");
    // The next change makes it look.
    rig.order(id(2), Wanted::run(spec(""))).await;
    executor.tasks.stopped().await;
    let end = executor.tasks.shut_down(std::time::Duration::from_secs(20)).await;
    assert!(end.failure.is_some_and(|why| why.contains("it is replaced")));
    let pid = first.pid.expect("a pid");
    assert!(Path::new(&format!("/proc/{pid}/cwd")).exists());
    clean(&rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_doubles_nothing_and_what_nobody_names_is_a_leftover_that_can_be_ended() {
    use ostler_schemas::pb;
    let mut rig = Rig::start().await;
    let mut executor = Executor::start(&rig);
    rig.wanted.insert(id(1), Wanted::run(spec("")));
    rig.wanted.insert(id(2), Wanted::run(spec("")));
    rig.commit().await;
    let one = rig.until("one runs", id(1), running).await;
    let two = rig.until("two runs", id(2), running).await;
    let two = two.pid.expect("a pid");
    executor.kill();
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        std::fs::remove_file(rig.dir.path().join(file)).ok();
    }
    rig.wanted.remove(&id(2));
    rig.commit().await;
    let mut executor = Executor::start(&rig);
    let epoch = || async { rig.report().await.is_some_and(|report| report.epoch.0 == 2) };
    eventually("the next life reports", epoch).await;
    let after = rig.until("it runs", id(1), running).await;
    assert_eq!(after.pid, one.pid);
    let caller = ostler_bus::Caller::program("test");
    let ask = |clean| pb::Leftovers { clean, ..Default::default() };
    let left = rig.bus.call_node(&Rig::node(), &ask(false), &caller).await.expect("told").items;
    let found: Vec<_> = left.iter().map(|item| (item.pid, item.command.as_str())).collect();
    assert_eq!(found, [(Some(two), "sleep 1000")]);
    let cleaned = rig.bus.call_node(&Rig::node(), &ask(true), &caller).await.expect("told").items;
    assert!(cleaned[0].cleaned);
    let gone = || async { !Path::new(&format!("/proc/{two}/cwd")).exists() };
    eventually("it is gone", gone).await;
    executor.kill();
    assert_eq!(clean(&rig).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_not_root_runs_what_needs_no_root_and_says_what_does() {
    use std::os::unix::process::CommandExt as _;
    const NOBODY: u32 = 65_534;
    let mut rig = Rig::start().await;
    let file = write_config(rig.dir.path(), &rig.nats.url());
    for path in [rig.dir.path(), &file] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root");
    }
    let child = Command::new(env!("CARGO_BIN_EXE_ostler-executor"))
        .args(["--config".as_ref(), file.as_os_str()])
        .stdin(Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn();
    let mut executor = Executor(child.expect("it starts"));
    let who = "[process]\ncommand = [\"sh\", \"-c\", \"id -un; exec sleep 1000\"]";
    rig.order(id(1), Wanted::run(spec(who))).await;
    let status = rig.until("it runs", id(1), running).await;
    let other = "restart.attempts = 0\n[process]\ncommand = [\"true\"]\nuser = \"root\"";
    rig.order(id(2), Wanted::run(spec(other))).await;
    let failed = rig.until("it fails", id(2), |s| s.observed == Observed::Failed).await;
    assert!(failed.reason.contains("the executor is not root"), "{}", failed.reason);
    let output = rig.dir.path().join("logs").join(id(1).to_string()).join("stdout.log");
    assert_eq!(std::fs::read_to_string(output).expect("it wrote"), "nobody\n");
    executor.terminate();
    assert!(Path::new(&format!("/proc/{}/cwd", status.pid.expect("a pid"))).exists());
    assert_eq!(clean(&rig).await, 1);
}
