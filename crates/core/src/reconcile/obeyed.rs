//! What became of orders: kept for a day, bounded, and finished by whoever leads next.

use crate::command::{Command, Order, Outcome, Verdict};
use crate::id::Generation;
use crate::time::{Span, Timestamp};

use super::Engine;
use super::commands::Answer;
use super::picture::{Orders, at};
use super::plan::Turn;

/// For how long outcomes are kept.
const KEPT: Span = Span::from_secs(24 * 3600);
/// At most so many are kept. While there are so many, whatever came before the first of them has
/// been obeyed.
const MOST: usize = 4_096;
/// A reason is cut after so many characters.
const LONGEST: usize = 1_000;

impl Engine {
    /// Its outcome is noted before what it changes: a leader that died in between has left the rest
    /// to us. Where nothing is left to do, nothing is done.
    pub(super) fn insist(
        &mut self,
        order: &Order,
        generation: Option<Generation>,
        turn: &mut Turn,
    ) {
        match order {
            Order::StopInstance { instance } => {
                if self.running_instance(*instance).is_ok() {
                    // What it answers is noted already.
                    drop(self.stop_instance(*instance, turn));
                }
            }
            Order::RestartInstance { instance } => {
                if let (Ok(index), Some(generation)) =
                    (self.running_instance(*instance), generation)
                    && self.instances[at(index)].generation < generation
                {
                    drop(self.restart_instance(*instance, turn));
                }
            }
            // Done only when it was seen to be so, or noted in the workload's progress before.
            Order::MoveInstance { .. }
            | Order::Drain { .. }
            | Order::Evacuate { .. }
            | Order::Promote { .. }
            | Order::Rebalance { .. } => {}
        }
    }

    pub(super) fn note_outcome(
        &mut self,
        command: &Command,
        Answer(verdict, mut reason): Answer,
        turn: &mut Turn,
    ) {
        if let Some((end, _)) = reason.char_indices().nth(LONGEST) {
            reason.truncate(end);
        }
        let same = self
            .orders
            .outcomes
            .get(&command.id)
            .is_some_and(|outcome| (outcome.verdict, &outcome.reason) == (verdict, &reason));
        if same {
            return;
        }
        let generation = self.generation_led_to(&command.order, verdict);
        let outcome = Outcome { id: command.id.clone(), verdict, reason, at: turn.now, generation };
        self.orders.outcomes.insert(command.id.clone(), outcome);
        self.orders.trim(turn.now);
        turn.plan.outcomes = true;
    }

    fn generation_led_to(&self, order: &Order, verdict: Verdict) -> Option<Generation> {
        let Order::RestartInstance { instance } = order else { return None };
        let index = self.known(*instance).filter(|_| verdict == Verdict::Done)?;
        Some(self.instances[at(index)].generation)
    }

    /// What became of the commands of the last 24 hours, the last 4,096 at most, by id.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.orders.outcomes.values().cloned().collect()
    }
}

impl Orders {
    /// Forgets what is old, and what is too much: the oldest that are settled.
    fn trim(&mut self, now: Timestamp) {
        self.outcomes.retain(|_, outcome| now.since(outcome.at) < KEPT);
        while self.outcomes.len() > MOST {
            let Some(first) = self.first_settled().cloned() else { return };
            self.outcomes.remove(&first);
        }
    }

    fn first_settled(&self) -> Option<&String> {
        let mut settled = self.outcomes.iter().filter(|(_, one)| one.verdict != Verdict::Running);
        settled.next().map(|(id, _)| id)
    }

    /// Whether a command without an outcome had one that was too much to be kept.
    pub(super) fn forgot(&self, id: &String) -> bool {
        self.outcomes.len() >= MOST && self.first_settled().is_some_and(|first| id < first)
    }
}
