//! The server: one process that judges images wherever they are asked for, and keeps the paper trail.
