//! `ostler config`: check and show settings, by the code that services start with.

use std::path::Path;

use ostler_service::config::Settings;

use crate::args::ConfigCommand;
use crate::failure::Failure;
use crate::output;

/// `ostler config validate` and `show`.
pub fn run(command: ConfigCommand) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Validate { file } => {
            let settings = load(Some(&file))?;
            let problems = problems(&settings);
            if problems.is_empty() {
                output::print(&format!("{} is fine\n", file.display()));
                return Ok(0);
            }
            Err(Failure::failed(format!("{}:\n{}", file.display(), problems.join("\n"))))
        }
        ConfigCommand::Show { config, origin } => {
            let settings = load(config.as_deref())?;
            output::print(&settings.show(origin));
            Ok(0)
        }
    }
}

fn load(file: Option<&Path>) -> Result<Settings, Failure> {
    Settings::load(file).map_err(Failure::usage)
}

/// Every error of every section.
fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = settings.unknown_sections(&SECTIONS);
    let mut note = |result: Result<(), ostler_service::config::ConfigError>| {
        problems.extend(result.err().map(|error| error.to_string()));
    };
    note(settings.section::<ostler_bus::Config>("bus").map(drop));
    note(settings.section::<ostler_gateway::Config>("gateway").map(drop));
    note(settings.section::<ostler_registry::Config>("registry").map(drop));
    note(settings.section::<ostler_scheduler::Config>("scheduler").map(drop));
    note(settings.section::<ostler_metrics::Config>("metrics").map(drop));
    note(settings.section::<ostler_executor::Config>("executor").map(drop));
    note(settings.section::<ostler_service::telemetry::Config>("telemetry").map(drop));
    problems
}

/// The sections that there are.
const SECTIONS: [&str; 7] =
    ["bus", "gateway", "registry", "scheduler", "metrics", "executor", "telemetry"];
