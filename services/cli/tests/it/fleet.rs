//! One dev fleet a test, each service and node a process of its own, gone when the test ends.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ostler_testkit::{Ports, eventually, eventually_within};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler");

/// A running dev fleet.
pub struct Fleet {
    dir: TempDir,
    args: Vec<String>,
    dev: Child,
    /// What the ready file says.
    pub ready: Value,
    nodes: Vec<Child>,
    http: reqwest::Client,
}

/// What a command of `ostler` did.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Fleet {
    /// Starts three nodes with a process each.
    pub async fn start() -> Self {
        Self::start_with(&["--processes"]).await
    }

    pub async fn start_with(more: &[&str]) -> Self {
        let dir = TempDir::new().expect("a folder");
        let (listen, nats) = (Ports::free(), Ports::free());
        let mut args: Vec<String> = vec!["dev".into(), "--data".into()];
        args.push(dir.path().join("data").display().to_string());
        args.extend(["--listen".into(), format!("127.0.0.1:{listen}")]);
        args.extend(["--nats-port".into(), nats.to_string()]);
        args.extend(["--ready-file".into(), dir.path().join("ready").display().to_string()]);
        args.extend(more.iter().map(ToString::to_string));
        let dev = spawn(&args);
        let mut fleet = Self {
            dir,
            args,
            dev,
            ready: Value::Null,
            nodes: Vec::new(),
            http: reqwest::Client::new(),
        };
        fleet.wait_ready().await;
        fleet
    }

    async fn wait_ready(&mut self) {
        let file = self.dir.path().join("ready");
        let wait = eventually_within(Duration::from_secs(70), "the dev fleet is ready", || {
            let there = file.exists();
            let ended = self.dev.try_wait().expect("a child").is_some();
            let logs = if ended { self.logs() } else { String::new() };
            assert!(!ended, "the dev fleet ended before it was ready\n{logs}");
            async move { there }
        });
        wait.await;
        let text = std::fs::read_to_string(&file).expect("the ready file");
        self.ready = serde_json::from_str(&text).expect("JSON");
    }

    /// SIGKILL for the one that started all others.
    pub async fn kill_dev(&mut self) {
        signal(self.dev.id().expect("it runs"), Signal::KILL);
        self.dev.wait().await.expect("a child");
    }

    /// Ctrl-C; waits until it has ended.
    pub async fn end(&mut self) {
        signal(self.dev.id().expect("it runs"), Signal::INT);
        let ended = tokio::time::timeout(Duration::from_secs(60), self.dev.wait()).await;
        ended.expect("it ends in time").expect("a child");
    }

    /// Starts it again on the same data.
    pub async fn start_again(&mut self) {
        std::fs::remove_file(self.dir.path().join("ready")).expect("the ready file");
        self.dev = spawn(&self.args);
        self.wait_ready().await;
    }

    /// The last lines of every log, for failures.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let dir = std::fs::read_dir(self.data().join("log"));
        for entry in dir.into_iter().flatten().flatten() {
            let content = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let tail: Vec<&str> = content.lines().rev().take(15).collect();
            text.push_str(&format!("--- {}\n", entry.path().display()));
            text.extend(tail.iter().rev().map(|line| format!("{line}\n")));
        }
        text
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn server(&self) -> String {
        self.ready["server"].as_str().expect("server").to_owned()
    }

    pub fn nats(&self) -> String {
        self.ready["nats"].as_str().expect("nats").to_owned()
    }

    /// The process of a part: `registry`, `scheduler`, `nats`, `node-1` …
    pub fn pid(&self, part: &str) -> u32 {
        let pid = self.ready["pids"][part].as_u64();
        u32::try_from(pid.unwrap_or_else(|| panic!("no pid of {part}"))).expect("a pid")
    }

    /// Sends a signal to a part.
    pub fn signal(&self, part: &str, which: Signal) {
        signal(self.pid(part), which);
    }

    /// Starts an executor again, as the next epoch of its node.
    pub fn start_node(&mut self, node: &str) {
        let data = self.data().display().to_string();
        let log = self.data().join("log").join(format!("{node}-again.log"));
        let log = std::fs::File::create(log).expect("a log");
        let child = Command::new(OSTLER)
            .args(["dev", "node", node, "--data", &data])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("ostler starts");
        self.nodes.push(child);
    }

    /// The executors that were started by hand.
    pub fn by_hand(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(Child::id).collect()
    }

    /// Runs a command of `ostler` against this fleet.
    pub async fn ostler(&self, args: &[&str]) -> Said {
        let output = Command::new(OSTLER)
            .args(["--server", &self.server()])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("ostler starts");
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, which must succeed.
    pub async fn done(&self, args: &[&str]) -> String {
        let said = self.ostler(args).await;
        assert_eq!(said.code, 0, "ostler {args:?}: {said:?}\n{}", self.logs());
        said.out
    }

    pub async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let url = format!("{}{path}", self.server());
        let mut request = self.http.request(method, url);
        if !body.is_null() {
            request = request.json(body);
        }
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                (status, response.json().await.unwrap_or(Value::Null))
            }
            Err(_) => (0, Value::Null),
        }
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send("GET", path, &Value::Null).await.1
    }

    /// Creates or changes a workload of the namespace `default`.
    pub async fn put(&self, workload: &Value) -> Value {
        let name = workload["name"].as_str().expect("a name");
        let path = format!("/v1/workloads/default/{name}");
        let (status, view) = self.send("PUT", &path, workload).await;
        assert!(status == 200 || status == 201, "{status} {view}");
        view
    }

    /// The instances of a workload that have not ended, by slot.
    pub async fn instances(&self, workload: &str) -> Vec<Value> {
        let page = self.get(&format!("/v1/instances?workload={workload}&limit=1000")).await;
        let mut items = page["items"].as_array().cloned().unwrap_or_default();
        let ended = ["stopped", "failed", "declined", "lost", "completed"];
        items.retain(|item| !ended.contains(&item["observed"].as_str().unwrap_or_default()));
        items.sort_by_key(|item| item["slot"].as_u64());
        items
    }

    pub async fn ready_count(&self, workload: &str) -> usize {
        let items = self.instances(workload).await;
        items.iter().filter(|item| item["ready"] == true && item["desired"] == "run").count()
    }

    /// Waits until exactly so many instances are there, all ready and wanted.
    pub async fn until_ready(&self, workload: &str, count: usize) -> Vec<Value> {
        self.until_ready_within(workload, count, Duration::from_secs(30)).await
    }

    pub async fn until_ready_within(
        &self,
        workload: &str,
        count: usize,
        within: Duration,
    ) -> Vec<Value> {
        let what = format!("{count} instances of {workload} are ready");
        let told = std::sync::Mutex::new(Value::Null);
        let wait = eventually_within(within, &what, || async {
            let items = self.instances(workload).await;
            let ready = |item: &&Value| item["ready"] == true && item["desired"] == "run";
            let good = items.len() == count && items.iter().filter(ready).count() == count;
            *told.lock().expect("unbroken") = json!(items);
            good
        });
        let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(wait)).await;
        if let Err(panic) = outcome {
            eprintln!("{what}: {:#}\n{}", told.lock().expect("unbroken"), self.logs());
            std::panic::resume_unwind(panic);
        }
        self.instances(workload).await
    }

    pub async fn until_liveness(&self, node: &str, liveness: &str) {
        eventually(&format!("{node} is {liveness}"), || async {
            self.get(&format!("/v1/nodes/{node}")).await["liveness"] == liveness
        })
        .await;
    }

    /// Whether an instance's HTTP server answers.
    pub async fn answers(&self, instance: &Value) -> bool {
        let port = &instance["ports"]["http"];
        let url = format!("http://{}:{port}/", instance["address"].as_str().unwrap_or_default());
        let request = self.http.get(url).timeout(Duration::from_secs(2)).send().await;
        request.is_ok_and(|response| response.status().is_success())
    }
}

impl Drop for Fleet {
    /// Ends everything that is left, by pid: a test that failed leaves nothing either.
    fn drop(&mut self) {
        if let Some(pid) = self.dev.id().filter(|pid| alive(*pid)) {
            signal(pid, Signal::INT);
            wait_gone(pid, Duration::from_secs(40));
        }
        let mut pids: BTreeSet<u32> = self.nodes.iter().filter_map(Child::id).collect();
        let parts = self.ready["pids"].as_object().cloned().unwrap_or_default();
        pids.extend(parts.values().filter_map(|pid| u32::try_from(pid.as_u64()?).ok()));
        for pid in pids {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.contains(&self.dir.path().display().to_string()) {
                signal(pid, Signal::KILL);
            }
        }
        for pid in processes_in(&self.data()) {
            signal(pid, Signal::KILL);
        }
    }
}

fn spawn(args: &[String]) -> Child {
    Command::new(OSTLER)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("ostler starts")
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("not 0")
}

/// Sends a signal; the process may be gone.
pub fn signal(pid: u32, which: Signal) {
    kill_process(pid_of(pid), which).ok();
}

/// Whether a process is there and no zombie.
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
    test_kill_process(pid_of(pid)).is_ok() && state == Some(false)
}

#[expect(clippy::disallowed_methods, reason = "Drop cannot await; bounded")]
fn wait_gone(pid: u32, within: Duration) {
    let begin = std::time::Instant::now();
    while alive(pid) && begin.elapsed() < within {
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Processes whose working directory or command line lies in a folder: instances of a fleet.
pub fn processes_in(dir: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let within =
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        if within && alive(pid) {
            found.push(pid);
        }
    }
    found
}

pub fn pid_of_instance(instance: &Value) -> u32 {
    u32::try_from(instance["pid"].as_u64().expect("a pid")).expect("a pid")
}

/// A workload of real HTTP servers, as in `examples/web.toml`, that takes `count`.
pub fn web(count: u32) -> Value {
    json!({
        "name": "web", "count": count, "driver": "process",
        "process": { "command": ["python3", "-m", "http.server", "${OSTLER_PORT_HTTP}"] },
        "resources": { "cpu": 20, "memory": "48MiB" },
        "ports": [{ "name": "http" }],
        "checks": [{ "type": "http", "port": "http", "interval": "500ms" }],
        "placement": { "anti_affinity": { "group": "web", "mode": "soft" } },
        "update": { "max_parallel": 1, "min_ready": "500ms", "deadline": "15s" },
        "stop": { "grace": "3s" },
    })
}
