//! What a user wants running: the specification of a workload, as written in TOML or JSON.
//!
//! These types hold what was written, with defaults filled in. [`Workload::check`] says whether it
//! makes sense as a whole; nothing behind the registry checks it again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Namespace, PoolName, WorkloadKey, WorkloadName};
use crate::resources::{Bytes, Resources};

mod check;
mod container;
mod driver;
mod hook;
mod order;
mod parse;
mod placement;
mod policy;
mod port;

pub use check::SIGNALS;
pub use container::{Bind, DockerSection, NspawnNetwork, NspawnSection, Pull, Storage};
pub use driver::{DriverKind, DriverSections, Private, ProcessSection, Section, SimSection};
pub use hook::{Action, HookPoint, Hooks, OnHookFailure, WaitFor};
pub use order::cycle;
pub use parse::{LONGEST, SpecErrors, from_json, from_json_value, from_toml, from_tree};
pub use placement::{
    Affinity, AntiAffinity, Mode, OneOrMany, PlacementRules, Preference, Scope, Spread, Strategy,
};
pub use policy::{
    Backoff, Cron, Logs, Missed, OnNodeLoss, Recycle, Reschedule, Restart, Sleep, Stop, Update,
};
pub use port::{Check, CheckKind, PortSpec, Protocol};

/// What kind of life its instances have.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Runs until stopped.
    #[default]
    Service,
    /// Runs to completion `count` times.
    Job,
    /// One on every eligible node; `count` is ignored.
    System,
    /// A job on a schedule, never overlapping.
    Cron,
}

impl Kind {
    /// Its instances end by themselves when their work is done.
    #[must_use]
    pub const fn runs_to_completion(self) -> bool {
        match self {
            Self::Job | Self::Cron => true,
            Self::Service | Self::System => false,
        }
    }
}

/// What an instance asks of its node. Requests; memory is also a hard limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// Requested thousandths of a core.
    pub cpu: u64,
    /// Requested memory; also the limit unless `memory_max` lifts it. `None`: 64 MiB, or 2 GiB for
    /// drivers that run whole systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Requested disk.
    pub disk: Bytes,
    /// Requested network, Mbit/s.
    pub network: u64,
    /// Requested GPUs.
    pub gpu: u32,
    /// A hard ceiling for cpu, in millicores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<u64>,
    /// The memory limit, where it is not the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Bytes>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            cpu: 100,
            memory: None,
            disk: Bytes(0),
            network: 0,
            gpu: 0,
            cpu_limit: None,
            memory_max: None,
        }
    }
}

/// The specification of a workload. `deny_unknown_fields`: a misspelt key is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Its name, unique in its namespace.
    pub name: WorkloadName,
    /// Whose it is.
    #[serde(default)]
    pub namespace: Namespace,
    /// What kind of life its instances have.
    #[serde(default)]
    pub kind: Kind,
    /// How many instances; 0 is allowed, at most 1,000,000.
    #[serde(default = "one")]
    pub count: u32,
    /// Whose scheduler decides.
    #[serde(default)]
    pub pool: PoolName,
    /// 0 to 100; higher may preempt lower where the operator allows it.
    #[serde(default = "fifty")]
    pub priority: u8,
    /// How instances are run.
    pub driver: DriverKind,
    /// For `driver = "process"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessSection>,
    /// For `driver = "nspawn"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nspawn: Option<NspawnSection>,
    /// For `driver = "docker"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerSection>,
    /// For `driver = "vm"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<Section>,
    /// For `driver = "s6"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s6: Option<Section>,
    /// For `driver = "uwsgi"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uwsgi: Option<Section>,
    /// For `driver = "sim"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sim: Option<SimSection>,
    /// Key/values for people and selectors.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What each instance asks of its node.
    #[serde(default)]
    pub resources: Ask,
    /// The ports each instance gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// When an instance is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Where instances may run.
    #[serde(default)]
    pub placement: PlacementRules,
    /// What happens on the same node when one ends.
    #[serde(default)]
    pub restart: Restart,
    /// What happens on another node after that.
    #[serde(default)]
    pub reschedule: Reschedule,
    /// How a new version replaces the old one.
    #[serde(default)]
    pub update: Update,
    /// How an instance is stopped.
    #[serde(default)]
    pub stop: Stop,
    /// What is run or called around the life of an instance, by hook name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, serde_json::Value>,
    /// Workloads that must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<WorkloadName>,
    /// Bounds of elastic scaling.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scale: BTreeMap<String, serde_json::Value>,
    /// When it sleeps.
    #[serde(default)]
    pub sleep: Sleep,
    /// When it runs, for kind `cron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
    /// When an instance is renewed though it works.
    #[serde(default)]
    pub recycle: Recycle,
    /// How its output is kept.
    #[serde(default)]
    pub logs: Logs,
}

fn one() -> u32 {
    1
}
fn fifty() -> u8 {
    50
}

fn named<T>(process: Option<T>, nspawn: Option<T>, docker: Option<T>) -> Vec<(&'static str, T)> {
    let all =
        [("process.artifact", process), ("nspawn.artifact", nspawn), ("docker.artifact", docker)];
    all.into_iter().filter_map(|(field, text)| Some((field, text?))).collect()
}

impl Workload {
    /// Namespace and name.
    #[must_use]
    pub fn key(&self) -> WorkloadKey {
        WorkloadKey::new(self.namespace.clone(), self.name.clone())
    }

    /// As JSON, with every default filled in; reads back equal. The same for equal workloads.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a workload has only text keys")
    }

    /// The driver sections that were written; the one that `driver` names must be there (except
    /// `sim`), and no other.
    #[must_use]
    pub fn sections(&self) -> DriverSections {
        DriverSections {
            process: self.process.clone(),
            nspawn: self.nspawn.clone(),
            docker: self.docker.clone(),
            vm: self.vm.clone(),
            s6: self.s6.clone(),
            uwsgi: self.uwsgi.clone(),
            sim: self.sim.clone(),
        }
    }

    /// The artifacts that it names, each with the field it stands in.
    #[must_use]
    pub fn artifacts(&self) -> Vec<(&'static str, &String)> {
        let process = self.process.as_ref().and_then(|section| section.artifact.as_ref());
        let nspawn = self.nspawn.as_ref().and_then(|section| section.artifact.as_ref());
        let docker = self.docker.as_ref().and_then(|section| section.artifact.as_ref());
        named(process, nspawn, docker)
    }

    /// The same, to be replaced by what they mean.
    pub fn artifacts_mut(&mut self) -> Vec<(&'static str, &mut String)> {
        let process = self.process.as_mut().and_then(|section| section.artifact.as_mut());
        let nspawn = self.nspawn.as_mut().and_then(|section| section.artifact.as_mut());
        let docker = self.docker.as_mut().and_then(|section| section.artifact.as_mut());
        named(process, nspawn, docker)
    }

    /// The requests of one instance, with the driver's default memory filled in.
    #[must_use]
    pub fn ask(&self) -> Resources {
        let whole_system = matches!(self.driver, DriverKind::Nspawn | DriverKind::Vm);
        let default = if whole_system { Bytes::from_mib(2048) } else { Bytes::from_mib(64) };
        Resources {
            cpu: self.resources.cpu,
            memory: self.resources.memory.unwrap_or(default),
            disk: self.resources.disk,
            network: self.resources.network,
        }
    }

    /// What an executor needs to run one instance; equal for two versions that differ only in
    /// what the scheduler cares about.
    #[must_use]
    pub fn spec(&self) -> crate::instance::Spec {
        crate::instance::Spec {
            namespace: self.namespace.clone(),
            workload: self.name.clone(),
            kind: self.kind,
            driver: self.driver,
            sections: self.sections(),
            resources: self.resources.clone(),
            memory: self.ask().memory,
            ports: self.ports.clone(),
            checks: self.checks.clone(),
            restart: self.restart.clone(),
            min_ready: self.update.min_ready,
            stop: self.stop.clone(),
            hooks: self.hooks.clone(),
            recycle: self.recycle.clone(),
            logs: self.logs.clone(),
            fenced: self.reschedule.on_node_loss == OnNodeLoss::Fence,
        }
    }

    /// Whether going from `self` to `next` needs new instances: driver, section, resources, ports,
    /// checks, hooks, kind or fencing differ. All else is taken in place.
    #[must_use]
    pub fn destructive(&self, next: &Self) -> bool {
        let ours = (self.driver, self.sections(), &self.resources, &self.ports, &self.checks);
        let theirs = (next.driver, next.sections(), &next.resources, &next.ports, &next.checks);
        let fence = |w: &Self| w.reschedule.on_node_loss == OnNodeLoss::Fence;
        ours != theirs
            || self.kind != next.kind
            || self.hooks != next.hooks
            || fence(self) != fence(next)
    }
}
