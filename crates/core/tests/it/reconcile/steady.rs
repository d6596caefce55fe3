//! What holds at every message while things happen: on random fleets, with leaders that die.

use std::collections::BTreeSet;

use ostler_core::command::Order;
use ostler_core::instance::Desired;
use ostler_core::node::{Admin, Liveness};
use ostler_core::reconcile::Plan;
use proptest::prelude::*;

use crate::fleet::{Fleet, Reverse};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Op {
    Lose(u32),
    Find(u32),
    Drain(u32),
    Activate(u32),
    Update(u64),
    Scale(u32),
    Fail(u32),
    Heal,
    Wait(u64),
    /// The leader dies with a plan that nobody wrote.
    Crash,
    /// It dies just after it wrote one, before any executor has read it.
    CrashAfter,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let one = prop_oneof![
        (0u32..5).prop_map(Op::Lose),
        (0u32..5).prop_map(Op::Find),
        (0u32..5).prop_map(Op::Drain),
        (0u32..5).prop_map(Op::Activate),
        (1u64..4).prop_map(Op::Update),
        (0u32..6).prop_map(Op::Scale),
        (0u32..5).prop_map(Op::Fail),
        Just(Op::Heal),
        (1u64..90).prop_map(Op::Wait),
        Just(Op::Crash),
        Just(Op::CrashAfter),
    ];
    prop::collection::vec(one, 1..14)
}

fn kinds() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just(r#","update":{"max_parallel":3}"#),
        Just(r#","update":{"max_parallel":0}"#),
        Just(r#","update":{"canary":1}"#),
        Just(r#","kind":"job""#),
        Just(r#","kind":"system""#),
        Just(r#","reschedule":{"on_node_loss":"wait"}"#),
        Just(r#","reschedule":{"on_node_loss":"fence"}"#),
        Just(r#","reschedule":{"disconnected_for":"30s"}"#),
        Just(r#","placement":{"anti_affinity":{"group":"g"}}"#),
        Just(r#","placement":{"feasible_when":"nodes(online) >= 3"}"#),
        Just(r#","kind":"cron","cron":{"schedule":"* * * * *","time_limit":"30s"}"#),
    ]
}

fn text(kind: &str, count: u32, cpu: u64) -> String {
    format!(r#""name":"web","count":{count},"resources":{{"cpu":{cpu}00}}{kind}"#)
}

struct Story {
    fleet: Fleet,
    kind: &'static str,
    count: u32,
    cpu: u64,
}

impl Story {
    fn begin(kind: &'static str, count: u32) -> Self {
        let mut fleet = Fleet::new("n0 cpu 900\nn1 cpu 900\nn2 cpu 900\nn3 cpu 900\nn4 cpu 900");
        fleet.put(&text(kind, count, 1));
        fleet.advance(10);
        Self { fleet, kind, count, cpu: 1 }
    }

    fn go(&mut self, op: &Op) {
        let name = |number: &u32| format!("n{number}");
        let fleet = &mut self.fleet;
        match op {
            Op::Lose(n) if fleet.executor(&name(n)).alive => fleet.lose(&name(n)),
            Op::Find(n) if !fleet.executor(&name(n)).alive => fleet.find(&name(n)),
            Op::Lose(_) | Op::Find(_) => {}
            Op::Drain(n) => {
                fleet.admin(&name(n), Admin::Draining);
                let node = name(n).parse().expect("a name");
                fleet.order(Order::Drain { node, force: false });
            }
            Op::Activate(n) => fleet.admin(&name(n), Admin::Active),
            Op::Update(cpu) => {
                self.cpu = *cpu;
                fleet.put(&text(self.kind, self.count, *cpu));
            }
            Op::Scale(count) => {
                self.count = *count;
                fleet.put(&text(self.kind, *count, self.cpu));
            }
            Op::Fail(n) => {
                fleet.executor(&name(n)).fails.insert("web".to_owned());
            }
            Op::Heal => {
                (0..5).for_each(|n| fleet.executor(&name(&n)).fails.clear());
            }
            Op::Wait(seconds) => fleet.advance(*seconds),
            Op::Crash => {
                fleet.engine.plan(fleet.now);
                self.fleet = self.fleet.takeover(Reverse::Yes);
            }
            Op::CrashAfter => {
                let plan = fleet.engine.plan(fleet.now);
                fleet.commit(plan);
                self.fleet = self.fleet.takeover(Reverse::No);
            }
        }
        self.fleet.settle();
        self.fleet.look_for_leases();
    }

    /// P16: a slot is held by something, or is known to lack a place, or waits.
    fn unaccounted(&self) -> Vec<u32> {
        let key = "web".parse().expect("a key");
        let progress = self.fleet.engine.progress(&key).unwrap_or_default();
        let spec = &self.fleet.heads[&key].spec;
        if progress.dormant(spec) || spec.kind == ostler_core::workload::Kind::System {
            return Vec::new();
        }
        let held: BTreeSet<u32> = self.fleet.engine.instances().map(|one| one.slot.0).collect();
        let done = |slot: u32| {
            let byte = progress.completed.get(usize::try_from(slot / 8).expect("small"));
            byte.is_some_and(|byte| byte & (1 << (slot % 8)) != 0)
        };
        let known = |slot: &u32| {
            let waits = progress.waiting.iter().any(|(one, _, _)| one.0 == *slot);
            let mut unplaced = progress.unplaced.iter().map(|one| one.slots);
            let unplaced = unplaced.any(|(first, last)| (first.0..=last.0).contains(slot));
            held.contains(slot) || waits || unplaced || done(*slot)
        };
        (0..self.count).filter(|slot| !known(slot)).collect()
    }

    /// P1, and that no slot is run twice but while one replaces the other.
    fn too_much(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, executor) in &self.fleet.executors {
            let manifest = self.fleet.engine.manifest(name).unwrap_or_default();
            let groups = manifest.groups.iter();
            let cpu: u64 = groups.map(|group| group.ask.cpu * group.entries.len() as u64).sum();
            if cpu > executor.node.facts.capacity.cpu {
                wrong.push(format!("{name}: {cpu}"));
            }
        }
        let run = self.fleet.engine.instances().filter(|one| one.desired == Desired::Run);
        let mut slots: Vec<u32> = run.map(|one| one.slot.0).collect();
        slots.sort_unstable();
        wrong.extend(slots.windows(3).filter(|w| w[0] == w[2]).map(|w| format!("slot {}", w[0])));
        wrong
    }
}

/// How many instances are ready where they run, and how many are ordered to run.
fn serving(fleet: &Fleet) -> (u32, u32) {
    let count = |n: usize| u32::try_from(n).expect("few");
    let run = fleet.engine.instances().filter(|one| one.desired == Desired::Run);
    let ready = run.filter(|one| {
        let executor = &fleet.executors[one.node];
        let seen = executor.statuses.get(&one.id);
        executor.node.liveness == Liveness::Online && seen.is_some_and(|status| status.ready)
    });
    let ready = count(ready.count());
    let all = fleet.engine.instances().filter(|one| one.desired == Desired::Run).count();
    (ready, count(all))
}

/// Goes on message by message for a while; what was seen at each.
fn watch(fleet: &mut Fleet, seconds: u64) -> Vec<(u32, u32)> {
    let mut seen = Vec::new();
    let end = fleet.now.plus(ostler_core::time::Span::from_secs(seconds));
    loop {
        for _ in 0..1000 {
            let plan = fleet.engine.plan(fleet.now);
            let quiet = plan == Plan::default();
            fleet.commit(plan);
            seen.push(serving(fleet));
            if !fleet.act() && quiet {
                break;
            }
        }
        match fleet.engine.wake_at().filter(|next| *next <= end) {
            Some(next) => fleet.now = next,
            None => return seen,
        }
    }
}

#[test]
fn a_failure_of_an_older_text_does_not_keep_the_new_one_from_the_node() {
    let mut story = Story::begin(r#","placement":{"anti_affinity":{"group":"g"}}"#, 5);
    for op in [Op::Fail(0), Op::Update(2), Op::Wait(3), Op::Fail(1)] {
        story.go(&op);
        let mut next = story.fleet.takeover(Reverse::Yes);
        let plan = next.engine.plan(next.now);
        assert!(plan.manifests.is_empty(), "another leader, after {op:?}: {plan:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_and_whenever_leaders_die_all_is_accounted_for_and_comes_to_rest(
        kind in kinds(), count in 0u32..6, ops in ops(),
    ) {
        let mut story = Story::begin(kind, count);
        for op in &ops {
            story.go(op);
            prop_assert_eq!(story.unaccounted(), Vec::<u32>::new(), "after {:?}", op);
            prop_assert_eq!(story.too_much(), Vec::<String>::new(), "after {:?}", op);
            prop_assert_eq!(story.fleet.engine.plan(story.fleet.now), Plan::default());
            let mut next = story.fleet.takeover(Reverse::Yes);
            let plan = next.engine.plan(next.now);
            prop_assert!(plan.manifests.is_empty(), "another leader, after {:?}: {:?}", op, plan);
        }
        for n in 0..5 {
            story.go(&Op::Find(n));
            story.go(&Op::Activate(n));
        }
        story.go(&Op::Heal);
        story.fleet.advance(3 * 3600);
        let status = story.fleet.engine.status(&"web".parse().expect("a key")).expect("known");
        prop_assert_eq!(status.unplaced, 0, "{:?}", status);
        prop_assert!(status.running >= status.wanted || kind.contains("job"), "{:?}", status);
    }

    #[test]
    fn an_update_stays_within_its_bounds(
        count in 1u32..9, parallel in 1u32..5, canary in 0u32..3, takeover in any::<bool>(),
    ) {
        let rules = format!(
            r#""name":"web","count":{count},"update":{{"max_parallel":{parallel},"canary":{canary},"min_ready":"1s"}}"#
        );
        let mut fleet = Fleet::new("n1\nn2\nn3");
        fleet.put(&rules);
        fleet.advance(10);
        fleet.put(&format!(r#"{rules},"resources":{{"cpu":200}}"#));
        let mut seen = watch(&mut fleet, 5);
        if canary > 0 {
            prop_assert_eq!(serving(&fleet), (count + canary, count + canary));
            fleet.order(Order::Promote { workload: "default/web".to_owned() });
        }
        if takeover {
            seen.extend(watch(&mut fleet, 1));
            fleet = fleet.takeover(Reverse::No);
        }
        seen.extend(watch(&mut fleet, 60));
        let start_first = count <= parallel;
        let least = if start_first { count } else { count - parallel };
        let most = count + canary + u32::from(start_first);
        let out = |(ready, run): &&(u32, u32)| *ready < least || *run > most;
        prop_assert_eq!(seen.iter().find(out), None, "{} to {}", least, most);
        prop_assert_eq!(serving(&fleet), (count, count));
        prop_assert!(fleet.engine.instances().all(|one| one.version.0 == 2));
    }

    #[test]
    fn no_last_copy_ends_before_its_replacement_is_ready(
        count in 1u32..4, slow in 0usize..3, steps in prop::collection::vec((0u32..3, any::<bool>()), 1..6),
    ) {
        let mut fleet = Fleet::new("n0\nn1\nn2");
        // As many at a time as there are: every update starts first.
        fleet.put(&format!(r#""name":"web","count":{count},"update":{{"max_parallel":4}}"#));
        fleet.advance(10);
        fleet.executor(&format!("n{slow}")).slow_to_stop = true;
        for (index, (node, update)) in steps.iter().enumerate() {
            if *update {
                let cpu = 200 + index;
                fleet.put(&format!(r#""name":"web","count":{count},"update":{{"max_parallel":4}},"resources":{{"cpu":{cpu}}}"#));
            } else {
                (0..3).for_each(|n| fleet.admin(&format!("n{n}"), Admin::Active));
                fleet.admin(&format!("n{node}"), Admin::Draining);
            }
            let seen = watch(&mut fleet, 20);
            let (least, _) = seen.iter().min().expect("something was seen");
            prop_assert!(*least >= 1, "at step {}: {:?}", index, seen);
        }
    }
}
