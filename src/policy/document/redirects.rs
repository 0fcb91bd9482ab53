//! What an operator writes about an upstream that redirects to its storage.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::origin::At;
use crate::policy::redirects::RedirectMode;

/// What is done when the upstream answers a download of a blob with a redirect to its storage.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RedirectsDocument {
    /// Default `refuse`.
    #[serde(default)]
    pub mode: RedirectMode,
    /// Where the storage is, such as `https://storage.example.com`: scheme, host and port. All others are refused.
    #[serde(default)]
    pub origins: Vec<At<String>>,
    /// With `pass`: the sources that get the URL, as IPv4 or IPv6 addresses or CIDR ranges; for the others the redirect is
    /// followed. Default: everybody.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub networks: Option<At<Vec<At<String>>>>,
    /// A PEM file with the certificate authorities to trust for the storage, instead of the system's.
    #[serde(default)]
    pub ca: Option<At<String>>,
}
