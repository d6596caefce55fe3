//! Events become picture: what changed is noted, nothing is decided.

use std::sync::Arc;

use crate::head::Head;
use crate::id::NodeName;
use crate::instance::{Entry, Group, Manifest};
use crate::node::{Admin, Heartbeat, Liveness, Node};
use crate::placement::{Request, Seat, image};
use crate::time::Timestamp;
use crate::workload::{Kind, Strategy, Workload};

use super::fence::Unleased;
use super::picture::{Instance, NONE, Text, at};
use super::wake::shape;
use super::why::Why;
use super::{Engine, Event};

impl Engine {
    /// Takes in one event; cheap, decides nothing.
    pub fn observe(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Workload(head) => self.observe_head(*head),
            Event::WorkloadGone(key) => {
                if let Some(work) = self.work_keys.get(&key) {
                    let work = *work;
                    self.works[at(work)].head = None;
                    self.systems.remove(&work);
                    self.dirty.insert(work);
                }
            }
            Event::Node(node) => self.observe_node(node),
            Event::NodeGone(name) => {
                let node = self.node_index(&name);
                self.nodes[at(node)].gone = true;
                self.fleet_changed = true;
                self.mark_node(node);
            }
            Event::NodeLeaseGone { node, since } => {
                let node = self.node_index(&node);
                let state = &mut self.nodes[at(node)];
                if !state.reachable() && state.unleased.is_none_or(|seen| seen.since < since) {
                    state.unleased = Some(Unleased { since, at: now });
                    self.mark_node(node);
                }
            }
            Event::Heartbeat(beat) => self.observe_heartbeat(&beat, now),
            Event::Bid(node, epoch, bid) => self.observe_bid(&node, epoch, &bid, now),
            Event::Report(name, report) => self.observe_report(&name, report, now),
            Event::Command(command) => {
                if command.pool == self.pool {
                    self.orders.waiting.insert(command.id.clone(), *command);
                }
            }
            Event::Tuning(level, tuning) => self.observe_tuning(level, *tuning),
            Event::Manifest(name, manifest) => self.observe_manifest(&name, &manifest, now),
            Event::Progress(key, progress) => {
                let work = self.work_index(&key);
                if !progress.reserved.is_empty() {
                    self.unrestored.insert(work);
                }
                self.works[at(work)].progress = *progress;
                self.fleet_changed |= self.conditional.contains(&work);
                self.dirty.insert(work);
            }
            Event::Brake(until) => self.hold_the_brake(until, now),
            Event::Outcomes(outcomes) => {
                let by_id = outcomes.into_iter().map(|outcome| (outcome.id.clone(), outcome));
                self.orders.outcomes.extend(by_id);
            }
        }
    }

    /// Every workload with an instance on the node has to be looked at.
    pub(super) fn mark_node(&mut self, node: u32) {
        for index in &self.nodes[at(node)].entries {
            self.dirty.insert(self.instances[at(*index)].work);
        }
        self.dirty.extend(self.nodes[at(node)].held.iter().map(|key| key.0));
    }

    fn observe_head(&mut self, head: Head) {
        let key = head.key();
        if head.spec.pool != self.pool && !self.work_keys.contains_key(&key) {
            return;
        }
        let work = self.work_index(&key);
        self.dirty.insert(work);
        if head.spec.kind == Kind::System {
            self.systems.insert(work);
        } else {
            self.systems.remove(&work);
        }
        let tags = tags(&head.spec);
        let state = &mut self.works[at(work)];
        state.request = Some(Arc::new(Request::of(&head.spec)));
        let priority = state.priority();
        state.shape = shape(&head.spec);
        state.in_vain.clear();
        state.head = Some(Arc::new(head));
        state.woken = true;
        if state.priority() < priority && self.settings.preemption {
            // Who was not important enough may be now.
            self.wake_all();
        }
        self.note_condition(work);
        self.retag(work, tags);
    }

    fn observe_node(&mut self, node: Box<Node>) {
        let index = self.node_index(&node.name);
        let state = &mut self.nodes[at(index)];
        let seat = Seat::new(&node.facts);
        state.seat.capacity = seat.capacity;
        state.seat.reserved = seat.reserved;
        state.seat.max_instances = seat.max_instances;
        state.ports.set_range(node.facts.ports, &node.key);
        let back = matches!(node.liveness, Liveness::Online | Liveness::Suspect);
        if back {
            state.unleased = None;
        }
        state.gone = false;
        let was_emptying = state.emptying();
        let old = state.record.replace(node);
        if was_emptying && !state.emptying() {
            // The drain was taken back; the next one may have more time.
            self.orders.forced.remove(&index);
            self.orders.evacuated.remove(&index);
        }
        let new = state.record.as_ref().expect("just put there");
        let same = old.as_ref().is_some_and(|old| {
            old.facts == new.facts
                && (old.admin, old.liveness, old.left_empty, &old.pool)
                    == (new.admin, new.liveness, new.left_empty, &new.pool)
                && (old.liveness_since, old.drain_deadline)
                    == (new.liveness_since, new.drain_deadline)
        });
        if same {
            return;
        }
        let moved = |old: &Node| old.facts != new.facts || old.pool != new.pool;
        if old.as_deref().is_none_or(moved) {
            self.columns.clear();
        }
        self.brake_stale = true;
        self.fleet_changed = true;
        let took = old
            .as_ref()
            .is_some_and(|old| (old.admin, old.liveness) == (Admin::Active, Liveness::Online));
        if !took && self.takes_work(index) {
            self.note_join();
        }
        self.evenness.stale = true;
        self.freed.insert(index);
        self.mark_node(index);
        self.dirty.extend(self.systems.iter().copied());
    }

    fn observe_heartbeat(&mut self, beat: &Heartbeat, now: Timestamp) {
        if let Some(bid) = &beat.bid {
            self.observe_bid(&beat.node, beat.epoch, bid, now);
        }
        let Some(node) = self.node_names.get(&beat.node) else { return };
        let state = &mut self.nodes[at(*node)];
        if state.record.is_none() || beat.epoch < state.epoch() {
            return;
        }
        state.battery = Some(beat.battery);
        let before = state.seat.live_free();
        state.seat.used = Some(beat.used);
        let after = state.seat.live_free();
        let more = after.memory > before.memory || after.disk > before.disk;
        if more && !self.blocked.is_empty() {
            self.relieved.insert(*node);
        }
        if more {
            self.dirty.extend(self.nodes[at(*node)].held.iter().map(|key| key.0));
        }
    }

    fn observe_manifest(&mut self, name: &NodeName, manifest: &Manifest, now: Timestamp) {
        let node = self.node_index(name);
        let state = &mut self.nodes[at(node)];
        state.manifest_known = true;
        state.incarnation = manifest.incarnation;
        let early = state.early.take();
        for group in &manifest.groups {
            for entry in &group.entries {
                self.observe_entry(node, group, entry, manifest);
            }
        }
        if let Some(report) = early {
            self.observe_report(name, report, now);
        }
    }

    fn observe_entry(&mut self, node: u32, group: &Group, entry: &Entry, manifest: &Manifest) {
        if self.known(entry.id).is_some() {
            return;
        }
        let work = self.work_index(&group.key);
        let text = Text {
            version: group.version,
            spec: group.spec,
            ask: group.ask,
            priority: group.priority,
        };
        let text = self.text_index(work, text);
        self.dirty.insert(work);
        self.add(Instance {
            id: entry.id,
            work,
            node,
            slot: entry.slot.0,
            text,
            score: entry.score,
            generation: entry.generation,
            restarted: entry.restarted,
            ports: entry.ports.clone(),
            desired: entry.desired,
            why: Why::read(&entry.reason),
            observed: None,
            ready: false,
            proven: false,
            ended: false,
            ready_since: Timestamp::default(),
            committed: Some((manifest.term, manifest.revision)),
            mark: NONE,
            moving: None,
        });
    }
}

/// The tags under which the instances of a workload are counted.
fn tags(spec: &Workload) -> Vec<String> {
    let rules = &spec.placement;
    let mut tags: Vec<String> =
        rules.anti_affinity.iter().map(|rule| group_tag(&rule.group)).collect();
    if rules.strategy == Strategy::Sticky && !rules.sticky_key.is_empty() {
        tags.push(sticky_tag(&rules.sticky_key));
    }
    tags.extend(image::tag(spec));
    tags.sort();
    tags.dedup();
    tags
}

pub(super) fn group_tag(group: &str) -> String {
    format!("group/{group}")
}

pub(super) fn sticky_tag(key: &str) -> String {
    format!("sticky/{key}")
}
