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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `deploy/ostler.toml` with every commented setting taken in.
    fn all_settings() -> toml::Table {
        let text = include_str!("../../../../deploy/ostler.toml");
        let taken_in = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        });
        taken_in.collect::<Vec<_>>().join("\n").parse().expect("the file is TOML")
    }

    fn check<T>(section: &str, optional: &[&str])
    where
        T: Default + PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
    {
        let mut table = all_settings()[section].as_table().expect("a section").clone();
        let defaults = toml::Table::try_from(T::default()).expect("settings are a table");
        let known: BTreeSet<&str> =
            defaults.keys().map(String::as_str).chain(optional.iter().copied()).collect();
        let named: BTreeSet<&str> = table.keys().map(String::as_str).collect();
        assert_eq!(named, known, "[{section}] names every setting");
        for name in optional {
            table.remove(*name);
        }
        let read: T = table.try_into().expect("every setting can be read");
        assert_eq!(read, T::default(), "[{section}] shows the defaults");
    }

    #[test]
    fn the_deployed_file_names_every_setting_with_its_default() {
        check::<ostler_bus::Config>("bus", &["credentials", "ca"]);
        check::<ostler_registry::Config>("registry", &[]);
        check::<ostler_scheduler::Config>("scheduler", &[]);
        check::<ostler_gateway::Config>("gateway", &[]);
        check::<ostler_metrics::Config>("metrics", &[]);
        check::<ostler_executor::Config>("executor", &["name", "hardware", "data_dir"]);
        check::<ostler_service::telemetry::Config>("telemetry", &[]);
        let sections: Vec<String> = all_settings().keys().cloned().collect();
        assert!(sections.iter().all(|name| SECTIONS.contains(&name.as_str())), "{sections:?}");
    }
}
