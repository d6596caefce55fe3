//! Commands inside instances: pipes, terminals, exit codes.

use std::path::Path;
use std::time::Duration;

use ostler_core::instance::Exit;
use ostler_executor::driver::Driver;
use ostler_executor::driver::session::{Exec, Input, Output, Session, Size};
use ostler_testkit::eventually;

use crate::contract::exec;
use crate::process::{Bench, launch};
use crate::rig::spec;

async fn next(session: &mut Session) -> Output {
    let piece = tokio::time::timeout(Duration::from_secs(20), session.output.recv());
    piece.await.expect("something comes").expect("it is not over")
}

/// Everything that it writes to its standard output, and how it ends.
pub async fn all(mut session: Session) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match next(&mut session).await {
            Output::Stdout(bytes) => out.extend(bytes),
            Output::Stderr(bytes) => err.extend(bytes),
            Output::Ended(exit) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return (text(&out), text(&err), exit);
            }
            Output::Refused(why) => panic!("{why}"),
        }
    }
}

async fn bench() -> (Bench, u32) {
    let mut bench = Bench::new();
    bench.driver.start(launch(1, 1, spec("")));
    let pid = bench.started().await;
    (bench, pid)
}

async fn finish(mut bench: Bench) {
    bench.driver.kill(crate::rig::id(1));
    bench.exit().await;
    bench.remove(1).await;
}

fn text(text: &str) -> Input {
    Input::Bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_command_has_the_groups_and_the_environment_of_its_instance_and_its_exit_is_told() {
    let (bench, pid) = bench().await;
    let script =
        "echo $OSTLER_INSTANCE $OSTLER_SLOT; echo to-err >&2; cat /proc/self/cgroup; cat; exit 7";
    let session = bench.driver.exec(launch(1, 1, spec("")), exec(&["sh", "-c", script]));
    session.input.send(text("typed\n")).await.expect("taken");
    session.input.send(Input::End).await.expect("taken");
    let (out, err, exit) = all(session).await;
    assert!(out.starts_with(&format!("{} 7\n", crate::rig::id(1))), "{out}");
    assert!(out.ends_with("typed\n"), "{out}");
    assert_eq!((err.as_str(), exit), ("to-err\n", Exit::Code(7)));
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it is there");
    for group in groups.lines().filter(|line| line.contains(&crate::rig::id(1).to_string())) {
        assert!(out.contains(group), "{group} is not in {out}");
    }
    finish(bench).await;
}

#[tokio::test]
async fn a_terminal_has_its_size_is_resized_and_echoes() {
    let (bench, _) = bench().await;
    let terminal = Some(Size { rows: 33, columns: 111 });
    let ask = Exec { terminal, ..exec(&["sh"]) };
    let mut session = bench.driver.exec(launch(1, 1, spec("")), ask);
    let mut seen = String::new();
    let mut until = async |session: &mut Session, what: &str| {
        while !seen.contains(what) {
            match next(session).await {
                Output::Stdout(bytes) => seen.push_str(&String::from_utf8_lossy(&bytes)),
                other => panic!("{other:?} after {seen}"),
            }
        }
    };
    session.input.send(text("tty; stty size\n")).await.expect("taken");
    until(&mut session, "33 111").await;
    session.input.send(Input::Resize(Size { rows: 44, columns: 99 })).await.expect("taken");
    session.input.send(text("stty size\n")).await.expect("taken");
    until(&mut session, "44 99").await;
    session.input.send(text("exit 3\n")).await.expect("taken");
    let (_, _, exit) = all(session).await;
    assert!(seen.contains("/dev/pts/"), "{seen}");
    assert_eq!(exit, Exit::Code(3));
    finish(bench).await;
}

#[tokio::test]
async fn a_command_ends_when_nobody_listens_any_more_and_when_its_instance_ends() {
    let (mut bench, _) = bench().await;
    for dropped in [true, false] {
        let mut session = bench
            .driver
            .exec(launch(1, 1, spec("")), exec(&["sh", "-c", "echo $$; exec sleep 1000"]));
        let Output::Stdout(pid) = next(&mut session).await else { panic!("no pid") };
        let pid = String::from_utf8(pid).expect("a number").trim().to_owned();
        let gone = async || !Path::new(&format!("/proc/{pid}/cwd")).exists();
        if dropped {
            drop(session);
            eventually("it is gone", gone).await;
        } else {
            bench.driver.kill(crate::rig::id(1));
            assert_eq!(next(&mut session).await, Output::Ended(Exit::Signal(9)));
        }
    }
    assert_eq!(bench.exit().await, Exit::Signal(9));
    bench.remove(1).await;
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_refused_by_name() {
    let (bench, _) = bench().await;
    let session = bench.driver.exec(launch(1, 1, spec("")), exec(&["/no/such"]));
    let why = session.outcome().await.expect_err("refused");
    assert!(why.contains("cannot run `/no/such`"), "{why}");
    let nobody = bench.driver.exec(launch(2, 1, spec("")), exec(&["true"]));
    assert!(nobody.outcome().await.expect_err("refused").contains("does not run"));
    finish(bench).await;
}
