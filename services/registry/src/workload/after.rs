//! Start order at submit: nobody waits for itself in a circle, nor for another pool.

use ostler_core::id::{WorkloadKey, WorkloadName};
use ostler_core::workload::{Workload, cycle};
use ostler_schemas::problem::Problem;

use crate::app::App;
use crate::refusal::invalid;

impl App {
    /// Refuses a workload that would wait for ever for its own start. Those that it waits for may
    /// come later.
    pub(super) fn check_after(&self, workload: &Workload) -> Result<(), Problem> {
        if workload.after.is_empty() {
            return Ok(());
        }
        self.index.read(|picture| {
            let spec = |name: &WorkloadName| {
                let key = WorkloadKey::new(workload.namespace.clone(), name.clone());
                picture.spec(&key)
            };
            for name in &workload.after {
                let other = spec(name).filter(|other| other.pool != workload.pool);
                if let Some(other) = other {
                    let (theirs, ours) = (&other.pool, &workload.pool);
                    let message = format!("`{name}` is in pool `{theirs}`, this one in `{ours}`");
                    return Err(invalid("after", message));
                }
            }
            let after = |name: &WorkloadName| spec(name).map(|spec| spec.after.clone());
            match cycle(workload, |name| after(name).unwrap_or_default()) {
                None => Ok(()),
                Some(circle) => Err(invalid("after", round(&circle))),
            }
        })
    }
}

fn round(circle: &[WorkloadName]) -> String {
    let names: Vec<String> =
        circle.iter().chain(circle.first()).map(|n| format!("`{n}`")).collect();
    format!("they would wait for each other for ever: {}", names.join(" after "))
}
