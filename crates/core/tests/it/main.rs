//! What the core decides, from the outside: tables and properties.

mod artifact;
mod condition;
mod constraint;
mod explain;
mod fleet;
mod liveness;
mod placement;
mod pressure;
mod reconcile;
mod roster;
mod sim;
mod spec;
