//! The metrics service: series of nodes, instances and the fleet, kept in memory, bounded.
//!
//! Every replica hears every sample and keeps its own series; a replica that starts anew begins
//! anew. Nothing here decides anything: without it the fleet runs on, unwatched.

pub mod config;
pub mod documents;
pub mod gauges;
pub mod run;
pub mod series;
pub mod store;

pub use config::Config;
pub use run::{RunError, run};
