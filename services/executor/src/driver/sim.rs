//! Runs nothing, by a script: for tests, `simulate` and load tests. One wheel of timers and one
//! task, however many instances.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ostler_core::id::InstanceId;
use ostler_core::instance::Exit;
use ostler_core::time::Span;
use ostler_core::workload::SimSection;
use ostler_service::clock;
use tokio::sync::Notify;

use super::session::{Exec, Output, Session, session};
use super::{Adoption, Counters, Driver, Launch, Run, Sink};
use crate::supervise::{Blame, Event, Readiness};

/// The `sim` driver.
#[derive(Debug, Clone, Default)]
pub struct Sim {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    runs: HashMap<InstanceId, Pretence>,
    wheel: BTreeMap<(Instant, u64), (InstanceId, Event)>,
    used: u64,
}

#[derive(Debug)]
struct Pretence {
    run: u64,
    stop_after: Span,
    started: bool,
}

impl State {
    fn at(&mut self, when: Instant, id: InstanceId, event: Event) {
        self.used += 1;
        self.wheel.insert((when, self.used), (id, event));
    }

    /// What is due, at most so many, and when the next is.
    fn due(&mut self, now: Instant, most: usize) -> Vec<(InstanceId, Event)> {
        let mut due = Vec::new();
        while due.len() < most {
            match self.wheel.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let (id, event) = entry.remove();
                    if self.holds(id, &event) {
                        due.push((id, event));
                    }
                }
                Some(_) | None => break,
            }
        }
        due
    }

    /// Whether it still happens: a run that ended does not become ready.
    fn holds(&mut self, id: InstanceId, event: &Event) -> bool {
        let current = |runs: &HashMap<InstanceId, Pretence>, run: u64| {
            runs.get(&id).is_some_and(|pretence| pretence.run == run)
        };
        match event {
            Event::Started(run, ..) => {
                let here = self.runs.get_mut(&id).filter(|pretence| pretence.run == *run);
                here.map(|pretence| pretence.started = true).is_some()
            }
            Event::NotStarted(run, ..) | Event::Exited(run, _) => {
                let here = current(&self.runs, *run);
                if here {
                    self.runs.remove(&id);
                }
                here
            }
            Event::Passing(run) => current(&self.runs, *run),
            _ => true,
        }
    }
}

/// At most so many messages are taken from the wheel at a time.
const BATCH: usize = 256;

impl Sim {
    /// A driver that tells nothing until somebody turns its wheel.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the wheel and tells `sink` until nobody listens; to be run as a task.
    pub fn turn(&self, sink: Sink) -> impl Future<Output = ()> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            tokio::select! {
                () = turn(&shared, &sink) => {}
                () = sink.closed() => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, id: InstanceId, exit: Exit, after: Option<Span>) {
        let mut state = self.state();
        let Some(pretence) = state.runs.get(&id).filter(|pretence| pretence.started) else {
            return;
        };
        let (run, wait) = (pretence.run, after.unwrap_or(pretence.stop_after));
        state.at(clock::instant() + Duration::from(wait), id, Event::Exited(run, exit));
        drop(state);
        self.shared.woken.notify_one();
    }
}

async fn turn(shared: &Shared, sink: &Sink) {
    loop {
        let (due, next) = {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let due = state.due(clock::instant(), BATCH);
            (due, state.wheel.first_key_value().map(|((when, _), _)| *when))
        };
        let idle = due.is_empty();
        for happened in due {
            if sink.send(happened).await.is_err() {
                return;
            }
        }
        if !idle {
            continue;
        }
        match next {
            Some(when) => tokio::select! {
                () = tokio::time::sleep_until(when.into()) => {}
                () = shared.woken.notified() => {}
            },
            None => shared.woken.notified().await,
        }
    }
}

/// When each thing of a script happens.
fn script(launch: &Launch, section: &SimSection, now: Instant) -> Vec<(Instant, Event)> {
    let run = launch.run;
    let started = now + Duration::from(section.start_after);
    if section.fail {
        let why = "the script says so".to_owned();
        return vec![(started, Event::NotStarted(run, why, Blame::Instance))];
    }
    let at_once = section.ready_after == Span::ZERO;
    let readiness = if at_once { Readiness::AtOnce } else { Readiness::ByChecks };
    let mut script = vec![(started, Event::Started(run, Run::default(), readiness))];
    if !at_once {
        script.push((started + Duration::from(section.ready_after), Event::Passing(run)));
    }
    if let Some(code) = section.exit_code {
        let when = started + Duration::from(section.exit_after.unwrap_or(Span::ZERO));
        script.push((when, Event::Exited(run, Exit::Code(code))));
    }
    script
}

impl Driver for Sim {
    fn start(&self, launch: Arc<Launch>) {
        let section = launch.spec.sections.sim.clone().unwrap_or_default();
        let mut state = self.state();
        let running = state.runs.get(&launch.id).is_some_and(|pretence| pretence.started);
        let stop_after = section.stop_after;
        let pretence = Pretence { run: launch.run, stop_after, started: running };
        state.runs.insert(launch.id, pretence);
        for (when, event) in script(&launch, &section, clock::instant()) {
            state.at(when, launch.id, event);
        }
        drop(state);
        self.shared.woken.notify_one();
    }

    fn adopt(&self, launch: Arc<Launch>, _: &Run) -> Adoption {
        let mut state = self.state();
        match state.runs.get_mut(&launch.id) {
            Some(pretence) => {
                pretence.run = launch.run;
                Adoption::Alive
            }
            None => Adoption::Gone(Exit::Unknown),
        }
    }

    fn find(&self, _: InstanceId) -> Option<Run> {
        None
    }

    fn signal(&self, id: InstanceId, signal: &str) {
        let number = super::process::signal_number(signal).unwrap_or(libc::SIGTERM);
        self.end(id, Exit::Signal(number), None);
    }

    fn kill(&self, id: InstanceId) {
        self.end(id, Exit::Signal(libc::SIGKILL), Some(Span::ZERO));
    }

    fn remove(&self, id: InstanceId) {
        let mut state = self.state();
        state.runs.remove(&id);
        state.at(clock::instant(), id, Event::Removed);
        drop(state);
        self.shared.woken.notify_one();
    }

    fn running(&self) -> Vec<InstanceId> {
        let state = self.state();
        state.runs.iter().filter(|(_, run)| run.started).map(|(id, _)| *id).collect()
    }

    fn stats(&self, id: InstanceId) -> Option<Counters> {
        self.state().runs.get(&id).filter(|run| run.started).map(|_| Counters::default())
    }
    /// Whatever is asked for ends well.
    fn exec(&self, launch: Arc<Launch>, _: Exec) -> Session {
        if !self.running().contains(&launch.id) {
            return Session::refused(&format!("instance {} does not run", launch.id));
        }
        let (session, inside) = session();
        inside.output.try_send(Output::Ended(Exit::Code(0))).expect("there is room for one");
        session
    }
}
