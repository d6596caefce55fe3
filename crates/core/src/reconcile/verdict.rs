//! What all nodes say to one more instance, cut down to what people and programs can use: the best,
//! the nearest misses, the others by their reasons, and what would make room.

use std::collections::{BTreeMap, BTreeSet};

use crate::explain::{NodeVerdict, Obstacle, PassedOver, Quantity, Shortage, Told, Verdicts, Way};
use crate::id::NodeName;
use crate::placement::Reasons;
use crate::placement::field::Field;

use super::Engine;
use super::against::Against;
use super::picture::{at, index};

/// So many of those that fit are told, and so many of those that do not.
const BEST: usize = 50;
const NEAREST: usize = 50;
/// For the ways out so many of the nearest misses are looked at in full.
const SEARCHED: usize = 1000;
/// So many ways out are told, and so many nodes as examples of a group.
const WAYS: usize = 6;
const EXAMPLES: usize = 3;

/// A node that does not fit: how far it is from that, where, why.
type Miss = (u64, usize, Reasons);

impl Engine {
    pub(super) fn verdicts(
        &self,
        field: &Field,
        against: &Against<'_>,
        only: Option<&NodeName>,
    ) -> Verdicts {
        let mut misses: Vec<Miss> = Vec::new();
        let mut fitting = 0;
        for (place, stall) in field.stalls().iter().enumerate() {
            let reasons = field.reasons(place);
            if reasons.is_empty() {
                fitting += 1;
            } else {
                misses.push((against.distance(stall.node, reasons), place, reasons));
            }
        }
        misses.sort_unstable_by_key(|(distance, place, _)| (*distance, *place));
        let best: Vec<usize> = field.best().into_iter().chain(field.next_best(BEST - 1)).collect();
        let nearest: Vec<usize> = misses.iter().take(NEAREST).map(|miss| miss.1).collect();
        let names = |places: &[usize]| places.iter().map(|p| self.name_in(field, *p)).collect();
        let mut told: BTreeSet<usize> = best.iter().chain(&nearest).copied().collect();
        if let Some(only) = only {
            let name = |place: &usize| self.nodes[at(field.stalls()[*place].node)].name == *only;
            told = (0..field.stalls().len()).filter(name).collect();
        }
        let verdict =
            |place: &usize| (self.name_in(field, *place), self.verdict(field, against, *place));
        let asked = index(field.stalls().len());
        Verdicts {
            asked,
            fitting,
            best: names(&best),
            nearest: names(&nearest),
            passed_over: self.passed_over(field, &misses),
            unblock: if fitting == 0 { self.ways(field, against, &misses) } else { Vec::new() },
            nodes: told.iter().map(verdict).collect(),
            nodes_left_out: asked - index(told.len()),
        }
    }

    fn verdict(&self, field: &Field, against: &Against<'_>, place: usize) -> NodeVerdict {
        let reasons = field.reasons(place);
        let node = field.stalls()[place].node;
        let state = &self.nodes[at(node)];
        if !reasons.is_empty() {
            let told = against.obstacles(node, reasons).into_iter();
            let obstacles = told.map(|one| Told::on(&state.name, one)).collect();
            let said = self.refused(against.request, node, against.now).map(str::to_owned);
            return NodeVerdict::Rejected { reasons: reasons.iter().collect(), said, obstacles };
        }
        let merit = field.merit(place, &state.seat);
        let available = field.available(&state.seat);
        NodeVerdict::Fits {
            spread: merit.spread,
            score: merit.score,
            terms: merit.terms,
            available,
        }
    }

    /// By reasons, each group where its nearest is.
    fn passed_over(&self, field: &Field, misses: &[Miss]) -> Vec<PassedOver> {
        let mut groups: BTreeMap<Reasons, (usize, u32, Vec<NodeName>)> = BTreeMap::new();
        for (rank, (_, place, reasons)) in misses.iter().enumerate() {
            let group = groups.entry(*reasons).or_insert((rank, 0, Vec::new()));
            group.1 += 1;
            if group.2.len() < EXAMPLES {
                group.2.push(self.name_in(field, *place));
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, (rank, _, _))| *rank);
        let group = |(reasons, (_, count, such_as)): (Reasons, (usize, u32, Vec<NodeName>))| {
            PassedOver { reasons: reasons.iter().collect(), count, such_as }
        };
        groups.into_iter().map(group).collect()
    }

    /// What would make room: first one change of the text that opens nodes, by how many it opens;
    /// then what the nearest nodes lack.
    fn ways(&self, field: &Field, against: &Against<'_>, misses: &[Miss]) -> Vec<Way> {
        let mut texts: BTreeMap<String, (u32, NodeName)> = BTreeMap::new();
        let mut most: BTreeMap<Quantity, (u64, u32, NodeName)> = BTreeMap::new();
        let mut nodes = Vec::new();
        for (_, place, reasons) in misses.iter().take(SEARCHED) {
            let node = field.stalls()[*place].node;
            let name = &self.nodes[at(node)].name;
            let obstacles = against.obstacles(node, *reasons);
            if nodes.len() < 2 {
                let changes = obstacles.iter().map(|one| one.remedy(name)).collect();
                nodes.push(Way { changes, nodes: 1, such_as: name.clone() });
            }
            let [only] = &obstacles[..] else { continue };
            if let Obstacle::Short(Shortage { of, free, .. }) = only {
                let found = most.entry(*of).or_insert_with(|| (*free, 0, name.clone()));
                if *free > found.0 {
                    *found = (*free, 0, name.clone());
                }
                found.1 += u32::from(*free == found.0);
            } else if let Some(text) = only.in_the_text() {
                texts.entry(text).or_insert_with(|| (0, name.clone())).0 += 1;
            }
        }
        let mut ways: Vec<Way> = texts
            .into_iter()
            .map(|(text, (nodes, such_as))| Way { changes: vec![text], nodes, such_as })
            .collect();
        ways.sort_by_key(|way| (std::cmp::Reverse(way.nodes), way.changes.clone()));
        for (of, (free, nodes, such_as)) in most.into_iter().filter(|(_, most)| most.0 > 0) {
            let changes = vec![format!("ask for at most {}", of.amount_within(free))];
            ways.push(Way { changes, nodes, such_as });
        }
        ways.truncate(WAYS - nodes.len().min(WAYS));
        // What the nearest node lacks is the first thing to say, unless a word of text opens more.
        let repeated = |way: &Way| ways.iter().any(|other| other.changes == way.changes);
        nodes.retain(|way| !repeated(way));
        nodes.extend(ways);
        nodes
    }
}
