//! What an operator writes about trusted services: the catalogue, and who is trusted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ServiceIdentity;
use crate::policy::origin::At;

/// Further services of the catalogue, by name.
pub type TrustedServiceDocuments = BTreeMap<At<String>, TrustedServiceDocument>;
/// Whom a registry trusts.
pub type TrustedInstanceDocuments = At<Vec<At<TrustedInstanceDocument>>>;

/// A kind of service that registries can trust, besides `scanner`, `import`, `tasks` and `machineLearning`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedServiceDocument {
    /// Which identities can be such a service.
    pub identity: At<ServiceIdentity>,
    /// With `identity: none` only: what it may do on every repository without a role, `content/read` and `metadata/read`.
    #[serde(default)]
    pub permit: Option<At<Vec<At<String>>>>,
    /// What it is.
    #[serde(default)]
    pub description: Option<At<String>>,
}

/// An identity that is trusted as a service. Not built in: App Service, container instances and their like (S2-21).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedInstanceDocument {
    /// A service of the catalogue: `scanner`, `import`, `tasks`, `machineLearning`, or one of `trustedServices`.
    pub service: At<String>,
    /// The name of one of `identities`.
    pub identity: At<String>,
}
