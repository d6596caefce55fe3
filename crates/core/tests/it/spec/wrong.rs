//! Wrong TOML and JSON, and the words for each kind.

mod keys;
mod missing;
mod sense;
mod syntax;
mod values;
