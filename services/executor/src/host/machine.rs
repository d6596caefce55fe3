//! What kind of machine the host is: real or not, and what it has.

use std::fs;
use std::path::Path;

use super::text;

/// What the host is, as far as it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Machine {
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub(crate) system: String,
    /// `none` for real hardware, or by what it is made: `kvm`, `vmware`, `docker`, `vm` …
    pub(crate) virtualization: String,
    /// Machines with the speed of this one can be made on it.
    pub(crate) kvm: bool,
    /// The processor's name.
    pub(crate) processor: String,
}

impl Machine {
    /// Looks.
    pub(crate) fn here() -> Self {
        let release = text("/etc/os-release");
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        let info = text("/proc/cpuinfo");
        let processor = info.lines().find(|line| line.starts_with("model name"));
        let processor = processor.and_then(|line| line.split_once(':'));
        Self {
            system: system.unwrap_or_default().trim_matches('"').to_owned(),
            virtualization: virtualization(Path::new("/")),
            kvm: fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok(),
            processor: processor.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
        }
    }
}

/// What the firmware of made machines says of itself.
const MADE: [(&str, &str); 9] = [
    ("qemu", "qemu"),
    ("kvm", "kvm"),
    ("vmware", "vmware"),
    ("virtualbox", "virtualbox"),
    ("xen", "xen"),
    ("microsoft corporation", "hyperv"),
    ("google", "google"),
    ("amazon ec2", "amazon"),
    ("bhyve", "bhyve"),
];

/// A container comes before the machine that it is on.
fn virtualization(root: &Path) -> String {
    let said = |path: &str| text(root.join(path)).to_ascii_lowercase();
    if root.join("run/.containerenv").exists() {
        return "podman".to_owned();
    }
    if root.join(".dockerenv").exists() {
        return "docker".to_owned();
    }
    let named = said("run/systemd/container");
    if !named.is_empty() {
        return named;
    }
    let firmware = ["sys_vendor", "product_name", "bios_vendor", "board_vendor"]
        .map(|name| said(&format!("sys/class/dmi/id/{name}")));
    let made = MADE.iter().find(|(word, _)| firmware.iter().any(|said| said.contains(word)));
    if let Some((_, name)) = made {
        return (*name).to_owned();
    }
    let hypervisor = said("sys/hypervisor/type");
    if !hypervisor.is_empty() {
        return hypervisor;
    }
    let flags = said("proc/cpuinfo");
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let made = flags.split_whitespace().any(|flag| flag == "hypervisor");
    if made { "vm" } else { "none" }.to_owned()
}

/// One link of the host, but loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) up: bool,
    /// Mbit/s; 0: it does not say.
    pub(crate) speed: u64,
    /// Bytes since boot.
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// The links of the host by name: not those that containers made for themselves.
pub(crate) fn links() -> Vec<Link> {
    links_by(Path::new("/sys/class/net"))
}

fn links_by(dir: &Path) -> Vec<Link> {
    let mut links = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let said = |name: &str| text(entry.path().join(name));
        let number = |name: &str| said(name).parse::<u64>().unwrap_or(0);
        let name = entry.file_name().to_string_lossy().into_owned();
        // 1 is Ethernet, and what looks like it.
        if name == "lo" || said("type") != "1" || name.starts_with("veth") {
            continue;
        }
        links.push(Link {
            mac: said("address"),
            up: said("operstate") == "up"
                || (said("operstate") == "unknown" && number("carrier") == 1),
            speed: number("speed"),
            received: number("statistics/rx_bytes"),
            sent: number("statistics/tx_bytes"),
            name,
        });
    }
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links
}

/// A file system of the host that is kept on a device, or that holds our data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) path: String,
    pub(crate) device: String,
    pub(crate) kind: String,
    pub(crate) total: u64,
    pub(crate) used: u64,
}

/// Where files can be kept. Asks every file system: one that does not answer holds this up.
pub(crate) fn disks(data_dir: &Path) -> Vec<Disk> {
    let mounts = mounts(&text("/proc/self/mountinfo"), data_dir);
    let disks = mounts.into_iter().filter_map(|(path, device, kind)| {
        let (total, used) = super::live::disk(Path::new(&path))?;
        Some(Disk { path, device, kind, total, used })
    });
    disks.collect()
}

/// Mount point, device and kind: each device once, at its shortest path, and what holds `data_dir`.
fn mounts(mountinfo: &str, data_dir: &Path) -> Vec<(String, String, String)> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let path = before.split(' ').nth(4)?.replace("\\040", " ");
        let mut after = after.split(' ');
        let (kind, device) = (after.next()?.to_owned(), after.next()?.to_owned());
        Some((path, device, kind))
    };
    let all: Vec<_> = mountinfo.lines().filter_map(mount).collect();
    let held = all.iter().filter(|(path, ..)| data_dir.starts_with(path));
    let ours = held.max_by_key(|(path, ..)| path.len()).map(|(path, ..)| path.clone());
    let mut kept: Vec<(String, String, String)> = Vec::new();
    for found in all {
        let (path, device, kind) = &found;
        let image = kind == "squashfs" || device.starts_with("/dev/loop");
        let wanted = Some(path) == ours.as_ref() || (device.starts_with("/dev/") && !image);
        match kept.iter_mut().find(|(_, known, _)| known == device) {
            Some(known) if wanted && path.len() < known.0.len() => *known = found,
            Some(_) => {}
            None if wanted => kept.push(found),
            None => {}
        }
    }
    kept.sort();
    kept
}

/// A battery that drives the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Battery {
    /// 0 to 100.
    pub(crate) percent: u32,
    /// Such as `discharging`.
    pub(crate) state: String,
}

/// The host's battery, if it has one.
pub(crate) fn battery() -> Option<Battery> {
    let supplies = fs::read_dir("/sys/class/power_supply").ok()?.flatten();
    supplies.into_iter().find_map(|supply| {
        let said = |name: &str| text(supply.path().join(name));
        let ours = said("type") == "Battery" && said("scope") != "Device";
        let percent = said("capacity").parse().unwrap_or(0);
        ours.then(|| Battery { percent, state: said("status").to_ascii_lowercase() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], want: &str) {
        let root = tempfile::tempdir().expect("a directory");
        for (file, said) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("below")).expect("made");
            fs::write(path, said).expect("written");
        }
        assert_eq!(virtualization(root.path()), want, "{files:?}");
    }

    #[test]
    fn a_machine_says_what_it_is_made_of_and_a_container_comes_first() {
        let vendor = "sys/class/dmi/id/sys_vendor";
        check(&[], "none");
        check(&[(vendor, "Dell Inc.\n")], "none");
        check(&[(vendor, "QEMU\n")], "qemu");
        check(&[(vendor, "QEMU\n"), (".dockerenv", "")], "docker");
        check(
            &[(vendor, "QEMU\n"), ("run/systemd/container", "systemd-nspawn\n")],
            "systemd-nspawn",
        );
        check(&[("sys/hypervisor/type", "xen\n")], "xen");
        check(&[("proc/cpuinfo", "flags\t: fpu hypervisor sse\n")], "vm");
    }

    #[test]
    fn a_device_is_told_once_and_what_holds_our_data_always() {
        let text = "\
1 1 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:1 /x /srv/x rw - ext4 /dev/sda1 rw
3 1 0:5 / /proc rw - proc proc rw
4 1 0:6 / /run rw - tmpfs tmpfs rw
5 1 7:0 / /snap/core ro - squashfs /dev/loop0 ro
6 1 8:2 / /my\\040disk rw - xfs /dev/sdb1 rw";
        let paths = |data: &str| {
            let found = mounts(text, Path::new(data));
            found.into_iter().map(|(path, ..)| path).collect::<Vec<_>>()
        };
        assert_eq!(paths("/var/lib/ostler"), ["/", "/my disk"]);
        assert_eq!(paths("/run/ostler"), ["/", "/my disk", "/run"]);
    }
}
