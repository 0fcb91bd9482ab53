//! What an operator writes under `locks` of a registry.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::origin::At;

/// What may no longer be done with some repositories or tags, whoever asks. What is not switched off here may be locked
/// through the API all the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockRuleDocument {
    /// `team/app`, `team/*` or `*`.
    pub repositories: At<String>,
    /// The tags in them, with `*` for any run of characters, such as `v*`. Without it the rule is about the repositories
    /// themselves.
    #[serde(default)]
    pub tags: Option<At<String>>,
    /// `false`: neither updates nor deletes. Default `true`.
    #[serde(default)]
    pub write_enabled: Option<At<bool>>,
    /// `false`: no deletes. Default `true`.
    #[serde(default)]
    pub delete_enabled: Option<At<bool>>,
    /// `false`: no pulls. Default `true`.
    #[serde(default)]
    pub read_enabled: Option<At<bool>>,
    /// `false`: left out of lists. Default `true`.
    #[serde(default)]
    pub list_enabled: Option<At<bool>>,
    /// `true`: a tag that exists may not be moved to another manifest. With `tags` only. Default `false`.
    #[serde(default)]
    pub write_once: Option<At<bool>>,
}
