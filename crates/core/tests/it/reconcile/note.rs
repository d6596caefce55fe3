//! What a leader leaves on the bus beside manifests: bounded, and enough for whoever comes next.

use std::sync::Arc;

use ostler_core::command::{Command, Order, Verdict};
use ostler_core::id::{InstanceId, NodeName, PoolName, Slot, Version};
use ostler_core::placement::Reason;
use ostler_core::reconcile::{Event, Exclusion, Plan, Progress, Unplaced};
use ostler_core::time::{Span, Timestamp};

use crate::fleet::{Fleet, Reverse};

fn progress_of_a_million() -> Progress {
    let node: NodeName = "n1".parse().expect("a name");
    let soon = |number: u32| Timestamp::from_millis(u64::from(number));
    let run = |number: u32| Unplaced {
        slots: (Slot(number * 4), Slot(number * 4 + 1)),
        reasons: Arc::new([(Reason::Failed, 10_000)].into()),
        nodes: Arc::new(
            (0..100)
                .map(|n| (format!("n{n}").parse().expect("a name"), vec![Reason::Failed]))
                .collect(),
        ),
        ..Unplaced::default()
    };
    let exclusion = |number| Exclusion {
        node: node.clone(),
        version: Version(1),
        reason: Reason::Failed,
        until: soon(number),
        times: 1,
    };
    Progress {
        waiting: (0..1_000_000).map(|slot| (Slot(slot), soon(slot % 7_000), 3)).collect(),
        excluded: (0..10_000).map(exclusion).collect(),
        unplaced: (0..2_000).map(run).collect(),
        completed: vec![255; 125_000],
        ..Progress::default()
    }
}

#[test]
fn a_note_about_a_million_slots_stalled_the_pool_since_no_server_takes_it() {
    let progress = progress_of_a_million();
    let note = progress.noted();
    let sizes = (note.waiting.len(), note.excluded.len(), note.unplaced.len());
    assert_eq!(sizes, (4_096, 1_000, 100));
    assert_eq!(note.unplaced_slots(), progress.unplaced_slots(), "the rest is counted");
    assert_eq!(note.completed, progress.completed, "what is done must not be done again");
    assert!(note.waiting.iter().all(|(_, until, _)| until.as_millis() >= 6_971));
    assert!(note.excluded.iter().all(|one| one.until.as_millis() >= 9_000));
    assert_eq!(note.noted(), note);
    assert!(serde_json::to_vec(&note).expect("it has text keys").len() < 2 << 20);
}

/// A command with the number as its id.
fn command(number: u32, order: Order) -> Event {
    Event::Command(Box::new(Command {
        id: format!("{number:026}"),
        pool: PoolName::default(),
        order,
        actor: String::new(),
        at: Timestamp::from_millis(1_000_000),
    }))
}

#[test]
fn of_more_orders_than_can_be_noted_none_is_obeyed_twice_by_the_next_leader() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    let instance = fleet.engine.instances().next().expect("one").id;
    let stranger = InstanceId::from_bits(7);
    let order = |number| match number {
        0 => Order::RestartInstance { instance },
        _ => Order::RestartInstance { instance: stranger },
    };
    (0..5_000).for_each(|number| fleet.tell(command(number, order(number))));
    fleet.settle();
    assert_eq!(fleet.engine.outcomes().len(), 4_096);
    let mut next = fleet.takeover(Reverse::No);
    (0..5_000).for_each(|number| next.tell(command(number, order(number))));
    assert_eq!(next.engine.plan(next.now), Plan::default());
    next.tell(command(5_000, order(0)));
    next.settle();
    assert_eq!(next.outcome(&format!("{:026}", 5_000)).verdict, Verdict::Done);
}

#[test]
fn a_restart_whose_row_was_cut_between_manifest_and_outcome_is_neither_lost_nor_repeated() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    let instance = fleet.engine.instances().next().expect("one").id;
    let order = Order::RestartInstance { instance };
    let generation = |fleet: &Fleet| {
        let manifest = fleet.engine.manifest(&"n1".parse().expect("a name")).expect("entries");
        manifest.groups[0].entries[0].generation.0
    };
    // The outcome was written, the manifest was not: the leader died in between.
    let mut cut = fleet.clone();
    cut.tell(command(1, order.clone()));
    cut.engine.plan(cut.now);
    for manifest_too in [false, true] {
        if manifest_too {
            fleet.tell(command(1, order.clone()));
            fleet.settle();
        }
        let mut next = fleet.takeover(Reverse::No);
        next.tell(Event::Outcomes(cut.engine.outcomes()));
        for _ in 0..3 {
            next.tell(command(1, order.clone()));
            next.settle();
            assert_eq!(generation(&next), 2, "with its manifest: {manifest_too}");
        }
    }
}

#[test]
fn a_stop_whose_row_was_cut_after_its_outcome_is_not_lost() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    let instance = fleet.engine.instances().next().expect("one").id;
    let order = Order::StopInstance { instance };
    let mut cut = fleet.clone();
    cut.tell(command(1, order.clone()));
    cut.engine.plan(cut.now);
    let mut next = fleet.takeover(Reverse::No);
    next.tell(Event::Outcomes(cut.engine.outcomes()));
    next.tell(command(1, order));
    next.settle();
    assert!(next.engine.instances().all(|one| one.id != instance), "{}", next.show());
}

/// What is noted of `web` is at rest under this operation.
fn at_rest(fleet: &Fleet) -> Option<String> {
    fleet.records.values().next().map(|progress| progress.at_rest.clone())
}

#[test]
fn a_deleted_workload_is_told_to_be_at_rest_only_when_its_last_instance_has_ended() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    fleet.executor("n1").slow_to_stop = true;
    fleet.change("default/web", |head| (head.deleted, head.op_id) = (true, "op-9".to_owned()));
    fleet.settle();
    assert_eq!(at_rest(&fleet), Some(String::new()), "it is being stopped");
    fleet.executor("n1").slow_to_stop = false;
    fleet.advance(10);
    assert_eq!(at_rest(&fleet), Some("op-9".to_owned()));
    let next = fleet.takeover(Reverse::No).engine.plan(fleet.now);
    assert_eq!((next.progress.len(), next.manifests.len()), (0, 0), "it is noted already");
    let key = *fleet.heads.keys().collect::<Vec<_>>().first().expect("one");
    let gone = Event::WorkloadGone(key.clone());
    fleet.heads.clear();
    fleet.tell(gone);
    fleet.settle();
    assert_eq!(at_rest(&fleet), None, "and forgotten with its head");
}

#[test]
fn a_stopped_workload_is_at_rest_until_it_is_started_again() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    fleet.change("default/web", |head| (head.stopped, head.op_id) = (true, "op-2".to_owned()));
    fleet.settle();
    assert_eq!(at_rest(&fleet), Some("op-2".to_owned()));
    fleet.change("default/web", |head| (head.stopped, head.op_id) = (false, "op-3".to_owned()));
    fleet.settle();
    assert_eq!((at_rest(&fleet), fleet.counts()), (Some(String::new()), "n1 1".to_owned()));
}

#[test]
fn nothing_is_remembered_of_a_workload_that_went_to_another_pool_and_has_ended_here() {
    let mut fleet = Fleet::new("n1");
    fleet.put(r#""name":"web""#);
    fleet.advance(10);
    assert!(at_rest(&fleet).is_some());
    fleet.change("default/web", |head| head.spec.pool = "edge".parse().expect("a name"));
    fleet.advance(10);
    assert_eq!((fleet.counts().as_str(), at_rest(&fleet)), ("n1 0", None));
    fleet.now = fleet.now.plus(Span::from_secs(1));
    fleet.change("default/web", |head| head.spec.pool = PoolName::default());
    fleet.advance(10);
    assert_eq!(fleet.counts(), "n1 1");
}
