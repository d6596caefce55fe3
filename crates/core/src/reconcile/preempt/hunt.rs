//! What one node offers: who would have to go there for one more of a workload.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Engine;
use super::super::observe::group_tag;
use super::super::picture::{at, index};
use super::super::survey::scope_name;
use super::Cost;
use super::choose::{Amounts, DIMENSIONS, Prey, choose};
use crate::instance::Desired;
use crate::placement::dimension::Value;
use crate::placement::field::Field;
use crate::placement::{Reason, Seat, doors};
use crate::ports::PortTable;
use crate::resources::Resources;
use crate::workload::{AntiAffinity, PortSpec};

/// What is hunted for, and who may have to go.
#[derive(Debug)]
pub(super) struct Hunt {
    /// The highest priority that has to go.
    pub most: u8,
    pub ask: Resources,
    pub ports: Vec<PortSpec>,
    /// Groups of which no member may be on the node.
    pub tags: Vec<String>,
    /// Groups of which no member may be in the zone or the machine.
    pub far: Vec<Neighbourhood>,
    /// Workloads that it has to be near: they do not go.
    pub near: BTreeSet<u32>,
    /// Nodes where making room did not help lately.
    pub in_vain: BTreeSet<u32>,
}

/// Where the members of a group are that must not be near.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    /// By place of the node.
    values: Vec<Value>,
    members: BTreeMap<Value, Vec<u32>>,
    /// Places are kept there for members.
    held: BTreeSet<Value>,
}

/// Who would have to go on one node.
#[derive(Debug)]
pub(super) struct Offer {
    pub node: u32,
    pub victims: Vec<u32>,
}

/// What an instance has to do, if the other is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is on its way out.
    Leaves,
    /// It is in the way by a rule that room does not help.
    Must,
    /// It could give room.
    May,
    /// It stays and is not in the way.
    Stays,
    /// It stays and is in the way.
    Bars,
}

impl Engine {
    pub(super) fn neighbourhood(&self, rule: &AntiAffinity) -> Neighbourhood {
        let tag = group_tag(&rule.group);
        let values = self.values(scope_name(rule.scope));
        let mut members: BTreeMap<Value, Vec<u32>> = BTreeMap::new();
        let mut held = BTreeSet::new();
        for (place, node) in self.order.iter().enumerate() {
            let there = self.tallies.get(&tag).is_some_and(|nodes| nodes.contains_key(node));
            if !there {
                continue;
            }
            let state = &self.nodes[at(*node)];
            let ours = state.entries.iter().copied().filter(|one| self.has_tag(*one, &tag));
            members.entry(values[place]).or_default().extend(ours);
            if state.held.iter().any(|key| self.holds[key].tags.contains(&tag)) {
                held.insert(values[place]);
            }
        }
        Neighbourhood { values, members, held }
    }

    /// Each node's value of an attribute, as a number, in the order of names.
    fn values(&self, name: &str) -> Vec<Value> {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let number = |node: &u32| {
            let text = self.value(name, *node).unwrap_or_default();
            let next = index(known.len());
            *known.entry(text).or_insert(next)
        };
        self.order.iter().map(number).collect()
    }

    fn has_tag(&self, index: u32, tag: &String) -> bool {
        self.works[at(self.instances[at(index)].work)].tags.contains(tag)
    }

    /// Who would have to go on the node at this place, and how dear that is.
    pub(super) fn offer(&self, hunt: &Hunt, field: &Field, place: usize) -> Option<(Cost, Offer)> {
        let stall = &field.stalls()[place];
        let open = stall.company.closed.is_empty() && !field.reasons(place).has(Reason::MaxPer);
        if !open || hunt.in_vain.contains(&stall.node) || self.held_against(hunt, stall.node) {
            return None;
        }
        let mut scene = Scene::new(self, stall.node);
        self.far_ones(hunt, place, &mut scene)?;
        for entry in &self.nodes[at(stall.node)].entries {
            scene.meet(self, hunt, *entry)?;
        }
        let victims = scene.decide(hunt)?;
        let priorities = victims.iter().map(|index| self.priority_of(*index));
        let highest = priorities.clone().max().unwrap_or(0);
        let cost = (highest, victims.len(), priorities.map(u32::from).sum(), place);
        Some((cost, Offer { node: stall.node, victims }))
    }

    /// A place is kept there for a member of a group that must stay away.
    fn held_against(&self, hunt: &Hunt, node: u32) -> bool {
        let mut held = self.nodes[at(node)].held.iter().map(|key| &self.holds[key]);
        held.any(|held| held.tags.iter().any(|tag| hunt.tags.contains(tag)))
    }

    /// Members in the same zone or machine have to go, wherever they are; `None` if one stays.
    fn far_ones(&self, hunt: &Hunt, place: usize, scene: &mut Scene) -> Option<()> {
        for far in &hunt.far {
            let value = far.values[place];
            if far.held.contains(&value) {
                return None;
            }
            for index in far.members.get(&value).into_iter().flatten() {
                match (self.instances[at(*index)].desired, self.has_to_go(hunt, *index)) {
                    (Desired::Stop | Desired::Keep, _) => {}
                    (Desired::Run, true) => drop(scene.must.insert(*index)),
                    (Desired::Run, false) | (Desired::Hibernate, _) => return None,
                }
            }
        }
        Some(())
    }

    fn has_to_go(&self, hunt: &Hunt, index: u32) -> bool {
        let near = hunt.near.contains(&self.instances[at(index)].work);
        !near && self.priority_of(index) <= hunt.most
    }

    fn fate(&self, hunt: &Hunt, index: u32) -> Fate {
        let instance = &self.instances[at(index)];
        let tagged = || hunt.tags.iter().any(|tag| self.has_tag(index, tag));
        let door = || instance.ports.iter().any(|grant| hunt.wants_port(grant.first, grant.count));
        match instance.desired {
            Desired::Stop => Fate::Leaves,
            Desired::Run if self.has_to_go(hunt, index) => {
                if tagged() || door() {
                    Fate::Must
                } else {
                    Fate::May
                }
            }
            Desired::Run | Desired::Hibernate => {
                if tagged() || door() {
                    Fate::Bars
                } else {
                    Fate::Stays
                }
            }
            Desired::Keep => Fate::Stays,
        }
    }

    /// What a node has back when an instance has gone.
    fn gives(&self, index: u32) -> Amounts {
        let instance = &self.instances[at(index)];
        let ask = self.texts[at(instance.text)].ask;
        let ports = instance.ports.iter().map(|grant| u64::from(grant.count)).sum();
        let (memory, disk) = (ask.memory.0, ask.disk.0);
        [ask.cpu, memory, disk, ask.network, 1, memory, disk, ports]
    }
}

impl Hunt {
    fn wants_port(&self, first: u16, count: u16) -> bool {
        let (first, last) = (u32::from(first), u32::from(first) + u32::from(count.max(1)));
        self.ports.iter().any(|port| {
            let fixed = port.fixed.map(u32::from);
            fixed.is_some_and(|fixed| fixed < last && first < fixed + u32::from(port.count.max(1)))
        })
    }
}

/// One node while it is looked at.
struct Scene<'a> {
    engine: &'a Engine,
    node: u32,
    /// What is there with those gone who leave or have to.
    seat: Seat,
    /// What those who leave or have to go give back.
    back: Amounts,
    leaving: Vec<u32>,
    must: BTreeSet<u32>,
    may: Vec<u32>,
}

impl<'a> Scene<'a> {
    fn new(engine: &'a Engine, node: u32) -> Self {
        let seat = engine.nodes[at(node)].seat;
        let (back, leaving) = ([0; DIMENSIONS], Vec::new());
        Self { engine, node, seat, back, leaving, must: BTreeSet::new(), may: Vec::new() }
    }

    fn meet(&mut self, engine: &Engine, hunt: &Hunt, index: u32) -> Option<()> {
        let fate = engine.fate(hunt, index);
        match fate {
            Fate::Bars => return None,
            Fate::Stays => return Some(()),
            Fate::Leaves => self.leaving.push(index),
            Fate::Must => drop(self.must.insert(index)),
            Fate::May => {
                if !self.must.contains(&index) {
                    self.may.push(index);
                    return Some(());
                }
            }
        }
        for (back, gives) in self.back.iter_mut().zip(engine.gives(index)) {
            *back += gives;
        }
        Some(())
    }

    /// What is lacking when those have gone who leave or have to.
    fn need(&self, hunt: &Hunt) -> Amounts {
        let (usable, seat) = (self.seat.usable(), &self.seat);
        let lack = |asked: u64, taken: u64, all: u64, back: u64| {
            let wanted = u128::from(asked) + u128::from(taken);
            let has = u128::from(all) + u128::from(back);
            u64::try_from(wanted.saturating_sub(has)).unwrap_or(u64::MAX)
        };
        let (ask, taken, back) = (hunt.ask, seat.requested, &self.back);
        let used = seat.used.map_or((0, 0), |used| (used.memory, used.disk));
        let live = |asked: u64, used: u64, pending: u64, all: u64, back: u64| {
            let known = seat.used.is_some() && asked > 0;
            if known { lack(asked, used.saturating_add(pending), all, back) } else { 0 }
        };
        let (all, pending) = (seat.capacity, seat.pending);
        let asked = |ask: u64, lack: u64| if ask > 0 { lack } else { 0 };
        [
            asked(ask.cpu, lack(ask.cpu, taken.cpu, usable.cpu, back[0])),
            asked(ask.memory.0, lack(ask.memory.0, taken.memory.0, usable.memory.0, back[1])),
            asked(ask.disk.0, lack(ask.disk.0, taken.disk.0, usable.disk.0, back[2])),
            asked(ask.network, lack(ask.network, taken.network, usable.network, back[3])),
            lack(1, seat.instances.into(), seat.max_instances.into(), back[4]),
            live(ask.memory.0, used.0, pending.memory.0, all.memory.0, back[5]),
            live(ask.disk.0, used.1, pending.disk.0, all.disk.0, back[6]),
            0,
        ]
    }

    /// The ports as they are when these have gone.
    fn table(&self, gone: &[u32]) -> PortTable {
        let mut table = self.engine.nodes[at(self.node)].ports.clone();
        for index in self.leaving.iter().chain(&self.must).chain(gone) {
            let instance = &self.engine.instances[at(*index)];
            if instance.node == self.node {
                instance.ports.iter().for_each(|grant| table.free(grant.first));
            }
        }
        self.engine.give_holders(self.node, &mut table);
        table
    }

    fn decide(self, hunt: &Hunt) -> Option<Vec<u32>> {
        let need = self.need(hunt);
        let prey = |index: &u32| Prey {
            index: *index,
            priority: self.engine.priority_of(*index),
            id: self.engine.instances[at(*index)].id,
            gives: self.engine.gives(*index),
        };
        let prey: Vec<Prey> = self.may.iter().map(prey).collect();
        let enough = |chosen: &[&Prey]| {
            let gone: Vec<u32> = chosen.iter().map(|one| one.index).collect();
            hunt.ports.is_empty() || doors(&self.table(&gone), &hunt.ports).is_empty()
        };
        let chosen = choose(&need, prey, &enough)?;
        let mut victims: Vec<u32> = self.must.iter().copied().chain(chosen).collect();
        victims.sort_by_key(|index| self.engine.instances[at(*index)].id);
        Some(victims)
    }
}
