//! What the server remembers.
