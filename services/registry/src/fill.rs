//! Streams that are filling up: told before they refuse what is new.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ostler_bus::fill::Filled;
use ostler_bus::{Bus, Caller};
use ostler_schemas::pb;
use prometheus::{IntGaugeVec, Opts};
use tracing::{debug, warn};

use crate::app::{App, Shared};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// So full is told, in percent.
const ALARM: u64 = 70;
/// So full is well again: what goes up and down around the alarm is told once.
const CALM: u64 = 65;

/// How full the streams are that are too full.
#[derive(Debug)]
pub struct Fill {
    gauge: IntGaugeVec,
    full: Mutex<BTreeMap<String, u64>>,
}

impl Fill {
    /// Nothing is full yet.
    pub fn new(bus: &Bus) -> Self {
        let opts = Opts::new("ostler_registry_stream_filled_percent", "how full each stream is");
        let gauge = IntGaugeVec::new(opts, &["stream"]).expect("the name and the help are right");
        // A second registry in one program shows its own.
        drop(bus.program().metrics.register(Box::new(gauge.clone())));
        Self { gauge, full: Mutex::default() }
    }

    /// In words, the fullest first.
    pub fn warnings(&self) -> Vec<String> {
        let mut full: Vec<(u64, String)> =
            self.lock().iter().map(|(stream, percent)| (*percent, stream.clone())).collect();
        full.sort_unstable_by(|a, b| b.cmp(a));
        let say = |(percent, stream): (u64, String)| {
            format!("stream `{stream}` is {percent} % full and then refuses what is new")
        };
        full.into_iter().map(say).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is too full since now.
    fn learn(&self, filled: &Filled) -> bool {
        let percent = filled.percent();
        let stream = [filled.stream.as_str()];
        self.gauge.with_label_values(&stream).set(i64::try_from(percent).unwrap_or(i64::MAX));
        let mut full = self.lock();
        let was = full.contains_key(&filled.stream);
        let limit = if was { CALM } else { ALARM };
        if filled.refuses && percent >= limit {
            full.insert(filled.stream.clone(), percent);
            return !was;
        }
        full.remove(&filled.stream);
        false
    }
}

/// Begins to look, for as long as the program runs. Every replica knows, the leader tells.
pub fn begin(app: &Shared) {
    let app = app.clone();
    let tasks = app.bus.program().tasks.clone();
    let stop = tasks.stop_token();
    tasks.spawn("fill", async move {
        loop {
            app.look_at_streams().await;
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), &str>(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    });
}

impl App {
    async fn look_at_streams(&self) {
        let filled = match self.bus.filled(&self.bus.config().pools).await {
            Ok(filled) => filled,
            Err(error) => return debug!(%error, "how full the streams are is not known: {error}"),
        };
        for one in filled.iter().filter(|one| self.fill.learn(one)) {
            let (stream, percent) = (&one.stream, one.percent());
            warn!(%stream, percent, "stream {stream} is {percent} % full");
            if self.lead.holds() {
                let details = [("stream", stream.clone()), ("percent", percent.to_string())];
                let details = details.map(|(key, value)| (key.to_owned(), value));
                let event = pb::Event {
                    kind: "stream.filling".to_owned(),
                    reason: format!("{} of {} bytes", one.bytes, one.limit),
                    details: details.into(),
                    ..Default::default()
                };
                self.tell(&Caller::program("registry"), event);
            }
        }
    }
}
