//! The next executor finds what the last one left: what runs is adopted, what does not is settled.

use crate::instance::Exit;

use super::{Effect, Event, Life, Moment, Next, Phase, Work};

/// Brings what the journal says of an instance in line with what runs.
pub(super) fn look(life: &mut Life, at: Moment<'_>, work: &mut Work) -> Option<Event> {
    let id = life.id;
    match life.phase {
        Phase::Preparing | Phase::Starting => {
            let found = at.host.find(life).filter(|run| at.host.adopt(life, run).is_ok());
            match found {
                Some(run) => return Some(Event::Started(life.runs, run, life.readiness())),
                None => life.phase = Phase::Unsettled(None),
            }
        }
        Phase::Running => match adopt(life, at) {
            Ok(()) => work.effects.push((id, Effect::Check)),
            Err(exit) => {
                life.run = None;
                life.ready = false;
                life.phase = Phase::Unsettled(Some(exit));
            }
        },
        Phase::Stopping { next, .. } => match (adopt(life, at), next) {
            (Ok(()), _) => {
                let stop = life.spec.as_ref().map(|spec| spec.stop.clone()).unwrap_or_default();
                life.phase = Phase::Stopping { next, kill_at: at.now.plus(stop.grace) };
                work.effects.push((id, Effect::Signal(stop.signal)));
            }
            (Err(exit), Next::End) => return Some(Event::Exited(life.runs, exit)),
            (Err(_), Next::Restart | Next::Fail | Next::Halt) => {
                life.phase = Phase::Unsettled(None)
            }
        },
        Phase::Backoff { .. } => life.phase = Phase::Unsettled(None),
        Phase::Removing(_) => work.effects.push((id, Effect::Remove)),
        Phase::Waiting | Phase::Unsettled(_) | Phase::Ended(_) => {}
    }
    None
}

fn adopt(life: &Life, at: Moment<'_>) -> Result<(), Exit> {
    at.host.adopt(life, life.run.as_ref().ok_or(Exit::Unknown)?)
}
