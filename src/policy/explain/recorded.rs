//! A question that was asked before: one line of the audit log, as far as a decision depends on it.

use serde::Deserialize;

use super::question::{ANY_DIGEST, Asked, Question, Via, Who, request};
use crate::policy::network::SourceAddress;

/// What is read of an audit record. Records of other kinds, and older ones, have less.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    pub denial_id: Option<String>,
    pub registry: Option<String>,
    pub source_address: Option<std::net::IpAddr>,
    pub network: Option<String>,
    pub principal: Option<RecordedPrincipal>,
    pub operation: Option<String>,
    pub method: Option<String>,
    pub repository: Option<String>,
    pub reference: Option<String>,
    /// `permit`, `deny` or `error`.
    pub decision: Option<String>,
    pub reason: Option<String>,
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
        // A trusted service comes over a public network; that it passes is decided again.
        let named = self.network.as_deref().filter(|network| !network.starts_with("trusted service "));
        let via = named.map_or(Ok(Via::Public), Via::parse);
        let via = via.map_err(|_| "it came over a private endpoint that no connection was made for")?;
        let who = self.who()?;
        let what = match (&who, self.what()) {
            (_, Some(what)) => what,
            (Who::Unknown, None) => {
                Asked { operation: request("GET", "/v2/").map_err(|_| NO_OPERATION)?, shown: String::new() }
            }
            (_, None) => return Err(NO_OPERATION),
        };
        Ok((registry, Question { source: SourceAddress::new(source), via, who, what }))
    }

    fn who(&self) -> Result<Who, &'static str> {
        if self.reason.as_deref() == Some(super::NETWORK_REFUSED) {
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
            _ => return None,
        };
        let shown = [Some(operation), repository].into_iter().flatten().collect::<Vec<_>>().join(" ");
        request(method, &target).ok().map(|operation| Asked { operation, shown })
    }
}

const NO_OPERATION: &str = "it was refused before it was known what was asked for";
