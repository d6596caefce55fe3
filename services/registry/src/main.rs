//! Starts the registry.
fn main() {}
