//! What became known of a request on its way: the notes from which the audit record is written.
//!
//! The journey fills it in as it goes, so that a request that ends early is still told as far as it came.

use std::sync::Arc;

use super::reject::Refusal;
use crate::oci::{Method, Route};
use crate::policy::network::SourceAddress;
use crate::policy::{Caller, OperationClass, Permit, Registry};

/// Notes on one request. Everything is optional: a journey may end at its first step.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    pub(crate) source: Option<SourceAddress>,
    pub(crate) registry: Option<Arc<Registry>>,
    pub(crate) operation: Option<(OperationClass, Method, Route)>,
    /// The user name that was presented, whether or not it is anybody's.
    pub(crate) claimed_user: Option<String>,
    pub(crate) caller: Option<Caller>,
    pub(crate) permit: Option<Permit>,
    pub(crate) refusal: Option<Noted>,
}

/// What is kept of a refusal.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) code: &'static str,
    pub(crate) text: String,
    pub(crate) is_denial: bool,
}

impl Trail {
    /// Notes why the request went no further.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.refusal =
            Some(Noted { code: refusal.code(), text: refusal.to_string(), is_denial: refusal.is_denial() });
    }
}
