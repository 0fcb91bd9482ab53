//! Trusted services: whom a registry lets in although its rules for public networks do not (requirements S2, E-4, E-5, E-17).
//!
//! A trusted service is an identity that the registry's owner trusts as a service of the catalogue. Trust removes the network
//! check and nothing else: what the identity may do is said by its roles, and for a service that has no identity of its own
//! elsewhere (a scanner, an import) by the permit of its catalogue entry.

mod admission;
mod catalogue;
mod document;
mod instances;

pub use admission::{Admission, Confined};
pub use catalogue::{Catalogue, ServiceIdentity, TrustedService};
pub use document::{
    TrustedInstanceDocument, TrustedInstanceDocuments, TrustedServiceDocument, TrustedServiceDocuments,
};
pub use instances::{Distrust, MOST_INSTANCES, TrustedInstance, TrustedServices};
