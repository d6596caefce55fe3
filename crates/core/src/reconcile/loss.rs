//! Nodes that fall silent: whose instances count as lost, and when nothing does.

use crate::head::Head;
use crate::node::Liveness;
use crate::time::{Span, Timestamp};
use crate::workload::{Kind, OnNodeLoss};

use super::picture::{at, index};
use super::plan::Turn;
use super::{Decision, Engine};

/// Nodes that fall silent within this time fell silent together.
const TOGETHER: Span = Span::from_secs(30);
/// Fewer than these are no mass.
const MASS: usize = 3;

/// How an instance of a workload on some node counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Its node is there.
    Here,
    /// Its node is silent and it is waited for; until then, if there is an end to it.
    Silent(Option<Timestamp>),
    /// It is lost.
    Lost,
}

impl Engine {
    /// How instances of a workload on this node count now.
    pub(super) fn loss(&self, head: &Head, node: u32, turn: &Turn) -> Loss {
        let state = &self.nodes[at(node)];
        if state.gone {
            return Loss::Lost;
        }
        let Some(record) = &state.record else { return Loss::Here };
        let since = record.liveness_since;
        let policy = &head.spec.reschedule;
        let after = match record.liveness {
            Liveness::Online | Liveness::Suspect | Liveness::Asleep => return Loss::Here,
            Liveness::Offline => policy.disconnected_for,
            Liveness::Left if record.left_empty => Span::ZERO,
            Liveness::Left => policy.disconnected_for.max(self.settings.left_for),
        };
        if self.orders.evacuated.contains(&node) {
            return Loss::Lost;
        }
        if head.spec.kind == Kind::System || policy.on_node_loss == OnNodeLoss::Wait {
            return Loss::Silent(None);
        }
        let lost_at = since.plus(after);
        if turn.brake && record.liveness == Liveness::Offline {
            Loss::Silent(self.brake_until.map(|until| until.max(lost_at)))
        } else if lost_at <= turn.now {
            Loss::Lost
        } else {
            Loss::Silent(Some(lost_at))
        }
    }

    /// Puts the brake on when too many nodes fell silent together, and takes it off in time.
    pub(super) fn brake(&mut self, turn: &mut Turn) {
        if self.brake_until.is_some_and(|until| until <= turn.now) {
            self.brake_until = None;
            self.fleet_changed = true;
            self.mark_silent();
        }
        if std::mem::take(&mut self.brake_stale) {
            self.measure_loss(turn);
        }
        turn.brake = self.brake_until.is_some();
    }

    /// Until when nothing is moved because of loss.
    #[must_use]
    pub fn brake_until(&self) -> Option<Timestamp> {
        self.brake_until
    }

    /// The leader before had the brake on. Who comes back in between shows in no record, so that it
    /// cannot be measured anew.
    pub(super) fn hold_the_brake(&mut self, until: Timestamp, now: Timestamp) {
        if until > now {
            self.brake_until = self.brake_until.max(Some(until));
        }
    }

    fn mark_silent(&mut self) {
        let silent: Vec<u32> = (0..index(self.nodes.len()))
            .filter(|node| self.nodes[at(*node)].liveness() == Liveness::Offline)
            .collect();
        silent.into_iter().for_each(|node| self.mark_node(node));
    }

    fn measure_loss(&mut self, turn: &mut Turn) {
        let ours = self
            .nodes
            .iter()
            .filter(|node| !node.gone)
            .filter_map(|node| node.record.as_ref().filter(|record| record.pool == self.pool));
        let (mut of, mut since) = (0usize, Vec::new());
        for record in ours {
            match record.liveness {
                Liveness::Online | Liveness::Suspect => of += 1,
                Liveness::Offline => {
                    of += 1;
                    since.push(record.liveness_since);
                }
                Liveness::Left | Liveness::Asleep => {}
            }
        }
        since.sort_unstable();
        let Some((lost, newest)) = greatest_burst(&since, of) else { return };
        let until = newest.plus(self.settings.mass_loss_pause);
        let news = self.brake_until.is_none();
        if until > turn.now && self.brake_until.is_none_or(|old| old < until) {
            self.brake_until = Some(until);
            turn.plan.brake = true;
            if news {
                let (lost, of) = (index(lost), index(of));
                turn.plan.decisions.push(Decision::MassLoss { lost, of, until });
            }
        }
    }
}

/// The last time at which more than a third of `of` nodes, and at least 3, had fallen silent within
/// [`TOGETHER`]: how many, and when. `since` is sorted.
fn greatest_burst(since: &[Timestamp], of: usize) -> Option<(usize, Timestamp)> {
    let mut first = 0;
    let mut found = None;
    for (last, moment) in since.iter().enumerate() {
        while moment.since(since[first]) > TOGETHER {
            first += 1;
        }
        let lost = last + 1 - first;
        if lost >= MASS && lost * 3 > of {
            found = Some((lost, *moment));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(seconds: &[u64], of: usize) -> Option<usize> {
        let since: Vec<_> = seconds.iter().map(|s| Timestamp::from_millis(s * 1000)).collect();
        greatest_burst(&since, of).map(|(lost, _)| lost)
    }

    #[test]
    fn more_than_a_third_and_at_least_three_within_thirty_seconds_is_a_mass() {
        assert_eq!(burst(&[0, 10, 20], 8), Some(3));
        assert_eq!(burst(&[0, 10, 20], 9), None);
        assert_eq!(burst(&[0, 10], 2), None);
        assert_eq!(burst(&[0, 20, 40, 60], 6), None);
        assert_eq!(burst(&[0, 40, 50, 60], 6), Some(3));
    }
}
