//! What one executor left half done, the next one finishes.

use std::sync::Arc;

use ostler_core::id::{Generation, InstanceId, Revision, Slot, SpecHash, Term, Version};
use ostler_core::instance::{Desired, Entry, Exit, Group, Manifest, Observed, Spec};
use ostler_core::resources::Resources;
use ostler_core::supervise::{Applied, Effect, Host, Leave, Life, Moment, Roster, Run, Work};
use ostler_core::time::Timestamp;

use crate::fleet::workload;

/// A host on which nothing runs.
struct Empty;

impl Host for Empty {
    fn admit(&self, _: &Life, _: Resources, _: u32) -> Result<(), String> {
        Ok(())
    }
    fn find(&self, _: &Life) -> Option<Run> {
        None
    }
    fn adopt(&self, _: &Life, _: &Run) -> Result<(), Exit> {
        Err(Exit::Unknown)
    }
    fn leave(&self, _: Option<u64>) -> Leave {
        Leave::Granted(1)
    }
}

fn id() -> InstanceId {
    InstanceId::from_bits(1)
}
const HASH: SpecHash = SpecHash([1; 32]);

fn now() -> Moment<'static> {
    Moment { now: Timestamp::from_millis(1_000), host: &Empty }
}

fn manifest(revision: u64, desired: Desired) -> Manifest {
    let entry = Entry {
        id: id(),
        slot: Slot(0),
        desired,
        generation: Generation(1),
        restarted: Generation(0),
        ports: Vec::new(),
        score: 0,
        reason: String::new(),
    };
    let group = Group {
        key: "default/web".parse().expect("a key"),
        version: Version(1),
        spec: HASH,
        ask: Resources::default(),
        priority: 50,
        entries: vec![entry],
    };
    let (term, revision) = (Term(1), Revision(revision));
    Manifest { incarnation: 1, term, revision, groups: vec![group] }
}

fn spec() -> (SpecHash, Arc<Spec>) {
    (HASH, Arc::new(workload(r#""name":"web""#).spec()))
}

#[test]
fn what_was_told_to_stop_while_it_was_started_ends_though_its_executor_died() {
    let mut roster = Roster::new(Applied::default());
    let mut work = Work::default();
    roster.apply(manifest(1, Desired::Run), [spec()], now(), &mut work);
    assert_eq!(work.effects, [(id(), Effect::Launch)]);
    // A start that is under way is stopped when it is done; this one never is.
    let mut work = Work::default();
    roster.apply(manifest(2, Desired::Stop), [spec()], now(), &mut work);
    assert_eq!(work.effects, []);
    let life = roster.get(id()).expect("it is there").clone();
    let mut next = Roster::new(roster.applied());
    let mut work = Work::default();
    next.take_back(life, now(), &mut work);
    next.apply(manifest(2, Desired::Stop), [spec()], now(), &mut work);
    assert_eq!(work.effects, [(id(), Effect::Remove)]);
    next.feel(id(), ostler_core::supervise::Event::Removed, now(), &mut work);
    assert_eq!(next.get(id()).expect("it is reported").observed(), Observed::Stopped);
}
