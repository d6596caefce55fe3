//! The executor on real parts: processes, control groups, a private NATS.

mod adopt;
mod contract;
mod fleet;
mod process;
mod rig;
mod supervise;
