//! Asks whether an image may be used here: OCI hook and containerd image verifier.
fn main() {}
