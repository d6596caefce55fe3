//! Runs a scenario from its first step to its last.

use super::report::StepReport;
use super::scenario::Scenario;
use super::step::Trouble;
use super::world::World;

/// How a scenario went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunResult {
    /// Expectations that failed, and promises of the engine that were broken, with their steps.
    pub failed: Vec<String>,
    /// The step that could not be made, and why; those after it were not tried.
    pub refused: Option<String>,
}

impl RunResult {
    /// 0: it ran; 1: an expectation failed; 2: it could not be carried out.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (&self.refused, self.failed.is_empty()) {
            (Some(_), _) => 2,
            (None, false) => 1,
            (None, true) => 0,
        }
    }
}

/// Runs the scenario and tells what each step did. A step that cannot be made is the last one, and
/// is not told.
pub fn run(scenario: Scenario, mut on_step: impl FnMut(StepReport)) -> RunResult {
    let mut world = World::new(&scenario);
    let mut result = RunResult::default();
    for (index, step) in scenario.steps.into_iter().enumerate() {
        match world.make(step) {
            Ok(()) => {}
            Err(Trouble::Failed(why)) => result.failed.push(format!("step {index}: {why}")),
            Err(Trouble::Refused(why)) => {
                result.refused = Some(format!("step {index}: {why}"));
                break;
            }
        }
        let broken = std::mem::take(&mut world.broken);
        result.failed.extend(broken.into_iter().map(|why| format!("step {index}: {why}")));
        on_step(world.report(index));
    }
    result
}
