//! The bare bus: the same bytes on the same paths, and nobody who thinks. What the whole path takes
//! is compared with it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::future::try_join_all;
use ostler_bus::{Batch, Bus, Pings, WatchEvent};
use ostler_core::id::{NodeName, PoolName, Revision};
use ostler_schemas::bucket::{Bucket, Key};
use ostler_schemas::wire::{Format, Wire, WireError};
use ostler_service::{Program, clock};

use super::executors::name;
use super::nats::Nats;
use crate::args::Servers;

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(120);

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many nodes hear of a manifest, read it, and write a report.
    pub nodes: u32,
    /// Connections that they share.
    pub connections: u32,
    /// Bytes of each manifest.
    pub down: usize,
    /// Bytes of each report.
    pub up: usize,
}

/// A value as it is on the wire.
struct Raw(Bytes);

impl Wire for Raw {
    const FORMAT: Format = Format::Protobuf;

    fn encode(&self, _format: Format) -> Vec<u8> {
        self.0.to_vec()
    }

    fn decode(bytes: &[u8], _format: Format) -> Result<Self, WireError> {
        Ok(Self(Bytes::copy_from_slice(bytes)))
    }
}

/// A node's key, whatever is there.
struct RawKey(Bucket, NodeName);

impl fmt::Display for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.1.fmt(f)
    }
}

impl Key for RawKey {
    type Value = Raw;

    fn bucket(&self) -> Bucket {
        self.0.clone()
    }
}

/// From the first fenced batch until every node's report was heard, on servers of its own.
pub async fn bare(servers: &Servers, load: Load) -> anyhow::Result<Duration> {
    let nats = Nats::start(servers).await;
    let (config, program) = (nats.config(), Program::new());
    let bus = Bus::connect(&config, "bare", Pings::Usual, &program).await?;
    bus.provision(&config.pools).await?;
    let shared = (0..load.connections.clamp(1, load.nodes))
        .map(|_| Bus::connect(&config, "bare-nodes", Pings::Usual, &program));
    let shared = try_join_all(shared).await?;
    let nodes: Vec<NodeName> = (0..load.nodes).map(name).collect::<Result<_, _>>()?;
    let took = exchange(&bus, &shared, &nodes, load).await;
    let cleaned = nats.clean(&bus).await;
    program.tasks.shut_down(Duration::from_secs(5)).await;
    let took = took?;
    cleaned?;
    Ok(took)
}

async fn exchange(
    bus: &Bus,
    shared: &[Bus],
    nodes: &[NodeName],
    load: Load,
) -> anyhow::Result<Duration> {
    let mut reports = bus.watch(&Bucket::Reports).await?;
    let report: Bytes = vec![7; load.up].into();
    let hints = nodes.iter().zip(shared.iter().cycle()).map(async |(node, bus)| {
        Ok::<_, anyhow::Error>((node.clone(), bus.hints(&PoolName::default(), node).await?))
    });
    for (node, mut hints) in try_join_all(hints).await? {
        let own = shared[usize::try_from(node_number(&node))? % shared.len()].clone();
        let report = report.clone();
        bus.program().tasks.spawn_brief(async move {
            if hints.next().await.is_some() {
                answer(&own, node, report).await.ok();
            }
        });
    }
    let manifest: Bytes = vec![7; load.down].into();
    let began = clock::instant();
    let commit = commit(bus, nodes, &manifest);
    let heard = async {
        let mut left = nodes.len();
        while left > 0 {
            match reports.next().await {
                Some(WatchEvent::Put { .. }) => left -= 1,
                Some(_) => {}
                None => bail!("the program stops"),
            }
        }
        Ok(())
    };
    let done = tokio::time::timeout(WITHIN, async { tokio::try_join!(commit, heard) }).await;
    done.context("the bare bus takes too long")??;
    Ok(clock::since(began))
}

fn node_number(node: &NodeName) -> u32 {
    node.as_str().rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// As an executor does: reads its manifest by direct get, writes its report by compare-and-set.
async fn answer(bus: &Bus, node: NodeName, report: Bytes) -> anyhow::Result<()> {
    let manifest = RawKey(Bucket::Placements(PoolName::default()), node.clone());
    bus.get_direct(&manifest).await?;
    bus.update(&RawKey(Bucket::Reports, node), &Raw(report), Revision(0)).await?;
    Ok(())
}

/// As a leader does: batch after batch, each at the sequence that it follows.
async fn commit(bus: &Bus, nodes: &[NodeName], manifest: &Bytes) -> anyhow::Result<()> {
    let pool = PoolName::default();
    let (mut after, mut batch) = (Revision(0), Batch::new());
    for node in nodes {
        let key = RawKey(Bucket::Placements(pool.clone()), node.clone());
        let value = Raw(manifest.clone());
        if batch.put(&key, &value).is_err() {
            after = bus.commit(&pool, std::mem::take(&mut batch), after).await?;
            batch.put(&key, &value)?;
        }
    }
    bus.commit(&pool, batch, after).await?;
    Ok(())
}
