//! The words every stage speaks: digests, images, packages, advisories, findings, verdicts.
