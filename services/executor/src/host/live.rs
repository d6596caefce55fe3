//! What everything on the host uses now.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ostler_core::node::Use;
use ostler_core::resources::Resources;

use super::text;

/// Bytes of memory: all, and in use.
pub(crate) fn memory() -> (u64, u64) {
    let info = text("/proc/meminfo");
    let field = |name: &str| {
        let line = info.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    let total = field("MemTotal:").unwrap_or(0);
    (total, total.saturating_sub(field("MemAvailable:").unwrap_or(total)))
}

/// Bytes of the file system that holds `path`: all, and in use. Its nearest parent that exists is
/// asked.
pub(super) fn disk(path: &Path) -> Option<(u64, u64)> {
    let there = path.ancestors().find(|path| path.exists())?;
    let stat = rustix::fs::statvfs(there).ok()?;
    let total = stat.f_blocks * stat.f_frsize;
    Some((total, total.saturating_sub(stat.f_bavail * stat.f_frsize)))
}

/// Clock ticks since boot: all, and busy.
type Ticks = (u64, u64);

/// Those of all cores together, then of each.
fn ticks() -> Vec<Ticks> {
    let stat = text("/proc/stat");
    let cores = stat.lines().take_while(|line| line.starts_with("cpu"));
    let busy = cores.map(|line| {
        let fields = line.split_whitespace().skip(1).take(8);
        let fields: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
        let all: u64 = fields.iter().sum();
        let idle: u64 = fields.iter().skip(3).take(2).sum();
        (all, all.saturating_sub(idle))
    });
    busy.collect()
}

/// Bytes sent and received by all links but loopback since boot.
fn traffic() -> u64 {
    let dev = text("/proc/net/dev");
    let links = dev.lines().skip(2).filter_map(|line| line.split_once(':'));
    let bytes = links.filter(|(name, _)| name.trim() != "lo").map(|(_, counters)| {
        let fields: Vec<&str> = counters.split_whitespace().collect();
        let field = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
        field(0).unwrap_or(0) + field(8).unwrap_or(0)
    });
    bytes.sum()
}

/// Measures the host again and again; rates are those since the last time.
#[derive(Debug)]
pub struct Sampler {
    data_dir: PathBuf,
    host: Resources,
    offered: Resources,
    last: Option<(Instant, Vec<Ticks>, u64)>,
}

/// What everything on the host uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// As shares of what the node offers.
    pub used: Use,
    /// Load average over 1, 5 and 15 minutes, in hundredths.
    pub load: [u32; 3],
    /// Of each core, in thousandths.
    pub cores: Vec<u32>,
    /// The host runs on battery.
    pub battery: bool,
}

/// `part` of `whole`, as a share of `of`.
fn share(part: u64, whole: u64, of: u64) -> u64 {
    let share = u128::from(part) * u128::from(of) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl Sampler {
    /// For a host that has `host`, of which the node offers `offered`: use is told in proportion,
    /// so that several nodes on one host do not each count all of it.
    #[must_use]
    pub fn new(data_dir: PathBuf, host: Resources, offered: Resources) -> Self {
        Self { data_dir, host, offered, last: None }
    }

    /// What is in use now.
    pub fn take(&mut self, now: Instant) -> Live {
        let (ticks, traffic) = (ticks(), traffic());
        let last = self.last.replace((now, ticks.clone(), traffic));
        let (mut cpu, mut network, mut cores) = (0, 0, Vec::new());
        if let Some((at, before, sent)) = last {
            let busy = |of: (&Ticks, &Ticks), all: u64| {
                share(of.1.1.saturating_sub(of.0.1), of.1.0.saturating_sub(of.0.0), all)
            };
            let mut pairs = before.iter().zip(&ticks);
            cpu = pairs.next().map_or(0, |all| busy(all, self.offered.cpu));
            cores = pairs.map(|core| u32::try_from(busy(core, 1000)).unwrap_or(0)).collect();
            let millis = u64::try_from(now.saturating_duration_since(at).as_millis());
            let millis = millis.unwrap_or(u64::MAX).max(1);
            network = traffic.saturating_sub(sent) * 8 / 1000 / millis;
        }
        let (_, memory) = memory();
        let disk = disk(&self.data_dir).map_or(0, |(_, used)| used);
        let used = Use {
            cpu,
            memory: share(memory, self.host.memory.0, self.offered.memory.0),
            disk: share(disk, self.host.disk.0, self.offered.disk.0),
            network,
        };
        Live { used, load: Self::load(), cores, battery: super::on_battery() }
    }

    /// Load average over 1, 5 and 15 minutes, in hundredths.
    fn load() -> [u32; 3] {
        let average = text("/proc/loadavg");
        let mut fields = average.split_whitespace().map(|field| {
            let (whole, part) = field.split_once('.').unwrap_or((field, "0"));
            let hundredths = part.get(..2).unwrap_or("0").parse::<u32>().unwrap_or(0);
            whole.parse::<u32>().unwrap_or(0).saturating_mul(100).saturating_add(hundredths)
        });
        [(); 3].map(|()| fields.next().unwrap_or(0))
    }
}
