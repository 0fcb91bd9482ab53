//! The registries behind us: where they are and how to reach them.
