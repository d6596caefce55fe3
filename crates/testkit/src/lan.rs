//! A network of a test's own: hosts in namespaces, each on a cable that can be cut, both ways or one.
//!
//! What is cut is lost and nobody is told, as when a switch fails: frames go to a hardware address
//! that nobody has. Needs no root where users may have namespaces of their own, touches nothing of
//! the network of the machine, and is gone with the test.

use std::future::Future;
use std::process::{Child, Command, Stdio};

use crate::nats::process::{die_with_us, hold, spawn_on_keeper};

/// Set for a test that is in a network of its own already.
const INSIDE: &str = "OSTLER_TEST_LAN";
/// Nobody's hardware address.
const NOBODY: &str = "02:00:00:00:00:fe";

/// Runs a test in a network of its own: to be called first of all, outside of any runtime. The test
/// function begins again there, in a process of its own.
pub fn in_a_network_of_its_own<F: Future<Output = ()>>(test: fn() -> F) {
    if std::env::var_os(INSIDE).is_none() {
        let thread = std::thread::current();
        return begin_again(thread.name().expect("tests run on threads that have their names"));
    }
    run("ip", &["link", "set", "lo", "up"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(test());
}

fn begin_again(test: &str) {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.args(map_root()).args(["--net", "--"]).arg(program);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    die_with_us(&mut command);
    let child = spawn_on_keeper(command).expect("unshare, of util-linux, is there");
    let output = child.wait_with_output().expect("it is our child");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test} failed in a network of its own:\n{said}");
    assert!(said.contains("1 passed"), "there is no test `{test}`:\n{said}");
}

/// Others than root become root of a namespace.
fn map_root() -> &'static [&'static str] {
    if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] }
}

#[track_caller]
fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}, of iproute2, is there: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
}

/// Which frames are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All.
    Both,
    /// What the host sends: it hears, and is not heard.
    Mute,
    /// What is sent to the host: it is heard, and hears nothing.
    Deaf,
}

/// A host on a cable to us.
#[derive(Debug)]
pub struct Host {
    /// Keeps the namespace.
    holder: Child,
    cable: String,
    here: String,
    there: String,
}

impl Host {
    /// Plugs in a host, with a number from 1 to 250. Panics where no namespace can be made.
    #[must_use]
    pub fn new(number: u8) -> Self {
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            "sh",
            "-c",
            "ip link set lo up && echo ready && exec sleep infinity",
        ]);
        let holder = hold(command, "network");
        let address = |end: u8| format!("10.77.{number}.{end}");
        let cable = format!("cable{number}");
        let host = Self { holder, cable, here: address(1), there: address(2) };
        let (pid, cable) = (host.holder.id().to_string(), host.cable.as_str());
        let ends = ["type", "veth", "peer", "name", "cable", "netns", pid.as_str()];
        run("ip", &[["link", "add", "name", cable].as_slice(), &ends].concat());
        run("ip", &["addr", "add", &format!("{}/24", host.here), "dev", cable]);
        run("ip", &["link", "set", cable, "up"]);
        host.inside(&["addr", "add", &format!("{}/24", host.there), "dev", "cable"]);
        host.inside(&["link", "set", "cable", "up"]);
        host
    }

    /// Our address, as the host sees us.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.here
    }

    /// What a command line begins with so that its program runs on this host.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--net", "--target", &pid].map(str::to_owned).into()
    }

    #[track_caller]
    fn inside(&self, words: &[&str]) {
        let enter = self.enter();
        let rest: Vec<&str> = enter[1..].iter().map(String::as_str).chain(["ip"]).collect();
        run(&enter[0], &[rest.as_slice(), words].concat());
    }

    /// Loses from now on what the cut says.
    pub fn cut(&self, cut: Cut) {
        let lose = ["neigh", "replace", "lladdr", NOBODY, "nud", "permanent", "to"];
        if cut != Cut::Deaf {
            self.inside(&[lose.as_slice(), &[self.here.as_str(), "dev", "cable"]].concat());
        }
        if cut != Cut::Mute {
            run("ip", &[lose.as_slice(), &[self.there.as_str(), "dev", &self.cable]].concat());
        }
    }

    /// Mends what was cut.
    pub fn mend(&self) {
        let (here, there) = (self.here.as_str(), self.there.as_str());
        let forget = ["neigh", "flush", "nud", "permanent", "to"];
        self.inside(&[forget.as_slice(), &[here, "dev", "cable"]].concat());
        run("ip", &[forget.as_slice(), &[there, "dev", &self.cable]].concat());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cut_cable_loses_what_was_sent_and_carries_again_when_it_is_mended() {
        in_a_network_of_its_own(a_cut_cable);
    }

    async fn a_cut_cable() {
        let (host, soon, long) = (Host::new(7), Duration::from_millis(200), Duration::from_secs(5));
        assert!(is_heard(&host, long));
        host.cut(Cut::Mute);
        assert!(!is_heard(&host, soon));
        host.mend();
        assert!(is_heard(&host, long));
        host.cut(Cut::Deaf);
        assert!(is_heard(&host, long), "it is heard still");
    }

    fn is_heard(host: &Host, within: Duration) -> bool {
        let ours = UdpSocket::bind(("0.0.0.0", 9000)).expect("a port of our own network");
        ours.set_read_timeout(Some(within)).expect("a limit");
        let mut words = host.enter();
        let talk = format!("echo hello > /dev/udp/{}/9000", host.gateway());
        words.extend(["bash".to_owned(), "-c".to_owned(), talk]);
        run(&words[0], &words[1..].iter().map(String::as_str).collect::<Vec<_>>());
        ours.recv(&mut [0; 16]).is_ok()
    }
}
