//! Reads scenario files, and refuses what could not be run.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

use super::range;
use super::scenario::{NodeSpec, Scenario, Step};
use crate::document::{self, Comments, Path, Problem, Reading, Tree};
use crate::id::{NodeName, WorkloadKey};
use crate::workload::Workload;

/// Why a text is no scenario: everything that is wrong with it, with line and key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ScenarioError(pub Vec<Problem>);

impl fmt::Display for ScenarioError {
    /// A problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

const LONGEST: usize = 16 * 1024 * 1024;
const MOST_INSTANCES: u32 = 1_000_000;

/// Reads a scenario: JSON, in which `//` comments are allowed.
pub fn read(text: &str) -> Result<Scenario, ScenarioError> {
    if text.len() > LONGEST {
        let message = format!("{} bytes are too many: at most {LONGEST}", text.len());
        return Err(ScenarioError(vec![Problem::new("", message)]));
    }
    let tree = document::json(text, Comments::Allowed);
    let tree = tree.map_err(|problem| ScenarioError(vec![problem]))?;
    let Reading { value, problems } = document::read::<Scenario>(tree.clone());
    match value {
        Some(scenario) if problems.is_empty() => sensible(scenario, &tree),
        Some(_) | None => Err(ScenarioError(problems)),
    }
}

fn sensible(scenario: Scenario, tree: &Tree) -> Result<Scenario, ScenarioError> {
    let mut known = Known::default();
    let nodes = Path::from("nodes");
    for (index, spec) in scenario.nodes.iter().enumerate() {
        known.join(spec, &nodes.index(index));
    }
    known.begin(&scenario);
    for (index, step) in scenario.steps.iter().enumerate() {
        known.step(step, &Path::from("steps").index(index));
    }
    let at_line = |problem: Problem| {
        let line = tree.line_of(&problem.path);
        problem.at(line)
    };
    let mut problems: Vec<Problem> = known.problems.into_iter().map(at_line).collect();
    problems.sort();
    if problems.is_empty() { Ok(scenario) } else { Err(ScenarioError(problems)) }
}

/// What the steps so far have made.
#[derive(Default)]
struct Known {
    nodes: BTreeSet<NodeName>,
    workloads: BTreeSet<WorkloadKey>,
    problems: Vec<Problem>,
}

impl Known {
    fn say(&mut self, path: &Path, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn join(&mut self, spec: &NodeSpec, here: &Path) {
        for name in self.names(&spec.name, &here.key("name")) {
            if self.nodes.len() >= range::MOST {
                self.say(here, format!("more than {} nodes", range::MOST));
                return;
            }
            if !self.nodes.insert(name.clone()) {
                self.say(&here.key("name"), format!("node `{name}` is there twice"));
            }
        }
        let (first, last) = spec.ports;
        if first == 0 || last < first {
            self.say(&here.key("ports"), "expected the first and the last port, from 1 up");
        }
    }

    /// What is there before the first step.
    fn begin(&mut self, scenario: &Scenario) {
        for (index, workload) in scenario.workloads.iter().enumerate() {
            let here = Path::from("workloads").index(index);
            self.check(workload, &here);
            if !self.workloads.insert(workload.key()) {
                self.say(&here.key("name"), format!("`{}` is there twice", workload.key()));
            }
        }
        let mut slots = BTreeSet::new();
        for (index, one) in scenario.instances.iter().enumerate() {
            let here = Path::from("instances").index(index);
            if !self.workloads.contains(&one.workload) {
                let message = format!("`workloads` has no `{}`", one.workload);
                self.say(&here.key("workload"), message);
            }
            if !self.nodes.contains(&one.node) {
                self.say(&here.key("node"), format!("there is no node `{}`", one.node));
            }
            if !slots.insert((one.workload.clone(), one.slot)) {
                let message = format!("`{}/{}` is there twice", one.workload, one.slot);
                self.say(&here.key("slot"), message);
            }
        }
    }

    fn check(&mut self, workload: &Workload, here: &Path) {
        for problem in workload.check() {
            let joint = if problem.path.is_empty() { "" } else { "." };
            let path = format!("{here}{joint}{}", problem.path);
            self.problems.push(Problem { path, ..problem });
        }
    }

    fn names(&mut self, pattern: &str, path: &Path) -> Vec<NodeName> {
        range::names(pattern).unwrap_or_else(|message| {
            self.say(path, message);
            Vec::new()
        })
    }

    fn step(&mut self, step: &Step, here: &Path) {
        match step {
            Step::Apply(workload) => {
                self.check(workload, &here.key("apply"));
                self.workloads.insert(workload.key());
            }
            Step::Scale(scale) => {
                let here = here.key("scale");
                self.workload(&scale.workload, &here);
                if scale.count > MOST_INSTANCES {
                    let message = format!("{} is too many: at most {MOST_INSTANCES}", scale.count);
                    self.say(&here.key("count"), message);
                }
            }
            Step::Remove(named) => self.workload(&named.workload, &here.key("remove")),
            Step::Promote(named) => self.workload(&named.workload, &here.key("promote")),
            Step::Exit(exits) => self.workload(&exits.workload, &here.key("exit")),
            Step::Join(nodes) => {
                for (index, spec) in nodes.iter().enumerate() {
                    self.join(spec, &here.key("join").index(index));
                }
            }
            Step::Node(change) => self.node(&change.name, &here.key("node")),
            Step::Use(used) => self.node(&used.name, &here.key("use")),
            Step::Advance(_) | Step::Rebalance(_) | Step::ExpectQuiet(_) | Step::Takeover(_) => {}
        }
    }

    fn workload(&mut self, key: &WorkloadKey, here: &Path) {
        if !self.workloads.contains(key) {
            self.say(&here.key("workload"), format!("no step before this applies `{key}`"));
        }
    }

    fn node(&mut self, pattern: &str, here: &Path) {
        let path = here.key("name");
        for name in self.names(pattern, &path) {
            if !self.nodes.contains(&name) {
                self.say(&path, format!("there is no node `{name}`"));
            }
        }
    }
}
