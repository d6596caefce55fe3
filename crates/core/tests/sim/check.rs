//! What must hold after every step, whatever happened: the promises of `scheduling.md` § 5.

use std::collections::{BTreeMap, BTreeSet};

use ostler_core::id::{
    Generation, InstanceId, NodeName, PoolName, Slot, Term, Version, WorkloadKey,
};
use ostler_core::instance::{Desired, Manifest, Report};
use ostler_core::reconcile::Progress;
use ostler_core::resources::Resources;
use ostler_core::supervise::Order;
use ostler_core::time::Timestamp;
use ostler_core::workload::{OnNodeLoss, Workload};

use crate::bus::{Answer, Ask, Bucket, Told, Val};
use crate::world::{Ev, Who, World, say};

mod failure;
mod plan;
mod pressure;
mod stop;

/// What manifests have ever said of an instance.
#[derive(Debug, Clone)]
pub struct Ordered {
    pub node: NodeName,
    pub key: WorkloadKey,
    pub slot: Slot,
    pub generation: Generation,
    pub stop: bool,
    pub dropped: bool,
}

/// What is known to whoever sees everything.
#[derive(Debug, Default)]
pub struct Ledger {
    pub wrong: Option<String>,
    pub texts: BTreeMap<(WorkloadKey, Version), Workload>,
    pub ordered: BTreeMap<InstanceId, Ordered>,
    /// Nodes that were removed from the fleet: what ran there is nobody's business any more.
    pub removed: BTreeSet<NodeName>,
    /// Where a leader last saw one fail or be declined, of which version: every later one knows it.
    pub failed: BTreeMap<(PoolName, WorkloadKey, NodeName), (Version, Timestamp)>,
    /// The same of what a leader planned with and has not written yet: whether its successor learns
    /// it hangs on what the node still says by then.
    pub unwritten: BTreeMap<(PoolName, Term, WorkloadKey, NodeName), (Version, Timestamp)>,
    /// Ends that were reported, with the generation that ended.
    ended: BTreeMap<InstanceId, Generation>,
}

impl Ledger {
    pub fn fail(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }
}

impl World {
    /// The server does what it is asked.
    pub fn serve(&mut self, who: Who, ask: Ask) -> Answer {
        let now = self.now;
        match ask {
            Ask::Lease { key, holder, ttl } => self.server.hold(&key, holder, ttl, now),
            Ask::Release { key, holder } => {
                if self.server.lease(&key, now).is_some_and(|lease| lease.holder == holder) {
                    self.server.leases.remove(&key);
                }
                Answer::Yes(0)
            }
            Ask::LookLease { key } => match self.server.lease(&key, now) {
                Some(lease) => Answer::Yes(lease.revision),
                None => Answer::No,
            },
            Ask::Lasts { pool } => {
                let all = ostler_core::reconcile::Source::ALL;
                let last = |of| (of, self.server.stream(&Bucket::of(of, &pool)).last);
                Answer::Lasts(all.into_iter().map(last).collect())
            }
            Ask::Commit { pool, after, writes } => {
                let answer = self.server.commit(&pool, after, &writes);
                if matches!(answer, Answer::Yes(_)) {
                    self.committed(who, &pool, &writes);
                }
                answer
            }
            Ask::Stand { pool } => self.server.stand(&pool),
            Ask::Update { bucket, key, value, after } => {
                if let Some(Val::Report(report)) = &value {
                    self.reported(report, &key, after);
                }
                let gone = value.is_none();
                let answer = self.server.update((&bucket, &key), value, after);
                if matches!(answer, Answer::Yes(_)) {
                    self.written(&bucket);
                    if gone && bucket == Bucket::Nodes {
                        self.ledger.removed.insert(key.parse().expect("a node's name"));
                    }
                }
                answer
            }
            Ask::Get { bucket, key, by_leader } => {
                let lags = !by_leader && !self.calm && self.net.percent(3);
                let stream = self.server.stream(&bucket);
                let told: Option<Told> = if lags {
                    stream.before.get(&key).cloned()
                } else {
                    stream.keys.get(&key).cloned()
                };
                Answer::Got(told)
            }
            Ask::Challenge { node } => self.challenge(node),
            Ask::Hello { node, after } => self.hello(node, after),
        }
    }

    pub fn reported(&mut self, report: &Report, node: &str, after: Option<u64>) {
        let last = self.server.stream(&Bucket::Reports).keys.get(node).map_or(0, |t| t.revision);
        if after != Some(last) {
            return;
        }
        for status in report.statuses.iter().filter(|status| status.observed.ended()) {
            self.ledger.ended.insert(status.id, status.generation);
        }
    }

    /// A batch is in the stream: what it orders is held against what is and was.
    pub fn committed(&mut self, who: Who, pool: &PoolName, writes: &[(String, Option<Val>)]) {
        for (key, value) in writes {
            self.failures_written(pool, key);
            match value {
                Some(Val::Manifest(manifest)) => {
                    let node: NodeName = key.parse().expect("a node's name");
                    say!(self, "{who:?} commits {key}: {}", show(manifest));
                    self.check_manifest(&node, manifest);
                    self.note_manifest(&node, manifest);
                    self.hint(&node, manifest.revision.0);
                }
                Some(Val::Term(term, _)) => say!(self, "{who:?} writes term {term}"),
                Some(Val::Progress(progress)) => {
                    say!(self, "{who:?} commits {key}: {}", remembered(progress));
                }
                None => {
                    say!(self, "{who:?} commits {key}: nothing more");
                    self.failures_forgotten(key);
                }
                Some(Val::Outcomes(outcomes)) => {
                    let now = self.now;
                    let late = |o: &&ostler_core::command::Outcome| {
                        now.since(o.at) < ostler_core::time::Span::from_secs(3)
                    };
                    for outcome in outcomes.iter().filter(late) {
                        say!(
                            self,
                            "order {} is {:?}: {}",
                            outcome.id.trim_start_matches('0'),
                            outcome.verdict,
                            outcome.reason
                        );
                    }
                }
                Some(
                    Val::Node(_)
                    | Val::Head(_)
                    | Val::Command(_)
                    | Val::Report(_)
                    | Val::Brake(_)
                    | Val::Tuning(..),
                ) => {}
            }
        }
        self.written(&Bucket::Placements(pool.clone()));
    }

    pub fn hint(&mut self, node: &NodeName, revision: u64) {
        let Some(h) = self.hosts.iter().position(|host| host.name == *node) else { return };
        let times = if self.calm || !self.net.percent(4) { 1 } else { self.net.between(0, 2) };
        for _ in 0..times {
            if let Some(wait) = self.way(Who::Host(h), false) {
                self.later(wait, Ev::Hint(h, revision));
            }
        }
    }

    /// P1: no node is given more than it has.
    pub fn check_manifest(&mut self, node: &NodeName, manifest: &Manifest) {
        let Some(facts) = self.server.node(node).map(|(node, _)| node.facts.clone()) else {
            return;
        };
        let (mut asked, mut count, mut ports) = (Resources::default(), 0, BTreeSet::new());
        for group in &manifest.groups {
            for entry in &group.entries {
                (asked, count) = (asked.plus(group.ask), count + 1);
                let twice = entry.ports.iter().any(|port| !ports.insert(port.first));
                if twice {
                    self.ledger
                        .fail(format!("P1: a port of {} on {node} is given twice", entry.id));
                }
            }
        }
        let room = facts.capacity.minus(facts.reserved);
        let over =
            asked.cpu > room.cpu || asked.memory > room.memory || count > facts.max_instances;
        if over {
            self.ledger.fail(format!("P1: {node} is over-committed: {asked:?}, {count} instances"));
        }
    }

    pub fn note_manifest(&mut self, node: &NodeName, manifest: &Manifest) {
        let mut named = BTreeSet::new();
        for group in &manifest.groups {
            for entry in &group.entries {
                named.insert(entry.id);
                let ordered = self.ledger.ordered.entry(entry.id).or_insert_with(|| Ordered {
                    node: node.clone(),
                    key: group.key.clone(),
                    slot: entry.slot,
                    generation: entry.generation,
                    stop: false,
                    dropped: false,
                });
                let (elsewhere, again) = (ordered.node != *node, ordered.dropped);
                ordered.generation = ordered.generation.max(entry.generation);
                ordered.stop |= entry.desired == Desired::Stop;
                if elsewhere || again {
                    self.ledger.fail(format!("{} is ordered a second time, on {node}", entry.id));
                }
            }
        }
        let known = self.server.node(node).map(|(node, _)| node.clone());
        let settled = known.is_none_or(|node| node.kept.removing || node.left_empty);
        let host = self.hosts.iter().find(|host| host.name == *node);
        let alive: BTreeSet<InstanceId> =
            host.into_iter().flat_map(|host| host.alive().map(|(id, _)| id)).collect();
        let mut lost = None;
        for (id, ordered) in &mut self.ledger.ordered {
            if ordered.node == *node && !named.contains(id) && !ordered.dropped {
                ordered.dropped = true;
                if alive.contains(id) && !settled {
                    lost = Some(*id);
                }
            }
        }
        if let Some(id) = lost {
            self.ledger.fail(format!("{id} is dropped from {node} while it runs there"));
        }
    }

    /// A process is about to begin.
    pub fn ledger_spawn(&mut self, h: usize, id: InstanceId, order: &Order) {
        say!(
            self,
            "{} starts {id} ({}/{} v{})",
            self.hosts[h].name,
            order.key,
            order.slot,
            order.version
        );
        let name = self.hosts[h].name.clone();
        let fenced = |text: &Workload| text.reschedule.on_node_loss == OnNodeLoss::Fence;
        let text = self.ledger.texts.get(&(order.key.clone(), order.version));
        let fenced = text.is_some_and(fenced);
        for host in &self.hosts {
            for (other, proc) in host.alive() {
                if other == id {
                    return self
                        .ledger
                        .fail(format!("{id} runs on {} and begins on {name}", host.name));
                }
                let same = self.ledger.ordered.get(&other);
                let same = same.is_some_and(|o| o.key == order.key && o.slot == order.slot);
                if fenced && proc.fenced && same {
                    let why = format!(
                        "P14: {other} of fenced {}/{} is alive on {} while {id} begins on {name}",
                        order.key, order.slot, host.name
                    );
                    return self.ledger.fail(why);
                }
            }
        }
        match self.ledger.ordered.get(&id) {
            Some(ordered) if ordered.node != name => {
                self.ledger
                    .fail(format!("{id} begins on {name} and was ordered on {}", ordered.node));
            }
            None => self.ledger.fail(format!("{id} begins on {name} and was never ordered")),
            Some(_) => {}
        }
        if self.ledger.ended.get(&id).is_some_and(|ended| *ended >= order.generation) {
            self.ledger.fail(format!("{id} begins again on {name} after its end was told"));
        }
    }

    /// A process is told to end: somebody has to have ordered it.
    pub fn ledger_signal(&mut self, h: usize, id: InstanceId, generation: Generation) {
        let ordered = self.ledger.ordered.get(&id);
        let may =
            ordered.is_some_and(|o| o.stop || (generation.0 > 1 && o.generation >= generation));
        if !may {
            let name = &self.hosts[h].name;
            let why = format!("{id} on {name} is ended though no manifest ever said so");
            self.ledger.fail(why);
        }
    }
}

fn remembered(progress: &Progress) -> String {
    let Progress { good_version, failed, unplaced, reserved, waiting, excluded, .. } = progress;
    let unplaced: Vec<_> = unplaced.iter().map(|one| (one.slots, &one.nodes)).collect();
    format!(
        "good {good_version}, failed {failed:?}, unplaced {unplaced:?}, reserved {reserved:?}, \
         waiting {waiting:?}, excluded {excluded:?}"
    )
}

fn show(manifest: &Manifest) -> String {
    let mut text = String::new();
    for group in &manifest.groups {
        for entry in &group.entries {
            let (desired, generation) = (entry.desired.as_str(), entry.generation);
            text += &format!(
                "{} {}/{} v{} {desired}",
                entry.id, group.key.name, entry.slot, group.version
            );
            if generation.0 > 1 {
                text += &format!(" g{generation}");
            }
            entry.ports.iter().for_each(|port| text += &format!(":{}", port.first));
            text += if entry.reason.is_empty() { "; " } else { "! " };
        }
    }
    text
}
