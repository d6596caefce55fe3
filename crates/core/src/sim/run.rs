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
}

impl RunResult {
    /// 0: it ran; 1: an expectation failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.failed.is_empty())
    }
}

/// Runs the scenario and tells what each step did. A step that cannot be made changes nothing, and its
/// report says why.
pub fn run(scenario: Scenario, mut on_step: impl FnMut(StepReport)) -> RunResult {
    let mut world = World::new(&scenario);
    let mut result = RunResult::default();
    for (index, step) in scenario.steps.into_iter().enumerate() {
        match world.make(step) {
            Ok(()) => {}
            Err(Trouble::Failed(why)) => result.failed.push(format!("step {index}: {why}")),
            Err(Trouble::Refused(why)) => world.refuse(why),
        }
        let broken = std::mem::take(&mut world.broken);
        result.failed.extend(broken.into_iter().map(|why| format!("step {index}: {why}")));
        on_step(world.report(index));
    }
    result
}
