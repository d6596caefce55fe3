//! How simulated executors behave: what they decline, what fails there, how long things take.

use serde::Deserialize;

use crate::id::{Version, WorkloadKey};
use crate::time::Span;
use crate::workload::{Kind, Restart, SimSection, Workload};

/// What a node does with the work it is given. What is absent stays as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Behaviour {
    decline: Option<Vec<Target>>,
    fail: Option<Vec<Target>>,
    start_after: Option<Span>,
    ready_after: Option<Span>,
    stop_after: Option<Span>,
}

/// Which work: `*`, `web`, or `web@2` for one version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Target {
    All,
    Workload(WorkloadKey),
    Version(WorkloadKey, Version),
}

impl TryFrom<String> for Target {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let key = |name: &str| name.parse::<WorkloadKey>().map_err(|error| error.to_string());
        match text.split_once('@') {
            None if text == "*" => Ok(Self::All),
            None => key(&text).map(Self::Workload),
            Some((name, version)) => {
                let bad = |_| format!("`{version}` is not a version: a whole number");
                Ok(Self::Version(key(name)?, Version(version.parse().map_err(bad)?)))
            }
        }
    }
}

impl Target {
    fn names(&self, key: &WorkloadKey, version: Version) -> bool {
        match self {
            Self::All => true,
            Self::Workload(wanted) => wanted == key,
            Self::Version(wanted, of) => wanted == key && *of == version,
        }
    }
}

impl Behaviour {
    /// Takes over what `change` says.
    pub(super) fn merge(&mut self, change: Self) {
        let Self { decline, fail, start_after, ready_after, stop_after } = change;
        self.decline = decline.or(self.decline.take());
        self.fail = fail.or(self.fail.take());
        self.start_after = start_after.or(self.start_after);
        self.ready_after = ready_after.or(self.ready_after);
        self.stop_after = stop_after.or(self.stop_after);
    }

    /// What happens here to an instance of this version of the workload. Delays of the node and of
    /// the workload's own `sim` section add up.
    pub(super) fn script(&self, workload: &Workload, version: Version) -> Script {
        let key = workload.key();
        let named = |targets: &Option<Vec<Target>>| {
            targets.iter().flatten().any(|target| target.names(&key, version))
        };
        let sim = workload.sim.clone().unwrap_or_default();
        let SimSection { start_after, ready_after, stop_after, .. } = sim;
        let both = |ours: Option<Span>, its: Span| {
            Span::from_millis(ours.unwrap_or_default().as_millis().saturating_add(its.as_millis()))
        };
        Script {
            declines: sim.decline || named(&self.decline),
            fails: sim.fail || named(&self.fail),
            start_after: both(self.start_after, start_after),
            ready_after: both(self.ready_after, ready_after),
            stop_after: both(self.stop_after, stop_after).min(workload.stop.grace),
            exit: sim.exit_code.map(|code| (sim.exit_after.unwrap_or_default(), code)),
            kind: workload.kind,
            restart: workload.restart.clone(),
            min_ready: workload.update.min_ready,
        }
    }
}

/// What happens to one instance.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub declines: bool,
    pub fails: bool,
    pub start_after: Span,
    pub ready_after: Span,
    pub stop_after: Span,
    /// It exits so long after it started, with this code.
    pub exit: Option<(Span, i32)>,
    pub kind: Kind,
    pub restart: Restart,
    pub min_ready: Span,
}
