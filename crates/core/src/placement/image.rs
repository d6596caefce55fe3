//! Images and artifacts: what they are counted under, and on what they run.

use serde_json::Value;

use crate::node::Node;
use crate::workload::{DriverKind, Workload};

/// Keys of a driver's section that name what is fetched before a start.
const FETCHED: [&str; 4] = ["image", "artifact", "disk", "root"];
/// Keys that say on what it runs: `linux/arm64`, `arm64`, or a list of such.
const RUNS_ON: [&str; 2] = ["platform", "arch"];

/// An architecture, and an operating system if one was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: Option<String>,
    arch: String,
}

impl Platform {
    fn read(text: &str) -> Self {
        let mut parts = text.split('/');
        let first = parts.next().unwrap_or_default();
        match parts.next() {
            Some(arch) => Self { os: Some(first.to_lowercase()), arch: known_as(arch) },
            None => Self { os: None, arch: known_as(first) },
        }
    }

    /// Whether the node runs it: its own architecture, or one that the processor has within.
    pub fn runs_on(&self, node: &Node) -> bool {
        let (has, wants) = (known_as(&node.facts.arch), self.arch.as_str());
        let within = has == "amd64" && wants == "386";
        let os = self.os.as_ref().is_none_or(|os| *os == node.facts.os);
        os && (has == wants || within)
    }
}

/// One word for each architecture, as images name it.
fn known_as(arch: &str) -> String {
    let arch = arch.trim().to_lowercase();
    let word = match arch.as_str() {
        "x86_64" | "x64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" | "x86" => "386",
        other => other,
    };
    word.to_owned()
}

/// The section of the workload's driver, as it would be written.
fn section(workload: &Workload) -> Value {
    let section = match workload.driver {
        DriverKind::Process => serde_json::to_value(&workload.process),
        DriverKind::Nspawn => serde_json::to_value(&workload.nspawn),
        DriverKind::Docker => serde_json::to_value(&workload.docker),
        DriverKind::Vm => serde_json::to_value(&workload.vm),
        DriverKind::S6 => serde_json::to_value(&workload.s6),
        DriverKind::Uwsgi => serde_json::to_value(&workload.uwsgi),
        DriverKind::Sim => return Value::Null,
    };
    section.unwrap_or_default()
}

/// What the workload's image or artifact is counted under: nodes that run something of the same
/// have it already. `None` if it has none.
pub(crate) fn tag(workload: &Workload) -> Option<String> {
    let section = section(workload);
    let named = FETCHED.iter().filter_map(|key| section.get(key)?.as_str());
    let named = named.into_iter().find(|name| !name.is_empty())?;
    Some(format!("image/{}/{named}", workload.driver))
}

/// What its image or artifact runs on; `None` where nothing is said.
pub(crate) fn platforms(workload: &Workload) -> Option<Vec<Platform>> {
    let section = section(workload);
    let said = RUNS_ON.iter().find_map(|key| section.get(key))?;
    let read = |one: &Value| one.as_str().filter(|text| !text.is_empty()).map(Platform::read);
    let platforms: Vec<Platform> = match said {
        Value::Array(all) => all.iter().filter_map(read).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            read(said).into_iter().collect()
        }
    };
    (!platforms.is_empty()).then_some(platforms)
}
