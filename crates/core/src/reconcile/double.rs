//! Two in one slot: the one that goes, once the one that takes its place is there.

use super::Engine;
use super::picture::at;
use super::plan::{Pass, Turn};
use super::slot::Sorted;
use super::why::Why;

impl Engine {
    /// More than one is ordered to run: the replaced one goes once its replacement is available.
    pub(super) fn settle_doubles(&mut self, pass: &mut Pass, sorted: &mut Sorted, turn: &mut Turn) {
        if sorted.running.len() < 2 {
            return;
        }
        let (stay, go) = self.choose(pass, &sorted.running, turn);
        for index in go {
            let why = if !self.current(&pass.head, index) {
                Why::Updated
            } else {
                self.leaving(&pass.head, index).unwrap_or(Why::Surplus)
            };
            self.order_stop(index, why, turn);
            sorted.held = true;
        }
        sorted.running = stay;
    }

    /// Which stay of those of which none may: a replacement that is ready and has to leave itself
    /// takes the place first. `one` is the best of the others.
    fn of_those_that_go(
        &self,
        pass: &mut Pass,
        (old, one): (&[u32], u32),
        turn: &Turn,
    ) -> Vec<u32> {
        let up = |index: &u32| self.nodes[at(self.instances[at(*index)].node)].reachable();
        let new = |index: &u32| self.current(&pass.head, *index);
        let fresh = old.iter().copied().find(|i| new(i) && self.instances[at(*i)].ready && up(i));
        match fresh.filter(|_| !new(&one)) {
            Some(fresh) if self.available(pass, fresh, turn.now) => vec![fresh],
            Some(fresh) => vec![one, fresh],
            None => vec![one],
        }
    }

    /// Which stay and which go. Those that stay are the outgoing one and its replacement, in this
    /// order, or one alone.
    fn choose(&self, pass: &mut Pass, running: &[u32], turn: &Turn) -> (Vec<u32>, Vec<u32>) {
        let good = |index: &u32| {
            self.current(&pass.head, *index) && self.leaving(&pass.head, *index).is_none()
        };
        let (good, old): (Vec<u32>, Vec<u32>) = running.iter().copied().partition(good);
        let up = |index: &u32| self.nodes[at(self.instances[at(*index)].node)].reachable();
        let ready = |index: &u32| self.instances[at(*index)].ready && up(index);
        let available = good.iter().copied().find(|i| self.available(pass, *i, turn.now) && up(i));
        let lasting = old.iter().copied().find(|i| ready(i) && !self.forced(pass, *i, turn));
        let best_old = lasting.or(old.iter().copied().find(ready)).or(old.first().copied());
        // A move asks for a ready replacement; a new version has to stay ready for a while.
        let moves = best_old.is_some_and(|old| self.current(&pass.head, old));
        let available = available.or(good.iter().copied().find(ready).filter(|_| moves));
        let stay = match (available, good.first().copied(), best_old) {
            (Some(one), _, _) => vec![one],
            (None, Some(new), Some(old)) => vec![old, new],
            (None, Some(new), None) => vec![good.iter().copied().find(ready).unwrap_or(new)],
            (None, None, Some(one)) => self.of_those_that_go(pass, (&old, one), turn),
            (None, None, None) => Vec::new(),
        };
        let go = running.iter().copied().filter(|index| !stay.contains(index)).collect();
        (stay, go)
    }
}
