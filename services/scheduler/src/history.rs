//! Decisions as events: what history keeps of a plan.
//!
//! Each placement is told with the record of its choice: terms, runners-up, and what ruled the
//! others out, with term and revision. A plan of more than a thousand decisions is told by workload,
//! not by instance: one event with the record of its first choice, and the first and last id of
//! what it is about, which makes it known for each of its instances.

use std::collections::BTreeMap;

use ostler_core::explain::Choice;
use ostler_core::id::{InstanceId, NodeName, PoolName, Revision, Term, Version, WorkloadKey};
use ostler_core::reconcile::{Decision, Note, Unplaced};
use ostler_core::time::Timestamp;
use ostler_schemas::pb;

use crate::retell;

/// Above so many decisions of a plan they are summed up by workload.
const EACH: usize = 1000;

/// Where decisions were committed: in which reign, and each node's manifest at which revision.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// The reign.
    pub term: Term,
    /// By node.
    pub revisions: BTreeMap<NodeName, Revision>,
}

/// The events of one plan.
pub(crate) fn events(
    pool: &PoolName,
    decisions: &[Decision],
    committed: &Committed,
) -> Vec<pb::Event> {
    let mut events: Vec<pb::Event> = if decisions.len() <= EACH {
        decisions.iter().map(event).collect()
    } else {
        summed(decisions)
    };
    for event in &mut events {
        event.source = "scheduler".to_owned();
        event.actor = "scheduler".to_owned();
        event.details.insert("pool".to_owned(), pool.to_string());
        event.details.insert("term".to_owned(), committed.term.to_string());
        if let Some((_, revision)) =
            committed.revisions.iter().find(|(node, _)| node.as_str() == event.node)
        {
            event.details.insert("revision".to_owned(), revision.to_string());
        }
    }
    events
}

/// An event of the pool itself, such as a change of its leader.
pub(crate) fn of_pool(pool: &PoolName, kind: &str, details: &[(&str, String)]) -> pb::Event {
    let mut event = pb::Event {
        source: "scheduler".to_owned(),
        actor: "scheduler".to_owned(),
        kind: kind.to_owned(),
        ..pb::Event::default()
    };
    event.details.insert("pool".to_owned(), pool.to_string());
    for (name, value) in details {
        event.details.insert((*name).to_owned(), value.clone());
    }
    event
}

/// The kind of event that a decision becomes. What was ordered is another kind than what came of it,
/// which the node tells: `instance.stopping` and then `instance.stopped`.
pub(crate) const fn kind(decision: &Decision) -> &'static str {
    match decision {
        Decision::Place { moved: None, .. } => "instance.placed",
        Decision::Place { moved: Some(_), .. } => "instance.moved",
        Decision::Stop { .. } => "instance.stopping",
        Decision::Preempt { .. } => "instance.preempted",
        Decision::Restart { .. } => "instance.restarting",
        Decision::Lost { .. } => "instance.lost",
        Decision::UpdateFailed { .. } => "workload.update_failed",
        Decision::Updated { .. } => "workload.updated",
        Decision::Unplaced { .. } => "workload.unplaced",
        Decision::Drained { .. } => "node.drained",
        Decision::Noted { note, .. } => match note {
            Note::Infeasible { .. } => "workload.infeasible",
            Note::Feasible => "workload.feasible",
            Note::RunBegan { .. } => "workload.run_began",
            Note::RunSkipped { .. } => "workload.run_skipped",
            Note::RunEnded { .. } => "workload.run_ended",
            Note::StopsFirst { .. } => "workload.stops_first",
        },
        Decision::MassLoss { .. } => "fleet.mass_loss",
    }
}

fn name(event: &mut pb::Event, workload: &WorkloadKey) {
    event.namespace = workload.namespace.to_string();
    event.workload = workload.name.to_string();
}

fn event(decision: &Decision) -> pb::Event {
    let mut event = pb::Event { kind: kind(decision).to_owned(), ..pb::Event::default() };
    let mut details: Vec<(&str, String)> = Vec::new();
    match decision {
        Decision::Place { id, workload, slot, version, node, score, moved, why } => {
            name(&mut event, workload);
            (event.instance, event.node) = (id.to_string(), node.to_string());
            (event.id, event.version) = (retell::id(*id), version.0);
            details = vec![("slot", slot.to_string()), ("score", score.to_string())];
            details.extend(why.as_ref().map(|why| ("decision", record(why))));
            if let Some((from, why)) = moved {
                event.reason = (*why).to_owned();
                details.push(("from", from.to_string()));
            }
        }
        Decision::Stop { id, workload, slot, node, reason } => {
            name(&mut event, workload);
            (event.instance, event.node) = (id.to_string(), node.to_string());
            event.reason = (*reason).to_owned();
            details.push(("slot", slot.to_string()));
        }
        Decision::Preempt { id, workload, slot, node, by, by_slot } => {
            name(&mut event, workload);
            (event.instance, event.node) = (id.to_string(), node.to_string());
            event.reason = format!("`{by}` is more important");
            details = vec![
                ("slot", slot.to_string()),
                ("by", by.to_string()),
                ("by_slot", by_slot.to_string()),
            ];
        }
        Decision::Restart { id, workload, node } => {
            name(&mut event, workload);
            (event.instance, event.node) = (id.to_string(), node.to_string());
        }
        Decision::Lost { id, workload, slot, node } => {
            name(&mut event, workload);
            (event.instance, event.node) = (id.to_string(), node.to_string());
            event.reason = "node_lost".to_owned();
            details.push(("slot", slot.to_string()));
        }
        Decision::UpdateFailed { workload, version, reason } => {
            name(&mut event, workload);
            (event.version, event.reason) = (version.0, reason.clone());
        }
        Decision::Updated { workload, version } => {
            name(&mut event, workload);
            event.version = version.0;
        }
        Decision::Unplaced { workload, unplaced } => {
            name(&mut event, workload);
            (event.reason, details) = why_unplaced(unplaced);
        }
        Decision::Drained { node } => event.node = node.to_string(),
        Decision::Noted { workload, note } => {
            name(&mut event, workload);
            (event.reason, details) = noted(note);
        }
        Decision::MassLoss { lost, of, until } => {
            event.reason = format!("{lost} of {of} nodes were lost at once: nothing is moved");
            details = vec![
                ("lost", lost.to_string()),
                ("of", of.to_string()),
                ("until_ms", until.as_millis().to_string()),
            ];
        }
    }
    event.details = details.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    event
}

fn noted(note: &Note) -> (String, Vec<(&'static str, String)>) {
    let due = |due: &Timestamp| vec![("due_ms", due.as_millis().to_string())];
    match note {
        Note::Infeasible { condition } => (format!("`{condition}` does not hold"), Vec::new()),
        Note::Feasible => (String::new(), Vec::new()),
        Note::RunBegan { due: at } => (String::new(), due(at)),
        Note::RunSkipped { due: at, why } => ((*why).to_owned(), due(at)),
        Note::RunEnded { due: at, how } => ((*how).to_owned(), due(at)),
        Note::StopsFirst { slot } => {
            let reason = "the old and the new one have no room at once: the old one ends first";
            (reason.to_owned(), vec![("slot", slot.to_string())])
        }
    }
}

/// The record of a choice as it is kept.
fn record(choice: &Choice) -> String {
    serde_json::to_string(choice).unwrap_or_default()
}

fn why_unplaced(unplaced: &Unplaced) -> (String, Vec<(&'static str, String)>) {
    let counts = unplaced.reasons.iter().map(|(why, nodes)| format!("{} {nodes}", why.as_str()));
    let reason = format!("no node: {}", counts.collect::<Vec<_>>().join(", "));
    let (first, last) = unplaced.slots;
    let count = unplaced.count().to_string();
    let slots = [("first_slot", first.to_string()), ("last_slot", last.to_string())];
    (reason, slots.into_iter().chain([("count", count)]).collect())
}

/// What is summed up: the kind and the workload of a decision about one instance.
fn sum_key(decision: &Decision) -> Option<(&'static str, &WorkloadKey, &str)> {
    match decision {
        Decision::Place { workload, moved, .. } => {
            Some((kind(decision), workload, moved.as_ref().map_or("", |(_, why)| why)))
        }
        Decision::Stop { workload, reason, .. } => Some((kind(decision), workload, reason)),
        Decision::Preempt { workload, .. } => Some((kind(decision), workload, "preempted")),
        Decision::Restart { workload, .. } => Some((kind(decision), workload, "")),
        Decision::Lost { workload, .. } => Some((kind(decision), workload, "node_lost")),
        Decision::UpdateFailed { .. }
        | Decision::Updated { .. }
        | Decision::Unplaced { .. }
        | Decision::Drained { .. }
        | Decision::Noted { .. }
        | Decision::MassLoss { .. } => None,
    }
}

/// Decisions of one kind about one workload.
#[derive(Debug, Default)]
struct Sum<'a> {
    count: usize,
    ids: Option<(InstanceId, InstanceId)>,
    version: Version,
    why: Option<&'a Choice>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, decision: &'a Decision) {
        self.count += 1;
        let (Decision::Place { id, .. }
        | Decision::Stop { id, .. }
        | Decision::Preempt { id, .. }
        | Decision::Lost { id, .. }
        | Decision::Restart { id, .. }) = decision
        else {
            return;
        };
        let (first, last) = self.ids.unwrap_or((*id, *id));
        self.ids = Some((first.min(*id), last.max(*id)));
        if let Decision::Place { version, why, .. } = decision {
            self.version = *version;
            self.why = self.why.or(why.as_deref());
        }
    }

    fn tell(self, event: &mut pb::Event) {
        event.version = self.version.0;
        let mut tell = |key: &str, value: String| event.details.insert(key.to_owned(), value);
        tell("count", self.count.to_string());
        if let Some((first, last)) = self.ids {
            tell("first_instance", first.to_string());
            tell("last_instance", last.to_string());
        }
        if let Some(why) = self.why {
            tell("decision", record(why));
        }
    }
}

fn summed(decisions: &[Decision]) -> Vec<pb::Event> {
    let mut sums: BTreeMap<_, Sum<'_>> = BTreeMap::new();
    let mut events = Vec::new();
    for decision in decisions {
        match sum_key(decision) {
            Some(key) => sums.entry(key).or_default().add(decision),
            None => events.push(event(decision)),
        }
    }
    for ((kind, workload, reason), sum) in sums {
        let mut event = pb::Event { kind: kind.to_owned(), ..pb::Event::default() };
        name(&mut event, workload);
        event.reason = reason.to_owned();
        sum.tell(&mut event);
        events.push(event);
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use ostler_core::explain::Census;
    use ostler_core::id::Slot;
    use ostler_core::workload::Strategy;

    fn placements(count: u32) -> Vec<Decision> {
        let place = |slot: u32| Decision::Place {
            id: InstanceId::from_bits(slot.into()),
            workload: "default/web".parse().expect("a key"),
            slot: Slot(slot),
            version: Version(2),
            node: "n1".parse().expect("a name"),
            score: 8000,
            moved: None,
            why: Some(Box::new(Choice {
                strategy: Strategy::Weighted,
                spread: None,
                terms: Vec::new(),
                runners_up: Vec::new(),
                census: Arc::new(Census { nodes: 7, ..Census::default() }),
            })),
        };
        (0..count).map(place).collect()
    }

    #[test]
    fn a_small_plan_tells_of_each_instance_and_a_large_one_of_each_workload() {
        let revisions = [("n1".parse().expect("a name"), Revision(9))].into();
        let committed = Committed { term: Term(4), revisions };
        let few = events(&PoolName::default(), &placements(3), &committed);
        assert_eq!((few.len(), few[0].node.as_str(), few[0].version), (3, "n1", 2));
        let details = &few[0].details;
        assert_eq!((details["term"].as_str(), details["revision"].as_str()), ("4", "9"));
        assert!(details["decision"].contains(r#""nodes":7"#), "{details:?}");
        let many = events(&PoolName::default(), &placements(1001), &committed);
        assert_eq!(many.len(), 1);
        assert_eq!(many[0].kind, "instance.placed");
        let details = &many[0].details;
        assert_eq!(details["count"], "1001");
        assert_eq!(details["first_instance"], InstanceId::from_bits(0).to_string());
        assert_eq!(details["last_instance"], InstanceId::from_bits(1000).to_string());
        assert!(details.contains_key("decision"), "one record for all of them");
    }
}
