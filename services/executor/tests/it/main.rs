//! The executor on real parts: processes, control groups, a private NATS.

mod adopt;
mod artifact;
mod confine;
mod contract;
mod docker;
mod exec;
mod fence;
mod firewall;
mod fleet;
mod groups;
mod logs;
mod nspawn;
mod pool;
mod process;
mod rig;
mod supervise;
mod tend;
mod unprivileged;
