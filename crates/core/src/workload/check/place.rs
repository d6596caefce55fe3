//! Whether its placement rules can be obeyed.

use super::Found;
use crate::constraint::{self, Requirement};
use crate::document::Path;
use crate::feasible::Condition;
use crate::id::NodeName;
use crate::reconcile::Terms;
use crate::workload::{PlacementRules, Spread, Strategy, Workload};

const MOST_RULES: usize = 64;
const LONGEST_WORD: usize = 128;
const LONGEST_CONDITION: usize = 4096;
const MOST_WEIGHT: u32 = 10_000;
const RESOURCES: [&str; 4] = ["cpu", "memory", "disk", "network"];

pub(super) fn check(workload: &Workload, found: &mut Found) {
    let rules = &workload.placement;
    let here = Path::from("placement");
    if !rules.node.is_empty()
        && let Err(error) = rules.node.parse::<NodeName>()
    {
        found.push(&here.key("node"), error.to_string());
    }
    if rules.strategy == Strategy::Sticky && rules.sticky_key.is_empty() {
        found.push(&here.key("sticky_key"), "strategy `sticky` needs it");
    }
    if rules.feasible_when.len() > LONGEST_CONDITION {
        let message = format!("longer than {LONGEST_CONDITION} bytes");
        found.push(&here.key("feasible_when"), message);
    } else if !rules.feasible_when.is_empty()
        && let Err(error) = rules.feasible_when.parse::<Condition>()
    {
        found.push(&here.key("feasible_when"), error.to_string());
    }
    counts(rules, found);
    weights(rules, &here, found);
    require(rules, &here, found);
    prefer(rules, &here, found);
    near(rules, &here, found);
    for (index, spread) in rules.spread.iter().enumerate() {
        spreads(spread, &here.key("spread").index(index), found);
    }
    for (attribute, most) in &rules.max_per {
        let path = here.key("max_per").key(attribute.as_str());
        known(attribute, &path, found);
        if *most == 0 {
            found.push(&path, "0 would leave no place: at least 1");
        }
    }
}

fn counts(rules: &PlacementRules, found: &mut Found) {
    let lengths = [
        (rules.require.len(), "placement.require"),
        (rules.prefer.len(), "placement.prefer"),
        (rules.anti_affinity.iter().len(), "placement.anti_affinity"),
        (rules.affinity.iter().len(), "placement.affinity"),
        (rules.spread.iter().len(), "placement.spread"),
        (rules.max_per.len(), "placement.max_per"),
    ];
    for (length, path) in lengths {
        found.limit(length, MOST_RULES, path, "rules");
    }
}

fn weights(rules: &PlacementRules, here: &Path, found: &mut Found) {
    for (resource, weight) in &rules.weights {
        let path = here.key("weights").key(resource.as_str());
        let known: Vec<&str> = RESOURCES.into_iter().chain(Terms::NAMES).collect();
        if !known.contains(&resource.as_str()) {
            found.0.push(crate::document::unknown_key(&path, resource, &known));
        }
        found.at_most(&path.to_string(), (*weight).into(), MOST_WEIGHT.into());
    }
    let named = |names: &[&str]| -> Vec<u32> {
        names.iter().filter_map(|name| rules.weights.get(*name)).copied().collect()
    };
    let shares = named(&RESOURCES);
    let terms = named(&Terms::NAMES);
    let nothing = |weights: &[u32]| weights.iter().all(|weight| *weight == 0);
    if (!shares.is_empty() && nothing(&shares))
        || (terms.len() == Terms::NAMES.len() && nothing(&terms))
    {
        found.push(&here.key("weights"), "all of them are 0");
    }
}

fn require(rules: &PlacementRules, here: &Path, found: &mut Found) {
    for (index, text) in rules.require.iter().enumerate() {
        if let Err(error) = text.parse::<Requirement>() {
            found.push(&here.key("require").index(index), error.to_string());
        }
    }
}

fn prefer(rules: &PlacementRules, here: &Path, found: &mut Found) {
    for (index, wish) in rules.prefer.iter().enumerate() {
        let path = here.key("prefer").index(index);
        known(&wish.attribute, &path.key("attribute"), found);
        if !(-100..=100).contains(&wish.weight) {
            found.push(&path.key("weight"), format!("{} is not −100 to 100", wish.weight));
        }
    }
}

fn near(rules: &PlacementRules, here: &Path, found: &mut Found) {
    for (index, rule) in rules.anti_affinity.iter().enumerate() {
        let path = here.key("anti_affinity").index(index).key("group");
        found.words(&path, &rule.group);
        if rule.group.len() > LONGEST_WORD {
            found.push(&path, format!("longer than {LONGEST_WORD} bytes"));
        }
    }
}

fn spreads(spread: &Spread, here: &Path, found: &mut Found) {
    known(&spread.attribute, &here.key("attribute"), found);
    if !(1..=100).contains(&spread.weight) {
        found.push(&here.key("weight"), format!("{} is not 1 to 100", spread.weight));
    }
    let percent: u64 = spread.targets.values().map(|percent| u64::from(*percent)).sum();
    if percent > 100 {
        found.push(&here.key("targets"), format!("{percent} % are more than 100 %"));
    }
}

fn known(attribute: &str, path: &Path, found: &mut Found) {
    if !constraint::is_attribute(attribute) {
        let known = "node.name, arch, os, kernel, zone, hardware, pool, driver.<d>, labels.<l>, cpu or memory";
        let cut = crate::id::cut(attribute);
        found.push(path, format!("`{cut}` is not an attribute of nodes: {known}"));
    }
}
