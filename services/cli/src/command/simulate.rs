//! `ostler simulate`: the core alone, in simulated time.

use std::io::Read as _;
use std::path::Path;

use ostler_core::sim;

use crate::failure::Failure;
use crate::output;

/// Runs a scenario. 0: it ran, 1: an expectation failed, 2: it cannot be read.
pub fn run(path: &Path, json: bool) -> Result<u8, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text =
        text.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let scenario = sim::read(&text).map_err(Failure::usage)?;
    let result = sim::run(scenario, |step| {
        if json {
            let line = serde_json::to_string(&step).expect("a step has text keys");
            output::print(&(line + "\n"));
        } else {
            output::print(&sim::render(&step));
        }
    });
    for wrong in result.failed.iter().chain(&result.refused) {
        eprintln!("{wrong}");
    }
    Ok(result.exit_code())
}
