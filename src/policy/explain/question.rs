//! What may be asked: who, from where, to do what.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::oci::{self, Endpoint, Parsed, RepositoryName, Scope};
use crate::policy::action::Action;
use crate::policy::network::{EndpointMark, SourceAddress};
use crate::policy::operation::{Operation, OperationClass};

/// The digest of nothing, where a request must name one and the decision does not look at it.
pub(super) const ANY_DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The caller that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Somebody of whom only the address is known: the network rules alone are asked.
    Unknown,
    Anonymous,
    Admin,
    Token(String),
    /// A person or a machine that a provider vouches for, and the groups that it is in, by their names.
    Identities(Vec<String>),
    /// By its name or its client id.
    ServicePrincipal(String),
}

/// Over which network the request comes, in the words of audit records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Via {
    #[default]
    Public,
    /// A public network, on the listener of this name.
    Listener(String),
    /// The private endpoint of this connection.
    PrivateEndpoint(String),
    /// The private endpoint with this mark, whether a connection is known for it or not.
    UnknownEndpoint(EndpointMark),
    /// The virtual network of this rule.
    VirtualNetwork(String),
}

impl Via {
    /// Reads `public`, `private endpoint NAME` or `virtual network NAME`.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
        if text == "public" {
            return Ok(Self::Public);
        }
        let endpoint = named("private endpoint ").map(Self::PrivateEndpoint);
        endpoint.or_else(|| named("virtual network ").map(Self::VirtualNetwork)).ok_or_else(|| {
            format!("`{text}` is no network: write `public`, `private endpoint NAME` or `virtual network NAME`")
        })
    }
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    pub source: SourceAddress,
    pub via: Via,
    pub who: Who,
    /// The name of the password that is shown; without, the best is meant.
    pub credential: Option<String>,
    /// What the access token was issued for; without, the login itself is meant, which is for everything.
    pub scopes: Option<Vec<Scope>>,
    pub what: Asked,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Asked {
    pub operation: Operation,
    /// As it was asked.
    pub shown: String,
}

/// The words of a question about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    pub action: &'a str,
    /// `repository`, `repository:tag` or `repository@digest`.
    pub target: Option<&'a str>,
    /// Of a mount, the repository whose blob it is.
    pub from: Option<&'a str>,
}

/// A question as the management API takes it. Without anybody it is about anonymous callers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ExplainRequest)]
pub struct Request {
    /// The name of the registry.
    pub registry: String,
    /// The address that the request comes from.
    pub source: String,
    /// `public`, which is meant where nothing is said, `private endpoint NAME` or `virtual network NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `pull`, `push`, `delete`, `list`, `catalog`, `mount`, or an action of a scope map.
    pub action: String,
    /// `repository`, `repository:tag` or `repository@digest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Of a mount, the repository whose blob it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Somebody whom a provider vouches for, and the groups that he is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name or the client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal: Option<String>,
    #[serde(default)]
    pub admin: bool,
    #[serde(default)]
    pub anonymous: bool,
    /// What the access token was issued for, such as `repository:team/app:pull`, as the token endpoint's answer says it. Without
    /// any the login itself is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Request {
    /// The question.
    ///
    /// # Errors
    /// A sentence that says what cannot be asked.
    pub fn question(&self) -> Result<Question, String> {
        let source: IpAddr = self.source.parse().map_err(|_| format!("`{}` is no IP address", self.source))?;
        let words = Words { action: &self.action, target: self.repository.as_deref(), from: self.from.as_deref() };
        let via = self.network.as_deref().map(Via::parse).transpose()?.unwrap_or_default();
        let (who, what) = (self.who()?, Asked::parse(&words)?);
        Ok(Question { source: source.into(), via, who, credential: None, scopes: self.scopes()?, what })
    }

    fn scopes(&self) -> Result<Option<Vec<Scope>>, String> {
        let scope = |text: &String| Scope::parse(text).map_err(|error| format!("`{text}` is no scope: {error}"));
        let scopes = self.scopes.iter().map(scope).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(scopes).filter(|some| !some.is_empty()))
    }

    fn who(&self) -> Result<Who, String> {
        let named = [
            self.admin.then_some(Who::Admin),
            self.anonymous.then_some(Who::Anonymous),
            self.token.clone().map(Who::Token),
            self.service_principal.clone().map(Who::ServicePrincipal),
            (!self.identities.is_empty()).then(|| Who::Identities(self.identities.clone())),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (None, _) => Ok(Who::Anonymous),
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err("a request comes from one caller; name one".to_owned()),
        }
    }
}

impl Asked {
    /// Reads the words, by the very grammar that requests have.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(words: &Words<'_>) -> Result<Self, String> {
        let Words { action, target, from } = *words;
        if action.eq_ignore_ascii_case("catalog") {
            return match target.or(from) {
                None => Ok(Self { operation: request("GET", "/v2/_catalog")?, shown: "catalog".to_owned() }),
                Some(_) => Err("`catalog` is about the whole registry: name no repository".to_owned()),
            };
        }
        let target = target.ok_or_else(|| format!("`{action}` needs a repository"))?;
        let (repository, reference) = split(target);
        let name = repository_name(repository)?;
        let manifest = format!("/v2/{name}/manifests/{}", reference.unwrap_or("latest"));
        let is_mount = action.eq_ignore_ascii_case("mount");
        if from.is_some() && !is_mount {
            return Err("only `mount` is from another repository".to_owned());
        }
        let operation = match action.to_ascii_lowercase().as_str() {
            "pull" => request("GET", &manifest)?,
            "push" => request("PUT", &manifest)?,
            "delete" => request("DELETE", &manifest)?,
            "list" => request("GET", &format!("/v2/{name}/tags/list"))?,
            "mount" => {
                let from = from.ok_or("`mount` needs the repository that the blob is in")?;
                let from = repository_name(from)?;
                request("POST", &format!("/v2/{name}/blobs/uploads/?mount={ANY_DIGEST}&from={from}"))?
            }
            other => Operation::needing(Action::parse(other).ok_or_else(|| unknown(action))?, &name),
        };
        let from = from.map_or_else(String::new, |from| format!("{from} "));
        Ok(Self { operation, shown: format!("{action} {from}{target}") })
    }
}

fn unknown(action: &str) -> String {
    let names = Action::ALL.map(Action::name).join(", ");
    format!("there is no action `{action}`; there are pull, push, delete, list, catalog, mount, {names}")
}

fn repository_name(text: &str) -> Result<RepositoryName, String> {
    RepositoryName::parse(text).map_err(|error| format!("`{text}` is no repository: {error}"))
}

/// The repository, and its tag or digest.
fn split(target: &str) -> (&str, Option<&str>) {
    let parts = target.split_once('@').or_else(|| target.rsplit_once(':'));
    parts.map_or((target, None), |(repository, reference)| (repository, Some(reference)))
}

pub(super) fn request(method: &str, target: &str) -> Result<Operation, String> {
    match oci::parse(method, target) {
        Ok(Parsed { method, endpoint: Endpoint::Registry(route), .. }) => Ok(Operation::of(method, &route)),
        Ok(Parsed { method, endpoint: Endpoint::Metadata(route), .. }) => Ok(Operation::of_metadata(method, &route)),
        Ok(_) => Err("that is no request for a registry's contents".to_owned()),
        Err(error) => Err(format!("no client can ask for that: {error}")),
    }
}

impl Operation {
    /// Whatever needs one action on a repository, as ACR calls it.
    pub fn needing(action: Action, repository: &RepositoryName) -> Self {
        let (class, ask): (_, &'static [Action]) = match action {
            Action::ContentRead => (OperationClass::ManifestRead, &[Action::ContentRead]),
            Action::ContentWrite => (OperationClass::ManifestWrite, &[Action::ContentRead, Action::ContentWrite]),
            Action::ContentDelete => (OperationClass::ManifestDelete, &[Action::ContentDelete]),
            Action::MetadataRead => (OperationClass::Tags, &[Action::MetadataRead]),
            Action::MetadataWrite => (OperationClass::Tags, &[Action::MetadataWrite]),
        };
        Self::one(class, repository, action.into(), ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(action: &str, target: Option<&str>, from: Option<&str>) -> Result<String, String> {
        let words = Words { action, target, from };
        Asked::parse(&words).map(|asked| format!("{:?} {}", asked.operation.class, asked.operation.needs.len()))
    }

    #[test]
    fn the_words_of_a_question_are_requests() {
        let table = [
            ("pull", Some("a/b:v1"), None, "ManifestRead 1"),
            ("PULL", Some("a/b"), None, "ManifestRead 1"),
            ("push", Some("a/b"), None, "ManifestWrite 1"),
            (
                "delete",
                Some("a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                None,
                "ManifestDelete 1",
            ),
            ("list", Some("a"), None, "Tags 1"),
            ("catalog", None, None, "Catalog 1"),
            ("mount", Some("a"), Some("b"), "Mount 2"),
            ("content/read", Some("a"), None, "ManifestRead 1"),
            ("metadata/write", Some("a"), None, "Tags 1"),
        ];
        for (action, target, from, expected) in table {
            assert_eq!(asked(action, target, from).as_deref(), Ok(expected), "{action}");
        }
        for (action, target, from) in [
            ("pull", None, None),
            ("pull", Some("A"), None),
            ("pull", Some("a:b c"), None),
            ("pull", Some("a"), Some("b")),
            ("catalog", Some("a"), None),
            ("mount", Some("a"), None),
            ("mount", Some("a"), Some("/b")),
            ("fly", Some("a"), None),
        ] {
            assert!(asked(action, target, from).is_err(), "{action} {target:?} {from:?}");
        }
    }
}
