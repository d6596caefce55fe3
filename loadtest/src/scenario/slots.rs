//! Which slots are held by what that runs, from manifests and reports: the check that exactly the
//! wanted instances run, and none twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use ostler_bus::{Bus, WatchEvent};
use ostler_core::id::{InstanceId, PoolName, WorkloadKey};
use ostler_core::instance::{Desired, Manifest, Observed, Report};
use ostler_schemas::bucket::{Bucket, PlacementKey};

/// What is ordered, and what runs.
#[derive(Debug, Default)]
pub struct Slots {
    /// By workload and slot: what is ordered to run, with its node.
    pub ordered: BTreeMap<(WorkloadKey, u32), Vec<(InstanceId, String)>>,
    /// What runs, with its node.
    pub running: BTreeSet<(InstanceId, String)>,
}

impl Slots {
    /// As things stand now, without what nodes in `dead` once said.
    pub async fn read(bus: &Bus, dead: &BTreeSet<String>) -> anyhow::Result<Self> {
        let mut slots = Self::default();
        for (key, value) in all(bus, &Bucket::Placements(PoolName::default())).await? {
            let Some(PlacementKey::Manifest(node)) = PlacementKey::read(&key) else { continue };
            let manifest: Manifest = WatchEvent::decode(&value)?;
            slots.order(node.as_str(), &manifest);
        }
        for (node, value) in all(bus, &Bucket::Reports).await? {
            if dead.contains(&node) {
                continue;
            }
            let report: Report = WatchEvent::decode(&value)?;
            let runs = report.statuses.iter().filter(|one| one.observed == Observed::Running);
            slots.running.extend(runs.map(|one| (one.id, node.clone())));
        }
        Ok(slots)
    }

    fn order(&mut self, node: &str, manifest: &Manifest) {
        for group in &manifest.groups {
            for entry in group.entries.iter().filter(|entry| entry.desired == Desired::Run) {
                let slot = (group.key.clone(), entry.slot.0);
                self.ordered.entry(slot).or_default().push((entry.id, node.to_owned()));
            }
        }
    }

    /// Fails unless exactly `wanted` slots are ordered, each once, and exactly those run.
    pub fn exactly(&self, wanted: u32) -> anyhow::Result<()> {
        let twice = self.ordered.iter().filter(|(_, held)| held.len() > 1).count();
        ensure!(twice == 0, "{twice} slots are ordered twice");
        let ordered = self.ordered.len();
        ensure!(ordered == usize::try_from(wanted)?, "{ordered} instead of {wanted} are ordered");
        let held: BTreeSet<_> = self.ordered.values().flatten().cloned().collect();
        let missing = held.difference(&self.running).count();
        let stray = self.running.difference(&held).count();
        ensure!(missing == 0 && stray == 0, "{missing} do not run, {stray} run unordered");
        Ok(())
    }
}

/// All of a bucket at this moment.
pub async fn all(bus: &Bus, bucket: &Bucket) -> anyhow::Result<BTreeMap<String, bytes::Bytes>> {
    let mut watch = bus.watch(bucket).await?;
    let mut values = BTreeMap::new();
    loop {
        match watch.next().await {
            Some(WatchEvent::Put { key, value, .. }) => {
                values.insert(key, value);
            }
            Some(WatchEvent::Gone { key, .. }) => {
                values.remove(&key);
            }
            Some(WatchEvent::Resync) => values.clear(),
            Some(WatchEvent::CaughtUp { .. }) => return Ok(values),
            None => anyhow::bail!("the program stops"),
        }
    }
}
