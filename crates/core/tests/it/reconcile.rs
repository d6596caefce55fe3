//! What becomes of workloads over time: tables of what is decided, step by step.

mod canary;
mod command;
mod count;
mod drain;
mod failure;
mod fence;
mod intake;
mod job;
mod loss;
mod promise;
mod takeover;
mod update;
