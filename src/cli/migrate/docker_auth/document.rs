//! docker_auth's configuration file, as far as it says who may do what.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::policy::origin::At;

/// What this migration has no use for: it is named, never read.
type Unread = Option<At<Value>>;

/// All keys of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "server", default)]
    _server: Unread,
    #[serde(rename = "token", default)]
    _token: Unread,
    #[serde(default)]
    pub(super) users: BTreeMap<At<String>, At<User>>,
    #[serde(default)]
    pub(super) acl: Vec<At<Entry>>,
    #[serde(default)]
    google_auth: Unread,
    #[serde(default)]
    github_auth: Unread,
    #[serde(default)]
    gitlab_auth: Unread,
    #[serde(default)]
    oidc_auth: Unread,
    #[serde(default)]
    ldap_auth: Unread,
    #[serde(default)]
    mongo_auth: Unread,
    #[serde(default)]
    xorm_auth: Unread,
    #[serde(default)]
    ext_auth: Unread,
    #[serde(default)]
    plugin_authn: Unread,
    #[serde(default)]
    acl_mongo: Unread,
    #[serde(default)]
    acl_xorm: Unread,
    #[serde(default)]
    ext_authz: Unread,
    #[serde(default)]
    plugin_authz: Unread,
    #[serde(default)]
    casbin_authz: Unread,
}

impl Document {
    /// Where else docker_auth knows users or rights from: keys, their values and what they are.
    pub(super) fn elsewhere(&self) -> impl Iterator<Item = (&'static str, &At<Value>)> {
        let sections = [
            ("google_auth", &self.google_auth),
            ("github_auth", &self.github_auth),
            ("gitlab_auth", &self.gitlab_auth),
            ("oidc_auth", &self.oidc_auth),
            ("ldap_auth", &self.ldap_auth),
            ("mongo_auth", &self.mongo_auth),
            ("xorm_auth", &self.xorm_auth),
            ("ext_auth", &self.ext_auth),
            ("plugin_authn", &self.plugin_authn),
            ("acl_mongo", &self.acl_mongo),
            ("acl_xorm", &self.acl_xorm),
            ("ext_authz", &self.ext_authz),
            ("plugin_authz", &self.plugin_authz),
            ("casbin_authz", &self.casbin_authz),
        ];
        sections.into_iter().filter_map(|(key, section)| Some((key, section.as_ref()?)))
    }
}

/// A user; the empty name is whoever does not log in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    /// A bcrypt hash. Without it any password is accepted.
    #[serde(default)]
    pub(super) password: Option<At<String>>,
    #[serde(rename = "labels", default)]
    _labels: Unread,
}

/// A line of the access control list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    #[serde(rename = "match")]
    pub(super) condition: Condition,
    pub(super) actions: Vec<At<String>>,
    #[serde(rename = "comment", default)]
    _comment: Unread,
}

/// All of what is there must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    #[serde(default)]
    pub(super) account: Option<At<String>>,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<At<String>>,
    #[serde(default)]
    pub(super) name: Option<At<String>>,
    #[serde(default)]
    pub(super) ip: Option<At<String>>,
    #[serde(default)]
    pub(super) service: Option<At<String>>,
    #[serde(default)]
    pub(super) labels: Option<At<Value>>,
    #[serde(default)]
    pub(super) email: Option<At<String>>,
    #[serde(default)]
    pub(super) team: Option<At<String>>,
}

impl Condition {
    /// A condition on something that seawall's tokens do not have, in words.
    pub(super) fn foreign(&self) -> Option<&'static str> {
        let texts = [
            ("the caller's address", self.ip.is_some()),
            ("the service", self.service.is_some()),
            ("labels", self.labels.is_some()),
            ("an e-mail address", self.email.is_some()),
            ("a team", self.team.is_some()),
        ];
        texts.into_iter().find(|(_, there)| *there).map(|(what, _)| what)
    }
}
