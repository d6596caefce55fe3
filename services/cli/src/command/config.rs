//! `ostler config`: check and show settings, by the code that services start with.

use ostler_core::document::{self, Problem};
use ostler_service::config::Settings;
use serde::Deserialize;

use crate::args::ConfigCommand;
use crate::failure::Failure;
use crate::output;

/// All settings, as the services read them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    bus: ostler_bus::Config,
    gateway: ostler_gateway::Config,
    registry: ostler_registry::Config,
    scheduler: ostler_scheduler::Config,
    metrics: ostler_metrics::Config,
    executor: ostler_executor::Config,
    telemetry: ostler_service::telemetry::Config,
}

/// `ostler config validate` and `show`.
pub fn run(command: ConfigCommand) -> Result<u8, Failure> {
    match command {
        ConfigCommand::Validate { file } => {
            let text = std::fs::read_to_string(&file).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", file.display()))
            })?;
            let problems = problems(&text);
            if problems.is_empty() {
                output::print(&format!("{} is fine\n", file.display()));
                return Ok(0);
            }
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(Failure::failed(format!("{}:\n{}", file.display(), lines.join("\n"))))
        }
        ConfigCommand::Show { config, origin } => {
            let said = Settings::load(config.as_deref()).map_err(Failure::usage)?;
            let File { bus, gateway, registry, scheduler, metrics, executor, telemetry } =
                File::default();
            let all = said
                .or("bus", &bus)
                .or("gateway", &gateway)
                .or("registry", &registry)
                .or("scheduler", &scheduler)
                .or("metrics", &metrics)
                .or("executor", &executor)
                .or("telemetry", &telemetry);
            output::print(&all.show(origin));
            Ok(0)
        }
    }
}

/// Everything that is wrong with a file, by line.
fn problems(text: &str) -> Vec<Problem> {
    document::toml(text).map_or_else(|wrong| wrong, |tree| document::read::<File>(tree).problems)
}

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
    }

    #[test]
    fn every_problem_of_a_file_is_named_with_its_line() {
        assert_eq!(problems(include_str!("../../../../deploy/ostler.toml")), []);
        let wrong = "[bus]\nurll = \"nats://h\"\nrequest_timeout = 5\n\n[sheduler]\nbatch = 1\n";
        let said: Vec<String> = problems(wrong).iter().map(ToString::to_string).collect();
        expect_test::expect![[r#"
            line 2: `bus.urll`: unknown key `urll`; the nearest known key is `url`
            line 3: `bus.request_timeout`: expected a string, found `5`
            line 5: `sheduler`: unknown key `sheduler`; the nearest known key is `scheduler`"#]]
        .assert_eq(&said.join("\n"));
        let said: Vec<String> = problems("[bus\nurl = 1").iter().map(ToString::to_string).collect();
        assert!(said[0].starts_with("line 1: not TOML: "), "{said:?}");
    }
}
