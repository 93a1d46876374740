//! The server: one process that judges images wherever they are asked for, and keeps the paper trail.
//!
//! [`Shared`] is what every route works with: the [`Store`](hullmark_store::Store), the [`Judge`](judge::Judge), which
//! gives the verdict of an image, and the [`Trail`](trail::Trail), which records before anything is told. [`open`] makes
//! it from a [`Config`] and an [`Environment`], [`router`] puts the routes on it, [`serve`] does everything.

pub mod admission;
pub mod api;
pub mod auth;
pub mod config;
mod connections;
pub mod decide;
pub mod error;
pub mod gate;
pub mod health;
pub mod judge;
mod limits;
pub mod local;
pub mod logging;
mod serve;
pub mod state;
pub mod tokens;
pub mod trail;

pub use config::Config;
pub use serve::{ServerError, open, router, serve};
pub use state::{Clock, Entropy, Environment, Shared};
