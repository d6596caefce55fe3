//! What becomes of workloads over time: tables of what is decided, step by step.

mod after;
mod canary;
mod command;
mod count;
mod cron;
mod drain;
mod failure;
mod feasible;
mod fence;
mod intake;
mod job;
mod loss;
mod note;
mod promise;
mod steady;
mod takeover;
mod update;
