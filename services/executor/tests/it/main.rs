//! The executor on real parts: processes, control groups, a private NATS.

mod adopt;
mod artifact;
mod contract;
mod exec;
mod fence;
mod fleet;
mod process;
mod rig;
mod supervise;
