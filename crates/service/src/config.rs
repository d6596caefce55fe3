//! Settings: one TOML file for all services, environment above it, flags above both.
//!
//! Every section has a type with `deny_unknown_fields` and defaults; a file that validates starts,
//! because services start by the same code.

use std::path::Path;

use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Provider as _, Source};
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Where the file lies unless a flag says otherwise.
pub const DEFAULT_FILE: &str = "/etc/ostler/ostler.toml";

/// Why settings cannot be used. Nothing was started.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file that was named is not there or cannot be read.
    #[error("cannot read `{path}`: {cause}")]
    File {
        /// Which file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// Settings that cannot be understood; each line names one.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
}

/// All settings, before a section is taken out.
#[derive(Debug, Clone)]
pub struct Settings {
    figment: Figment,
}

impl Settings {
    /// Defaults, then the file, then `OSTLER_<SECTION>__<KEY>` of the environment. Without `file`
    /// the default one is read if it is there.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        let named = file.is_some();
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => {
                // What cannot be read at all would count as nothing that is said.
                Toml::string(&text).data().map_err(|error| {
                    ConfigError::Settings(vec![format!("{}: {error}", path.display())])
                })?;
                figment = figment.merge(Toml::file_exact(path));
            }
            Err(error) if named => {
                let cause = error.to_string();
                return Err(ConfigError::File { path: path.display().to_string(), cause });
            }
            Err(_) => {}
        }
        let env = Env::prefixed("OSTLER_").split("__").filter(|key| key.as_str().contains('.'));
        Ok(Self { figment: figment.merge(env) })
    }

    /// With a value that a flag gave, above everything else: `bus.url`, `nats://…`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl serde::Serialize) -> Self {
        self.figment = self.figment.merge((key, value));
        self
    }

    /// With the defaults of a section, below everything else.
    #[must_use]
    pub fn or(mut self, section: &str, defaults: &impl serde::Serialize) -> Self {
        self.figment = self.figment.join(Serialized::default(section, defaults));
        self
    }

    /// One section; its defaults where nothing is said.
    pub fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, ConfigError> {
        if self.figment.find_value(name).is_err() {
            return Ok(T::default());
        }
        self.figment.extract_inner(name).map_err(|error| {
            ConfigError::Settings(error.into_iter().map(|error| error.to_string()).collect())
        })
    }
}

impl Settings {
    /// What holds, a line each, `section.key = value`; with `origin` also by what: a file, a variable
    /// of the environment, or the defaults that were given by [`Self::or`].
    #[must_use]
    pub fn show(&self, origin: bool) -> String {
        let mut lines = String::new();
        for (section, value) in self.figment.extract::<figment::value::Dict>().unwrap_or_default() {
            for (key, value) in value.into_dict().unwrap_or_default() {
                let path = format!("{section}.{key}");
                let source = self.figment.find_metadata(&path).map(|metadata| {
                    let variable = format!("OSTLER_{section}__{key}").to_uppercase();
                    match &metadata.source {
                        Some(Source::File(file)) => file.display().to_string(),
                        _ if metadata.name.contains("environment") => variable,
                        _ => "default".to_owned(),
                    }
                });
                let text = serde_json::to_string(&value).unwrap_or_default();
                let source = source.filter(|_| origin).map(|source| format!("    # {source}"));
                lines.push_str(&format!("{path} = {text}{}\n", source.unwrap_or_default()));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry;

    fn load(text: &str) -> Result<Settings, ConfigError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Settings::load(Some(file.path()))
    }

    #[test]
    fn a_file_that_is_not_toml_is_refused_and_not_taken_for_empty() {
        let error = load("[telemetry\nfilter = \"debug\"").expect_err("it is not TOML").to_string();
        assert!(error.contains("line 1"), "{error}");
    }

    #[test]
    fn what_holds_is_shown_with_what_said_it() {
        let settings = load("[telemetry]\nfilter = \"debug\"\n").expect("it is right");
        let read: telemetry::Config = settings.section("telemetry").expect("it is right");
        assert_eq!(read.filter, "debug");
        let shown = settings.or("telemetry", &telemetry::Config::default()).show(true);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("telemetry.filter = \"debug\"    # /"), "{shown}");
        assert_eq!(lines[1], "telemetry.format = \"text\"    # default");
    }
}
