//! The runtime agent: holds running containers to what their image contains.
//!
//! A hook asks the agent before a container starts ([`socket`]). The agent asks the server ([`server`]), fetches the profile
//! of the image ([`profiles`]) and takes the container under watch ([`container`]) before it answers, so that even the first
//! program is judged. From then on the [`gate`] judges each program by its content before it runs, the kernel side
//! (`hullmark-bpf`) kills what no gate covers and reports what happens, and [`report`] carries it to the server. [`agent`]
//! puts the parts together; [`probe`] tells what the kernel allows.

pub mod agent;
pub mod config;
pub mod container;
pub mod files;
pub mod gate;
pub mod probe;
pub mod process;
pub mod profiles;
pub mod report;
pub mod server;
pub mod socket;
pub mod status;
