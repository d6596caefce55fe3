//! Arguments of the questions: why, what if, and what would become of it.

use std::path::PathBuf;

use clap::Args;

pub const EXPLAIN: &str = "\
Why it is there, why not elsewhere, what would unblock it.

  ostler explain web             a workload: its slots, the best nodes, what rules the others out
  ostler explain web node-3      one node's verdict, with every reason in numbers
  ostler explain web/0           an instance (or its id): as if it were placed again now
  ostler explain node-3          a node: what it has, carries and refuses
  ostler explain web/0 --history why it was put there, as it was decided then

A score is the mean of its terms, weighted; terms and scores are 0 to 10,000. Nodes that do not fit
are told nearest first, by how few and how small their obstacles are. What would make room is found
by the very function that places: with just that changed, the node fits.";

pub const PLAN: &str = "\
What would happen if files were applied, nodes lost, drained or added. Changes nothing.

  ostler plan web.toml                    where each slot would go and why, what would be stopped
  ostler plan --lose zone=east            does the fleet survive without that zone, and what moves
  ostler plan --lose node-3 --lose node-4 both at once
  ostler plan --drain node-7              where everything on it would go
  ostler plan --add 4=node-1 db.toml      would four more nodes like node-1 carry that file

The leader's own engine is led on, on a copy, to the end: what starts gets ready at once, what stops
stops. Nodes are named or selected by KEY=VALUE: `node`, `zone`, `hardware`, `arch` …, any other key
is a label. Exit code 0: no change, 10: changes, 1: something would have no place.";

pub const SIMULATE: &str = "\
Run a scenario in simulated time: no bus, and no network but to read the fleet when asked to.

  ostler simulate scenario.json           a scenario with nodes and steps of its own
  ostler simulate --from-fleet            the live fleet as it is: nodes, workloads, instances
  ostler simulate --from-fleet night.json the same, then the steps of night.json
  ostler simulate --from-fleet --write f  and keep the scenario, to be run again without a fleet

From a fleet, instances begin where they are now. Exit code 0: it ran, 1: an expectation failed,
2: it cannot be read.";

/// `ostler explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A workload, an instance (id, unique beginning, `web/0`) or a node.
    pub what: String,
    /// Only this node's verdict.
    pub node: Option<String>,
    /// What was decided about it, as it was decided then.
    #[arg(long)]
    pub history: bool,
}

/// `ostler plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Workload files; `-` for standard input.
    #[arg(required_unless_present_any = ["lose", "drain", "add"])]
    pub files: Vec<PathBuf>,
    /// Suppose that these nodes are lost: a name, or KEY=VALUE. Repeatable.
    #[arg(long, value_name = "NODES")]
    pub lose: Vec<String>,
    /// Suppose that these nodes are drained. Repeatable.
    #[arg(long, value_name = "NODES")]
    pub drain: Vec<String>,
    /// Suppose that COUNT nodes join: like the node of that name, like the first with that
    /// KEY=VALUE, or like the first whose label `size` or `class` is that. Repeatable.
    #[arg(long, value_name = "COUNT=LIKE")]
    pub add: Vec<String>,
    /// Only in this pool.
    #[arg(long)]
    pub pool: Option<String>,
}

/// `ostler simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The scenario, JSON; `-` for standard input.
    #[arg(required_unless_present = "from_fleet")]
    pub scenario: Option<PathBuf>,
    /// Begin with the live fleet.
    #[arg(long)]
    pub from_fleet: bool,
    /// Save the scenario that is run.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// One JSON object a step.
    #[arg(long)]
    pub json: bool,
}
