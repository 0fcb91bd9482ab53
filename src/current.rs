//! The policy in force: one atomic swap.
