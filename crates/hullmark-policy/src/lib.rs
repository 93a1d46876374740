//! Policy: what is tolerated in an image, written down in a file, and the pure function that judges by it.
//!
//! [`parse_policy`] reads a file into a [`Policy`] in two steps: the text into a tree with places, the tree into rules
//! whose conditions are compiled and type-checked. [`parse_exceptions`] does the same for [`Exceptions`]. [`evaluate`]
//! takes both, an inventory and its matches, and gives the verdict: the strictest action of all rules that match and
//! are not excused, whatever the order of rules, findings or exceptions.
//!
//! Rules on what running containers do are settled beforehand by [`runtime_actions`].
//!
//! Conditions are written in CEL (<https://cel.dev>) over typed facts; [`field_reference`] lists them.

mod builtin;
mod check;
mod condition;
mod coverage;
mod durations;
mod error;
mod evaluate;
mod exceptions;
mod facts;
mod glob;
mod message;
mod policy;
mod reader;
mod reserved;
mod runtime;
mod schema;
mod yaml;

pub use builtin::{DEFAULT_POLICY, FailOn, UnknownFailOn, default_policy, fail_on};
pub use error::{PolicyErrors, Problem};
pub use evaluate::{EvaluateError, Evaluation, evaluate};
pub use exceptions::{Exception, ExceptionMatch, Exceptions, exceptions_digest, parse_exceptions};
pub use facts::field_reference;
pub use policy::{Grace, GraceFrom, Policy, Rule, RuleSubject, Scope, parse_policy, policy_digest};
pub use runtime::runtime_actions;
pub use schema::{exceptions_schema, policy_schema};

/// The version of the file formats read here.
pub const API_VERSION: &str = "hullmark.dev/v1";

/// The largest policy or exceptions file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;
