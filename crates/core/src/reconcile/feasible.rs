//! Workloads that sleep until the fleet can carry them: judged at once when applied, begun when it
//! held for ten seconds, withdrawn when it did not for a minute, the least important first.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::feasible::{Condition, Muster, Standing};
use crate::instance::Desired;
use crate::node::Liveness;
use crate::resources::Resources;
use crate::time::{Span, Timestamp};

use super::picture::{Work, at};
use super::plan::Turn;
use super::why::Why;
use super::{Decision, Engine, Note};

/// It is begun when the fleet could carry it for so long.
const BEGIN_AFTER: Span = Span::from_secs(10);
/// It is withdrawn when the fleet could not carry it for so long.
const WITHDRAW_AFTER: Span = Span::from_secs(60);

/// What was found of a workload's condition. Kept, so that another leader goes on counting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Feasibility {
    /// The condition that this is about.
    pub of: String,
    /// Whether the workload is wanted because of it.
    pub holds: bool,
    /// Since when the fleet says otherwise.
    pub otherwise_since: Option<Timestamp>,
}

impl Engine {
    /// Judges the conditions of all workloads that have one, the least important first.
    pub(super) fn judge_feasibility(&mut self, turn: &mut Turn) {
        let due = self.feasible_at.is_some_and(|due| due <= turn.now);
        if !std::mem::take(&mut self.fleet_changed) && !due {
            return;
        }
        let mut works: Vec<u32> = self.conditional.iter().copied().collect();
        works.sort_by_cached_key(|work| {
            let state = &self.works[at(*work)];
            (state.priority(), std::cmp::Reverse(state.key.clone()))
        });
        self.feasible_at = None;
        let mut leaving = works.iter().any(|work| self.is_leaving(*work));
        for work in works {
            leaving |= self.judge_one(work, leaving, turn);
        }
    }

    /// Whether it was withdrawn now. While another one is on its way out none is withdrawn: the
    /// room that it leaves may be enough.
    fn judge_one(&mut self, work: u32, leaving: bool, turn: &mut Turn) -> bool {
        let Some(condition) = self.works[at(work)].condition.clone() else { return false };
        let now_holds = condition.holds(&self.muster(work));
        let state = &mut self.works[at(work)];
        let before = state.progress.feasibility.clone();
        let known = before.clone().filter(|before| before.of == condition.as_str());
        let mut found = known.clone().unwrap_or_else(|| Feasibility {
            of: condition.as_str().to_owned(),
            holds: now_holds,
            otherwise_since: None,
        });
        let mut turned = known.is_none();
        if found.holds == now_holds {
            found.otherwise_since = None;
        } else {
            let since = *found.otherwise_since.get_or_insert(turn.now);
            let due = since.plus(if now_holds { BEGIN_AFTER } else { WITHDRAW_AFTER });
            let braked = !now_holds && (turn.brake || leaving);
            if due > turn.now {
                self.feasible_at = Some(self.feasible_at.map_or(due, |at| at.min(due)));
            } else if !braked {
                (found.holds, found.otherwise_since, turned) = (now_holds, None, true);
            }
        }
        let withdrawn = turned && !found.holds;
        let first = known.is_none() && before.is_none();
        let news = turned && !(first && found.holds);
        let state = &mut self.works[at(work)];
        if before.as_ref() != Some(&found) {
            turn.plan.progress.insert(state.key.clone());
            state.progress.feasibility = Some(found.clone());
        }
        if news {
            let condition = found.of;
            let note = if found.holds { Note::Feasible } else { Note::Infeasible { condition } };
            let workload = state.key.clone();
            turn.plan.decisions.push(Decision::Noted { workload, note });
        }
        if turned {
            self.dirty.insert(work);
        }
        withdrawn && !self.works[at(work)].slots.is_empty()
    }

    /// Some of it was withdrawn and has not ended where that can be asked.
    fn is_leaving(&self, work: u32) -> bool {
        self.works[at(work)].slots.iter().any(|(_, index)| {
            let instance = &self.instances[at(*index)];
            let told = instance.desired == Desired::Stop && instance.why == Why::Infeasible;
            told && self.nodes[at(instance.node)].reachable()
        })
    }

    /// The fleet as this workload sees it: what it uses itself counts as free.
    fn muster(&self, work: u32) -> Muster<'_> {
        let mut muster = Muster::default();
        let mut own: std::collections::BTreeMap<u32, Resources> = std::collections::BTreeMap::new();
        for (_, index) in &self.works[at(work)].slots {
            let instance = &self.instances[at(*index)];
            let ask = self.texts[at(instance.text)].ask;
            let sum = own.entry(instance.node).or_default();
            *sum = sum.plus(ask);
        }
        for (name, index) in self.node_names.iter() {
            debug_assert_eq!(*name, self.nodes[at(*index)].name, "indices are by name");
            let state = &self.nodes[at(*index)];
            let Some(node) = state.record.as_deref().filter(|_| !state.gone) else { continue };
            if node.pool != self.pool || state.emptying() {
                continue;
            }
            match node.liveness {
                Liveness::Online | Liveness::Suspect => {
                    let ours = own.get(index).copied().unwrap_or_default();
                    let free = state.seat.usable().minus(state.seat.requested.minus(ours));
                    muster.online.push(Standing { node, free });
                }
                Liveness::Asleep => muster.asleep += 1,
                Liveness::Offline | Liveness::Left => {}
            }
        }
        muster
    }

    /// Notes the condition of a workload that was written.
    pub(super) fn note_condition(&mut self, work: u32) {
        let state = &mut self.works[at(work)];
        let wanted =
            state.head.as_ref().filter(|head| !head.deleted && head.spec.pool == self.pool);
        let text = wanted.map_or("", |head| head.spec.placement.feasible_when.as_str());
        state.condition = text.parse().ok().map(Arc::new);
        if state.condition.is_some() {
            self.conditional.insert(work);
            self.fleet_changed = true;
        } else {
            state.progress.feasibility = None;
            self.conditional.remove(&work);
        }
    }

    /// What is free changed: conditions that ask for room are judged again.
    pub(super) fn room_changed(&mut self) {
        let asks = |work: &u32| {
            self.works[at(*work)].condition.as_ref().is_some_and(|one| one.asks_for_room())
        };
        self.fleet_changed = self.fleet_changed || self.conditional.iter().any(asks);
    }
}

/// Whether the fleet can carry it, as far as it asks for that.
pub(super) fn carried(state: &Work) -> bool {
    let condition: Option<&Arc<Condition>> = state.condition.as_ref();
    condition.is_none() || state.progress.feasibility.as_ref().is_some_and(|found| found.holds)
}
