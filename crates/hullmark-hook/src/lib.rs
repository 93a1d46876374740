//! Asks, before a container starts or an image is stored, whether the image may be used here.
//!
//! One program with two callers. podman and CRI-O run it as an OCI hook at `createRuntime`: the state of the container comes
//! on standard input ([`oci`]), and what its image is must be found in the engine's own storage ([`identity`]). containerd
//! runs it as an image verifier: the digest is an argument ([`arguments`]). Both end in the same question to the agent or
//! the server of this machine over a local socket ([`ask`]), under a deadline ([`flow`]). When nobody answers, the
//! [`Configuration`] says what then, and the decision is kept in a file until it can be recorded ([`spool`]).

pub mod arguments;
pub mod ask;
mod bounded;
pub mod configuration;
pub mod flow;
pub mod identity;
pub mod oci;
pub mod spool;

pub use arguments::{Arguments, Mode};
pub use configuration::Configuration;
pub use flow::{Ending, Surroundings, run};
