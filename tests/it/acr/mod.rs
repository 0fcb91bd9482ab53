//! What ACR adds to a registry, in front of real ones: metadata, locks, untagging, deleting, and how it is kept right.

mod behind_our_back;
mod lock_matrix;
mod sdk;
