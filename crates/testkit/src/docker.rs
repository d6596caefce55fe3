//! A private dockerd, or service of Podman: its own folder, socket and images, beside whatever the
//! host runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::nats::process::{die_with_us, spawn_on_keeper};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// One dockerd. Stopped on drop, with its containers.
#[derive(Debug)]
pub struct Dockerd {
    child: Child,
    home: TempDir,
    kind: Kind,
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
}

/// The name of the image that [`Dockerd::start`] leaves there: busybox and nothing else.
pub const IMAGE: &str = "ostler-test:1";
/// The name of its one network that reaches the host.
pub const NETWORK: &str = "ostler-test";

impl Dockerd {
    /// Starts one that answers, with [`IMAGE`] and [`NETWORK`]. Panics, saying what is missing,
    /// where `dockerd` or a static busybox is not installed.
    pub async fn start() -> Self {
        let dockerd = Self::begin(Kind::Docker).await;
        let subnet = format!("10.{}.{}.0/24", 128 + dockerd.child.id() % 100, rest(&dockerd.child));
        dockerd.docker(&["network", "create", "--subnet", &subnet, NETWORK]);
        dockerd
    }

    /// Starts a service of Podman that answers as Docker does, with [`IMAGE`] and without a
    /// network. Panics, saying what is missing, where it is not installed.
    pub async fn podman() -> Self {
        Self::begin(Kind::Podman).await
    }

    async fn begin(kind: Kind) -> Self {
        let home = tempfile::Builder::new().prefix("ostler-dockerd-").tempdir();
        let home = home.expect("a folder can be made");
        let child = spawn(kind, home.path());
        let mut dockerd = Self { child, home, kind };
        dockerd.until_ready().await;
        let tar = dockerd.home.path().join("image.tar");
        let tree = busybox(&dockerd.home.path().join("tree"));
        run(Command::new("tar").arg("-C").arg(&tree).args(["-cf"]).arg(&tar).arg("."));
        let tar = tar.display().to_string();
        dockerd.docker(&["import", &tar, IMAGE]);
        dockerd
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> String {
        format!("unix://{}", self.home.path().join("docker.sock").display())
    }

    /// Runs the command line of Docker against it; panics where that fails.
    #[expect(clippy::must_use_candidate, reason = "mostly called for what it does")]
    pub fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").args(args).env("DOCKER_HOST", self.socket()))
    }

    fn try_docker(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script} {NETWORK}")]).env("DOCKER_HOST", self.socket());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        drop(command.status());
    }

    /// Stops it and its containers, and starts it again.
    pub async fn restart(&mut self) {
        self.end();
        self.child = spawn(self.kind, self.home.path());
        self.until_ready().await;
    }

    async fn until_ready(&mut self) {
        let begun = now();
        loop {
            let answers = Command::new("docker")
                .args(["version"])
                .env("DOCKER_HOST", self.socket())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("the command line of Docker is installed");
            if answers.success() {
                return;
            }
            let log = || std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < READY_WITHIN, "dockerd is not ready\n{}", log());
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "dockerd ended\n{}", log());
            tokio::time::sleep(POLL).await;
        }
    }

    fn end(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).ok();
        }
        let begun = now();
        while begun.elapsed() < STOP_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(POLL);
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        if self.kind == Kind::Docker {
            // Its bridge would stay on the host.
            self.try_docker("docker rm --force $(docker ps --all --quiet); docker network rm");
        }
        if self.kind == Kind::Podman {
            // They do not end with it.
            let all = self.docker(&["ps", "--all", "--quiet"]);
            for id in all.lines() {
                self.docker(&["rm", "--force", id]);
            }
        }
        self.end();
        // What it left mounted would keep its folder.
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let home = self.home.path().display().to_string();
        let mounts = table.lines().filter_map(|line| line.split(' ').nth(4));
        let ours: Vec<&str> = mounts.filter(|at| at.starts_with(&home)).collect();
        for at in ours.into_iter().rev() {
            drop(Command::new("umount").args(["-l", at]).status());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests wait by the real clock, bounded")]
fn now() -> Instant {
    Instant::now()
}

fn rest(child: &Child) -> u32 {
    child.id() / 100 % 250
}

fn spawn(kind: Kind, home: &Path) -> Child {
    let log = std::fs::File::create(home.join("log")).expect("a log can be made");
    let errors = log.try_clone().expect("a file can be shared");
    let mut command = match kind {
        Kind::Docker => dockerd(home),
        Kind::Podman => podman(home),
    };
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    die_with_us(&mut command);
    let spawned = spawn_on_keeper(command);
    spawned.unwrap_or_else(|error| panic!("{kind:?} cannot be started, is it installed? {error}"))
}

fn dockerd(home: &Path) -> Command {
    let mut command = Command::new("dockerd");
    let option = |name: &str, file: &str| format!("--{name}={}", home.join(file).display());
    command
        .args([option("data-root", "data"), option("exec-root", "exec"), option("pidfile", "pid")])
        .arg(format!("--host=unix://{}", home.join("docker.sock").display()))
        // Nothing of the host's own network is changed: ports are passed on by a proxy.
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
    command
}

/// Podman gives each process as many tasks as the kernel has. Where root may not do that, as on a
/// host that is a container itself, this runtime between it and runc leaves it out.
const RUNTIME: &str = r#"#!/usr/bin/env python3
import json, os, sys
words = sys.argv[1:]

def after(*names):
    for index, word in enumerate(words):
        if word in names:
            return words[index + 1]
        for name in names:
            if word.startswith(name + "="):
                return word.split("=", 1)[1]

def leave_out(path, process_of):
    if path and os.path.exists(path):
        with open(path) as file:
            spec = json.load(file)
        process = process_of(spec)
        limits = process.get("rlimits", [])
        process["rlimits"] = [limit for limit in limits if limit["type"] != "RLIMIT_NPROC"]
        with open(path, "w") as file:
            json.dump(spec, file)

if "create" in words:
    bundle = after("--bundle", "-b") or "."
    leave_out(os.path.join(bundle, "config.json"), lambda spec: spec["process"])
elif "exec" in words:
    leave_out(after("--process", "-p"), lambda spec: spec)
os.execvp("runc", ["runc"] + words)
"#;

fn podman(home: &Path) -> Command {
    let runtime = home.join("runtime");
    std::fs::write(&runtime, RUNTIME).expect("written");
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&runtime, may_run).expect("a program");
    let settings = format!(
        "[engine]\nruntime = \"between\"\ncgroup_manager = \"cgroupfs\"\n[engine.runtimes]\n\
         between = [\"{}\"]\n",
        runtime.display()
    );
    std::fs::write(home.join("containers.conf"), settings).expect("written");
    let mut command = Command::new("podman");
    let option = |name: &str, file: &str| format!("--{name}={}", home.join(file).display());
    command
        .args([option("root", "data"), option("runroot", "run"), option("tmpdir", "tmp")])
        .args(["--storage-driver=vfs", "system", "service", "--time=0"])
        .arg(format!("unix://{}", home.join("docker.sock").display()))
        .env("CONTAINERS_CONF", home.join("containers.conf"));
    command
}

/// A tree with busybox for all its programs.
///
/// # Panics
/// Where there is no static busybox.
#[must_use]
pub fn busybox(tree: &Path) -> PathBuf {
    let found = ["/bin/busybox", "/usr/bin/busybox"].iter().find(|path| Path::new(path).is_file());
    let program = found.expect("a static busybox is installed");
    for dir in ["bin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "usr/bin"] {
        std::fs::create_dir_all(tree.join(dir)).expect("a folder can be made");
    }
    std::fs::copy(program, tree.join("bin/busybox")).expect("busybox can be copied");
    let list = run(Command::new(program).arg("--list"));
    for name in list.lines().filter(|name| *name != "busybox") {
        let link = std::os::unix::fs::symlink("busybox", tree.join("bin").join(name));
        link.expect("a link can be made");
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
    std::fs::write(tree.join("etc/passwd"), users).expect("users can be written");
    std::fs::write(tree.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").expect("written");
    let release = "ID=busybox\nPRETTY_NAME=busybox\n";
    std::fs::write(tree.join("etc/os-release"), release).expect("written");
    std::fs::write(tree.join("usr/os-release"), release).expect("written");
    tree.to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
