//! Containers for real, under a dockerd of their own.

use std::sync::Arc;
use std::time::Duration;

use ostler_core::instance::{Exit, PortGrant, Spec};
use ostler_core::workload::DriverKind;
use ostler_executor::Config;
use ostler_executor::driver::docker::{Docker, Means};
use ostler_executor::driver::session::Output;
use ostler_executor::driver::{Adoption, Driver, Happened, Launch, Run};
use ostler_executor::supervise::Event;
use ostler_service::Tasks;
use ostler_testkit::docker::{IMAGE, NETWORK};
use ostler_testkit::{Dockerd, Ports, eventually};
use tokio::sync::mpsc;

use crate::artifact::{LONG, Store, digest};
use crate::contract::{exec, keeps_its_promises, next};
use crate::process::launch;
use crate::rig::{Rig, Wanted, config, id, spec};

/// A daemon, and a driver on it.
struct Bench {
    dockerd: Dockerd,
    dir: tempfile::TempDir,
    driver: Docker,
    heard: mpsc::Receiver<Happened>,
    tasks: Tasks,
}

impl Bench {
    async fn new() -> Self {
        Self::on(Dockerd::start().await).await
    }

    async fn on(dockerd: Dockerd) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (driver, heard, tasks) = open(&dockerd, &dir).await;
        Self { dockerd, dir, driver, heard, tasks }
    }

    /// The executor dies, and another one begins.
    async fn again(&mut self) {
        self.tasks.stop();
        (self.driver, self.heard, self.tasks) = open(&self.dockerd, &self.dir).await;
    }

    async fn started(&mut self) -> Run {
        match next(&mut self.heard).await {
            Event::Started(_, run, _) => run,
            other => panic!("{other:?}"),
        }
    }

    async fn exit(&mut self) -> Exit {
        match next(&mut self.heard).await {
            Event::Exited(_, exit) => exit,
            other => panic!("{other:?}"),
        }
    }

    async fn remove(&mut self, number: u128) {
        self.driver.remove(id(number));
        assert!(matches!(next(&mut self.heard).await, Event::Removed));
    }

    fn output(&self, number: u128) -> String {
        let path = self.dir.path().join("logs").join(id(number).to_string()).join("stdout.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let all = self.dockerd.docker(&["ps", "--all", "--format", "{{.Names}}"]);
        all.lines().map(str::to_owned).collect()
    }
}

async fn open(
    dockerd: &Dockerd,
    dir: &tempfile::TempDir,
) -> (Docker, mpsc::Receiver<Happened>, Tasks) {
    let (sink, heard) = mpsc::channel(64);
    let tasks = Tasks::new();
    let means = Means {
        data_dir: dir.path().to_owned(),
        node: "node-1".parse().expect("a name"),
        max_pids: 100,
        max_files: 1024,
    };
    let opened = Docker::open(&dockerd.socket(), means, (4, sink), &tasks).await;
    let (driver, version) = opened.expect("it opens");
    assert!(version.is_some(), "the daemon answers");
    (driver, heard, tasks)
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

fn container(section: &str, more: &str) -> Spec {
    let network = if section.contains("network") { "" } else { "network = \"none\"\n" };
    spec(&format!(
        "driver = \"docker\"\n[docker]\nimage = \"{IMAGE}\"\npull = \"never\"\n{network}{section}\n{more}"
    ))
}

fn with_port(launch: &Launch, first: u16) -> Arc<Launch> {
    let grant = PortGrant { name: "http".parse().expect("a name"), first, count: 1 };
    Arc::new(Launch { ports: vec![grant], ..launch.clone() })
}

async fn keeps_them(mut bench: Bench) {
    let driver = bench.driver.clone();
    let sleeping = container("command = [\"sleep\", \"1000\"]", "");
    keeps_its_promises(&driver, &mut bench.heard, sleeping).await;
    assert_eq!(bench.names(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docker_driver_keeps_its_promises() {
    keeps_them(Bench::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docker_driver_keeps_its_promises_with_podman() {
    keeps_them(Bench::on(Dockerd::podman().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_podman_are_adopted_and_limited_and_those_of_others_left_alone() {
    adopts(Bench::on(Dockerd::podman().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_hooks_run_inside_of_the_container_and_not_on_the_host() {
    let dockerd = Dockerd::start().await;
    let mut rig = Rig::start().await;
    let settings = Config {
        docker_socket: dockerd.socket().trim_start_matches("unix://").into(),
        ..config(rig.dir.path(), &[DriverKind::Docker])
    };
    let executor = rig.run(settings);
    let command = "command = [\"sleep\", \"100000\"]";
    let hook = "[hooks]\nbefore_ready = { exec = [\"sh\", \"-c\", \
                \"test -e /.dockerenv && touch $OSTLER_DATA/hooked\"] }\non_failure = \"abort\"";
    rig.order(id(1), Wanted::run(container(command, hook))).await;
    let status = rig.until("it is ready or has failed", id(1), |s| s.ready || s.restarts > 0).await;
    assert!(status.ready, "{status:?}");
    let mine = rig.dir.path().join("instances").join(id(1).to_string());
    assert!(mine.join("hooked").exists(), "its hook ran elsewhere");
    rig.end(executor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_its_environment_user_limits_volumes_and_ports() {
    let mut bench = Bench::new().await;
    let host = bench.dir.path().join("shared");
    std::fs::create_dir(&host).expect("made");
    std::fs::write(host.join("page"), "hello\n").expect("written");
    let volume =
        format!("[[docker.volumes]]\nsource = {host:?}\ntarget = \"/srv\"\nread_only = true");
    let script = "id -u; pwd; ulimit -n; echo $GREETING $OSTLER_SLOT $OSTLER_PORT_HTTP; touch /srv/x || \
                  echo read-only; echo $OSTLER_INSTANCE > $OSTLER_DATA/mine; \
                  exec httpd -f -p 80 -h /srv";
    let section = format!(
        "network = \"{NETWORK}\"\nuser = \"65534\"\nworkdir = \"/tmp\"\n\
         cap_add = [\"NET_BIND_SERVICE\"]\n\
         command = [\"sh\", \"-c\", '''{script}''']\nenv = {{ GREETING = \"hi ${{OSTLER_NODE}}\" }}\n\
         container_ports = {{ http = 8080 }}"
    );
    let section = section.replace("-p 80 ", "-p 8080 ");
    let port = Ports::free();
    let asks = container(&section, &format!("{volume}\n[[ports]]\nname = \"http\""));
    bench.driver.start(with_port(&launch(1, 1, asks), port));
    let run = bench.started().await;
    assert!(run.pid.is_some());
    eventually("it serves", || async {
        let url = format!("http://127.0.0.1:{port}/page");
        let answer = tokio::process::Command::new("curl").args(["-s", &url]).output().await;
        answer.is_ok_and(|answer| answer.stdout == b"hello\n")
    })
    .await;
    eventually("its output is there", || async { bench.output(1).lines().count() == 5 }).await;
    let output = bench.output(1);
    let want = ["65534", "/tmp", "1024", "hi node-1 7 8080", "read-only"];
    assert_eq!(output.lines().collect::<Vec<_>>(), want);
    let mine = bench.dir.path().join("instances").join(id(1).to_string()).join("mine");
    assert_eq!(std::fs::read_to_string(mine).expect("there").trim(), id(1).to_string());

    let mut session = bench.driver.exec(launch(1, 1, container("", "")), exec(&["echo", "inside"]));
    let mut said = Vec::new();
    while let Some(piece) = session.output.recv().await {
        match piece {
            Output::Stdout(bytes) | Output::Stderr(bytes) => said.extend(bytes),
            Output::Ended(exit) => assert_eq!(exit, Exit::Code(0)),
            Output::Refused(why) => panic!("{why}"),
        }
    }
    assert_eq!(said, b"inside\n");
    bench.driver.kill(id(1));
    bench.exit().await;
    bench.remove(1).await;

    let hog = container("command = [\"tail\", \"/dev/zero\"]", "[resources]\nmemory = \"16MiB\"");
    bench.driver.start(launch(2, 1, hog));
    bench.started().await;
    assert_eq!(bench.exit().await, Exit::OutOfMemory);
    bench.remove(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_executor_adopts_what_runs_and_nobody_touches_what_is_not_ours() {
    adopts(Bench::new().await).await;
}

async fn adopts(mut bench: Bench) {
    let stranger = format!("ostler-{}", id(9));
    for name in ["foreign", &stranger] {
        bench.dockerd.docker(&[
            "run",
            "-d",
            "--net=none",
            "--ulimit=nofile=1024:1024",
            "--name",
            name,
            IMAGE,
            "sleep",
            "1000",
        ]);
    }
    let talks = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
    let asks = container(&format!("command = [\"sh\", \"-c\", '''{talks}''']"), "");
    bench.driver.start(launch(1, 1, asks.clone()));
    let run = bench.started().await;
    eventually("it talks", || async { bench.output(1).lines().count() > 3 }).await;
    bench.again().await;
    assert_eq!(bench.driver.find(id(1)).map(|found| found.pid), Some(run.pid));
    let adopted = bench.driver.adopt(launch(1, 1, asks.clone()), &run);
    assert_eq!(adopted, Adoption::Alive);
    let before = bench.output(1).lines().count();
    eventually("its output goes on", || async { bench.output(1).lines().count() > before + 5 })
        .await;
    let output = bench.output(1);
    let counted: Vec<u32> = output.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(
        counted.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "no line is lost or there twice"
    );

    bench.driver.start(launch(9, 1, asks.clone()));
    let refused = next(&mut bench.heard).await;
    assert!(
        matches!(&refused, Event::NotStarted(1, why, _) if why.contains("not ours")),
        "{refused:?}"
    );
    bench.remove(9).await;
    bench.driver.kill(id(1));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    bench.remove(1).await;
    let running = bench.dockerd.docker(&["ps", "--format", "{{.Names}}"]);
    let mut running: Vec<&str> = running.lines().collect();
    running.sort_unstable();
    assert_eq!(running, ["foreign", stranger.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_from_an_artifact_and_says_itself_whether_it_is_healthy() {
    let mut bench = Bench::new().await;
    let recipe = bench.dir.path().join("Dockerfile");
    let text = format!(
        "FROM {IMAGE}\nHEALTHCHECK --interval=1s --retries=1 CMD test -e /tmp/well\nCMD [\"sleep\", \"1000\"]\n"
    );
    std::fs::write(&recipe, text).expect("written");
    let folder = bench.dir.path().display().to_string();
    bench.dockerd.docker(&["build", "--network=none", "-t", "packed:1", &folder]);
    let file = bench.dir.path().join("packed.tar");
    bench.dockerd.docker(&["save", "-o", &file.display().to_string(), "packed:1"]);
    bench.dockerd.docker(&["rmi", "packed:1"]);
    let data = std::fs::read(&file).expect("there");
    let sha256 = digest(&data);
    let store = Store::start(data, sha256).await;
    bench.driver.supply(store.artifacts(LONG));

    let section = "network = \"none\"\nartifact = \"app@3\"\nhealth = true\n";
    let asks = container(section, "");
    let text = |image: &str| {
        let mut asks = asks.clone();
        let docker = asks.sections.docker.as_mut().expect("a section");
        docker.image = image.to_owned();
        asks
    };
    bench.driver.start(launch(1, 1, text("other:1")));
    let refused = next(&mut bench.heard).await;
    assert!(
        matches!(&refused, Event::NotStarted(1, why, _) if why.contains("holds no image `other:1`")),
        "{refused:?}"
    );
    bench.driver.start(launch(2, 1, text("packed:1")));
    bench.started().await;
    let sick = tokio::time::timeout(Duration::from_secs(20), next(&mut bench.heard)).await;
    assert!(matches!(sick, Ok(Event::Failing(1, _))), "{sick:?}");
    let touch = bench.driver.exec(launch(2, 1, text("packed:1")), exec(&["touch", "/tmp/well"]));
    assert_eq!(touch.outcome().await, Ok(Exit::Code(0)));
    let well = tokio::time::timeout(Duration::from_secs(20), next(&mut bench.heard)).await;
    assert!(matches!(well, Ok(Event::Passing(1))), "{well:?}");
    bench.driver.kill(id(2));
    bench.exit().await;
    bench.remove(2).await;
}
