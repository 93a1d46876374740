//! The tamper-evident ledger: Merkle log in tiles, checkpoints, proofs.
