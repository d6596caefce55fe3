//! Whether it can start, be renewed, sleep and end as written.

use super::{DAY, DECADE, Found, MONTH, SIGNALS};
use crate::document::Path;
use crate::resources::Bytes;
use crate::schedule::{Schedule, ScheduleError};
use crate::workload::{Backoff, Kind, Workload};

const SMALLEST_LOG: Bytes = Bytes(1024);
const MOST_LOGS: u64 = 10_000;
const SCALE: [&str; 3] = ["min", "max", "on"];

pub(super) fn check(workload: &Workload, found: &mut Found) {
    restart(workload, found);
    replace(workload, found);
    signal("stop.signal", &workload.stop.signal, found);
    found.span("stop.grace", workload.stop.grace, DAY);
    found.span("stop.drain", workload.stop.drain.unwrap_or_default(), DAY);
    keep(workload, found);
    cron(workload, found);
    scale(workload, found);
}

fn restart(workload: &Workload, found: &mut Found) {
    let restart = &workload.restart;
    if restart.attempts < -1 {
        let message = format!("{} is too few: −1 is no limit, 0 is none", restart.attempts);
        found.say("restart.attempts", message);
    }
    found.real_span("restart.window", restart.window, MONTH);
    backoff("restart.backoff", &restart.backoff, found);
    for (index, code) in restart.never_on_exit.iter().enumerate() {
        if !(0..=255).contains(code) {
            let path = Path::from("restart").key("never_on_exit").index(index);
            found.push(&path, format!("{code} is not an exit code: 0 to 255"));
        }
    }
}

fn replace(workload: &Workload, found: &mut Found) {
    backoff("reschedule.backoff", &workload.reschedule.backoff, found);
    found.span("reschedule.disconnected_for", workload.reschedule.disconnected_for, MONTH);
    found.span("update.min_ready", workload.update.min_ready, DAY);
    found.real_span("update.deadline", workload.update.deadline, DAY);
    found.at_most("update.canary", workload.update.canary.into(), super::MOST_INSTANCES.into());
}

fn backoff(path: &str, backoff: &Backoff, found: &mut Found) {
    let Backoff { initial, max } = backoff;
    found.span(&format!("{path}.initial"), *initial, DAY);
    let Some(max) = max else { return };
    found.span(&format!("{path}.max"), *max, DAY);
    if max < initial {
        let message = format!("{max} is less than `initial`, which is {initial}");
        found.say(&format!("{path}.max"), message);
    }
}

pub(super) fn signal(path: &str, signal: &str, found: &mut Found) {
    let real_time = signal.strip_prefix("SIGRTMIN+").and_then(|n| n.parse::<u8>().ok());
    if SIGNALS.contains(&signal) || real_time.is_some_and(|number| number <= 30) {
        return;
    }
    let known = SIGNALS.join(", ");
    let message = format!("`{}` is not a signal: {known}, SIGRTMIN+n", crate::id::cut(signal));
    found.say(path, message);
}

fn keep(workload: &Workload, found: &mut Found) {
    if let Some(idle) = workload.sleep.idle_after {
        found.real_span("sleep.idle_after", idle, DECADE);
    }
    if let Some(age) = workload.recycle.max_age {
        found.real_span("recycle.max_age", age, DECADE);
    }
    if workload.recycle.max_rss == Some(Bytes(0)) {
        found.say("recycle.max_rss", "nothing can run in 0B");
    }
    let logs = &workload.logs;
    if logs.max_size < SMALLEST_LOG {
        let message = format!("{} is too small: at least {SMALLEST_LOG}", logs.max_size);
        found.say("logs.max_size", message);
    }
    if logs.max_files == 0 {
        found.say("logs.max_files", "at least 1");
    }
    found.at_most("logs.max_files", logs.max_files.into(), MOST_LOGS);
    found.real_span("logs.max_age", logs.max_age, DECADE);
}

fn cron(workload: &Workload, found: &mut Found) {
    let cron = match (workload.kind, &workload.cron) {
        (Kind::Cron, Some(cron)) if !cron.schedule.is_empty() => cron,
        (Kind::Cron, _) => return found.say("cron.schedule", "kind `cron` needs it"),
        (Kind::Service | Kind::Job | Kind::System, Some(_)) => {
            return found.say("cron", "this is for kind `cron` only");
        }
        (Kind::Service | Kind::Job | Kind::System, None) => return,
    };
    if let Err(error) = Schedule::new(&cron.schedule, &cron.time_zone) {
        let key = match error {
            ScheduleError::Zone(..) => "cron.time_zone",
            ScheduleError::Pattern(..) | ScheduleError::Never(_) => "cron.schedule",
        };
        found.say(key, error.to_string());
    }
    if let Some(limit) = cron.time_limit {
        found.real_span("cron.time_limit", limit, MONTH);
    }
}

fn scale(workload: &Workload, found: &mut Found) {
    found.known_keys("scale", &workload.scale, &SCALE);
    let mut bound = |key: &str| {
        let value = workload.scale.get(key)?;
        let number = value.as_u64().filter(|n| *n <= super::MOST_INSTANCES.into());
        if number.is_none() {
            let most = super::MOST_INSTANCES;
            let path = Path::from("scale").key(key);
            found.push(&path, format!("expected a whole number from 0 to {most}"));
        }
        number
    };
    let (min, max) = (bound("min"), bound("max"));
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        found.say("scale.max", format!("{max} is less than `min`, which is {min}"));
    }
}
