//! Starts the metrics.
fn main() {}
