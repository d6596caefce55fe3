//! `host`: what the host is, has and uses, by everything on it and by what is ours.

use std::path::PathBuf;
use std::sync::Arc;

use ostler_core::id::InstanceId;
use ostler_core::instance::Status;
use ostler_schemas::pb;
use ostler_schemas::problem::{Code, Problem};
use tokio::sync::{mpsc, oneshot};

use crate::agent::{Message, Snapshot};
use crate::host::machine::{Battery, Disk, Link, Machine, battery, disks, links};
use crate::host::{Live, memory, uptime_ms};
use crate::shared::Shared;
use crate::site::Site;

/// Answers questions for the host.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) site: Arc<Site>,
    pub(super) shared: Arc<Shared>,
    pub(super) agent: mpsc::Sender<Message>,
}

impl Desk {
    async fn statuses(&self) -> Result<Vec<Status>, Problem> {
        let gone = || Problem::new(Code::Unavailable, "the executor stops".to_owned());
        let (reply, snapshot) = oneshot::channel();
        self.agent.send(Message::Snapshot(reply)).await.map_err(|_| gone())?;
        let Snapshot { statuses, .. } = snapshot.await.map_err(|_| gone())?;
        Ok(statuses)
    }

    pub(super) async fn stats(&self, ask: pb::Stats) -> Result<pb::StatsReply, Problem> {
        let only = match ask.instance.as_str() {
            "" => None,
            text => {
                let wrong = |error| Problem::new(Code::Invalid, format!("`instance`: {error}"));
                Some(text.parse::<InstanceId>().map_err(wrong)?)
            }
        };
        let mut statuses = self.statuses().await?;
        statuses.retain(|status| only.is_none_or(|only| status.id == only));
        if let (Some(id), true) = (only, statuses.is_empty()) {
            return Err(Problem::new(Code::NotFound, format!("no instance {id} is here")));
        }
        let Live { used, .. } = self.shared.live().unwrap_or_default();
        let instances = statuses.into_iter().map(|status| pb::InstanceStats {
            instance: status.id.to_string(),
            pid: status.pid,
            cpu: status.usage.cpu,
            memory: status.usage.memory,
        });
        Ok(pb::StatsReply {
            cpu: used.cpu,
            memory: used.memory,
            disk: used.disk,
            network: used.network,
            instances: instances.collect(),
        })
    }

    pub(super) async fn host(&self) -> Result<pb::HostReply, Problem> {
        let statuses = self.statuses().await?;
        let ours = pb::HostShare {
            instances: self.shared.instances(),
            cpu: statuses.iter().map(|status| status.usage.cpu).sum(),
            memory: statuses.iter().map(|status| status.usage.memory).sum(),
        };
        let data_dir = self.site.data_dir.clone().unwrap_or_else(|| PathBuf::from("/"));
        // A file system that does not answer keeps this thread, and nobody else.
        let looked = tokio::task::spawn_blocking(move || {
            (Machine::here(), disks(&data_dir), links(), battery(), memory())
        });
        let (machine, disks, links, battery, (total, used)) =
            looked.await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let (facts, live) = (&self.site.facts, self.shared.live().unwrap_or_default());
        Ok(pb::HostReply {
            system: machine.system,
            kernel: facts.kernel.clone(),
            arch: facts.arch.clone(),
            processor: machine.processor,
            virtualization: machine.virtualization,
            kvm: machine.kvm,
            hardware: facts.hardware.clone(),
            drivers: facts.drivers.clone(),
            missing: self.site.missing.clone(),
            uptime_ms: uptime_ms(),
            load: live.load.to_vec(),
            cores: live.cores,
            memory_total: total,
            memory_used: used,
            disks: disks.into_iter().map(disk).collect(),
            links: links.into_iter().map(link).collect(),
            battery: battery.map(|Battery { percent, state }| pb::HostBattery { percent, state }),
            ours: Some(ours),
        })
    }
}

fn disk(Disk { path, device, kind, total, used }: Disk) -> pb::HostDisk {
    pb::HostDisk { path, device, kind, total, used }
}

fn link(Link { name, mac, up, speed, received, sent }: Link) -> pb::HostLink {
    pb::HostLink { name, mac, up, speed, received, sent }
}
