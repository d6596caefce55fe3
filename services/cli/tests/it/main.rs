//! The main job on real parts: `ostler dev --processes`, real NATS, real processes, real faults.

mod artifacts;
mod auction;
mod backup;
mod command;
mod even;
mod exec;
mod faults;
mod fleet;
mod input;
mod life;
mod order;
mod pools;
mod pressure;
mod promises;
mod question;
mod sample;
mod update;
