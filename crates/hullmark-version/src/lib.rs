//! Version order of every package ecosystem.
