//! `failover`: nodes die at once, and everything of theirs runs elsewhere again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use ostler_bus::{Watch, WatchEvent};
use ostler_core::id::{InstanceId, NodeName, PoolName};
use ostler_core::instance::{Observed, Report as NodeReport};
use ostler_schemas::bucket::{Bucket, ManifestKey};
use ostler_service::clock;

use crate::args::Servers;
use crate::fleet::{Fleet, Setup, name};
use crate::report::growth::{Row, sizes};
use crate::report::{Report, Values};
use crate::scenario::latency::ms;
use crate::scenario::place::sim;
use crate::scenario::slots::Slots;
use crate::scenario::tally::{Goal, Tally};

/// What is shown at each size.
const GROWING: [&str; 5] = ["replaced", "p50", "p99", "max", "peak memory"];
/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// How many simulated nodes there are in all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pub nodes: u32,
    /// How many instances run on each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub each: u32,
    /// How many nodes die at the same moment.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub killed: u32,
    /// How often that happens.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Also kill the leading one of two `registry` or `scheduler` replicas, in the first round.
    #[arg(long, value_parser = ["registry", "scheduler"])]
    pub with: Option<String>,
    /// Measure at this size only, not also at a tenth and a hundredth of the nodes.
    #[arg(long)]
    pub alone: bool,
    /// Which NATS.
    #[command(flatten)]
    pub servers: Servers,
}

/// Measures what was asked for, at all sizes.
pub async fn measure(args: &Args) -> anyhow::Result<Report> {
    let dying = args.killed * args.rounds;
    ensure!(dying * 3 < args.nodes, "more than a third would die: that is a mass loss, not this");
    let (mut rows, mut last) = (Vec::new(), Report::new("failover"));
    for nodes in sizes(args.nodes, 10, args.alone) {
        // Of a small fleet few may die: more would be taken for a mass loss.
        let killed = args.killed.min(nodes / 10).max(1);
        let rounds = args.rounds.min(nodes.div_ceil(3 * killed) - 1).max(1);
        last = one(&Args { nodes, killed, rounds, ..args.clone() }).await?;
        rows.push(Row::of(nodes, &last, &GROWING));
    }
    Ok(Report { growth: rows, ..last })
}

async fn one(args: &Args) -> anyhow::Result<Report> {
    let dying = args.killed * args.rounds;
    let mut report = Report::new("failover");
    report.setup("nodes", args.nodes);
    report.setup("instances", args.nodes * args.each);
    report.setup("killed", args.killed);
    report.setup("rounds", args.rounds);
    report.setup("with", args.with.as_deref().unwrap_or("nothing else"));
    let setup = Setup {
        nodes: args.nodes - dying,
        groups: (0..args.rounds).map(|_| args.killed).collect(),
        replicas_of_services: if args.with.is_some() { 2 } else { 1 },
        servers: args.servers.clone(),
        ..Setup::default()
    };
    Fleet::with(&setup, &mut report, async |fleet, report| run(args, fleet, report).await).await?;
    report.note("from a dead node's last beat that was heard here to each replacement's report");
    report
        .note("dead nodes are processes of their own, ended by SIGKILL; others share one process");
    Ok(report)
}

async fn run(args: &Args, fleet: &mut Fleet, report: &mut Report) -> anyhow::Result<()> {
    let wanted = args.nodes * args.each;
    fleet.put("load", &sim(wanted)).await?;
    let began = clock::instant();
    let bar = ProgressBar::new(wanted.into()).with_message("running");
    let mut tally = Tally::begin(&fleet.bus).await?;
    tally.until(Goal { running: wanted, began, within: WITHIN }, &bar).await?;
    bar.finish_and_clear();
    drop(tally);
    let mut times = Vec::new();
    let mut dead = BTreeSet::new();
    for round in 0..args.rounds {
        let first = args.nodes - (args.rounds - round) * args.killed;
        let nodes: Result<Vec<NodeName>, _> = (first..first + args.killed).map(name).collect();
        let round = Round::begin(fleet, &nodes?, round).await?;
        dead.extend(round.victims.keys().map(ToString::to_string));
        times.extend(round.run(args, fleet).await?);
    }
    Slots::read(&fleet.bus, &dead).await?.exactly(wanted)?;
    let times = Values::of(times);
    report.figure("replaced", crate::report::count(times.len()), "instances");
    for (key, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        report.figure(key, times.percentile(share), "ms");
    }
    report.histogram("last beat to replacement running", &times, "ms");
    report.note("checked: exactly the wanted instances run afterwards, each slot once");
    Ok(())
}

/// One death of some nodes.
struct Round {
    child: String,
    first: bool,
    /// The slots that each has.
    victims: BTreeMap<NodeName, Vec<u32>>,
    /// What runs before, anywhere.
    before: BTreeSet<InstanceId>,
    beats: Watch,
    reports: Watch,
    /// When the last beat of each was heard.
    last: BTreeMap<NodeName, Instant>,
}

impl Round {
    async fn begin(fleet: &Fleet, nodes: &[NodeName], round: u32) -> anyhow::Result<Self> {
        let slots = Slots::read(&fleet.bus, &BTreeSet::new()).await?;
        let before = slots.ordered.values().flatten().map(|(id, _)| *id).collect();
        let mut victims: BTreeMap<NodeName, Vec<u32>> =
            nodes.iter().map(|node| (node.clone(), Vec::new())).collect();
        for ((_, slot), held) in &slots.ordered {
            for (_, node) in held {
                if let Some(victim) = victims.get_mut(&node.parse::<NodeName>()?) {
                    victim.push(*slot);
                }
            }
        }
        Ok(Self {
            child: format!("nodes-{round}"),
            first: round == 0,
            victims,
            before,
            beats: fleet.bus.watch(&Bucket::Heartbeats).await?,
            reports: fleet.bus.watch(&Bucket::Reports).await?,
            last: BTreeMap::new(),
        })
    }

    async fn run(mut self, args: &Args, fleet: &mut Fleet) -> anyhow::Result<Vec<f64>> {
        self.hear_all().await?;
        fleet.kill(&self.child)?;
        if let (true, Some(service)) = (self.first, args.with.as_deref()) {
            let lease = if service == "registry" { "registry" } else { "scheduler-default" };
            let leader = fleet.holder(lease).await?;
            fleet.kill(&leader)?;
        }
        let killed = clock::instant();
        let mut homeless: BTreeMap<u32, NodeName> = BTreeMap::new();
        for (node, slots) in &self.victims {
            homeless.extend(slots.iter().map(|slot| (*slot, node.clone())));
        }
        let bar = ProgressBar::new(u64::try_from(homeless.len())?).with_message("replaced");
        let mut times = Vec::new();
        while !homeless.is_empty() {
            if clock::since(killed) > WITHIN {
                bail!("{} instances were not replaced within {WITHIN:?}", homeless.len());
            }
            tokio::select! {
                beat = self.beats.next() => self.hear_beat(beat)?,
                report = self.reports.next() => {
                    let heard = clock::instant();
                    for slot in self.hear_report(fleet, report).await? {
                        if let Some(node) = homeless.remove(&slot) {
                            let last = self.last.get(&node).copied().unwrap_or(killed);
                            times.push(ms(heard.duration_since(last)));
                            bar.inc(1);
                        }
                    }
                }
            }
        }
        bar.finish_and_clear();
        Ok(times)
    }

    /// Waits until a beat of each that is to die was heard, and all reports.
    async fn hear_all(&mut self) -> anyhow::Result<()> {
        while !matches!(self.reports.next().await, Some(WatchEvent::CaughtUp { .. }) | None) {}
        let began = clock::instant();
        while self.last.len() < self.victims.len() {
            ensure!(clock::since(began) < WITHIN, "a node that is to die does not beat");
            let beat = self.beats.next().await;
            self.hear_beat(beat)?;
        }
        Ok(())
    }

    fn hear_beat(&mut self, event: Option<WatchEvent>) -> anyhow::Result<()> {
        match event {
            Some(WatchEvent::Put { key, .. }) => {
                let node: NodeName = key.parse()?;
                if self.victims.contains_key(&node) {
                    self.last.insert(node, clock::instant());
                }
                Ok(())
            }
            Some(_) => Ok(()),
            None => bail!("the program stops"),
        }
    }

    /// The slots of what runs newly by this report.
    async fn hear_report(
        &mut self,
        fleet: &Fleet,
        event: Option<WatchEvent>,
    ) -> anyhow::Result<Vec<u32>> {
        let (node, value) = match event {
            Some(WatchEvent::Put { key, value, .. }) => (key.parse::<NodeName>()?, value),
            Some(_) => return Ok(Vec::new()),
            None => bail!("the program stops"),
        };
        let report: NodeReport = WatchEvent::decode(&value)?;
        let new: BTreeSet<InstanceId> = report
            .statuses
            .iter()
            .filter(|one| one.observed == Observed::Running && !self.before.contains(&one.id))
            .map(|one| one.id)
            .collect();
        if new.is_empty() || self.victims.contains_key(&node) {
            return Ok(Vec::new());
        }
        let key = ManifestKey { pool: PoolName::default(), node };
        let Some(manifest) = fleet.bus.get(&key).await? else { return Ok(Vec::new()) };
        let entries = manifest.value.groups.iter().flat_map(|group| &group.entries);
        Ok(entries.filter(|entry| new.contains(&entry.id)).map(|entry| entry.slot.0).collect())
    }
}
