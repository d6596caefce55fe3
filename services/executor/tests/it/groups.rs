//! Control groups of whichever version the kernel has; and the same in a small machine whose kernel
//! has only version 2, with all controllers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostler_core::instance::Exit;
use ostler_core::instance::Spec;
use ostler_executor::driver::Driver;
use ostler_testkit::docker::busybox;
use ostler_testkit::eventually;

use crate::process::{Bench, launch};
use crate::rig::{id, spec};

fn shell(script: &str, more: &str) -> Spec {
    spec(&format!("[process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"))
}

#[tokio::test]
async fn memory_and_cpu_of_all_that_an_instance_forks_are_limited() {
    let mut bench = Bench::new();
    assert_eq!(bench.driver.means().cgroups.missing(), "");
    // `tail` keeps all of a line that never ends.
    let hog = shell("sleep 1000 & exec tail /dev/zero", "[resources]\nmemory = \"16MiB\"");
    bench.driver.start(launch(1, 1, hog));
    bench.started().await;
    let ended = bench.exit().await;
    assert_eq!(ended, Exit::OutOfMemory, "{}", bench.output(1));
    bench.remove(1).await;

    let busy = shell(
        "while :; do :; done & while :; do :; done",
        "[resources]\ncpu = 100\ncpu_limit = 250",
    );
    bench.driver.start(launch(2, 1, busy));
    bench.started().await;
    let groups = bench.driver.means().cgroups.dirs(id(2));
    eventually("it is held back", || async {
        groups.iter().any(|group| {
            let stat = fs::read_to_string(group.join("cpu.stat")).unwrap_or_default();
            let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
            throttled.and_then(|times| times.parse::<u32>().ok()).is_some_and(|times| times > 3)
        })
    })
    .await;
    assert!(bench.driver.stats(id(2)).is_some_and(|now| now.cpu_us > 0));
    bench.driver.kill(id(2));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    assert!(groups.iter().all(|group| !group.exists()), "{groups:?}");
    bench.remove(2).await;
}

#[tokio::test]
async fn so_many_tasks_and_no_more_and_one_kill_ends_them_all() {
    let mut bench = Bench::new();
    // A shell may end when it cannot fork.
    let forks = "i=0; while [ $i -lt 300 ]; do setsid sleep 1000 & i=$((i+1)); done; wait";
    let many = format!("sh -c \"{}\"; sleep 1000", forks.replace('$', "\\$"));
    bench.driver.start(launch(1, 1, shell(&many, "")));
    bench.started().await;
    let groups = bench.driver.means().cgroups.dirs(id(1));
    let inside = || -> BTreeSet<String> {
        let lists = groups.iter().map(|group| fs::read_to_string(group.join("cgroup.procs")));
        lists
            .flat_map(|list| {
                list.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    };
    // The bench allows 100.
    eventually("they are there", || async { inside().len() >= 95 }).await;
    assert!(inside().len() <= 100, "{}", inside().len());
    bench.driver.kill(id(1));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    assert!(inside().is_empty());
    bench.remove(1).await;
}

/// The tests above, by what they are called for the test program.
const THESE: [&str; 2] = [
    "groups::memory_and_cpu_of_all_that_an_instance_forks_are_limited",
    "groups::so_many_tasks_and_no_more_and_one_kill_ends_them_all",
];

#[tokio::test]
async fn the_same_holds_in_a_machine_that_has_only_version_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = image(dir.path());
    // What made this machine may not make another with its speed.
    let (program, board, console) = match std::env::consts::ARCH {
        "aarch64" => ("qemu-system-aarch64", "virt", "ttyAMA0"),
        _ => ("qemu-system-x86_64", "pc", "ttyS0"),
    };
    let output = Command::new(program)
        .args(["-accel", "tcg", "-machine", board, "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .args(["-append", &format!("console={console} quiet panic=-1")])
        .arg("-kernel")
        .arg(kernel())
        .arg("-initrd")
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("`{program}`: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("controllers: cpuset cpu io memory"), "{said}");
    assert!(said.contains(&format!("test result: ok. {} passed", THESE.len())), "{said}");
}

/// A kernel that was fetched for this.
fn kernel() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/kernel");
    let found = fs::read_dir(&tools).into_iter().flatten().flatten().map(|entry| entry.path());
    let kernel = found.into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    });
    kernel.unwrap_or_else(|| panic!("no kernel in {}: run scripts/setup.sh test", tools.display()))
}

const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
echo controllers: $(cat /sys/fs/cgroup/cgroup.controllers)
ip link set lo up
/it --test-threads=1 --exact ";

/// A root file system in memory: busybox, this program and what it is linked with.
fn image(dir: &Path) -> PathBuf {
    let tree = busybox(&dir.join("tree"));
    let program = std::env::current_exe().expect("this program");
    fs::copy(&program, tree.join("it")).expect("copied");
    let guardian = Path::new(env!("CARGO_BIN_EXE_ostler-executor"));
    let place = tree.join(guardian.strip_prefix("/").expect("an absolute path"));
    // Nobody debugs there.
    let smaller = Command::new("strip").arg(tree.join("it")).status();
    assert!(smaller.expect("strip runs").success());
    for (from, to) in [(guardian.to_owned(), place)].into_iter().chain(libraries(&program, &tree)) {
        fs::create_dir_all(to.parent().expect("a directory")).expect("made");
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let init = format!("{INIT}{}\npoweroff -f\n", THESE.join(" "));
    fs::write(tree.join("init"), init).expect("written");
    let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(tree.join("init"), may_run).expect("a program");
    let image = dir.join("image");
    let packed = Command::new("sh")
        .args(["-c", "find . | cpio --quiet -o -H newc > ../image"])
        .current_dir(&tree)
        .status();
    assert!(packed.expect("sh runs").success(), "cpio is installed");
    image
}

/// The libraries that a program is linked with, and where they have to be.
fn libraries(program: &Path, tree: &Path) -> Vec<(PathBuf, PathBuf)> {
    let output = Command::new("ldd").arg(program).output().expect("ldd runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
    paths.map(|path| (PathBuf::from(path), tree.join(path.trim_start_matches('/')))).collect()
}
