//! Everything the fleet decides, and nothing it does.
//!
//! No tokio, no clock, no randomness, no floats in decisions, no iteration over hash maps: the same
//! input always gives the same answer, so that a decision can be replayed, simulated and explained.

pub mod artifact;
pub mod command;
pub mod constraint;
pub mod document;
pub mod explain;
pub mod feasible;
pub mod head;
pub mod id;
pub mod instance;
pub mod liveness;
pub mod node;
pub mod placement;
pub mod ports;
pub mod quota;
pub mod reconcile;
pub mod resources;
pub mod schedule;
pub mod sim;
pub mod supervise;
pub mod time;
pub mod tuning;
pub mod workload;
