//! What this node takes of others' work, and at what price: its own policy, told with every beat.
//!
//! Whatever the policy refuses is not ordered here, by whatever strategy, and is declined if it is
//! ordered all the same. What already runs is left alone. A predicate that has not answered, does
//! not answer in time or cannot be run refuses everything.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ostler_core::node::{Bid, Refusal};
use ostler_service::clock;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::host;

mod policy;

pub use policy::{Hours, OnBattery, Policy, Zone};

/// The power supply is looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So much of what a predicate prints is read.
const PRINTS: u64 = 4096;
/// So much of a reason is told, in bytes.
const REASON: usize = 200;

/// What the predicate last said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// There is none.
    Nothing,
    /// It takes work; at this price, if it named one.
    Able(Option<u32>),
    /// It does not, for this reason.
    Refuses(String),
}

/// Makes the standing bid of one node.
#[derive(Debug, Clone)]
pub struct Bidder {
    policy: Arc<Policy>,
    zone: TimeZone,
    said: Arc<Mutex<Said>>,
    battery: Option<(Instant, bool)>,
    simulated: bool,
}

impl Bidder {
    /// By this policy; a node on which nothing but simulations run has no battery.
    #[must_use]
    pub fn new(policy: &Policy, simulated: bool) -> Self {
        let said = match policy.predicate.as_slice() {
            [] => Said::Nothing,
            _ => Said::Refuses("the predicate has not answered yet".to_owned()),
        };
        Self {
            policy: Arc::new(policy.clone()),
            zone: policy.time_zone.resolve(),
            said: Arc::new(Mutex::new(said)),
            battery: None,
            simulated,
        }
    }

    /// Whether the host runs on battery.
    pub fn on_battery(&mut self) -> bool {
        let now = clock::instant();
        match self.battery {
            Some((at, known)) if now.saturating_duration_since(at) < LOOK_EVERY => known,
            Some(_) | None => {
                let found = !self.simulated && host::on_battery();
                self.battery = Some((now, found));
                found
            }
        }
    }

    /// The bid as it stands now.
    pub fn bid(&mut self) -> Bid {
        let battery = self.on_battery();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        decide(&self.policy, battery, self.minute(), &said)
    }

    /// The minute of the day where the host is.
    fn minute(&self) -> u16 {
        let millis = i64::try_from(clock::wall_ms()).unwrap_or(i64::MAX);
        let now = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
        let time = self.zone.to_datetime(now).time();
        u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
    }

    /// Asks the predicate again and again until stopped; nothing if there is none.
    pub async fn ask(self, stop: CancellationToken) {
        if self.policy.predicate.is_empty() {
            return;
        }
        loop {
            self.note(answer(&self.policy).await);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.policy.predicate_every.into()) => {}
            }
        }
    }
}

impl Bidder {
    fn note(&self, said: Said) {
        let mut last = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Said::Refuses(why), true) = (&said, *last != said) {
            warn!("this node takes no new work: {why}");
        }
        *last = said;
    }
}

/// What follows from policy and state.
fn decide(policy: &Policy, battery: bool, minute: u16, said: &Said) -> Bid {
    let mut bid = Bid { price: policy.price, refusals: Vec::new() };
    let mut refuse = |why: String| bid.refusals.push(Refusal { kinds: Vec::new(), why });
    match (battery, policy.on_battery) {
        (true, OnBattery::Refuse) => refuse("on battery".to_owned()),
        (true, OnBattery::Accept) => bid.price = bid.price.saturating_add(policy.battery_price),
        (false, OnBattery::Refuse | OnBattery::Accept) => {}
    }
    let mut refuse = |why: String| bid.refusals.push(Refusal { kinds: Vec::new(), why });
    if let Some(hours) = policy.quiet_hours.iter().find(|hours| hours.contain(minute)) {
        refuse(format!("quiet hours {hours}"));
    }
    match said {
        Said::Nothing | Said::Able(None) => {}
        Said::Able(Some(price)) => bid.price = *price,
        Said::Refuses(why) => refuse(why.clone()),
    }
    if !policy.refuse.is_empty() {
        let why = "not taken by this node's settings".to_owned();
        bid.refusals.push(Refusal { kinds: policy.refuse.clone(), why });
    }
    bid
}

/// Runs the predicate once. One that hangs is ended, with all that it started.
async fn answer(policy: &Policy) -> Said {
    let Some((program, arguments)) = policy.predicate.split_first() else { return Said::Nothing };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return Said::Refuses(cut(&format!("predicate `{program}`: {error}"))),
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let within: Duration = policy.predicate_timeout.into();
    match tokio::time::timeout(within, hear(&mut child)).await {
        Ok(Ok((true, printed))) => Said::Able(price(&printed)),
        Ok(Ok((false, printed))) => {
            let why = printed.lines().next().unwrap_or_default().trim();
            Said::Refuses(if why.is_empty() { "the predicate says so".into() } else { cut(why) })
        }
        Ok(Err(error)) => Said::Refuses(cut(&format!("predicate `{program}`: {error}"))),
        Err(_) => {
            // It was not waited for, so its id is nobody else's yet.
            group.map(|group| kill_process_group(group, Signal::KILL).ok());
            Said::Refuses(format!("the predicate did not answer within {within:?}"))
        }
    }
}

/// What it prints, and whether it succeeds.
async fn hear(child: &mut Child) -> std::io::Result<(bool, String)> {
    let mut printed = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(PRINTS).read_to_end(&mut printed).await?;
    }
    let status = child.wait().await?;
    Ok((status.success(), String::from_utf8_lossy(&printed).into_owned()))
}

/// The price in a line such as `price 300`.
fn price(printed: &str) -> Option<u32> {
    let mut named = printed.lines().filter_map(|line| line.trim().strip_prefix("price "));
    named.next()?.trim().parse().ok()
}

fn cut(text: &str) -> String {
    let end = (0..=REASON.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests;
