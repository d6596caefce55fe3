//! `engine`: the core alone, on one core, every node considered.

use std::time::Duration;

use ostler_core::head::Head;
use ostler_core::id::{Epoch, Generation, NodeName, PoolName, Revision, SpecHash, Term, Version};
use ostler_core::instance::{Manifest, Observed, Report as NodeReport, Status, Usage};
use ostler_core::node::{Admin, Facts, Kept, Liveness, Node};
use ostler_core::reconcile::{Decision, Engine, Event, Plan, Settings};
use ostler_core::resources::{Bytes, Resources};
use ostler_core::time::Timestamp;
use ostler_core::workload::{self, Workload};
use ostler_service::clock;

use crate::args::{Case, Engine as Args};
use crate::machine::peak_rss_mib;
use crate::report::{Report, Values, count};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Racks of the simulated fleet.
const RACKS: u32 = 100;

/// Measures what was asked for.
pub fn measure(args: &Args) -> anyhow::Result<Report> {
    let instances = args.instances.unwrap_or_else(|| usual(args));
    let mut report = Report::new("engine");
    report.setup("case", format!("{:?}", args.case));
    report.setup("nodes", args.nodes);
    report.setup("instances", instances);
    report.setup("rounds", args.rounds);
    let rounds: anyhow::Result<Vec<Round>> =
        (0..args.rounds).map(|_| round(args, instances)).collect();
    let rounds = rounds?;
    let took = Values::of(rounds.iter().map(|round| round.took.as_secs_f64() * 1000.0));
    let placed = rounds.first().map_or(0, |round| round.placed);
    match args.case {
        Case::Explain => report.percentiles("explanation", &took, "ms"),
        Case::Copy => report.percentiles("copy", &took, "ms"),
        Case::Basic
        | Case::Empty
        | Case::Spread
        | Case::AntiAffinity
        | Case::Preemption
        | Case::Many => {
            let best = took.percentile(0.0).max(f64::MIN_POSITIVE);
            let typical = took.percentile(0.5).max(f64::MIN_POSITIVE);
            let what = if args.case == Case::Preemption { "evictions" } else { "placements" };
            let rate = |took: f64| count(placed) * 1000.0 / took;
            report.figure(&format!("{what} per second, typical"), rate(typical), "/s");
            report.figure(&format!("{what} per second, best"), rate(best), "/s");
            report.figure(what, count(placed), "instances");
            report.percentiles("all of them", &took, "ms");
        }
    }
    if let Some(round) = rounds.first() {
        let per = Values::of(round.per_group.iter().map(|each| count(*each)));
        let group = if args.case == Case::Spread { "rack" } else { "node" };
        report.figure(&format!("per {group}, least"), per.percentile(0.0), "instances");
        report.figure(&format!("per {group}, most"), per.percentile(1.0), "instances");
    }
    if let Some(peak) = peak_rss_mib(std::process::id()) {
        report.figure("peak memory", f64::from(u32::try_from(peak)?), "MiB");
    }
    Ok(report)
}

fn usual(args: &Args) -> u32 {
    match args.case {
        Case::Basic => 50_000,
        Case::Empty | Case::Copy => args.nodes.saturating_mul(100).min(1_000_000),
        Case::Spread => 500,
        Case::Many => args.nodes,
        Case::AntiAffinity => args.nodes * 2 / 5,
        Case::Preemption => args.nodes,
        Case::Explain => 1,
    }
}

/// One measurement.
struct Round {
    took: Duration,
    placed: usize,
    per_group: Vec<usize>,
}

fn round(args: &Args, instances: u32) -> anyhow::Result<Round> {
    let mut bench = Bench::new(args.nodes)?;
    match args.case {
        Case::Basic => bench.fill("others", args.nodes * 10, "")?,
        Case::AntiAffinity => bench.fill("others", args.nodes / 5, APART)?,
        Case::Empty | Case::Spread | Case::Explain | Case::Copy | Case::Many => {}
        // Ten on each node, and no room for an eleventh.
        Case::Preemption => bench.fill("others", args.nodes * 10, LESS)?,
    }
    let more = match args.case {
        Case::Basic | Case::Empty | Case::Copy | Case::Many => "",
        Case::Spread => r#", "placement": {"spread": {"attribute": "node.labels.rack"}}"#,
        Case::AntiAffinity => APART,
        Case::Preemption => MORE,
        Case::Explain => r#", "placement": {"require": ["node.labels.rack == nowhere"]}"#,
    };
    if args.case == Case::Copy {
        bench.fill("web", instances, more)?;
        return Ok(bench.copy());
    }
    if args.case == Case::Many {
        (0..instances).try_for_each(|number| bench.put(&format!("web-{number:06}"), 1, more))?;
    } else {
        bench.put("web", instances, more)?;
    }
    if args.case == Case::Explain {
        return bench.explain();
    }
    let began = clock::instant();
    let plans = bench.plan();
    let took = clock::since(began);
    Ok(bench.count(took, &plans, args.case == Case::Spread))
}

/// What fills the nodes, ten to each, and what is more important.
const LESS: &str = r#", "priority": 10"#;
const MORE: &str = r#", "priority": 90"#;

/// Both workloads are of one group of which a node takes one.
const APART: &str = r#", "placement": {"anti_affinity": {"group": "apart", "mode": "hard"}}"#;

/// An engine with a fleet.
struct Bench {
    engine: Engine,
    nodes: Vec<NodeName>,
    versions: u32,
}

impl Bench {
    fn new(nodes: u32) -> anyhow::Result<Self> {
        let settings = Settings { batch: usize::MAX, preemption: true, ..Settings::default() };
        let mut engine = Engine::new(PoolName::default(), settings, 1);
        let mut names = Vec::new();
        for number in 0..nodes {
            let node = node(number)?;
            names.push(node.name.clone());
            engine.observe(Event::Node(Box::new(node)), START);
        }
        Ok(Self { engine, nodes: names, versions: 0 })
    }

    fn put(&mut self, name: &str, instances: u32, more: &str) -> anyhow::Result<()> {
        let memory = if more.contains("priority") { "6GiB" } else { "8MiB" };
        let text = format!(
            r#"{{"name": "{name}", "driver": "sim", "count": {instances},
                "resources": {{"cpu": 10, "memory": "{memory}"}}{more}}}"#
        );
        let spec: Workload = workload::from_json(&text)?;
        self.versions += 1;
        let head = Head {
            spec,
            version: Version(1),
            compatible_since: Version(1),
            spec_hash: SpecHash([7; 32]),
            restart_generation: Generation(0),
            reload_generation: Generation(0),
            stopped: false,
            deleted: false,
            purge: false,
            updated_at: START,
            op_id: self.versions.to_string(),
            earlier: Vec::new(),
        };
        self.engine.observe(Event::Workload(Box::new(head)), START);
        Ok(())
    }

    /// Plans until nothing is left to do.
    fn plan(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        loop {
            let plan = self.engine.plan(START);
            let more = plan.more;
            plans.push(plan);
            if !more {
                return plans;
            }
        }
    }

    /// Places instances and reports them running.
    fn fill(&mut self, name: &str, instances: u32, more: &str) -> anyhow::Result<()> {
        self.put(name, instances, more)?;
        self.plan();
        for (revision, node) in (1..).zip(self.nodes.clone()) {
            let manifest = self.engine.manifest(&node).unwrap_or_default();
            self.engine.committed(&node, Term(1), Revision(revision));
            let report = running(&manifest, Revision(revision));
            self.engine.observe(Event::Report(node, Box::new(report)), START);
        }
        self.plan();
        Ok(())
    }

    /// Both live on, so that what a copy shares with its original is not given away.
    fn copy(self) -> Round {
        let began = clock::instant();
        let copy = self.engine.clone();
        let took = clock::since(began);
        drop((copy, self.engine));
        Round { took, placed: 0, per_group: Vec::new() }
    }

    fn explain(mut self) -> anyhow::Result<Round> {
        self.plan();
        let key = "default/web".parse()?;
        let began = clock::instant();
        let explained = self.engine.explain_workload(&key, None, START);
        let took = clock::since(began);
        let asked = explained.map_or(0, |explained| explained.verdicts.asked);
        anyhow::ensure!(index(asked) == self.nodes.len(), "{asked} nodes explained");
        Ok(Round { took, placed: 0, per_group: Vec::new() })
    }

    /// What the plans placed, by node or by rack.
    fn count(&self, took: Duration, plans: &[Plan], racks: bool) -> Round {
        let mut groups = vec![0; if racks { index(RACKS) } else { self.nodes.len() }];
        let mut placed = 0;
        for decision in plans.iter().flat_map(|plan| &plan.decisions) {
            let (Decision::Place { node, .. } | Decision::Preempt { node, .. }) = decision else {
                continue;
            };
            let Ok(number) = self.nodes.binary_search(node) else { continue };
            placed += 1;
            let group = if racks { number % index(RACKS) } else { number };
            groups[group] += 1;
        }
        Round { took, placed, per_group: groups }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("a usize has 32 bits")
}

fn node(number: u32) -> anyhow::Result<Node> {
    let labels = [("rack".to_owned(), format!("r{}", number % RACKS))].into();
    let drivers = [("sim".to_owned(), "1.0".to_owned())].into();
    Ok(Node {
        name: format!("node-{number:06}").parse()?,
        pool: PoolName::default(),
        admin: Admin::Active,
        liveness: Liveness::Online,
        liveness_since: START,
        epoch: Epoch(1),
        facts: Facts {
            arch: "amd64".to_owned(),
            os: "linux".to_owned(),
            kernel: "6.1.0".to_owned(),
            boot_id: String::new(),
            hardware: String::new(),
            zone: format!("z{}", number % 3),
            capacity: Resources {
                cpu: 64_000 + u64::from(number % 7) * 1000,
                memory: Bytes::from_mib(65_536),
                disk: Bytes::from_mib(1 << 20),
                network: 10_000,
            },
            reserved: Resources::default(),
            max_instances: 4_000,
            drivers,
            labels,
            addresses: vec!["127.0.0.1".to_owned()],
            ports: (20_000, 29_999),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            battery: false,
        },
        drain_deadline: None,
        key: String::new(),
        left_empty: false,
        kept: Kept::default(),
        op_id: String::new(),
    })
}

/// What an executor says whose instances all run.
fn running(manifest: &Manifest, applied: Revision) -> NodeReport {
    let entries = manifest
        .groups
        .iter()
        .flat_map(|group| group.entries.iter().map(|entry| (group.version, entry)));
    let statuses = entries.map(|(version, entry)| Status {
        id: entry.id,
        generation: entry.generation,
        observed: Observed::Running,
        ready: true,
        proven: true,
        since: START,
        ready_at: Some(START),
        proven_at: None,
        restarts: 0,
        exit: None,
        reason: String::new(),
        pid: None,
        version,
        usage: Usage::default(),
    });
    let statuses = statuses.collect();
    NodeReport { epoch: Epoch(1), term: Term(1), applied, statuses, ..NodeReport::default() }
}
