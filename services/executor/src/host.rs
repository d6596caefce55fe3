//! The host: what it is, what it has, and what it uses now. Reads `/proc` and `/sys` itself: a beat
//! every second has to cost nothing.

use std::fs;
use std::path::{Path, PathBuf};

use ostler_core::id::NodeName;
use ostler_core::resources::{Bytes, Resources};

mod live;

pub use live::Sampler;

/// A file's text without the newline at its end; empty if it cannot be read.
pub(crate) fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).map(|text| text.trim_end().to_owned()).unwrap_or_default()
}

/// The host's name, made into a node's name.
pub fn name() -> NodeName {
    let node = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let first = node.split('.').next().unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let clean: String = first.chars().map(fits).take(63).collect();
    let clean = clean.trim_matches('-');
    clean.parse().unwrap_or_else(|_| "node".parse().expect("a name"))
}

/// Which boot of the host this is.
pub fn boot_id() -> String {
    text("/proc/sys/kernel/random/boot_id")
}

/// Which physical machine this is.
pub fn hardware() -> String {
    let known = ["/etc/machine-id", "/sys/class/dmi/id/product_uuid", "/var/lib/dbus/machine-id"];
    let found = known.iter().map(text).find(|id| !id.is_empty());
    found.unwrap_or_else(|| format!("host-{}", name()))
}

/// The kernel's version.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The machine's architecture, as images name it.
pub fn arch() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

/// Whether this is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where state is kept unless the settings say otherwise; systemd's `StateDirectory` comes first.
pub fn data_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("STATE_DIRECTORY") {
        return PathBuf::from(dir);
    }
    if is_root() {
        return PathBuf::from("/var/lib/ostler");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("ostler")
}

/// The address that the host would use towards others; nothing is sent.
pub fn address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0");
    let local = socket.and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    local.map_or_else(|_| "127.0.0.1".to_owned(), |local| local.ip().to_string())
}

/// All that the host has; disk is that of `data_dir`, network the fastest link (1,000 Mbit/s where
/// none says).
pub fn capacity(data_dir: &Path) -> Resources {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let disk = live::disk(data_dir).map_or(0, |(total, _)| total);
    let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let speeds = links.filter_map(|link| text(link.path().join("speed")).parse::<u64>().ok());
    Resources {
        cpu: u64::try_from(cores).unwrap_or(1) * 1000,
        memory: Bytes(live::memory().0),
        disk: Bytes(disk),
        network: speeds.max().filter(|speed| *speed > 0).unwrap_or(1000),
    }
}
