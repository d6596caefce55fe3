//! Logs as a colleague would want them: one line a change of state, fields that can be searched.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The section `[telemetry]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is logged, as in `info,ostler_scheduler=debug`.
    pub filter: String,
    /// `text` for people, `json` for programs.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { filter: "info,async_nats=warn,sqlx=warn".to_owned(), format: LogFormat::Text }
    }
}

/// Starts logging to stderr. A second call changes nothing. A filter that cannot be read is
/// replaced by the default and told.
pub fn start(config: &Config) {
    let filter = EnvFilter::try_new(&config.filter);
    let broken = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(Config::default().filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for people who look, not for files.
    let looked_at = std::io::stderr().is_terminal();
    let builder = if looked_at { builder } else { builder.with_ansi(false) };
    let started = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let (Ok(()), Some(broken)) = (started, broken) {
        tracing::warn!(error = broken, "the log filter cannot be read, using the default");
    }
}
