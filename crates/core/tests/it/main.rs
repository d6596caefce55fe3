//! What the core decides, from the outside: tables and properties.

mod constraint;
mod liveness;
mod sim;
mod spec;
