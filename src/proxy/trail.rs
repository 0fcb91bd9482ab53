//! What became known of a request on its way: the notes from which the audit record is written.
//!
//! The journey fills it in as it goes, so that a request that ends early is still told as far as it came.

use std::sync::Arc;

use super::reject::Refusal;
use super::target::Target;
use crate::policy::address::LoginServer;
use crate::policy::network::{NetworkClass, Shadowed, SourceAddress};
use crate::policy::{Caller, Denial, OperationClass as Needed, Permit, Registry};
use crate::telemetry::OperationClass;

/// Notes on one request. Everything is optional: a journey may end at its first step.
#[derive(Debug)]
pub(crate) struct Trail {
    pub(crate) source: Option<SourceAddress>,
    /// Known with the registry, whose rules name it.
    pub(crate) network: Option<NetworkClass>,
    /// What the network rules that are tried would have decided otherwise.
    pub(crate) shadow: Option<Shadowed>,
    pub(crate) registry: Option<Arc<Registry>>,
    /// The host, where the request came to a data endpoint.
    pub(crate) data_endpoint: Option<LoginServer>,
    pub(crate) class: OperationClass,
    pub(crate) target: Option<Target>,
    /// The user name that was presented, whether or not it is anybody's.
    pub(crate) claimed_user: Option<String>,
    /// Who it is, once that is known; with a right password that does not count, too.
    pub(crate) caller: Option<Caller>,
    pub(crate) permit: Option<Permit>,
    /// Why a mount became a plain upload.
    pub(crate) mount_refused: Option<Denial>,
    /// What a request of the metadata API has changed.
    pub(crate) changed: Option<String>,
    /// Where it was kept, if the answer did not come from the upstream.
    pub(crate) served_from: Option<&'static str>,
    pub(crate) refusal: Option<Noted>,
}

/// What is kept of a refusal.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) code: &'static str,
    pub(crate) text: String,
    pub(crate) is_denial: bool,
    /// Whether the answer carries the id of a denial.
    pub(crate) has_id: bool,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            source: None,
            network: None,
            shadow: None,
            registry: None,
            data_endpoint: None,
            class: OperationClass::Other,
            target: None,
            claimed_user: None,
            caller: None,
            permit: None,
            mount_refused: None,
            changed: None,
            served_from: None,
            refusal: None,
        }
    }
}

impl Trail {
    /// Notes what was asked of the registry.
    pub(crate) fn asked(&mut self, needed: Needed, target: &Target) {
        self.class = match needed {
            Needed::Base => OperationClass::Base,
            Needed::Catalog => OperationClass::Catalog,
            Needed::Tags => OperationClass::Tags,
            Needed::ManifestRead => OperationClass::ManifestRead,
            Needed::ManifestWrite => OperationClass::ManifestWrite,
            Needed::ManifestDelete => OperationClass::ManifestDelete,
            Needed::BlobRead => OperationClass::BlobRead,
            Needed::BlobDelete => OperationClass::BlobDelete,
            Needed::Upload | Needed::Mount => OperationClass::Upload,
            Needed::Referrers => OperationClass::Referrers,
            Needed::MetadataRead => OperationClass::MetadataRead,
            Needed::MetadataWrite => OperationClass::MetadataWrite,
            Needed::Untag => OperationClass::Untag,
            Needed::RepositoryDelete => OperationClass::RepositoryDelete,
        };
        self.target = Some(target.clone());
    }

    /// Notes that the mount that was asked for is not done, and what is done instead.
    pub(crate) fn mount_refused(&mut self, denial: Denial, instead: &Target) {
        self.mount_refused = Some(denial);
        self.target = Some(instead.clone());
    }

    /// Notes why the request went no further. The first reason stays: what breaks afterwards did not decide anything.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        if self.refusal.is_some() {
            return;
        }
        self.refusal = Some(Noted {
            code: refusal.code(),
            text: refusal.to_string(),
            is_denial: refusal.is_denial(),
            has_id: refusal.has_id(),
        });
    }
}
