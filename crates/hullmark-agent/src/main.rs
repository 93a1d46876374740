//! The runtime agent.
fn main() {}
