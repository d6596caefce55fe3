//! On what it was measured: processor, memory, kernel, versions, commit; and how much memory a
//! process took at most.

use serde::Serialize;

/// The machine and the program.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// What the processor calls itself.
    pub processor: String,
    /// How many cores this process may use.
    pub cores: usize,
    /// All memory, in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Our version.
    pub version: &'static str,
    /// The commit of the folder it was built from, now; `-dirty` when something is not committed.
    pub commit: String,
    /// `release`, or `debug`: figures of a debug build mean nothing.
    pub build: &'static str,
}

/// Where we were built.
const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib("/proc/meminfo", "MemTotal").unwrap_or_default() / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            commit: output("git", &["-C", SOURCE, "describe", "--always", "--dirty"]),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// The most memory that a process ever had resident, in MiB; `None` when it is gone.
pub fn peak_rss_mib(pid: u32) -> Option<u64> {
    kib(&format!("/proc/{pid}/status"), "VmHWM").map(|kib| kib / 1024)
}

/// The memory that a process has resident, in MiB; `None` when it is gone.
pub fn rss_mib(pid: u32) -> Option<f64> {
    let kib = u32::try_from(kib(&format!("/proc/{pid}/status"), "VmRSS")?).ok()?;
    Some(f64::from(kib) / 1024.0)
}

/// The processor time that a process has used, in milliseconds.
pub fn cpu_ms(pid: u32) -> Option<u64> {
    let stat = read(&format!("/proc/{pid}/stat"));
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // The kernel counts in hundredths of a second towards programs.
    Some((user + system) * 10)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = read(file);
    let line =
        text.lines().find(|line| line.split(':').next().is_some_and(|n| n.trim() == name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn kib(file: &str, name: &str) -> Option<u64> {
    field(file, name)?.split_whitespace().next()?.parse().ok()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// What a program prints; empty where it cannot be run.
fn output(program: &str, arguments: &[&str]) -> String {
    let run = std::process::Command::new(program).args(arguments).output();
    run.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}
