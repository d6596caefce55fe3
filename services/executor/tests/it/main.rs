//! The executor on real parts: processes, control groups, a private NATS.

mod adopt;
mod artifact;
mod confine;
mod contract;
mod docker;
mod exec;
mod fence;
mod fleet;
mod nspawn;
mod process;
mod rig;
mod supervise;
mod tend;
