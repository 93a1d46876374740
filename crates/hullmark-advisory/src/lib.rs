//! The advisory database: format, builder, lookup, one directory per feed.
