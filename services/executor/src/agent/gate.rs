//! What is fenced starts only under the node's pledge.

use ostler_core::id::InstanceId;
use ostler_core::time::Timestamp;

use super::Agent;
use crate::fence::{Fence, Leave};
use crate::supervise::{Effect, Event, Life};

impl Agent {
    /// Lets a fenced instance start in the period that it belongs to, and only then.
    pub(super) fn gate(&mut self, id: InstanceId, effects: &mut Vec<Effect>, now: Timestamp) {
        let Some(life) = self.lives.get_mut(&id).filter(|life| life.fenced()) else { return };
        if !effects.contains(&Effect::Launch) {
            return;
        }
        let event = match self.fence.leave(life.pledged) {
            Leave::Granted(period) => {
                life.pledged = Some(period);
                return;
            }
            Leave::Later => {
                self.unpledged.insert(id);
                Event::Unpledged
            }
            Leave::Never => Event::Lapsed,
        };
        effects.retain(|effect| *effect != Effect::Launch);
        effects.extend(life.react(event, now));
    }

    /// Keeps account of what needs the pledge: all that is fenced, until nothing of it is left.
    pub(super) fn note_fenced(&mut self, id: InstanceId) {
        let needs = self.lives.get(&id).is_some_and(|life| life.fenced() && !life.ended());
        if needs {
            self.fenced.insert(id);
        } else {
            self.fenced.remove(&id);
        }
    }
}

impl Life {
    /// Whether at most one of it may be alive, whatever happens.
    #[must_use]
    pub fn fenced(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.fenced)
    }

    /// Says that its guardian killed it, if so.
    pub(super) fn blame(&mut self, fence: &Fence) {
        if !matches!(fence.leave(self.pledged), Leave::Granted(_)) {
            "fenced: the node's pledge was not renewed in time".clone_into(&mut self.reason);
        }
    }
}
