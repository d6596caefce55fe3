//! Memory and processor time of all processes over a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ostler_service::clock;

use crate::fleet::Fleet;
use crate::machine;
use crate::report::Report;

/// What every process used since it began.
pub struct Window {
    began: Instant,
    cpu: BTreeMap<u32, u64>,
}

impl Window {
    /// Begins to measure.
    pub fn open(fleet: &Fleet) -> Self {
        let used = |(_, pid): &(String, u32)| Some((*pid, machine::cpu_ms(*pid)?));
        Self { began: clock::instant(), cpu: fleet.processes().iter().filter_map(used).collect() }
    }

    /// Tells what each used meanwhile, as parts of one core, and what memory it has now.
    pub fn close(&self, fleet: &Fleet, report: &mut Report) {
        let passed = clock::since(self.began).as_secs_f64().max(f64::MIN_POSITIVE);
        let mut all = 0.0;
        for (name, pid) in fleet.processes() {
            let (Some(before), Some(now)) = (self.cpu.get(&pid), machine::cpu_ms(pid)) else {
                continue;
            };
            let used = u32::try_from(now.saturating_sub(*before)).unwrap_or(u32::MAX);
            let share = f64::from(used) / 1000.0 / passed;
            all += share;
            report.figure(&format!("processor, {name}"), share * 100.0, "%");
            if let Some(mib) = machine::rss_mib(pid) {
                report.figure(&format!("memory, {name}"), mib, "MiB");
            }
        }
        report.figure("processor, all together", all, "cores");
    }
}

/// Waits, showing how far it is.
pub async fn rest(what: &'static str, time: Duration) {
    let bar = ProgressBar::new(time.as_secs()).with_message(what);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let began = clock::instant();
    while clock::since(began) < time {
        tick.tick().await;
        bar.set_position(clock::since(began).as_secs());
    }
    bar.finish_and_clear();
}
