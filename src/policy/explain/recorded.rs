//! A question that was asked before: one line of the audit log, as far as a decision depends on it.

use serde::Deserialize;

use super::NETWORK_REFUSED;
use super::question::{ANY_DIGEST, Asked, Question, Via, Who, request};
use crate::clock::Timestamp;
use crate::policy::network::{EndpointMark, SourceAddress};

/// What is read of an audit record. Records of other kinds, and older ones, have less.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    pub time: Option<Timestamp>,
    pub denial_id: Option<String>,
    pub registry: Option<String>,
    pub listener: Option<String>,
    pub source_address: Option<std::net::IpAddr>,
    pub network: Option<String>,
    pub principal: Option<RecordedPrincipal>,
    pub credential: Option<String>,
    pub operation: Option<String>,
    pub method: Option<String>,
    pub repository: Option<String>,
    pub reference: Option<String>,
    /// `permit`, `deny` or `error`.
    pub decision: Option<String>,
    pub reason: Option<String>,
    /// What decided, with its place.
    pub rule: Option<String>,
}

/// Who it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct RecordedPrincipal {
    pub kind: String,
    pub name: Option<String>,
    #[serde(default)]
    pub identities: Vec<String>,
}

impl Recorded {
    /// The registry and the question that the record is the answer to.
    ///
    /// # Errors
    /// A phrase that says why nobody can ask it again.
    pub fn question(&self) -> Result<(&str, Question), &'static str> {
        let registry = self.registry.as_deref().ok_or("no registry was found for the host")?;
        let source = self.source_address.ok_or("the source address is not in the record")?;
        let via = self.via()?;
        let who = self.who()?;
        let what = match (&who, self.what()) {
            (_, Some(what)) => what,
            (Who::Unknown, None) => {
                Asked { operation: request("GET", "/v2/").map_err(|_| NO_OPERATION)?, shown: String::new() }
            }
            (_, None) => return Err(NO_OPERATION),
        };
        let (source, credential) = (SourceAddress::new(source), self.credential.clone());
        Ok((registry, Question { source, via, who, credential, scopes: None, what }))
    }

    /// Everything that the question depends on, and nothing else: equal ones have one answer.
    pub(super) fn essence(self) -> Self {
        let reason = self.reason.filter(|reason| reason == NETWORK_REFUSED);
        // Of a mount it names the other repository.
        let reference = self.reference.filter(|_| self.operation.as_deref() == Some("upload"));
        Self { time: None, denial_id: None, decision: None, reason, reference, rule: None, ..self }
    }

    /// The question, where the policy's decision is what explains the record.
    ///
    /// # Errors
    /// A sentence that says what refused it instead, or why nobody can ask it again.
    pub fn explainable(&self) -> Result<(&str, Question), String> {
        if self.reason.as_deref() == Some(LOCKED) {
            let rule = self.rule.as_deref().unwrap_or("which one is not in the record");
            return Err(format!("a lock refused it, which counts for everybody: {rule}"));
        }
        self.question().map_err(str::to_owned)
    }

    /// Whether the policy permitted it.
    ///
    /// # Errors
    /// A phrase that says why the record is not about a decision of the policy.
    pub(super) fn was_permitted(&self) -> Result<bool, &'static str> {
        match (self.decision.as_deref(), self.reason.as_deref().unwrap_or_default()) {
            (Some("permit"), _) => Ok(true),
            (Some("deny"), reason) if OF_THE_POLICY.contains(&reason) => Ok(false),
            (Some("deny"), "rate_limited" | "login_locked") => Err("a limit refused it, not the policy"),
            (Some("deny"), LOCKED) => {
                Err("a lock refused it, which may depend on what the upstream had then, and no right opens it")
            }
            (Some("deny"), "scope_not_granted" | "catalog_not_granted") => {
                Err("its access token may have been issued for less, and the record does not say for what")
            }
            (Some("deny"), _) => {
                Err("it was refused before the policy was asked: no credential, a wrong one, or malformed")
            }
            (Some("error"), _) => Err("it ended in an error, which is no decision"),
            _ => Err("it is no record of a request"),
        }
    }

    /// A public source is asked about by its address and its listener: whichever rule was for it then, another may be now.
    fn via(&self) -> Result<Via, &'static str> {
        let known = "private endpoint ";
        let unknown = |text: &str| {
            let mark = text.strip_prefix("unknown private endpoint (")?.strip_suffix(')')?;
            EndpointMark::parse(mark).map(Via::UnknownEndpoint)
        };
        match self.network.as_deref() {
            Some(text) if text.starts_with(known) => Ok(Via::PrivateEndpoint(text.split_at(known.len()).1.to_owned())),
            Some(text) if text.starts_with("unknown ") => {
                unknown(text).ok_or("the network in the record is not understood")
            }
            // `public`, `virtual network NAME` or `trusted service NAME`.
            Some(_) | None => Ok(self.listener.clone().map_or(Via::Public, Via::Listener)),
        }
    }

    fn who(&self) -> Result<Who, &'static str> {
        let reason = self.reason.as_deref();
        // What is public has been asked by nobody in particular.
        if matches!(self.operation.as_deref(), Some("keys" | "sign_in")) {
            return Ok(Who::Unknown);
        }
        if reason == Some(NETWORK_REFUSED) {
            // It may have been said who it was, by somebody who is no trusted service.
            return Ok(self.named().unwrap_or(Who::Unknown));
        }
        self.named()
    }

    fn named(&self) -> Result<Who, &'static str> {
        let principal = self.principal.as_ref().ok_or("nobody is named in the record")?;
        let name = || principal.name.clone().ok_or("the principal has no name in the record");
        match principal.kind.as_str() {
            "anonymous" => Ok(Who::Anonymous),
            "admin" => Ok(Who::Admin),
            "token" => Ok(Who::Token(name()?)),
            "servicePrincipal" => Ok(Who::ServicePrincipal(name()?)),
            "identity" if !principal.identities.is_empty() => Ok(Who::Identities(principal.identities.clone())),
            "identity" => Err("the record does not say which identities it was"),
            _ => Err("the credential was nobody's"),
        }
    }

    fn what(&self) -> Option<Asked> {
        let (operation, method) = (self.operation.as_deref()?, self.method.as_deref()?);
        let repository = self.repository.as_deref();
        let (method, target) = match (operation, repository) {
            // To log in is to be accepted.
            ("base" | "token" | "exchange", _) => ("GET", "/v2/".to_owned()),
            ("catalog", _) => ("GET", "/v2/_catalog".to_owned()),
            ("tags", Some(name)) => ("GET", format!("/v2/{name}/tags/list")),
            ("manifest_read" | "manifest_write" | "manifest_delete", Some(name)) => {
                (method, format!("/v2/{name}/manifests/any"))
            }
            ("blob_read" | "blob_delete", Some(name)) => (method, format!("/v2/{name}/blobs/{ANY_DIGEST}")),
            ("upload", Some(name)) => {
                let from = self.reference.as_deref().and_then(|reference| reference.split_once('@'));
                let mount = from.map(|(from, _)| format!("?mount={ANY_DIGEST}&from={from}"));
                ("POST", format!("/v2/{name}/blobs/uploads/{}", mount.unwrap_or_default()))
            }
            ("referrers", Some(name)) => ("GET", format!("/v2/{name}/referrers/{ANY_DIGEST}")),
            ("metadata_read" | "metadata_write" | "repository_delete", Some(name)) => {
                (method, format!("/acr/v1/{name}"))
            }
            ("untag", Some(name)) => ("DELETE", format!("/acr/v1/{name}/_tags/any")),
            _ => return None,
        };
        let shown = [Some(operation), repository].into_iter().flatten().collect::<Vec<_>>().join(" ");
        request(method, &target).ok().map(|operation| Asked { operation, shown })
    }
}

/// The codes of the denials that the policy alone decides, whatever was shown besides a credential that is somebody's.
const OF_THE_POLICY: [&str; 9] = [
    NETWORK_REFUSED,
    "network_not_allowed",
    "no_role",
    "anonymous_not_allowed",
    "action_not_granted",
    "admin_disabled",
    "token_disabled",
    "identity_disabled",
    "password_expired",
];

/// The code of what a lock refused.
const LOCKED: &str = "locked";
const NO_OPERATION: &str = "it was refused before it was known what was asked for";
