//! An executor that is nobody: what does not need root works, and it says what does not.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use ostler_bus::Caller;
use ostler_core::instance::{Desired, Observed, Status};
use ostler_core::workload::DriverKind;
use ostler_schemas::pb;
use ostler_testkit::{Ports, eventually};

use crate::adopt::{Executor, write};
use crate::rig::{Rig, Wanted, config, id, spec};

const NOBODY: u32 = 65_534;

/// An executor of that user, which may be one after another of the same node.
fn start(rig: &Rig) -> Executor {
    let home = rig.dir.path().join("home");
    // The program may lie where nobody may look.
    let program = rig.dir.path().join("ostler-executor");
    if !home.exists() {
        std::fs::create_dir(&home).expect("made");
        std::fs::copy(env!("CARGO_BIN_EXE_ostler-executor"), &program).expect("copied");
        for path in [rig.dir.path(), &program] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("opened");
        }
        chown(&home, Some(NOBODY), Some(NOBODY)).expect("given");
    }
    let drivers = [DriverKind::Process, DriverKind::Nspawn, DriverKind::Docker];
    let mut settings = config(rig.dir.path(), &drivers);
    settings.data_dir = Some(home.clone());
    settings.docker_socket = home.join("no-such.sock");
    settings.cgroup = "auto".to_owned();
    let file = write(rig.dir.path(), settings, &rig.nats.url());
    let child = Command::new(program)
        .args(["--config".as_ref(), file.as_os_str()])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir(&home)
        .env("HOME", &home)
        .stdin(Stdio::null())
        .spawn();
    Executor(child.expect("it starts"))
}

fn user_of(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|uid| uid.split_whitespace().next()).unwrap_or_default().to_owned()
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_root_processes_run_are_checked_adopted_and_stopped() {
    let mut rig = Rig::start().await;
    let mut executor = start(&rig);
    let port = Ports::free();
    let web = spec(
        "[process]
        command = [\"python3\", \"-u\", \"-m\", \"http.server\", \"${OSTLER_PORT_HTTP}\"]
        [resources]
        memory = \"100MiB\"
        [[ports]]
        name = \"http\"
        [[checks]]
        type = \"http\"
        port = \"http\"
        [[checks]]
        type = \"exec\"
        command = [\"sh\", \"-c\", \"test $(id -u) = 65534\"]",
    );
    let wanted = Wanted::run(web).port("http", port);
    rig.order(id(1), wanted.clone()).await;
    let ready = rig.until("it is ready", id(1), |s| s.ready).await;
    let pid = ready.pid.expect("a process");
    assert_eq!(user_of(pid), NOBODY.to_string());

    executor.kill();
    let _again = start(&rig);
    rig.order(id(2), Wanted::run(spec(""))).await;
    rig.until("another one runs", id(2), |s| s.ready).await;
    let adopted = rig.until("it is adopted", id(1), |s| s.ready).await;
    assert_eq!((adopted.pid, adopted.restarts), (Some(pid), 0));
    let ask = pb::Logs { instance: id(1).to_string(), ..Default::default() };
    let logs = rig.bus.call_node(&Rig::node(), &ask, &Caller::program("test")).await;
    let lines = logs.expect("answered").lines;
    assert!(lines.iter().any(|line| line.text.contains("Serving HTTP")), "{lines:?}");

    for number in [1, 2] {
        let stopped = rig.wanted[&id(number)].clone().with(Desired::Stop, 2);
        rig.wanted.insert(id(number), stopped);
    }
    rig.commit().await;
    for number in [1, 2] {
        rig.until("it is stopped", id(number), |s| s.observed == Observed::Stopped).await;
    }
    // Whoever collects it now may take a moment.
    let gone = || async { user_of(pid).is_empty() || is_zombie(pid) };
    eventually("it is gone", gone).await;
    let instances = rig.dir.path().join("home/instances");
    eventually("nothing is left", || async {
        std::fs::read_dir(&instances).is_ok_and(|mut left| left.next().is_none())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_groups_what_went_into_a_session_of_its_own_ends_with_its_instance() {
    let mut rig = Rig::start().await;
    let _executor = start(&rig);
    let child = rig.dir.path().join("home/child");
    let script = format!(
        "setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 100000' & sleep 100000",
        child.display()
    );
    let command = serde_json::json!(["sh", "-c", script]);
    rig.order(id(1), Wanted::run(spec(&format!("[process]\ncommand = {command}")))).await;
    let pid = || std::fs::read_to_string(&child).ok()?.trim().parse::<u32>().ok();
    eventually("its child runs", || async { pid().is_some() }).await;
    let pid = pid().expect("just looked at");
    assert_eq!(user_of(pid), NOBODY.to_string());
    let stopped = rig.wanted[&id(1)].clone().with(Desired::Stop, 2);
    rig.order(id(1), stopped).await;
    rig.until("it is stopped", id(1), |s| s.observed == Observed::Stopped).await;
    assert!(user_of(pid).is_empty() || is_zombie(pid), "its child lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_root_what_needs_it_is_refused_by_name_and_told() {
    let mut rig = Rig::start().await;
    let _executor = start(&rig);
    let cases = [
        ("restart.attempts = 0\n[process]\ncommand = [\"true\"]\nuser = \"root\"", "not root"),
        (
            "restart.attempts = 0\n[process]\ncommand = [\"true\"]\nchroot = \"/\"",
            "`process.chroot` needs",
        ),
        ("driver = \"nspawn\"\n[nspawn]\ndirectory = \"/\"\ncommand = [\"true\"]", "driver: "),
        ("driver = \"docker\"\n[docker]\nimage = \"x\"", "driver: "),
    ];
    for (number, (text, _)) in (1..).zip(cases) {
        rig.wanted.insert(id(number), Wanted::run(spec(text)));
    }
    rig.commit().await;
    for (number, (text, reason)) in (1..).zip(cases) {
        let over = |s: &Status| matches!(s.observed, Observed::Declined | Observed::Failed);
        let status = rig.until(text, id(number), over).await;
        assert!(status.reason.contains(reason), "{text}: {}", status.reason);
    }
    let host = rig.bus.call_node(&Rig::node(), &pb::Host {}, &Caller::program("test")).await;
    let host = host.expect("answered");
    for what in ["`nspawn` is not offered", "`docker` is not offered", "not root"] {
        assert!(host.missing.iter().any(|missing| missing.contains(what)), "{:?}", host.missing);
    }
    assert_eq!(host.drivers.keys().collect::<Vec<_>>(), ["process"]);
}
