//! Starts the executor.
fn main() {}
