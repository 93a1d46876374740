//! Acquire and unpack images: sources, layers, whiteouts, limits.
