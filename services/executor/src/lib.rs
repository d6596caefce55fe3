//! The executor: runs on each host what its manifest says, and keeps it running alone.
//!
//! Instances outlive it; the next one adopts them by pid and start time. It decides about its host,
//! tells the fleet how things stand, and needs the bus only to hear what is wanted.

pub mod agent;
pub mod artifact;
mod ask;
pub mod beat;
pub mod bid;
mod checks;
pub mod clean;
pub mod config;
mod counts;
pub mod driver;
pub mod fence;
pub mod firewall;
pub mod guardian;
mod hooks;
pub mod host;
pub mod identity;
mod import;
mod join;
pub mod journal;
pub mod logs;
mod manifest;
mod offer;
pub mod predicate;
mod report;
mod run;
mod sample;
mod shared;
pub mod site;
mod socket;
mod tell;
mod timeline;
mod verbs;

pub use clean::{CleanError, clean};
pub use config::Config;
pub use ostler_core::supervise;
pub use run::{Buses, RunError, run, run_connecting, run_with};
