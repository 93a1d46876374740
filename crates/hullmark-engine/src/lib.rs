//! The pipeline: every stage in order.
