//! The host: what it is, what it has, and what it uses now. Reads `/proc` and `/sys` itself: a beat
//! every second has to cost nothing.

use std::fs;
use std::path::{Path, PathBuf};

use ostler_core::id::NodeName;
use ostler_core::resources::{Bytes, Resources};

mod live;
pub(crate) mod machine;

pub(crate) use live::memory;
pub use live::{Live, Sampler};

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

/// How long the host has been up.
pub(crate) fn uptime_ms() -> u64 {
    let said = text("/proc/uptime");
    let (seconds, hundredths) =
        said.split(' ').next().and_then(|up| up.split_once('.')).unwrap_or_default();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(seconds) * 1000 + number(hundredths) * 10
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

/// Whether the host runs on battery: it has one that is being drained, and no supply
/// that feeds it. False where nothing is known.
pub fn on_battery() -> bool {
    on_battery_by(Path::new("/sys/class/power_supply"))
}

fn on_battery_by(supplies: &Path) -> bool {
    let mut drained = false;
    for supply in fs::read_dir(supplies).into_iter().flatten().flatten() {
        let said = |name: &str| text(supply.path().join(name));
        match said("type").as_str() {
            "Mains" | "USB" if said("online") == "1" => return false,
            // The battery of a mouse does not drive the host.
            "Battery" if said("scope") != "Device" => drained |= said("status") == "Discharging",
            _ => {}
        }
    }
    drained
}

/// What selectors can ask of the host.
pub fn labels() -> [(String, String); 2] {
    let machine = machine::Machine::here();
    [
        ("ostler/kvm".to_owned(), machine.kvm.to_string()),
        ("ostler/virtualization".to_owned(), machine.virtualization),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Supplies as the kernel shows them: name, then its files.
    #[track_caller]
    fn check(supplies: &[(&str, &[(&str, &str)])], want: bool) {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, files) in supplies {
            fs::create_dir(dir.path().join(name)).expect("a directory");
            for (file, said) in *files {
                fs::write(dir.path().join(name).join(file), format!("{said}\n")).expect("a file");
            }
        }
        assert_eq!(on_battery_by(dir.path()), want, "{supplies:?}");
    }

    #[test]
    fn a_host_is_on_battery_when_its_own_battery_is_drained_and_nothing_feeds_it() {
        let drained: &[(&str, &str)] = &[("type", "Battery"), ("status", "Discharging")];
        let full: &[(&str, &str)] = &[("type", "Battery"), ("status", "Full")];
        let mouse: &[(&str, &str)] =
            &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")];
        let plugged: &[(&str, &str)] = &[("type", "Mains"), ("online", "1")];
        let unplugged: &[(&str, &str)] = &[("type", "Mains"), ("online", "0")];
        check(&[], false);
        check(&[("BAT0", drained), ("AC", unplugged)], true);
        check(&[("BAT0", drained)], true);
        check(&[("BAT0", full), ("AC", plugged)], false);
        check(&[("BAT0", drained), ("AC", plugged)], false);
        check(&[("hid", mouse)], false);
        assert!(!on_battery_by(Path::new("/no/such/directory")));
    }
}
