//! Builds tars, images, registries and feeds for tests.
