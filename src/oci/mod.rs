//! The registry protocol's words: names, references, digests, routes, scopes, challenges, error codes. No I/O.
//!
//! Everything here is parsed from untrusted bytes: no function panics, none does more than linear work in the size of
//! its (bounded) input, and what is malformed is an error, never a default.

pub mod asked;
pub mod authorization;
pub mod challenge;
pub mod digest;
pub mod error;
pub mod manifest;
pub mod name;
pub mod percent;
pub mod query;
pub mod reference;
pub mod route;
pub mod scope;

pub use authorization::{Credential, MalformedCredential, credential};
pub use challenge::{Challenge, ChallengeError};
pub use digest::{Digest, DigestError, Verification};
pub use error::{ErrorBody, ErrorCode, RouteError};
pub use name::{NameError, RepositoryName};
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use route::{
    Endpoint, MetadataRoute, Method, Mount, OrderedPage, Page, PageOrder, Parsed, Route, UploadSession, parse,
};
pub use scope::{Scope, ScopeError};
