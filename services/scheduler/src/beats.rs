//! Heartbeats: which change a decision, and which nodes lag behind what was committed for them.

use std::collections::HashMap;

use ostler_core::id::{NodeName, Revision};
use ostler_core::node::{Bid, Heartbeat, Use};
use ostler_core::time::{Span, Timestamp};

/// The engine hears of a node's use no more often than this.
const TELL_EVERY: Span = Span::from_secs(5);
/// A bid that is older than two beats is none.
const BID_FOR: Span = Span::from_secs(2);
/// A node that lags for so many beats is sent `sync`, and again after twice as many.
const PATIENCE: u32 = 2;

/// What is known of one node's beats.
#[derive(Debug, Default)]
struct Pulse {
    told: Option<(Use, bool, Timestamp)>,
    bid: Option<(Bid, Timestamp)>,
    committed: Revision,
    behind: u32,
}

impl Pulse {
    /// Notes the bid, and says whether another one stood, or none for long.
    fn bids(&mut self, bid: Option<&Bid>, now: Timestamp) -> bool {
        let Some(bid) = bid else { return false };
        match &mut self.bid {
            Some((known, at)) if *known == *bid => now.since(std::mem::replace(at, now)) > BID_FOR,
            other => {
                *other = Some((bid.clone(), now));
                true
            }
        }
    }
}

/// All nodes' beats.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    nodes: HashMap<NodeName, Pulse>,
}

/// What should be done about a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The engine should hear of it.
    pub tell: bool,
    /// The bid is not the one that stood: what is blocked may be helped by it.
    pub bid: bool,
    /// The node should be asked to read its manifest again.
    pub sync: bool,
}

impl Beats {
    /// The node's manifest was committed at this revision.
    pub fn committed(&mut self, node: &NodeName, revision: Revision) {
        let pulse = self.pulse(node);
        pulse.committed = pulse.committed.max(revision);
        pulse.behind = 0;
    }

    /// A beat came.
    pub fn hear(&mut self, beat: &Heartbeat, now: Timestamp) -> Verdict {
        let pulse = self.pulse(&beat.node);
        pulse.behind = if beat.applied < pulse.committed { pulse.behind + 1 } else { 0 };
        let sync = pulse.behind >= PATIENCE && pulse.behind.is_power_of_two();
        let tell = match pulse.told {
            None => true,
            Some((_, battery, _)) if battery != beat.battery => true,
            Some((used, _, at)) => now.since(at) >= TELL_EVERY && differs(used, beat.used),
        };
        if tell {
            pulse.told = Some((beat.used, beat.battery, now));
        }
        Verdict { tell, bid: pulse.bids(beat.bid.as_ref(), now), sync }
    }

    /// The node is gone.
    pub fn forget(&mut self, node: &NodeName) {
        self.nodes.remove(node);
    }

    fn pulse(&mut self, node: &NodeName) -> &mut Pulse {
        if !self.nodes.contains_key(node) {
            self.nodes.insert(node.clone(), Pulse::default());
        }
        self.nodes.get_mut(node).expect("just put there")
    }
}

/// Whether the use changed by more than a twentieth.
fn differs(before: Use, now: Use) -> bool {
    let far = |before: u64, now: u64| before.abs_diff(now) > before.max(now) / 20;
    far(before.cpu, now.cpu)
        || far(before.memory, now.memory)
        || far(before.disk, now.disk)
        || far(before.network, now.network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(applied: u64, cpu: u64) -> Heartbeat {
        Heartbeat {
            node: "n1".parse().expect("a name"),
            epoch: ostler_core::id::Epoch(1),
            applied: Revision(applied),
            used: Use { cpu, ..Use::default() },
            load: [0; 3],
            instances: 0,
            clock: Timestamp::from_millis(0),
            server: String::new(),
            bid: None,
            battery: false,
        }
    }

    fn hear(beats: &mut Beats, applied: u64, cpu: u64, second: u64) -> (bool, bool) {
        let now = Timestamp::from_millis(second * 1000);
        let Verdict { tell, sync, .. } = beats.hear(&beat(applied, cpu), now);
        (tell, sync)
    }

    #[test]
    fn only_use_that_changed_is_told_and_not_too_often() {
        let mut beats = Beats::default();
        assert_eq!(hear(&mut beats, 0, 1000, 1), (true, false));
        assert_eq!(hear(&mut beats, 0, 2000, 2), (false, false));
        assert_eq!(hear(&mut beats, 0, 2000, 6), (true, false));
        assert_eq!(hear(&mut beats, 0, 2050, 60), (false, false));
    }

    #[test]
    fn a_bid_is_news_when_it_changes_or_comes_after_a_silence() {
        let mut beats = Beats::default();
        let mut hear = |price: u32, second: u64| {
            let bid = Some(Bid { price, refusals: Vec::new() });
            let beat = Heartbeat { bid, ..beat(0, 0) };
            beats.hear(&beat, Timestamp::from_millis(second * 1000)).bid
        };
        let heard = [(5, 1), (5, 2), (5, 4), (6, 5), (6, 6), (6, 9)];
        let news = heard.map(|(price, second)| hear(price, second));
        assert_eq!(news, [true, false, false, true, false, true]);
        assert!(!beats.hear(&beat(0, 0), Timestamp::from_millis(10_000)).bid);
    }

    #[test]
    fn a_change_to_battery_is_told_at_once() {
        let mut beats = Beats::default();
        hear(&mut beats, 0, 1000, 1);
        let beat = Heartbeat { battery: true, ..beat(0, 1000) };
        assert!(beats.hear(&beat, Timestamp::from_millis(2000)).tell);
        assert!(!beats.hear(&beat, Timestamp::from_millis(9000)).tell);
    }

    #[test]
    fn a_node_that_lags_for_two_beats_is_synced_and_then_less_and_less_often() {
        let mut beats = Beats::default();
        beats.committed(&beat(0, 0).node, Revision(9));
        let synced = (1..=9).filter(|second| hear(&mut beats, 8, 0, *second).1);
        assert_eq!(synced.collect::<Vec<_>>(), [2, 4, 8]);
        assert!(!hear(&mut beats, 9, 0, 10).1);
    }
}
