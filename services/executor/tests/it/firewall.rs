//! The firewalls themselves, each in network and mount namespaces of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ostler_core::instance::PortGrant;
use ostler_executor::firewall::{Firewall, Plug, Settings};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::rig::{id, spec};

const RANGE: (u16, u16) = (20_000, 29_999);

/// Runs a program that has to succeed.
fn run(words: &str) -> String {
    let mut parts = words.split_whitespace();
    let program = parts.next().expect("a program");
    let output = Command::new(program).args(parts).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("`{words}`: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "`{words}`: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A host with a link to another one.
struct Hosts {
    other: Child,
    _listeners: Vec<TcpListener>,
}

impl Hosts {
    /// This thread, and what it starts, is on a host of its own from now on.
    #[expect(
        unsafe_code,
        reason = "only this thread changes what it sees, and it has no files open"
    )]
    fn new() -> Self {
        // SAFETY: descriptors and memory are shared as before; only names of mounts and links change.
        let alone = unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) };
        alone.expect("namespaces of its own");
        run("mount --make-rprivate /");
        run("ip link set lo up");
        let other = Command::new("unshare").args(["--net", "sleep", "120"]).spawn();
        let other = other.expect("another host");
        let ours = std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
        let theirs = format!("/proc/{}/ns/net", other.id());
        while std::fs::read_link(&theirs).expect("a namespace") == ours {
            std::thread::yield_now();
        }
        run("ip link add near type veth peer name far");
        run(&format!("ip link set far netns {}", other.id()));
        run("ip address add 10.9.0.1/24 dev near");
        run("ip link set near up");
        let hosts = Self {
            _listeners: [19_999, 20_001, 20_002]
                .map(|port| TcpListener::bind(("0.0.0.0", port)).expect("bound"))
                .into(),
            other,
        };
        hosts.there("ip address add 10.9.0.2/24 dev far");
        hosts.there("ip link set far up");
        hosts
    }

    fn there(&self, words: &str) -> String {
        run(&format!("nsenter --net --target {} {words}", self.other.id()))
    }

    /// Which of the ports the other host reaches.
    fn reaches(&self) -> Vec<u16> {
        let mut reached = Vec::new();
        for port in [19_999_u16, 20_001, 20_002] {
            let to = format!("exec 3<>/dev/tcp/10.9.0.1/{port}");
            let words = [
                "--net",
                "--target",
                &self.other.id().to_string(),
                "timeout",
                "1",
                "bash",
                "-c",
                &to,
            ]
            .map(str::to_owned);
            let status = Command::new("nsenter").args(words).stderr(Stdio::null()).status();
            if status.expect("bash runs").success() {
                reached.push(port);
            }
        }
        reached
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.other.kill().expect("it is there");
        self.other.wait().expect("it is there");
    }
}

fn firewall(settings: Settings) -> Firewall {
    Firewall::new(settings, "node-1".parse().expect("a name"), RANGE)
}

fn grant(first: u16) -> [PortGrant; 1] {
    [PortGrant { name: "http".parse().expect("a name"), first, count: 1 }]
}

/// Tells a story on a host of its own.
fn on_a_host<F: Future<Output = ()>>(story: impl FnOnce(Hosts) -> F + Send + 'static) {
    let told = std::thread::spawn(move || {
        let hosts = Hosts::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(story(hosts));
    });
    if let Err(panic) = told.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn nftables_lets_in_to_what_runs_and_closes_the_rest_of_the_range() {
    on_a_host(|hosts| async move {
        let web = spec("[[ports]]\nname = \"http\"");
        let settings = Settings { plug: Plug::Nftables, table: String::new() };
        let wall = firewall(settings.clone());
        run("nft add table inet foreign");
        assert_eq!(hosts.reaches(), [19_999, 20_001, 20_002]);
        wall.settle().await.expect("told");
        assert_eq!(hosts.reaches(), [19_999]);
        for number in [1, 1, 2] {
            let port = 20_000 + u16::try_from(number).expect("small");
            wall.open(id(number), &web, &grant(port)).await.expect("opened");
        }
        assert_eq!(hosts.reaches(), [19_999, 20_001, 20_002]);
        for _ in 0..2 {
            wall.close(id(2)).await;
            assert_eq!(hosts.reaches(), [19_999, 20_001]);
        }
        // The next executor keeps open what it adopts, and nothing else.
        let next = firewall(settings);
        next.adopt(id(3), &web, &grant(20_002));
        next.settle().await.expect("told");
        assert_eq!(hosts.reaches(), [19_999, 20_002]);
        assert!(run("nft list tables").contains("table inet foreign"));
    });
}

#[test]
fn nftables_fills_the_sets_of_a_table_that_is_there() {
    on_a_host(|hosts| async move {
        let web = spec("[[ports]]\nname = \"http\"");
        let settings = Settings { plug: Plug::Nftables, table: "inet filter".to_owned() };
        let wall = firewall(settings);
        let failed = wall.open(id(1), &web, &grant(20_001)).await.expect_err("no table");
        assert!(failed.to_string().starts_with("firewall: `nft`: "), "{failed}");
        run("nft add table inet filter");
        wall.settle().await.expect("told");
        let chain = "{ type filter hook input priority 0; policy drop; }";
        let rule = "tcp dport @ostler_tcp accept";
        for words in [
            format!("add chain inet filter input {chain}"),
            format!("add rule inet filter input {rule}"),
        ] {
            let done = Command::new("nft").arg(&words).status().expect("nft runs");
            assert!(done.success(), "{words}");
        }
        assert_eq!(hosts.reaches(), [20_001]);
        wall.close(id(1)).await;
        assert_eq!(hosts.reaches(), Vec::<u16>::new());
    });
}

#[test]
fn ufw_gets_a_rule_for_each_port_and_keeps_those_of_others() {
    on_a_host(|hosts| async move {
        // Rules of its own, and the lock that guards them.
        let copy = tempfile::tempdir().expect("a directory");
        for (index, dir) in ["/etc/ufw", "/etc/default"].into_iter().enumerate() {
            let to = copy.path().join(index.to_string());
            run(&format!("cp -a {dir} {}", to.display()));
            run(&format!("mount --bind {} {dir}", to.display()));
        }
        assert!(Path::new("/etc/ufw/ufw.conf").exists());
        run("ufw --force enable");
        run("ufw allow 19999/tcp");
        assert_eq!(hosts.reaches(), [19_999]);
        let web = spec("[[ports]]\nname = \"http\"");
        let settings = Settings { plug: Plug::Ufw, table: String::new() };
        let wall = firewall(settings.clone());
        for _ in 0..2 {
            wall.open(id(1), &web, &grant(20_001)).await.expect("opened");
            assert_eq!(hosts.reaches(), [19_999, 20_001]);
        }
        // The next executor closes what it does not adopt.
        let next = firewall(settings);
        next.open(id(2), &web, &grant(20_002)).await.expect("opened");
        assert_eq!(hosts.reaches(), [19_999, 20_002]);
        next.close(id(2)).await;
        assert_eq!(hosts.reaches(), [19_999]);
        assert!(!run("ufw show added").contains("ostler"));
        run("umount /etc/default");
        run("umount /etc/ufw");
    });
}
