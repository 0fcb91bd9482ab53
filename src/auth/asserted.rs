//! People and machines that a provider vouches for: who they are at a registry, and what our tokens keep of it.
//!
//! No principal of theirs is kept anywhere. What the provider said is, in the tokens themselves, and is mapped anew by the
//! policy whenever one is used (threat class I): an identity that is changed or removed counts with the next request.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::credential::PrincipalId;
use crate::policy::identity::{Assertion, IdentityProvider};
use crate::policy::{Caller, Principal, Registry};
use crate::secret::HashKey;

/// The longest JSON text of what a token keeps of an assertion.
pub(super) const MAX_IDENTITY_BYTES: usize = 4 * 1024;

/// The policy's part of a sign-in.
pub trait Mapping: Send + Sync {
    /// Who the subject of `assertion` is at `registry`, by its policy as it is now; `None` when no identity matches, or when
    /// the provider is not declared any more under this name with this issuer.
    fn asserted(&self, registry: &Registry, assertion: &Assertion, id: PrincipalId) -> Option<Principal>;

    /// The claims that rules of `registry` look at in assertions of `provider`: names, or JSON pointers.
    fn claims<'a>(&self, registry: &'a Registry, provider: &str) -> Vec<&'a str>;
}

/// Where there are no identities: nobody is anyone.
#[derive(Debug, Clone, Copy)]
pub struct Unmapped;

impl Mapping for Unmapped {
    fn asserted(&self, _: &Registry, _: &Assertion, _: PrincipalId) -> Option<Principal> {
        None
    }

    fn claims<'a>(&self, _: &'a Registry, _: &str) -> Vec<&'a str> {
        Vec::new()
    }
}

/// Who signs in, and what a provider said, which goes into the tokens that are issued.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub caller: Caller,
    /// `None` for whoever has a password of ours.
    pub assertion: Option<Arc<Assertion>>,
}

impl From<Caller> for SignIn {
    fn from(caller: Caller) -> Self {
        Self { caller, assertion: None }
    }
}

/// The id of an asserted subject: the same at every use, whatever identities it maps to.
pub(super) fn subject_id(hash_key: &HashKey, assertion: &Assertion) -> PrincipalId {
    PrincipalId::derive(hash_key, "subject", &[assertion.provider.as_bytes(), assertion.subject.as_bytes()])
}

/// `assertion` with those claims only that rules or the audit log look at: tokens are sent with every request.
pub(super) fn kept(assertion: &Assertion, named: &[&str], provider: &IdentityProvider) -> Assertion {
    let mut claims = Map::new();
    for name in named.iter().copied().chain([&*provider.subject_claim]).chain(provider.name_claim.as_deref()) {
        keep(&assertion.claims, name, &mut claims);
    }
    Assertion { claims, ..assertion.clone() }
}

/// Copies the claim `name`, a name or a JSON pointer, to the same place in `kept`.
fn keep(claims: &Map<String, Value>, name: &str, kept: &mut Map<String, Value>) {
    match name.strip_prefix('/').map(|path| path.split('/').map(unescaped).collect::<Vec<_>>()) {
        Some(path) => keep_at(claims, &path, kept),
        None => keep_at(claims, &[name.to_owned()], kept),
    }
}

/// Places are kept within objects; an array that a pointer goes into is kept as a whole.
fn keep_at(from: &Map<String, Value>, path: &[String], to: &mut Map<String, Value>) {
    let Some((step, rest)) = path.split_first() else {
        return;
    };
    match (from.get(step), rest.is_empty()) {
        (Some(Value::Object(inner)), false) => {
            let place = to.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(place) = place {
                keep_at(inner, rest, place);
            }
        }
        (Some(value), true) | (Some(value @ Value::Array(_)), false) => {
            to.insert(step.clone(), value.clone());
        }
        _ => {}
    }
}

/// RFC 6901 section 4.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// An assertion as the claim `identity` of our tokens has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IdentityClaim {
    provider: Arc<str>,
    issuer: Arc<str>,
    subject: String,
    claims: Map<String, Value>,
}

impl From<&Assertion> for IdentityClaim {
    fn from(said: &Assertion) -> Self {
        let Assertion { provider, issuer, subject, claims } = said.clone();
        Self { provider, issuer, subject, claims }
    }
}

impl From<IdentityClaim> for Assertion {
    fn from(said: IdentityClaim) -> Self {
        let IdentityClaim { provider, issuer, subject, claims } = said;
        Self { provider, issuer, subject, claims }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept_of(claims: &Value, named: &[&str]) -> Value {
        let mut kept = Map::new();
        for name in named {
            keep(claims.as_object().expect("an object"), name, &mut kept);
        }
        Value::Object(kept)
    }

    #[test]
    fn only_what_is_named_is_kept_and_where_it_was() {
        let claims = json!({
            "sub": "a", "groups": ["x", "y"], "email": "a@b", "a/b": 1,
            "kubernetes.io": { "namespace": "ci", "pod": { "name": "p" }, "serviceaccount": { "name": "s", "uid": "u" } },
        });
        let cases = [
            (vec![], json!({})),
            (vec!["sub", "groups", "absent"], json!({ "sub": "a", "groups": ["x", "y"] })),
            (vec!["/kubernetes.io/namespace"], json!({ "kubernetes.io": { "namespace": "ci" } })),
            (
                vec!["/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name", "/a~1b"],
                json!({ "a/b": 1, "kubernetes.io": { "namespace": "ci", "serviceaccount": { "name": "s" } } }),
            ),
            (
                vec!["/kubernetes.io/namespace", "kubernetes.io", "/kubernetes.io/namespace"],
                json!({ "kubernetes.io": claims["kubernetes.io"] }),
            ),
            (vec!["/groups/1", "/sub/x", "/", ""], json!({ "groups": ["x", "y"] })),
        ];
        for (named, expected) in cases {
            assert_eq!(kept_of(&claims, &named), expected, "{named:?}");
        }
    }

    #[test]
    fn an_id_is_of_one_subject_of_one_provider() {
        let key = HashKey::from_bytes([1; 32]);
        let of = |provider: &str, subject: &str| {
            let (issuer, claims) = ("https://issuer".into(), Map::new());
            subject_id(&key, &Assertion { provider: provider.into(), issuer, subject: subject.into(), claims })
        };
        assert_eq!(of("corp", "alice"), of("corp", "alice"));
        assert_ne!(of("corp", "alice"), of("corp", "bob"));
        assert_ne!(of("corp", "alice"), of("other", "alice"));
        assert_ne!(of("corp", "alice"), of("corpa", "lice"));
    }
}
