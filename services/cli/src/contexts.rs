//! Fleets by name: `~/.config/ostler/config.toml`.
//!
//! ```toml
//! current = "home"
//!
//! [contexts.home]
//! server = "http://127.0.0.1:8000"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ostler_core::document;
use serde::Deserialize;

use crate::failure::Failure;

/// Where the gateway is unless something else is said.
const DEFAULT_SERVER: &str = "http://127.0.0.1:8000";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    server: String,
}

/// Where the gateway is: as said, or that of a context, or of the current one, or on this machine.
pub fn server(said: Option<String>, context: Option<&str>) -> Result<String, Failure> {
    said.map_or_else(|| of(file().as_deref(), context), Ok)
}

fn file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(std::env::home_dir()?.join(".config")));
    Some(config?.join("ostler/config.toml"))
}

fn of(file: Option<&Path>, context: Option<&str>) -> Result<String, Failure> {
    let text = file.map(|file| (file, std::fs::read_to_string(file)));
    let (file, text) = match (text, context) {
        (Some((file, Ok(text))), _) => (file, text),
        (Some((_, Err(error))), None) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(DEFAULT_SERVER.to_owned());
        }
        (None, None) => return Ok(DEFAULT_SERVER.to_owned()),
        (Some((file, Err(error))), _) => {
            return Err(Failure::usage(format!("cannot read {}: {error}", file.display())));
        }
        (None, Some(name)) => {
            return Err(Failure::usage(format!(
                "there is no home directory with context `{name}`"
            )));
        }
    };
    let known = read(&text)
        .map_err(|wrong| Failure::usage(format!("{} cannot be used:\n{wrong}", file.display())))?;
    let Some(name) = context.map(str::to_owned).or(known.current) else {
        return Ok(DEFAULT_SERVER.to_owned());
    };
    let names: Vec<&str> = known.contexts.keys().map(String::as_str).collect();
    let found = known.contexts.get(&name).map(|context| context.server.clone());
    found.ok_or_else(|| {
        let names = names.join(", ");
        Failure::usage(format!("{} has no context `{name}`, only: {names}", file.display()))
    })
}

fn read(text: &str) -> Result<File, String> {
    let lines = |problems: Vec<document::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let read = document::read::<File>(document::toml(text).map_err(lines)?);
    match read.value {
        Some(file) if read.problems.is_empty() => Ok(file),
        _ => Err(lines(read.problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "current = \"home\"\n\n[contexts.home]\nserver = \"http://h:1\"\n\
                        [contexts.work]\nserver = \"http://w:2\"\n";

    fn found(text: &str, context: Option<&str>) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).expect("it is written");
        let shown = dir.path().display().to_string();
        of(Some(&file), context).map_err(|failure| failure.text.replace(&shown, "~"))
    }

    #[test]
    fn a_fleet_is_found_by_name_or_is_the_current_one() {
        assert_eq!(found(FILE, None), Ok("http://h:1".to_owned()));
        assert_eq!(found(FILE, Some("work")), Ok("http://w:2".to_owned()));
        assert_eq!(found("", None), Ok(DEFAULT_SERVER.to_owned()));
        assert_eq!(
            of(Some(Path::new("/nowhere/config.toml")), None).ok(),
            Some(DEFAULT_SERVER.to_owned())
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let wrong = found(FILE, Some("wrok")).expect_err("there is none");
        assert_eq!(wrong, "~/config.toml has no context `wrok`, only: home, work");
        let wrong = found("curent = \"home\"", None).expect_err("there is no such key");
        assert!(
            wrong.contains("line 1: `curent`: unknown key") && wrong.contains("`current`"),
            "{wrong}"
        );
        assert!(of(Some(Path::new("/nowhere/config.toml")), Some("home")).is_err());
    }
}
