//! OS trees for real, under systemd-nspawn.

use ostler_core::instance::{Exit, Spec};
use ostler_executor::driver::nspawn::Nspawn;
use ostler_executor::driver::{Adoption, Driver};
use ostler_executor::supervise::Event;
use ostler_service::Tasks;
use ostler_testkit::docker::busybox;
use ostler_testkit::eventually;

use crate::artifact::{LONG, Store, digest};
use crate::contract::{keeps_its_promises, next};
use crate::process::{Bench, launch};
use crate::rig::{id, spec};

/// A tree, and a driver for it on a bench of processes.
struct Trees {
    bench: Bench,
    driver: Nspawn,
    tree: std::path::PathBuf,
}

impl Trees {
    fn new() -> Self {
        let bench = Bench::new();
        let tree = busybox(&bench.dir.path().join("tree"));
        let driver = Nspawn::new(bench.driver.clone(), bench.sink.clone(), &Tasks::new());
        Self { bench, driver, tree }
    }

    fn spec(&self, section: &str, more: &str) -> Spec {
        let root = match section.contains("artifact") {
            true => String::new(),
            false => format!("directory = {:?}\n", self.tree),
        };
        spec(&format!("driver = \"nspawn\"\n[nspawn]\n{root}{section}\n{more}"))
    }

    fn shell(&self, script: &str, more: &str) -> Spec {
        self.spec(&format!("command = [\"sh\", \"-c\", '''{script}''']\n{more}"), "")
    }

    async fn remove(&mut self, number: u128) {
        self.driver.remove(id(number));
        // One that was adopted is watched by the executor before, too, which did not really die.
        while matches!(self.bench.next().await, Event::Exited(..)) {}
    }
}

fn mounts_of(dir: &std::path::Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let dir = dir.display().to_string();
    table
        .lines()
        .filter(|line| line.split(' ').nth(4).is_some_and(|at| at.starts_with(&dir)))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nspawn_driver_keeps_its_promises() {
    let mut trees = Trees::new();
    let sleeping = trees.spec("command = [\"sleep\", \"1000\"]", "");
    let driver = trees.driver.clone();
    keeps_its_promises(&driver, &mut trees.bench.heard, sleeping).await;
    assert_eq!(mounts_of(trees.bench.dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tree_writes_stays_or_goes_and_never_reaches_the_tree_below() {
    let mut trees = Trees::new();
    let script = "cat /mark 2>/dev/null; echo x >> /mark; echo $OSTLER_SLOT $GREETING; \
                  echo $OSTLER_SLOT > $OSTLER_DATA/mine";
    for (number, storage, want) in
        [(1, "ephemeral", "7 hi\n7 hi\n"), (2, "persistent", "7 hi\nx\n7 hi\n")]
    {
        let more = format!("storage = \"{storage}\"\nenv = {{ GREETING = \"hi\" }}");
        let asks = trees.shell(script, &more);
        for run in 1..=2 {
            trees.driver.start(launch(number, run, asks.clone()));
            trees.bench.started().await;
            assert_eq!(trees.bench.exit().await, Exit::Code(0));
        }
        assert_eq!(trees.bench.output(number), want, "{storage}");
        let mine = trees.bench.dir.path().join("instances").join(id(number).to_string());
        let mine = std::fs::read_to_string(mine.join("data/mine"));
        assert_eq!(mine.expect("its own directory is shared with it"), "7\n");
        trees.remove(number).await;
        let dir = trees.bench.dir.path().join("instances").join(id(number).to_string());
        assert!(!dir.exists());
    }
    assert!(!trees.tree.join("mark").exists());
    assert_eq!(mounts_of(trees.bench.dir.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_limited_and_killed_whole_and_the_next_executor_adopts_it() {
    let mut trees = Trees::new();
    let hog = trees.spec("command = [\"tail\", \"/dev/zero\"]", "[resources]\nmemory = \"48MiB\"");
    trees.driver.start(launch(1, 1, hog));
    trees.bench.started().await;
    let ended = trees.bench.exit().await;
    assert_ne!(ended, Exit::Code(0), "it was short of memory");
    trees.remove(1).await;

    let stubborn =
        "trap '' TERM; (trap '' TERM; setsid sleep 1000) & echo ready; while :; do sleep 1; done";
    let asks = trees.shell(stubborn, "");
    trees.driver.start(launch(2, 1, asks.clone()));
    let Event::Started(_, run, _) = next(&mut trees.bench.heard).await else { panic!() };
    eventually("it listens", || async { trees.bench.output(2).contains("ready") }).await;
    let next_one = Nspawn::new(trees.bench.driver.clone(), trees.bench.sink.clone(), &Tasks::new());
    assert_eq!(next_one.adopt(launch(2, 1, asks), &run), Adoption::Alive);
    next_one.signal(id(2), "SIGTERM");
    next_one.kill(id(2));
    assert!(matches!(trees.bench.exit().await, Exit::Signal(9)));
    let left = std::fs::read_dir("/proc").expect("proc").flatten().filter(|entry| {
        let root = std::fs::read_link(entry.path().join("root")).unwrap_or_default();
        root.starts_with(trees.bench.dir.path())
    });
    assert_eq!(left.count(), 0);
    trees.remove(2).await;
    for kept in ["propagate", "unix-export"] {
        let name = format!("/run/systemd/nspawn/{kept}/ostler-{}", id(2));
        assert!(!std::path::Path::new(&name).exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_comes_from_an_artifact_that_all_its_instances_share() {
    let mut trees = Trees::new();
    let file = trees.bench.dir.path().join("tree.tar.gz");
    let status = std::process::Command::new("tar")
        .arg("-C")
        .arg(&trees.tree)
        .arg("-czf")
        .arg(&file)
        .arg(".")
        .status();
    assert!(status.expect("tar runs").success());
    let data = std::fs::read(&file).expect("there");
    let sha256 = digest(&data);
    let store = Store::start(data, sha256).await;
    let artifacts = store.artifacts(LONG);
    trees.driver.supply(artifacts.clone());
    let asks = trees.spec("artifact = \"app@3\"\ncommand = [\"echo\", \"from the tree\"]", "");
    for number in 1..=3 {
        trees.driver.start(launch(number, 1, asks.clone()));
        trees.bench.started().await;
        assert_eq!(trees.bench.exit().await, Exit::Code(0));
        assert_eq!(trees.bench.output(number), "from the tree\n");
        trees.remove(number).await;
    }
    let kept = std::fs::read_dir(store.dir().join("trees")).expect("there").flatten();
    let dirs = kept.filter(|entry| entry.path().is_dir());
    assert_eq!(dirs.count(), 1, "one tree for all");
}
