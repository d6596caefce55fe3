//! What a process may be, see and do: users, capabilities, limits, namespaces.

use ostler_core::instance::{Exit, Spec};
use ostler_executor::driver::Driver;

use crate::contract::exec;
use crate::exec::all;
use crate::process::{Bench, launch};
use crate::rig::{id, spec};

fn shell(script: &str, more: &str) -> Spec {
    spec(&format!("[process]\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}"))
}

/// Runs a script to its end; what it wrote.
async fn said(script: &str, more: &str) -> String {
    let mut bench = Bench::new();
    bench.driver.start(launch(1, 1, shell(script, more)));
    bench.started().await;
    let exit = bench.exit().await;
    let output = bench.output(1);
    let errors = bench.dir.path().join("logs").join(id(1).to_string()).join("stderr.log");
    let errors = std::fs::read_to_string(errors).unwrap_or_default();
    assert_eq!(exit, Exit::Code(0), "{output}{errors}");
    bench.remove(1).await;
    output
}

#[tokio::test]
async fn a_process_is_who_it_should_be_and_can_what_it_may() {
    for (script, more, wanted) in [
        ("id -un; id -gn", "user = \"nobody\"", "nobody\nnogroup\n"),
        ("id -un; id -gn", "user = \"nobody\"\ngroup = \"daemon\"", "nobody\ndaemon\n"),
        ("id -un; id -gn", "group = \"daemon\"", "root\ndaemon\n"),
        ("ulimit -n", "max_files = 64", "64\n"),
        ("grep NoNewPrivs /proc/self/status", "", "NoNewPrivs:\t1\n"),
        (
            "grep -E 'CapEff|CapBnd' /proc/self/status",
            "capabilities = []",
            "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n",
        ),
        (
            "grep -E 'CapEff|CapBnd' /proc/self/status",
            "user = \"nobody\"\ncapabilities = [\"CAP_NET_BIND_SERVICE\"]",
            "CapEff:\t0000000000000400\nCapBnd:\t0000000000000400\n",
        ),
        ("pwd", "chroot = \"/\"", "/\n"),
        ("pwd", "workdir = \"/usr/lib\"", "/usr/lib\n"),
        ("pwd", "chroot = \"/\"\nworkdir = \"usr/lib\"", "/usr/lib\n"),
    ] {
        assert_eq!(said(script, more).await, wanted, "{more}");
    }
}

#[tokio::test]
async fn what_is_private_is_not_the_hosts() {
    let mounts = "ls -A /tmp; echo x > /tmp/ostler-private-test; ls -A /tmp";
    assert_eq!(said(mounts, "private = [\"mount\"]").await, "ostler-private-test\n");
    assert!(!std::path::Path::new("/tmp/ostler-private-test").exists());
    let links = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; \
                 python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 1))'";
    assert_eq!(said(links, "private = [\"network\"]").await, "lo\n");
    let processes = "ls /proc | grep -c '^[0-9]'; echo $$";
    let seen = said(processes, "private = [\"pid\"]").await;
    let numbers: Vec<u32> = seen.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.iter().all(|number| *number < 10), "{seen}");
}

#[tokio::test]
async fn a_command_inside_sees_what_the_instance_sees_and_its_exit_is_told() {
    let mut bench = Bench::new();
    let all_of_it = "private = [\"mount\", \"pid\", \"network\"]\nuser = \"nobody\"";
    let spec = shell("echo mine > /tmp/mine; exec sleep 1000", all_of_it);
    bench.driver.start(launch(1, 1, spec.clone()));
    bench.started().await;
    let ready = async || {
        let session = bench.driver.exec(launch(1, 1, spec.clone()), exec(&["cat", "/tmp/mine"]));
        session.outcome().await == Ok(Exit::Code(0))
    };
    ostler_testkit::eventually("it has written", ready).await;
    let script =
        "id -un; cat /tmp/mine; grep -c : /proc/net/dev; ls /proc | grep -c '^[0-9]'; exit 9";
    let session = bench.driver.exec(launch(1, 1, spec.clone()), exec(&["sh", "-c", script]));
    let (out, err, exit) = all(session).await;
    assert_eq!(exit, Exit::Code(9), "{out}{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..3], ["nobody", "mine", "1"], "{out}");
    assert!(lines[3].parse::<u32>().expect("a number") < 12, "{out}");
    bench.driver.signal(id(1), "SIGTERM");
    assert_eq!(bench.exit().await, Exit::Signal(15));
    bench.remove(1).await;
}

#[tokio::test]
async fn a_capability_or_group_that_is_not_there_is_told_by_name() {
    let mut bench = Bench::new();
    for (run, more, says) in [
        (1, "capabilities = [\"CAP_FLY\"]", "there is no capability `CAP_FLY`"),
        (2, "group = \"no-such-group\"", "there is no group `no-such-group`"),
    ] {
        bench.driver.start(launch(1, run, shell("true", more)));
        let why = loop {
            match bench.next().await {
                ostler_executor::supervise::Event::Prepared(_) => {}
                ostler_executor::supervise::Event::NotStarted(_, why, _) => break why,
                other => panic!("{other:?}"),
            }
        };
        assert!(why.contains(says), "{why}");
    }
    bench.remove(1).await;
}
