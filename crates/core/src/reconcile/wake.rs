//! What wakes a workload: time, and whatever could help one that is blocked.
//!
//! Blocked workloads that ask for the same wait together: when a node has more to give, one of them
//! is asked whether that helps, and only as long as it does is the next one looked at. So ten
//! thousand that wait for the same cost no more than one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::head::Head;
use crate::id::WorkloadKey;
use crate::instance::Desired;
use crate::placement::{Reason, Request, image, room};
use crate::time::Timestamp;
use crate::workload::{Kind, Mode, Scope, Strategy, Workload};

use super::picture::{Work, at};
use super::{Engine, Unplaced};

/// A place in the queue: the more important first, then by name.
pub(super) type Turnout = (Reverse<u8>, WorkloadKey, u32);

/// Workloads that wait for something that could help, sorted by what that is.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    /// Each with where it stands in line.
    places: BTreeMap<u32, Place>,
    /// By shape: who waits, the more important first.
    lines: BTreeMap<Arc<str>, BTreeSet<Turnout>>,
    /// By the workload that they have to be near: who waits.
    near: BTreeMap<WorkloadKey, BTreeSet<u32>>,
}

/// Where a workload stands in line: under which shape, and whom it has to be near.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    shape: Arc<str>,
    turnout: Turnout,
    near: Vec<WorkloadKey>,
}

/// Whether a workload waits for help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Still,
    NoMore,
}

/// Nodes that have more to give than when the blocked workloads were last asked.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    nodes: BTreeSet<u32>,
    /// Something left a node: that can make room on others, by rules that look further.
    left: bool,
}

/// What was found in this plan to have no place, so that who asks for the same need not look. Room
/// only shrinks while workloads are placed; nothing here counts once a node has more to give.
#[derive(Debug, Clone, Default)]
pub(super) struct Hopeless {
    reasons: BTreeMap<Arc<str>, Unplaced>,
    /// Up to which priority nobody could make room.
    priorities: BTreeMap<Arc<str>, u8>,
}

impl Hopeless {
    pub fn clear(&mut self) {
        self.reasons.clear();
        self.priorities.clear();
    }

    pub fn why(&self, shape: Option<&str>) -> Option<Unplaced> {
        self.reasons.get(shape?).cloned()
    }

    pub fn note(&mut self, shape: Option<Arc<str>>, why: &Unplaced) {
        if let Some(shape) = shape {
            self.reasons.insert(shape, why.clone());
        }
    }

    /// Whether room was sought in vain by who may end those of this priority.
    pub fn contains(&self, shape: Option<&str>, most: u8) -> bool {
        shape.and_then(|shape| self.priorities.get(shape)).is_some_and(|found| most <= *found)
    }

    pub fn insert(&mut self, shape: Option<Arc<str>>, most: u8) {
        if let Some(shape) = shape {
            let known = self.priorities.entry(shape).or_insert(most);
            *known = (*known).max(most);
        }
    }
}

/// What two workloads have in common of which one has a place exactly when the other has; `None` if
/// that hangs on where its own instances are: a node where one of a system workload runs is none for
/// its next.
pub(super) fn shape(spec: &Workload) -> Option<Arc<str>> {
    let rules = &spec.placement;
    let own = !rules.max_per.is_empty()
        || spec.kind == Kind::System
        || rules.affinity.iter().any(|rule| rule.mode == Mode::Hard);
    let apart = rules.anti_affinity.iter().filter(|rule| rule.mode == Mode::Hard);
    let ports = spec.ports.iter().map(|port| (port.fixed, port.count, port.align));
    let driver = spec.driver.as_str();
    let bids = rules.strategy == Strategy::Auction;
    let text = (!own).then(|| {
        format!(
            "{} {} {driver} {bids} {:?} {:?} {:?} {:?} {:?}",
            spec.pool,
            rules.node,
            rules.require,
            spec.ask(),
            ports.collect::<Vec<_>>(),
            apart.map(|rule| (&rule.group, rule.scope)).collect::<Vec<_>>(),
            image::platforms(spec),
        )
    });
    text.map(Arc::from)
}

impl Engine {
    /// The next moment at which [`Self::plan`] could do something by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let others = self.brake_until.into_iter().chain(self.evenness.due);
        timer.into_iter().chain(others).chain(self.feasible_at).min()
    }

    /// Workloads whose time has come have to be looked at.
    pub(super) fn due(&mut self, now: Timestamp) {
        while let Some((when, work)) = self.timers.first().copied() {
            if when > now {
                break;
            }
            self.timers.pop_first();
            let state = &mut self.works[at(work)];
            state.wake = None;
            let expired = |until: Timestamp| until <= now;
            state.woken |= state.progress.excluded.iter().any(|one| expired(one.until));
            state.woken |= state.in_vain.values().any(|until| expired(*until));
            state.in_vain.retain(|_, until| !expired(*until));
            self.dirty.insert(work);
        }
    }

    /// Under which shape a workload finds others that have a place exactly when it has.
    pub(super) fn shape_of(&self, work: u32, now: Timestamp) -> Option<Arc<str>> {
        let state = &self.works[at(work)];
        let passed_over = state.progress.excluded.iter().any(|one| one.until > now);
        let alone = passed_over || state.stuck.is_some() || !state.in_vain.is_empty();
        state.shape.clone().filter(|_| !alone)
    }

    /// It waits from now on for what could help it.
    pub(super) fn wait_for_help(&mut self, work: u32, now: Timestamp) {
        let own = || Arc::from(format!("workload {work}"));
        let shape = self.shape_of(work, now).unwrap_or_else(own);
        let place = Place { shape, turnout: self.turnout(work), near: self.wishes(work) };
        if self.in_line.places.get(&work) == Some(&place) {
            return;
        }
        self.wait_no_more(work);
        let line = self.in_line.lines.entry(Arc::clone(&place.shape)).or_default();
        line.insert(place.turnout.clone());
        for near in &place.near {
            self.in_line.near.entry(near.clone()).or_default().insert(work);
        }
        self.in_line.places.insert(work, place);
        self.blocked.insert(work);
    }

    /// It waits for nothing any more.
    pub(super) fn wait_no_more(&mut self, work: u32) {
        self.blocked.remove(&work);
        let Some(place) = self.in_line.places.remove(&work) else { return };
        if let Some(line) = self.in_line.lines.get_mut(&place.shape) {
            line.remove(&place.turnout);
            if line.is_empty() {
                self.in_line.lines.remove(&place.shape);
            }
        }
        for near in &place.near {
            if let Some(works) = self.in_line.near.get_mut(near) {
                works.remove(&work);
                if works.is_empty() {
                    self.in_line.near.remove(near);
                }
            }
        }
    }

    /// The workloads that it has to be near.
    pub(super) fn wishes(&self, work: u32) -> Vec<WorkloadKey> {
        let state = &self.works[at(work)];
        let rules = state.head.iter().flat_map(|head| head.spec.placement.affinity.iter());
        let hard = rules.filter(|rule| rule.mode == Mode::Hard);
        hard.map(|rule| WorkloadKey::new(state.key.namespace.clone(), rule.workload.clone()))
            .collect()
    }

    pub(super) fn turnout(&self, work: u32) -> Turnout {
        let state = &self.works[at(work)];
        (Reverse(state.priority()), state.key.clone(), work)
    }

    /// All that wait are looked at again.
    pub(super) fn wake_all(&mut self) {
        for work in &self.blocked {
            self.works[at(*work)].woken = true;
        }
        self.dirty.extend(self.blocked.iter().copied());
    }

    /// Of those that wait for the same, the first is looked at again if a node that has more to give
    /// now could help it.
    pub(super) fn wake_blocked(&mut self, now: Timestamp) {
        let freed = std::mem::take(&mut self.freed);
        let relieved = std::mem::take(&mut self.relieved);
        if freed.is_empty() && relieved.is_empty() {
            return;
        }
        self.hopeless.clear();
        self.news.left |= !freed.is_empty();
        self.news.nodes.extend(freed.into_iter().chain(relieved));
        let lines = self.in_line.lines.iter();
        let firsts = lines.flat_map(|(shape, line)| self.first_of(shape, line.iter(), now));
        let helped: Vec<u32> = firsts.filter(|work| self.helped(*work, now)).collect();
        for work in helped {
            self.works[at(work)].woken = true;
            self.dirty.insert(work);
        }
    }

    /// Whether it waits for what could help it.
    pub(super) fn waits(&self, work: u32) -> Waits {
        if self.blocked.contains(&work) { Waits::Still } else { Waits::NoMore }
    }

    /// The first of a line, and before it those who stand there no longer rightly: since they were
    /// put there a node refused them, so that they speak for themselves only.
    fn first_of<'a>(
        &self,
        shape: &Arc<str>,
        line: impl Iterator<Item = &'a Turnout>,
        now: Timestamp,
    ) -> Vec<u32> {
        let mut found = Vec::new();
        for (_, _, work) in line {
            found.push(*work);
            if self.shape_of(*work, now).as_ref() == Some(shape) {
                break;
            }
        }
        found
    }

    /// The next that waits for the same as this one did, if it could be helped too: not if this one
    /// was not, but for what people should read of it.
    pub(super) fn next_in_line(
        &mut self,
        (shape, turnout): &(Arc<str>, Turnout),
        before: Waits,
        now: Timestamp,
    ) -> Vec<Turnout> {
        let Some(line) = self.in_line.lines.get(shape) else { return Vec::new() };
        let rest = line.range((Bound::Excluded(turnout), Bound::Unbounded));
        let spoke_for_all = self.shape_of(turnout.2, now).as_ref() == Some(shape);
        let helped = |work: &u32| match before {
            Waits::Still if spoke_for_all => self.reads_news(*work, now),
            Waits::Still | Waits::NoMore => self.helped(*work, now),
        };
        let mut next = self.first_of(shape, rest, now);
        next.retain(helped);
        for work in &next {
            self.works[at(*work)].woken = true;
            self.dirty.insert(*work);
        }
        next.into_iter().map(|work| self.turnout(work)).collect()
    }

    fn reads_news(&self, work: u32, now: Timestamp) -> bool {
        let state = &self.works[at(work)];
        let Some(request) = &state.request else { return false };
        self.news.nodes.iter().any(|node| self.reads_otherwise(state, request, *node, now))
    }

    /// Under what a workload waits, if it does.
    pub(super) fn place_in_line(&self, work: u32) -> Option<(Arc<str>, Turnout)> {
        let place = self.in_line.places.get(&work)?;
        Some((Arc::clone(&place.shape), place.turnout.clone()))
    }

    fn helped(&self, work: u32, now: Timestamp) -> bool {
        let state = &self.works[at(work)];
        let (Some(head), Some(request)) = (&state.head, &state.request) else { return false };
        let far = self.news.left && looks_at_others(head);
        let news = |node: &u32| {
            self.has_room_for(head, request, *node, now)
                || self.reads_otherwise(state, request, *node, now)
                || self.could_make_room(work, *node, now)
        };
        far || self.news.nodes.iter().any(news)
    }

    /// One more would fit there; what is cheap to see is asked first.
    fn has_room_for(&self, head: &Head, request: &Request, node: u32, now: Timestamp) -> bool {
        room(&self.nodes[at(node)].seat, request.ask).is_empty()
            && self.open_to(head, request, node, now)
    }

    /// The node was offline or cordoned when the workload was told why it has no place, and is not
    /// any more: if there is another reason now, people should read that one.
    fn reads_otherwise(&self, state: &Work, request: &Request, node: u32, now: Timestamp) -> bool {
        let told = state.progress.unplaced.first().or(state.stuck.as_ref());
        let named = told.and_then(|told| told.nodes.get(&self.nodes[at(node)].name));
        let passing = [Reason::Liveness, Reason::Admin];
        let Some(named) = named.filter(|named| passing.iter().any(|one| named.contains(one)))
        else {
            return false;
        };
        let closed = self.closed_to(request, node, now);
        passing.iter().any(|reason| named.contains(reason) && !closed.has(*reason))
    }

    /// One that has to be near its own may go anywhere once none of it runs any more.
    pub(super) fn wake_alone(&mut self, work: u32) {
        if !self.blocked.contains(&work) || !self.wishes(work).contains(&self.works[at(work)].key) {
            return;
        }
        let runs = |(_, index): &(u32, u32)| self.instances[at(*index)].desired == Desired::Run;
        if !self.works[at(work)].slots.iter().any(runs) {
            self.works[at(work)].woken = true;
            self.dirty.insert(work);
        }
    }

    /// Blocked workloads that want to be near this one are looked at again.
    pub(super) fn wake_near(&mut self, work: u32) {
        let near = self.in_line.near.get(&self.works[at(work)].key);
        for other in near.into_iter().flatten() {
            self.works[at(*other)].woken = true;
            self.dirty.insert(*other);
        }
    }
}

/// Whether what leaves one node can make room for it on another.
fn looks_at_others(head: &Head) -> bool {
    let rules = &head.spec.placement;
    let mut apart = rules.anti_affinity.iter();
    !rules.max_per.is_empty()
        || apart.any(|rule| rule.mode == Mode::Hard && rule.scope != Scope::Node)
}
