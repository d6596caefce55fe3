//! Starts the scheduler.
fn main() {}
