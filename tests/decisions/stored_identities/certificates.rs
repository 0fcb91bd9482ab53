//! Identities of those who show certificates: by files and by the API, and by nobody who only says so.

use seawall::policy::identity::{Assertion, CERTIFICATE_PROVIDER, IdentityKind};
use seawall::policy::stored::{StoredClaimRule, StoredIdentity};
use serde_json::{Value, json};

use super::{FILE, House, VAULT};
use crate::layers::records::{identity, principal_id, role};
use crate::policy::compiled;

const RULE: &str = "  jane: { type: User, matches: [{ provider: corp, claims: { sub: jane } }] }\n";
const BY_CERTIFICATE: &str =
    "  jane: { type: SystemAssigned, matches: [{ provider: certificate, claims: { uri: \"spiffe://corp/sa/*\" } }] }\n";

fn said(claims: &Value) -> Assertion {
    Assertion {
        provider: CERTIFICATE_PROVIDER.into(),
        issuer: CERTIFICATE_PROVIDER.into(),
        subject: "ab01".to_owned(),
        claims: claims.as_object().unwrap().clone(),
    }
}

#[test]
fn rules_of_files_and_of_the_api_know_certificates() {
    let rule = StoredClaimRule {
        provider: CERTIFICATE_PROVIDER.to_owned(),
        claims: [("dns".to_owned(), "agent.corp".to_owned())].into(),
    };
    let agent = StoredIdentity { matches: vec![rule], ..identity("agent", IdentityKind::UserAssigned) };
    let house = House::new(&FILE.replace(RULE, BY_CERTIFICATE)).identity("agent", &agent).assign(
        "myregistry",
        "a1",
        &role("agent", "AcrPull"),
    );
    assert_eq!(house.warnings(), "");
    let one = house.one();
    let who = |claims: &Value| {
        let principal = one.asserted(&said(claims), principal_id("subject"));
        principal.map(|principal| principal.name().to_owned())
    };
    let jane = json!({ "uri": ["spiffe://corp/sa/jane"], "dns": [], "subject": "CN=x" });
    assert_eq!(who(&jane).as_deref(), Some("spiffe://corp/sa/jane"), "its URI is its name");
    let agent = json!({ "uri": [], "dns": ["other.corp", "agent.corp"], "subject": "CN=agent" });
    assert_eq!(who(&agent).as_deref(), Some("CN=agent"));
    assert_eq!(who(&json!({ "uri": [], "dns": ["agent.corp"], "subject": "" })).as_deref(), Some("ab01"));
    assert_eq!(who(&json!({ "uri": ["spiffe://corp.example/sa/jane"], "dns": ["agent.corp.example"] })), None);
    // What another provider says is no certificate, and a certificate is no other provider.
    for provider in ["corp", "https://corp.example"] {
        let other = Assertion { provider: provider.into(), issuer: "https://corp.example".into(), ..said(&jane) };
        assert!(one.asserted(&other, principal_id("subject")).is_none(), "{provider}");
    }
    let operator = said(&json!({ "groups": "ops", "sub": "jane", "uri": [] }));
    assert!(one.asserted(&operator, principal_id("subject")).is_none());
}

#[test]
fn the_provider_of_certificates_is_nobody_else() {
    for name in ["certificate", "Certificate"] {
        let provider = format!("  {name}: {{ issuer: https://x.example, audiences: [y] }}\n  corp: {{");
        let (policy, problems) = compiled(&FILE.replace("VAULT", VAULT).replace("  corp: {", &provider));
        assert!(policy.is_none());
        assert!(problems.starts_with("policy.yaml:2:3: `certificate` stands for the certificates"), "{problems}");
    }
    // Nor can it verify secrets.
    let verified = "    verifiedBy: certificate\n    matches: [{ provider: certificate, claims: { dns: x } }]\n";
    let file = FILE.replace("VAULT", VAULT).replace("    secrets: [{ name: password1, file: a }]\n", verified);
    let (policy, problems) = compiled(&file);
    assert!(policy.is_none());
    assert!(problems.contains("there is no identity provider `certificate`"), "{problems}");
}
