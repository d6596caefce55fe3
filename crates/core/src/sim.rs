//! The scenario runner: the engine alone, with simulated executors and simulated time.
//!
//! `ostler simulate` for operators' what-if questions, and the harness of our own tests. The formats
//! are those of `scheduling.md` § 7. The same scenario always gives the same answer. After every
//! commit the runner itself checks that no node is given more than it has, and that nothing that
//! runs is forgotten; what breaks that counts as a failed expectation.

mod executor;
mod invariant;
mod life;
mod range;
mod read;
mod registry;
mod report;
mod run;
mod scenario;
mod script;
mod settle;
mod start;
mod step;
mod table;
mod world;

pub use read::{ScenarioError, read};
pub use report::{
    FreeReport, InstanceReport, MoveReport, NodeReport, PlaceReport, StepReport, StopReport,
    UnplacedReport,
};
pub use run::{RunResult, run};
pub use scenario::Scenario;
pub use table::render;
