//! How each program starts, stops and reports: settings, telemetry, tasks, health, the one clock.

pub mod backoff;
pub mod chain;
pub mod clock;
pub mod config;
pub mod health;
pub mod program;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use chain::Chain;
pub use health::Health;
pub use program::Program;
pub use tasks::Tasks;
