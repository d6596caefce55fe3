//! What is fenced starts only under the node's pledge.

use super::{Effect, Event, Life, Moment};

/// Whether a fenced instance may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// In this period of the node's pledge.
    Granted(u64),
    /// The pledge has to be made first.
    Later,
    /// Its period is over.
    Never,
}

/// Lets a fenced instance start in the period that it belongs to, and only then. Whether it waits
/// for the pledge.
pub(super) fn gate(life: &mut Life, effects: &mut Vec<Effect>, at: Moment<'_>) -> bool {
    if !life.fenced() || !effects.contains(&Effect::Launch) {
        return false;
    }
    let leave = at.host.leave(life.pledged);
    let event = match leave {
        Leave::Granted(period) => {
            life.pledged = Some(period);
            return false;
        }
        Leave::Later => Event::Unpledged,
        Leave::Never => Event::Lapsed,
    };
    effects.retain(|effect| *effect != Effect::Launch);
    effects.extend(life.react(event, at.now));
    leave == Leave::Later
}
