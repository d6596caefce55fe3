//! What this node takes of others' work, and at what price: its own policy, told with every beat.
//!
//! Whatever the policy refuses is not ordered here, by whatever strategy, and is declined if it is
//! ordered all the same. What already runs is left alone. A predicate that has not answered, does
//! not answer in time or cannot be run refuses everything.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;
use ostler_core::node::{Bid, Refusal};
use ostler_service::clock;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::ask::{Asked, ask};

mod policy;

pub use policy::{Hours, OnBattery, Policy, Zone};

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
}

impl Bidder {
    /// By this policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let said = match policy.predicate.as_slice() {
            [] => Said::Nothing,
            _ => Said::Refuses("the predicate has not answered yet".to_owned()),
        };
        Self {
            policy: Arc::new(policy.clone()),
            zone: policy.time_zone.resolve(),
            said: Arc::new(Mutex::new(said)),
        }
    }

    /// The bid as it stands now, on battery or not.
    #[must_use]
    pub fn bid(&self, battery: bool) -> Bid {
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

/// Runs the predicate once.
async fn answer(policy: &Policy) -> Said {
    if policy.predicate.is_empty() {
        return Said::Nothing;
    }
    match ask(&policy.predicate, policy.predicate_timeout.into()).await {
        Asked::Yes(printed) => Said::Able(price(&printed)),
        Asked::No(printed) => {
            let why = printed.lines().next().unwrap_or_default().trim();
            Said::Refuses(if why.is_empty() { "the predicate says so".into() } else { cut(why) })
        }
        Asked::Silent(why) => Said::Refuses(cut(&format!("predicate {why}"))),
    }
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
