//! Settings: one TOML file for all services, environment above it, flags above both.
//!
//! Every section has a type with `deny_unknown_fields` and defaults; a file that validates starts,
//! because services start by the same code.

use std::path::Path;

use figment::Figment;
use figment::providers::{Env, Format, Toml};
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
            Ok(_) => figment = figment.merge(Toml::file_exact(path)),
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
    /// Sections that nobody reads, each with the nearest one that there is.
    #[must_use]
    pub fn unknown_sections(&self, known: &[&str]) -> Vec<String> {
        let Ok(all) = self.figment.extract::<figment::value::Dict>() else {
            return Vec::new();
        };
        let unknown = all.into_keys().filter(|name| !known.contains(&name.as_str()));
        unknown
            .map(|name| {
                let near = known.iter().min_by_key(|known| strsim::levenshtein(known, &name));
                let hint = near.map(|near| format!(", did you mean `[{near}]`?"));
                format!("there is no section `[{name}]`{}", hint.unwrap_or_default())
            })
            .collect()
    }

    /// What was set, a line each, `section.key = value`; with `origin` also by what: a file or a
    /// variable of the environment.
    #[must_use]
    pub fn show(&self, origin: bool) -> String {
        let mut lines = String::new();
        for (section, value) in self.figment.extract::<figment::value::Dict>().unwrap_or_default() {
            for (key, value) in value.into_dict().unwrap_or_default() {
                let path = format!("{section}.{key}");
                let source = self.figment.find_metadata(&path).map(|metadata| {
                    let place = metadata.source.as_ref().map(ToString::to_string);
                    place.unwrap_or_else(|| metadata.name.to_string())
                });
                let text = serde_json::to_string(&value).unwrap_or_default();
                let source = source.filter(|_| origin).map(|source| format!("    # {source}"));
                lines.push_str(&format!("{path} = {text}{}\n", source.unwrap_or_default()));
            }
        }
        lines
    }
}
