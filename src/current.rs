//! The policy in force: one atomic swap.
//!
//! Both planes meet here and nowhere else: whoever publishes and whoever reads share nothing but the snapshot, so pulls
//! keep working while the control plane is down.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};

use crate::policy::PolicySnapshot;

/// The published snapshot, if there is one yet.
#[derive(Debug, Default)]
pub struct Current(ArcSwapOption<PolicySnapshot>);

impl Current {
    /// Nothing published yet: the server is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `snapshot` the policy of every request that begins from now on.
    pub fn publish(&self, snapshot: PolicySnapshot) {
        self.0.store(Some(Arc::new(snapshot)));
    }

    /// The policy for a request, which keeps it until its end.
    pub fn load(&self) -> Option<Arc<PolicySnapshot>> {
        Guard::into_inner(self.0.load())
    }
}
