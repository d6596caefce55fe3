//! Silences, probes and guards: each test is a sentence about when a node counts as lost.

use ostler_core::id::{Epoch, NodeName};
use ostler_core::liveness::{Answer, Effect, Event, Settings, Watch};
use ostler_core::node::Liveness;
use ostler_core::time::Timestamp;

/// A detector under test: time is driven in steps of 50 ms, and records follow effects at once.
struct Trial {
    watch: Watch,
    now: u64,
    /// What was recorded: when, of whom, what.
    log: Vec<(u64, String, &'static str)>,
    /// Nodes that answer probes, or nobody does.
    answers: fn(&NodeName) -> Answer,
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

impl Trial {
    fn new() -> Self {
        let mut trial = Self {
            watch: Watch::new(Settings::default()),
            now: 1_000_000,
            log: Vec::new(),
            answers: |_| Answer::Silence,
        };
        trial.tell(Event::Hearing);
        trial
    }

    fn with(mut self, nodes: &[&str], server: Option<&str>) -> Self {
        for node in nodes {
            self.record(&name(node), 1, Liveness::Online, server);
        }
        self
    }

    fn record(&mut self, node: &NodeName, epoch: u64, liveness: Liveness, server: Option<&str>) {
        let server = server.map(str::to_owned);
        self.tell(Event::Record { node: node.clone(), epoch: Epoch(epoch), liveness, server });
    }

    fn tell(&mut self, event: Event) {
        let effects = self.watch.react(event, Timestamp::from_millis(self.now));
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let (node, epoch, word, liveness) = match effect {
            Effect::Probe { node, epoch } => {
                self.log.push((self.now, node.to_string(), "probe"));
                let answer = (self.answers)(&node);
                return self.tell(Event::Probed { node, epoch, answer });
            }
            Effect::Suspect { node, epoch, .. } => (node, epoch, "suspect", Liveness::Suspect),
            Effect::Offline { node, epoch, .. } => (node, epoch, "offline", Liveness::Offline),
            Effect::Online { node, epoch } => (node, epoch, "online", Liveness::Online),
        };
        self.log.push((self.now, node.to_string(), word));
        let server = node.as_str().split_once('-').map(|(server, _)| server.to_owned());
        self.tell(Event::Record { node, epoch, liveness, server });
    }

    fn beat(&mut self, node: &str, epoch: u64) {
        self.tell(Event::Beat { node: name(node), epoch: Epoch(epoch) });
    }

    /// Lets so much time pass while these nodes beat every second.
    fn pass(&mut self, ms: u64, beating: &[&str]) {
        for step in 0..ms / 50 {
            self.now += 50;
            self.tell(Event::Tick);
            if step % 20 == 19 {
                beating.iter().for_each(|node| self.beat(node, 1));
            }
        }
    }

    /// When that was recorded of the node, since `start`.
    fn after(&self, start: u64, node: &str, word: &str) -> Vec<u64> {
        let found = self.log.iter().filter(|(_, n, w)| n == node && *w == word);
        found.map(|(at, _, _)| at - start).collect()
    }
}

#[test]
fn a_silent_node_is_suspect_at_2500_ms_probed_twice_and_offline_at_4000() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.beat("n1", 1);
    let start = trial.now;
    trial.pass(10_000, &[]);
    assert_eq!(trial.after(start, "n1", "suspect"), [2_500]);
    assert_eq!(trial.after(start, "n1", "probe"), [2_500, 3_200]);
    assert_eq!(trial.after(start, "n1", "offline"), [4_000]);
}

#[test]
fn a_node_that_beats_is_left_alone() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.pass(60_000, &["n1"]);
    assert_eq!(trial.log, []);
}

#[test]
fn a_node_that_answers_probes_stays_suspect_until_it_stops_answering() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.beat("n1", 1);
    trial.answers = |_| Answer::Pong;
    trial.pass(10_000, &[]);
    assert_eq!(trial.after(0, "n1", "offline"), [0u64; 0]);
    let last = *trial.after(0, "n1", "probe").last().expect("it is probed");
    trial.answers = |_| Answer::NoResponders;
    trial.pass(10_000, &[]);
    assert_eq!(trial.after(last, "n1", "offline"), [4_000]);
}

#[test]
fn a_lost_node_returns_with_a_beat_of_its_epoch_and_of_no_other() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.beat("n1", 1);
    trial.pass(5_000, &[]);
    trial.record(&name("n1"), 2, Liveness::Offline, None);
    trial.beat("n1", 1);
    assert!(trial.after(0, "n1", "online").is_empty(), "an older life");
    let start = trial.now;
    trial.beat("n1", 2);
    assert_eq!(trial.after(start, "n1", "online"), [0]);
}

#[test]
fn a_node_that_left_is_not_brought_back_by_a_late_beat() {
    let mut trial = Trial::new();
    trial.record(&name("n1"), 1, Liveness::Left, None);
    trial.beat("n1", 1);
    trial.pass(20_000, &["n1"]);
    assert_eq!(trial.log, []);
}

#[test]
fn after_our_own_reconnect_the_first_round_takes_12_s() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.beat("n1", 1);
    trial.tell(Event::Deaf);
    trial.pass(30_000, &[]);
    assert_eq!(trial.log, [], "nothing is concluded while we are deaf");
    trial.tell(Event::Hearing);
    let start = trial.now;
    trial.pass(20_000, &[]);
    assert_eq!(trial.after(start, "n1", "suspect"), [2_500]);
    assert_eq!(trial.after(start, "n1", "offline"), [12_000]);
}

#[test]
fn a_beat_after_our_reconnect_ends_the_first_round() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.tell(Event::Deaf);
    trial.tell(Event::Hearing);
    trial.beat("n1", 1);
    let start = trial.now;
    trial.pass(20_000, &[]);
    assert_eq!(trial.after(start, "n1", "offline"), [4_000]);
}

#[test]
fn a_detector_that_was_stopped_itself_blames_nobody() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.beat("n1", 1);
    trial.now += 30_000;
    trial.tell(Event::Tick);
    assert_eq!(trial.log, []);
    trial.pass(2_000, &["n1"]);
    assert_eq!(trial.log, []);
}

#[test]
fn a_standby_that_takes_over_says_at_once_what_was_not_recorded() {
    let mut watch = Watch::new(Settings::default());
    let at = |ms| Timestamp::from_millis(ms);
    watch.react(Event::Hearing, at(0));
    let record =
        |liveness| Event::Record { node: name("n1"), epoch: Epoch(1), liveness, server: None };
    watch.react(record(Liveness::Online), at(0));
    let mut said = Vec::new();
    for ms in (50..6_000).step_by(50) {
        let effects = watch.react(Event::Tick, at(ms));
        said.extend(
            effects.into_iter().filter(|e| matches!(e, Effect::Offline { .. })).map(|_| ms),
        );
    }
    assert_eq!(said.first(), Some(&4_000));
    let gap = said.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(gap, Some(250), "repeated until the record is seen");
}

#[test]
fn when_one_nats_server_falls_silent_its_nodes_get_15_s() {
    let (silent, beating) = (["a-1", "a-2", "a-3"], ["b-1", "b-2"]);
    let mut trial = Trial::new().with(&silent, Some("a")).with(&beating, Some("b"));
    silent.iter().chain(&beating).for_each(|node| trial.beat(node, 1));
    let start = trial.now;
    trial.pass(20_000, &beating);
    for node in silent {
        assert_eq!(trial.after(start, node, "suspect"), [2_500], "{node}");
        assert_eq!(trial.after(start, node, "offline"), [15_000], "{node}");
    }
}

#[test]
fn when_everybody_falls_silent_it_is_not_one_server() {
    let nodes = ["a-1", "a-2", "a-3"];
    let mut trial = Trial::new().with(&nodes, Some("a"));
    nodes.iter().for_each(|node| trial.beat(node, 1));
    let start = trial.now;
    trial.pass(20_000, &[]);
    assert_eq!(trial.after(start, "a-2", "offline"), [4_000]);
}

#[test]
fn two_of_three_nodes_of_a_server_are_no_crowd() {
    let mut trial = Trial::new().with(&["a-1", "a-2", "a-3"], Some("a")).with(&["b-1"], Some("b"));
    ["a-1", "a-2", "a-3", "b-1"].iter().for_each(|node| trial.beat(node, 1));
    let start = trial.now;
    trial.pass(20_000, &["a-3", "b-1"]);
    assert_eq!(trial.after(start, "a-1", "offline"), [4_000]);
}

#[test]
fn a_removed_node_is_forgotten() {
    let mut trial = Trial::new().with(&["n1"], None);
    trial.tell(Event::Removed(name("n1")));
    trial.pass(10_000, &["n1"]);
    assert_eq!(trial.log, []);
    assert_eq!(trial.watch.wake_at(), None);
}

#[test]
fn ten_thousand_nodes_are_lost_as_soon_as_one() {
    let mut trial = Trial::new();
    let nodes: Vec<String> = (0..10_000).map(|index| format!("n{index}")).collect();
    for node in &nodes {
        trial.record(&name(node), 1, Liveness::Online, None);
        trial.beat(node, 1);
    }
    let start = trial.now;
    trial.pass(4_000, &[]);
    let lost = trial.log.iter().filter(|(at, _, word)| *word == "offline" && at - start == 4_000);
    assert_eq!(lost.count(), 10_000);
}
