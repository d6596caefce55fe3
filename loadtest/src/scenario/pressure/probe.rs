//! Those who want little: how long they wait.

use std::time::Duration;

use anyhow::{bail, ensure};
use ostler_bus::{Watch, WatchEvent};
use ostler_core::instance::{Observed, Report, Status};
use ostler_schemas::bucket::Bucket;
use ostler_service::clock;
use serde_json::{Value, json};

use crate::fleet::{Fleet, name};
use crate::report::Values;
use crate::scenario::latency::ms;

/// How long one start may take.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two reads.
const PAUSE: Duration = Duration::from_millis(20);
/// What stands all the time, and is read.
const STANDING: u32 = 500;

/// What pressing workloads keep away from, so that a report of the probe's node is of the probe.
pub const ELSEWHERE: &str = "node.labels.rack != r0";

/// How long the probes waited, in milliseconds.
#[derive(Debug)]
pub struct Probe {
    /// From the request to the report, for each start.
    pub starts: Values,
    /// For each read.
    pub reads: Values,
}

/// Puts what is read.
pub async fn stand(fleet: &Fleet) -> anyhow::Result<()> {
    fleet.put("standing", &elsewhere(STANDING)).await
}

/// A workload that keeps away from the probe's node.
pub fn elsewhere(count: u32) -> Value {
    json!({
        "driver": "sim", "count": count, "resources": { "cpu": 10, "memory": "8MiB" },
        "placement": { "require": [ELSEWHERE] },
    })
}

impl Probe {
    /// Probes for a while.
    pub async fn run(fleet: &Fleet, time: Duration) -> anyhow::Result<Self> {
        let (starts, reads) = tokio::try_join!(starts(fleet, time), reads(fleet, time))?;
        ensure!(!starts.is_empty(), "nothing was started within {time:?}");
        Ok(Self { starts: Values::of(starts), reads: Values::of(reads) })
    }
}

/// Starts and ends one after the other.
async fn starts(fleet: &Fleet, time: Duration) -> anyhow::Result<Vec<f64>> {
    let (began, mut times) = (clock::instant(), Vec::new());
    let node = name(0)?.to_string();
    let small = json!({
        "driver": "sim", "count": 1, "resources": { "cpu": 10, "memory": "8MiB" },
        "placement": { "node": node },
    });
    let mut reports = fleet.bus.watch(&Bucket::Reports).await?;
    while clock::since(began) < time {
        let asked = clock::instant();
        let name = format!("probe-{}", times.len());
        fleet.put(&name, &small).await?;
        running(&mut reports, &node, 1).await?;
        times.push(ms(clock::since(asked)));
        fleet.remove(&name).await?;
        running(&mut reports, &node, 0).await?;
    }
    Ok(times)
}

/// Waits until so many run on a node.
async fn running(reports: &mut Watch, node: &str, wanted: usize) -> anyhow::Result<()> {
    let heard = async {
        loop {
            match reports.next().await {
                Some(WatchEvent::Put { key, value, .. }) if key == node => {
                    let report: Report = WatchEvent::decode(&value)?;
                    let run = |one: &&Status| one.observed == Observed::Running;
                    if report.statuses.iter().filter(run).count() == wanted {
                        return Ok(());
                    }
                }
                Some(_) => {}
                None => bail!("the program stops"),
            }
        }
    };
    match tokio::time::timeout(WITHIN, heard).await {
        Ok(heard) => heard,
        Err(_) => bail!("not {wanted} on `{node}` within {WITHIN:?}"),
    }
}

async fn reads(fleet: &Fleet, time: Duration) -> anyhow::Result<Vec<f64>> {
    let (began, mut times) = (clock::instant(), Vec::new());
    let paths = ["/v1/instances?limit=100", "/v1/workloads/default/standing"];
    for path in paths.iter().cycle() {
        if clock::since(began) >= time {
            break;
        }
        let asked = clock::instant();
        fleet.read(path).await?;
        times.push(ms(clock::since(asked)));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(times)
}
